//! The JSON API of moments: asked for, looked at, and changed by who has seen them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reverie_moments::MomentId;
use reverie_moments::life::{Moment, Ms, Refused, Source, State as MomentState, Viewer};
use reverie_moments::store::{Error, Store};
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::bans;
use super::caller;
use super::extract::{ChannelName, PathOf, allow, if_match, is_trusted, json};
use super::problem::Problem;
use super::submission::{NewMoment, submission};
use crate::auth::{Holder, Need, Pass};
use crate::channel::{Board, Message, MomentView};
use crate::node::now_ms;
use crate::session::random_name;

/// The longest idempotency key.
const MAX_KEY: usize = 200;

/// Body of what is done to a moment; each act reads what it needs.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = MomentAct)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Act {
    reason: String,
    /// To which place, counted from 1.
    position: Option<usize>,
    /// How long a ban lasts, in seconds; until it is lifted where this is missing.
    duration_s: Option<f64>,
}

/// `POST /v1/channels/{channel}/moments`.
pub(super) async fn submit(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let pass = allow(&app, &headers, Need::Submit(&name.0))?;
    let wanted: NewMoment = json(&app, &headers, body, false).await?;
    if wanted.sku.is_none() {
        // What nobody pays for is the streamer's own.
        allow(&app, &headers, Need::Own(&name.0))?;
    }
    let own = is_trusted(&app, &headers, Need::Own(&name.0));
    let channel = app.channels.find(&name.0);
    if let Some(channel) = &channel {
        channel.ask(Message::Settle).await??;
    }
    let submission = submission(
        &app,
        &name.0,
        viewer(&app, &pass).await,
        wanted,
        key(&headers)?,
        own,
    )
    .await?;
    let store = &app.shared.node.store;
    let submitted = store.submit(now_ms(), submission).await?;
    if let Some(channel) = channel {
        channel.news();
    }
    let status = if submitted.fresh {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut view = view(store, &submitted.moment).await?;
    if submitted.moment.state == MomentState::Submitted && submitted.moment.source == Source::Bits {
        view.intent = app.shared.twitch.intent(&submitted.moment, now_ms());
    }
    Ok((status, answer(view)).into_response())
}

/// `GET /v1/moments/{id}`.
pub(super) async fn moment(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::List)?;
    let store = &app.shared.node.store;
    let moment = store.moment(&MomentId::new(id)).await?;
    allow(&app, &headers, Need::Look(&moment.channel))?;
    let mut view = view(store, &moment).await?;
    if !view.reviewed && !is_trusted(&app, &headers, Need::Moderate(&moment.channel)) {
        view.prompt.clear();
    }
    Ok(answer(view))
}

/// `POST /v1/moments/{id}/{act}`.
pub(super) async fn act(
    State(app): State<App>,
    PathOf((id, act)): PathOf<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let known = [
        "approve", "reject", "cancel", "start", "stop", "requeue", "move", "ban",
    ];
    if !known.contains(&act.as_str()) {
        return Err(Problem::NoSuchPath);
    }
    // Who is nobody does not learn which moments there are.
    allow(&app, &headers, Need::Change)?;
    let store = &app.shared.node.store;
    let seen = store.moment(&MomentId::new(id)).await?;
    let own = act == "cancel" && caller::of_moment(&app, &headers, &seen).is_ok();
    if !own {
        allow(&app, &headers, Need::Moderate(&seen.channel))?;
    }
    let wanted: Act = json(&app, &headers, body, true).await?;
    let lasts = match act.as_str() {
        "ban" => bans::lasts(&seen, wanted.duration_s)?,
        _ => None,
    };
    let version = if_match(&headers)?.unwrap_or(seen.version);
    match make(store, &seen, version, &act, &wanted, lasts).await {
        Ok(moment) => {
            if let Some(channel) = app.channels.find(&moment.channel) {
                channel.news();
            }
            Ok(answer(view(store, &moment).await?))
        }
        Err(error) => Err(with_current(store, &seen.id, error).await),
    }
}

async fn make(
    store: &Store,
    seen: &Moment,
    version: i64,
    act: &str,
    wanted: &Act,
    lasts: Option<Ms>,
) -> Result<Moment, Error> {
    let (id, now) = (&seen.id, now_ms());
    match act {
        "approve" => store.approve(now, id, version).await,
        "reject" => store.reject(now, id, version, &wanted.reason).await,
        "cancel" => store.cancel(now, id, version, None).await,
        "start" => store.start(now, id, version).await,
        "requeue" => store.requeue(now, id, version).await,
        "move" => {
            let place = wanted.position.unwrap_or(1).saturating_sub(1);
            store.move_to(now, id, version, place).await
        }
        "ban" => store.ban(now, id, version, &wanted.reason, lasts).await,
        // What is not seen yet can be stopped too.
        _ if seen.state == MomentState::Queued => store.cancel(now, id, version, None).await,
        _ => store.stop(now, id, version).await,
    }
}

/// A refusal with the moment as it is now, so that who asked need not ask again.
async fn with_current(store: &Store, id: &MomentId, error: Error) -> Problem {
    let Error::Refused(refused @ (Refused::Stale { .. } | Refused::NotAllowed { .. })) = error
    else {
        return error.into();
    };
    let current = match store.moment(id).await {
        Ok(moment) => view(store, &moment).await.map(|view| json!(view)),
        Err(error) => return error.into(),
    };
    Problem::Moment {
        refused,
        current: current.unwrap_or_default(),
    }
}

/// Who asks, as far as the token says, and what they are called.
async fn viewer(app: &App, pass: &Pass) -> Viewer {
    if let Some(session) = &pass.session {
        let viewer = caller::viewer(session);
        let name = match &viewer.id {
            Some(id) => Some(app.shared.twitch.name(Some(id)).await),
            None => None,
        };
        return Viewer { name, ..viewer };
    }
    let opaque = match &pass.holder {
        Holder::Anybody => "anybody".to_owned(),
        Holder::Static(index) => format!("token/{index}"),
        Holder::Subject(subject) => format!("subject/{subject}"),
        Holder::Bearer(..) => "bearer".to_owned(),
    };
    Viewer {
        opaque,
        id: None,
        name: None,
    }
}

/// The moment as it is shown; one that waits with its place.
async fn view(store: &Store, moment: &Moment) -> Result<MomentView, Problem> {
    let mut position = None;
    if moment.state == MomentState::Queued {
        let snapshot = store.snapshot(&moment.channel).await?;
        position = Board::new(&snapshot).position(&moment.id);
    }
    Ok(MomentView::new(moment, position))
}

/// With the version as entity tag, for `If-Match`.
fn answer(view: MomentView) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", view.version));
    let mut response = Json(view).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The idempotency key of a request; a new one where it has none.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(random_name(16)?);
    };
    let key = value.to_str().ok().filter(|key| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    key.map(str::to_owned).ok_or(Problem::Header {
        name: "Idempotency-Key",
        accepted: "1 to 200 visible ASCII characters",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", HeaderValue::from_static(value));
            key(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(with("\"8e03978e-40d5\""), Ok("\"8e03978e-40d5\"".into()));
        assert_eq!(with(""), Err(400));
        assert_eq!(with("a b"), Err(400));
        let (one, other) = (key(&HeaderMap::new()), key(&HeaderMap::new()));
        assert_ne!(one, other, "without a key each request is another one");
    }
}
