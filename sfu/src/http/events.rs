//! `GET /v1/channels/{channel}/events`: server-sent events with resume.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::BroadcastStream;

use super::App;
use super::extract::{ChannelName, allow, is_trusted};
use super::gate::{Brought, vouched};
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::{Entry, Message, Opener, concealed};

/// A comment is sent when nothing else was for this long, so that proxies keep the connection.
const PING: Duration = Duration::from_secs(15);

/// How often it is asked whether the session of a reader still holds, as for a WebSocket.
const CHECK: Duration = Duration::from_secs(5);

/// Query of an event stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resume {
    last_event_id: Option<u64>,
}

/// Follows a channel; it may not be live yet. Ends when the server stops, the client falls too far behind or
/// its session is over: it then comes back with its last number, or is refused.
pub(super) async fn follow(
    State(app): State<App>,
    name: ChannelName,
    query: Result<Query<Resume>, axum::extract::rejection::QueryRejection>,
    brought: Option<Extension<Brought>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let decides = is_trusted(&app, &headers, Need::Moderate(&name.0));
    let open = Open::new(&app, "sse")?;
    let after = last_event_id(&headers).or_else(|| query.ok().and_then(|Query(q)| q.last_event_id));
    let channel = app.channels.open(&name.0, Opener::Viewer)?;
    let subscription = channel
        .ask(|reply| Message::Subscribe(after, reply))
        .await?;
    let first = stream::iter(subscription.first);
    let rest = BroadcastStream::new(subscription.rest)
        .scan((), |(), entry| std::future::ready(entry.ok()));
    // The channel lives as long as one of its handles.
    let kept = (open, channel);
    let events = first.chain(rest).map(move |entry| {
        let _kept = &kept;
        Ok(event(&entry, decides))
    });
    let token = brought.map(|Extension(brought)| brought.0);
    let events = events.take_until(over(app.clone(), name.0, token, decides));
    Ok(Sse::new(app.until_stopped(events)).keep_alive(pings()))
}

/// Returns once whoever brought this token may not see the channel any more, or not as much of it.
async fn over(app: App, channel: String, token: Option<String>, decides: bool) {
    let Some(token) = token else {
        return std::future::pending().await;
    };
    let mut tick = interval_at(Instant::now() + CHECK, CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let headers = match vouched(&app, Some(&token)).await {
            Ok(headers) => headers,
            // A store that does not answer ends nobody's stream.
            Err(Problem::Store) => continue,
            Err(_) => return,
        };
        let sees = allow(&app, &headers, Need::Look(&channel)).is_ok();
        if !sees || decides && !is_trusted(&app, &headers, Need::Moderate(&channel)) {
            return;
        }
    }
}

/// The number a reader names that comes back.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

pub(super) fn pings() -> KeepAlive {
    KeepAlive::new().interval(PING).text("ping")
}

/// An entry as it is told; who may not decide about moments reads no prompt that was not let in.
pub(super) fn as_told(entry: &Entry, decides: bool) -> Cow<'_, Entry> {
    if decides {
        return Cow::Borrowed(entry);
    }
    Cow::Owned(Entry {
        data: concealed(entry.data.clone()),
        ..entry.clone()
    })
}

fn event(entry: &Entry, decides: bool) -> Event {
    let data = serde_json::to_string(&as_told(entry, decides));
    let data = data.expect("an entry has only string keys");
    Event::default()
        .id(entry.n.to_string())
        .event(entry.kind)
        .data(data)
}

/// Counts an open stream.
pub(super) struct Open {
    app: App,
    transport: &'static str,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Open {
    /// Takes one of the places for event streams.
    pub(super) fn new(app: &App, transport: &'static str) -> Result<Self, Problem> {
        let permit = app.event_streams.clone().try_acquire_owned().map_err(|_| {
            Problem::Busy("there are already as many event streams as this server keeps".to_owned())
        })?;
        app.shared
            .metrics
            .event_streams
            .with_label_values(&[transport])
            .inc();
        Ok(Self {
            app: app.clone(),
            transport,
            _permit: permit,
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.app
            .shared
            .metrics
            .event_streams
            .with_label_values(&[self.transport])
            .dec();
    }
}
