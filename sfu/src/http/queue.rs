//! The JSON API of a channel's queue: looked at, paused, cleared, and the one button that takes the AI away.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use reverie_moments::life::{Refused, State as MomentState};
use reverie_moments::store::Error;
use serde::Serialize;

use super::App;
use super::extract::{ChannelName, PathOf, allow, is_trusted};
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::{Board, MomentView};
use crate::node::now_ms;

/// A queue.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Queue {
    channel: String,
    /// Whether nothing is started.
    paused: bool,
    /// The one that is warming or active.
    moment: Option<MomentView>,
    /// Those that wait, the next one first.
    queue: Vec<MomentView>,
    /// Those that a moderator has to look at; only for who may decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Vec<MomentView>>,
}

/// `GET /v1/channels/{channel}/queue`.
pub(super) async fn look(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Json<Queue>, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let decides = is_trusted(&app, &headers, Need::Moderate(&name.0));
    queue(&app, name, decides).await
}

/// `POST /v1/channels/{channel}/queue/{act}`.
pub(super) async fn act(
    State(app): State<App>,
    PathOf((name, act)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Queue>, Problem> {
    let name = ChannelName::parse(&name)?;
    if !["pause", "resume", "clear"].contains(&act.as_str()) {
        return Err(Problem::NoSuchPath);
    }
    allow(&app, &headers, Need::Moderate(&name.0))?;
    let (store, now) = (&app.shared.node.store, now_ms());
    match act.as_str() {
        "pause" => {
            store.add_channel(now, &name.0, None).await?;
            store.pause(now, &name.0).await?;
        }
        "resume" => store.resume(now, &name.0).await?,
        _ => {
            store.clear(now, &name.0).await?;
        }
    }
    changed(&app, name).await
}

/// `POST /v1/channels/{channel}/panic`.
pub(super) async fn panic(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Json<Queue>, Problem> {
    allow(&app, &headers, Need::Moderate(&name.0))?;
    let store = &app.shared.node.store;
    store.panic(now_ms(), &name.0).await?;
    changed(&app, name).await
}

async fn changed(app: &App, name: ChannelName) -> Result<Json<Queue>, Problem> {
    if let Some(channel) = app.channels.find(&name.0) {
        channel.news();
    }
    queue(app, name, true).await
}

async fn queue(app: &App, name: ChannelName, decides: bool) -> Result<Json<Queue>, Problem> {
    let snapshot = match app.shared.node.store.snapshot(&name.0).await {
        // One that only has viewers yet.
        Err(Error::Refused(Refused::Channel(_))) if app.channels.find(&name.0).is_some() => None,
        other => Some(other?),
    };
    let board = snapshot.as_ref().map(Board::new).unwrap_or_default();
    let all = snapshot.map(|snapshot| snapshot.moments);
    let pending = all.unwrap_or_default().into_iter();
    let pending = pending.filter(|moment| moment.state == MomentState::PendingApproval);
    let pending: Vec<_> = pending.map(|m| MomentView::new(&m, None)).collect();
    Ok(Json(Queue {
        channel: name.0,
        paused: board.paused,
        moment: board.moment,
        queue: board.queue,
        pending: decides.then_some(pending),
    }))
}
