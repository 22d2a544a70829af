//! `GET /v1/channels/{channel}/events`: server-sent events with resume.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio_stream::wrappers::BroadcastStream;

use super::App;
use super::extract::{ChannelName, bearer};
use super::problem::Problem;
use crate::channel::{Entry, Handle, Message, Opener};
use crate::session::Protocol;

/// A comment is sent when nothing else was for this long, so that proxies keep the connection.
const PING: Duration = Duration::from_secs(15);

/// Query of an event stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resume {
    last_event_id: Option<u64>,
}

/// Follows a channel; it may not be live yet. Ends when the server stops or the client falls too far behind:
/// it then comes back with its last number.
pub(super) async fn follow(
    State(app): State<App>,
    name: ChannelName,
    query: Result<Query<Resume>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    bearer(&headers, app.token_of(Protocol::Whep))?;
    let permit = app.event_streams.clone().try_acquire_owned().map_err(|_| {
        Problem::Busy("there are already as many event streams as this server keeps".to_owned())
    })?;
    let header = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    let after = header.or_else(|| query.ok().and_then(|Query(q)| q.last_event_id));
    let channel = app.channels.open(&name.0, Opener::Viewer)?;
    let subscription = channel
        .ask(|reply| Message::Subscribe(after, reply))
        .await?;
    let first = stream::iter(subscription.first);
    let rest = BroadcastStream::new(subscription.rest)
        .scan((), |(), entry| std::future::ready(entry.ok()));
    let gauge = Open::new(&app, channel, permit);
    let events = first.chain(rest).map(move |entry| {
        let _open = &gauge;
        Ok(event(&entry))
    });
    Ok(
        Sse::new(app.until_stopped(events))
            .keep_alive(KeepAlive::new().interval(PING).text("ping")),
    )
}

fn event(entry: &Entry) -> Event {
    let data = serde_json::to_string(entry).expect("an entry has only string keys");
    Event::default()
        .id(entry.n.to_string())
        .event(entry.kind)
        .data(data)
}

/// Counts an open stream and keeps its channel alive.
struct Open {
    app: App,
    _channel: Handle,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Open {
    fn new(app: &App, channel: Handle, permit: tokio::sync::OwnedSemaphorePermit) -> Self {
        app.shared
            .metrics
            .event_streams
            .with_label_values(&["sse"])
            .inc();
        Self {
            app: app.clone(),
            _channel: channel,
            _permit: permit,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.app
            .shared
            .metrics
            .event_streams
            .with_label_values(&["sse"])
            .dec();
    }
}
