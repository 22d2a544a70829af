//! The WHEP extension "server-sent events": what concerns one viewer's session, told in the draft's own events.
//!
//! `POST` on the extension's URL makes a stream, its `Location` is read with `GET` and ended with `DELETE`.
//! That URL is a secret of its own, since `EventSource` cannot send a token.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response, Sse};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::App;
use super::events::{Open, last_event_id, pings};
use super::extract::{PathOf, content_type, text};
use super::problem::Problem;
use super::signalling::{SessionPath, find};
use crate::channel::{Entry, Message, concealed};
use crate::session::{Ending, Protocol};

/// `rel` of the extension's `Link`.
pub(super) const EXTENSION: &str = "urn:ietf:params:whep:ext:core:server-sent-events";

/// All event types there are; `moment` is our own.
pub(super) const ALL: [&str; 6] = [
    "active",
    "inactive",
    "layers",
    "reconnect",
    "viewercount",
    "moment",
];

/// Path of an event stream.
#[derive(Debug, Deserialize)]
pub(super) struct StreamPath {
    channel: String,
    session: String,
    stream: String,
}

/// `POST /whep/{channel}/{session}/events`: a stream of the types named in the body, or of all.
pub(super) async fn create(
    State(app): State<App>,
    PathOf(path): PathOf<SessionPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    find(&app, Protocol::Whep, &path, &headers)?;
    let types = types(&headers, &text(&app, body).await?)?;
    let stream = app.shared.sessions.open_events(&path.session, types)?;
    let stream = stream.ok_or(Problem::UnknownSession)?;
    let location = format!("/whep/{}/{}/events/{stream}", path.channel, path.session);
    let location = HeaderValue::from_str(&location)
        .map_err(|_| Problem::Unreadable("not a header".to_owned()))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

fn types(headers: &HeaderMap, body: &str) -> Result<Arc<[&'static str]>, Problem> {
    if body.is_empty() {
        return Ok(ALL.into());
    }
    content_type(headers, "application/json")?;
    let wanted: Vec<String> = serde_json::from_str(body)
        .map_err(|e| Problem::Unreadable(format!("not a JSON array of event types: {e}")))?;
    if let Some(unknown) = wanted.iter().find(|w| !ALL.contains(&w.as_str())) {
        return Err(Problem::EventType(unknown.clone()));
    }
    Ok(ALL
        .into_iter()
        .filter(|kind| wanted.iter().any(|w| w == kind))
        .collect())
}

/// `GET` of the stream's URL: what holds now, then what changes; after `Last-Event-ID`, only what changed since.
pub(super) async fn follow(
    State(app): State<App>,
    PathOf(path): PathOf<StreamPath>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let sessions = &app.shared.sessions;
    let feed = sessions
        .events(&path.session, &path.stream)
        .ok_or(Problem::UnknownSession)?;
    let open = Open::new(&app, "sse")?;
    let channel = app
        .channels
        .find(&path.channel)
        .ok_or(Problem::UnknownSession)?;
    let after = last_event_id(&headers);
    let subscription = channel
        .ask(|reply| Message::Subscribe(after, reply))
        .await?;
    let session = app.shared.sessions.find(&path.session);
    let mut following = Following {
        video: session.and_then(|s| s.video),
        types: feed.types,
        ready: VecDeque::new(),
        rest: subscription.rest,
        stopping: app.stopping.clone(),
        ending: feed.ending,
        over: false,
        _open: open,
    };
    for entry in &subscription.first {
        following.entry(entry);
    }
    let events = stream::unfold(following, |mut following| async move {
        following.next().await.map(|event| (Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(pings()))
}

/// `DELETE` of the stream's URL; a second one finds nothing.
pub(super) async fn delete(
    State(app): State<App>,
    PathOf(path): PathOf<StreamPath>,
) -> Result<StatusCode, Problem> {
    if app
        .shared
        .sessions
        .close_events(&path.session, &path.stream)
    {
        Ok(StatusCode::OK)
    } else {
        Err(Problem::UnknownSession)
    }
}

enum Heard {
    Entry(Arc<Entry>),
    End(Ending),
}

/// One reader of a stream.
struct Following {
    types: Arc<[&'static str]>,
    /// `a=mid` of the picture: layers are told by it.
    video: Option<String>,
    ready: VecDeque<Event>,
    rest: broadcast::Receiver<Arc<Entry>>,
    stopping: watch::Receiver<bool>,
    ending: watch::Receiver<Ending>,
    over: bool,
    _open: Open,
}

impl Following {
    /// `None` when the session is over, the server stopped, or the reader is too far behind.
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !self.over {
            match self.wait().await {
                Heard::Entry(entry) => self.entry(&entry),
                Heard::End(ending) => self.farewell(ending),
            }
        }
        self.ready.pop_front()
    }

    async fn wait(&mut self) -> Heard {
        tokio::select! {
            // A reader that is too far behind comes back with its last number.
            entry = self.rest.recv() => entry.map_or(Heard::End(Ending::Open), Heard::Entry),
            // Errors mean that the server or the session is gone already.
            _ = self.stopping.wait_for(|stopping| *stopping) => Heard::End(Ending::Closed),
            _ = self.ending.changed() => Heard::End(*self.ending.borrow()),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        for (kind, data) in translate(entry, self.video.as_deref()) {
            self.tell(kind, &data, Some(entry.n));
        }
    }

    /// A viewer that did not end its session itself should come back.
    fn farewell(&mut self, ending: Ending) {
        if ending == Ending::Closed {
            self.tell("reconnect", &json!({}), None);
        }
        self.over = true;
    }

    fn tell(&mut self, kind: &'static str, data: &Value, n: Option<u64>) {
        if !self.types.contains(&kind) {
            return;
        }
        let event = Event::default().event(kind).data(data.to_string());
        self.ready.push_back(match n {
            Some(n) => event.id(n.to_string()),
            None => event,
        });
    }
}

/// An event of the channel in the words of the draft. There is no first `inactive`.
fn translate(entry: &Entry, video: Option<&str>) -> Vec<(&'static str, Value)> {
    let data = &entry.data;
    match entry.kind {
        "snapshot" => {
            let mut all = Vec::new();
            if data["live"] == true {
                all.push(("active", json!({})));
            }
            all.extend(layers(&data["layers"], video));
            all.push(viewers(data));
            if !data["moment"].is_null() {
                all.push(("moment", data["moment"].clone()));
            }
            all
        }
        "stream.live" => vec![("active", json!({}))],
        "stream.offline" => vec![("inactive", json!({}))],
        "viewers" => vec![viewers(data)],
        "layers" => layers(data, video).into_iter().collect(),
        kind if kind.starts_with("moment.") => vec![("moment", concealed(data.clone()))],
        _ => Vec::new(),
    }
}

/// The layers of the picture, under the name that the session has for it; nothing without simulcast or without a picture.
fn layers(data: &Value, video: Option<&str>) -> Option<(&'static str, Value)> {
    let video = video.filter(|_| data.is_object())?;
    Some(("layers", json!({ video: data })))
}

fn viewers(data: &Value) -> (&'static str, Value) {
    ("viewercount", json!({ "viewercount": data["viewers"] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &'static str, data: Value) -> Entry {
        Entry {
            n: 7,
            at: 1,
            kind,
            version: 0,
            data,
        }
    }

    #[test]
    fn e5_a_snapshot_tells_what_holds_and_never_that_nobody_publishes() {
        let offline = entry(
            "snapshot",
            json!({ "live": false, "viewers": 0, "moment": null }),
        );
        assert_eq!(
            translate(&offline, Some("1")),
            [("viewercount", json!({ "viewercount": 0 }))]
        );
        let live = entry(
            "snapshot",
            json!({ "live": true, "viewers": 2, "moment": { "id": "m" } }),
        );
        let kinds: Vec<_> = translate(&live, Some("1"))
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(kinds, ["active", "viewercount", "moment"]);
    }

    #[test]
    fn e5_layers_are_told_by_the_mid_of_the_sessions_picture() {
        let all = json!({ "active": [{ "encodingId": "h" }], "inactive": [] });
        let changed = entry("layers", all.clone());
        let told = [("layers", json!({ "1": all.clone() }))];
        assert_eq!(translate(&changed, Some("1")), told);
        assert_eq!(translate(&changed, None), [], "sound has no layers");
        let snapshot = entry(
            "snapshot",
            json!({ "live": true, "viewers": 0, "layers": all, "moment": null }),
        );
        assert_eq!(translate(&snapshot, Some("1"))[1], told[0]);
    }

    #[test]
    fn e5_only_types_that_exist_can_be_asked_for() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let some = types(&headers, r#"["moment", "active"]"#).expect("known types");
        assert_eq!(*some, ["active", "moment"]);
        let unknown = types(&headers, r#"["active", "scte35"]"#).expect_err("an unknown type");
        assert_eq!(unknown, Problem::EventType("scte35".to_owned()));
        assert_eq!(types(&headers, "{}").expect_err("no array").status(), 400);
        assert_eq!(*types(&HeaderMap::new(), "").expect("all"), ALL);
    }
}
