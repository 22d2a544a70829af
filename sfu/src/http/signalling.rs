//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): sessions as HTTP resources.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::App;
use super::extract::{ChannelName, allow, content_type, still_allowed, text};
use super::limit::{self, Peer};
use super::links;
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::{Claim, Handle, Joined, Message, Opener};
use crate::engine::negotiate::{self, Side};
use crate::engine::packet::{Kind, Track};
use crate::engine::sdp::{self, Credentials, Summary};
use crate::engine::{CloseReason, Command};
use crate::node::now_ms;
use crate::session::{Protocol, Session, random_name};

const SDP: &str = "application/sdp";
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Query of a WHEP request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Watch {
    /// `1`: accept now and start when somebody publishes.
    #[serde(default)]
    wait: Option<String>,
    /// `output` or `source`.
    #[serde(default)]
    track: Option<String>,
}

impl Watch {
    fn waits(&self) -> bool {
        self.wait.as_ref().is_some_and(|w| w == "1" || w == "true")
    }

    fn track(&self) -> Result<Track, Problem> {
        match self.track.as_deref() {
            None | Some("output") => Ok(Track::Output),
            Some("source") => Ok(Track::Source),
            Some(other) => Err(Problem::Track(other.to_owned())),
        }
    }
}

/// `POST /whip/{channel}`.
pub(super) async fn publish(
    State(app): State<App>,
    name: Result<ChannelName, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let result = publish_inner(&app, name, &headers, body).await;
    count(&app, Protocol::Whip, &result);
    if result.is_ok() {
        app.analytics().stream(now_ms(), salt);
    }
    result
}

async fn publish_inner(
    app: &App,
    name: Result<ChannelName, Problem>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let pass = allow(app, headers, Need::Publish(wanted(&name)))?;
    let ChannelName(name) = name?;
    let offer = offer(app, headers, body).await?;
    let channel = app.channels.open(&name, Opener::Publisher)?;
    let ticket = channel
        .ask(|reply| Message::Publish(pass.holder, reply))
        .await?
        .ok_or_else(|| Problem::Taken(name.clone()))?;
    let side = Side::Publish {
        generation: ticket.generation,
        epoch: ticket.epoch,
    };
    let home = channel.home;
    let newcomer = Newcomer {
        protocol: Protocol::Whip,
        shard: home,
        side,
        sent: None,
        claim: ticket.claim,
        token: pass.token,
    };
    accept(app, &name, &channel, newcomer, &offer)
}

/// `POST /whep/{channel}`.
pub(super) async fn watch(
    State(app): State<App>,
    name: Result<ChannelName, Problem>,
    query: Result<Query<Watch>, axum::extract::rejection::QueryRejection>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let result = watch_inner(&app, name, &query, &headers, body).await;
    count(&app, Protocol::Whep, &result);
    if result.is_ok() {
        let from = peer.map(|Extension(peer)| limit::client_of(&app, peer, &headers));
        let watching = app.shared.sessions.count(Protocol::Whep);
        app.analytics().viewer(now_ms(), from, watching, salt);
    }
    result
}

/// What a day's viewers are told apart with.
fn salt() -> Option<[u8; 32]> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).ok().map(|()| salt)
}

async fn watch_inner(
    app: &App,
    name: Result<ChannelName, Problem>,
    query: &Watch,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let pass = allow(app, headers, Need::Watch(wanted(&name)))?;
    let ChannelName(name) = name?;
    let track = query.track()?;
    let offer = offer(app, headers, body).await?;
    let channel = if query.waits() {
        app.channels.open(&name, Opener::Viewer)?
    } else {
        let channel = app
            .channels
            .find(&name)
            .ok_or_else(|| Problem::NobodyPublishes(name.clone()))?;
        if !channel.ask(Message::IsLive).await? {
            return Err(Problem::NobodyPublishes(name));
        }
        channel
    };
    let shard = app.next_shard();
    let newcomer = Newcomer {
        protocol: Protocol::Whep,
        shard,
        side: Side::Watch(track),
        sent: channel.ask(Message::Profile).await?,
        claim: Claim::new(pass.holder),
        token: pass.token,
    };
    accept(app, &name, &channel, newcomer, &offer)
}

async fn offer(app: &App, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    content_type(headers, SDP)?;
    if app.is_draining() {
        return Err(Problem::Draining);
    }
    let limit = app.shared.config.media.max_sessions;
    if app.shared.sessions.len() >= limit {
        return Err(Problem::Busy(format!(
            "there are already {limit} sessions, the most this server keeps"
        )));
    }
    let offer = text(app, body).await?;
    // The body may have taken its time.
    if app.is_draining() {
        Err(Problem::Draining)
    } else {
        Ok(offer)
    }
}

/// The channel that a token must be for; one without a legal name is none's, and refused after the token.
fn wanted(name: &Result<ChannelName, Problem>) -> &str {
    name.as_ref().map_or("", |ChannelName(name)| name)
}

/// Who comes, and to which shard.
struct Newcomer {
    protocol: Protocol,
    shard: usize,
    side: Side,
    /// The H264 `profile-level-id` of the channel's publisher, for a viewer.
    sent: Option<u32>,
    claim: Claim,
    /// The id of its signed token.
    token: Option<String>,
}

/// Negotiates, hands the peer to its shard, and makes the session's URL.
fn accept(
    app: &App,
    name: &str,
    channel: &Handle,
    newcomer: Newcomer,
    offer: &str,
) -> Result<Response, Problem> {
    let Newcomer {
        protocol,
        shard,
        side,
        sent,
        claim,
        token,
    } = newcomer;
    let sessions = &app.shared.sessions;
    let identity = sessions.identity(channel.stream)?;
    let id = identity.peer;
    let target = &app.shared.shards[shard];
    let (terms, now) = (&target.terms, Instant::now());
    let (peer, answer) = negotiate::accept_knowing(terms, identity, side, sent, offer, now)?;
    let etag = format!("\"{}\"", random_name(8)?);
    let summary = Summary::read(&answer);
    let session = Session {
        protocol,
        channel: name.to_owned(),
        holder: claim.holder().clone(),
        token: token.clone(),
        peer: id,
        shard,
        since: now_ms(),
        etag: etag.clone(),
        remote: Credentials::of(offer),
        earlier: Vec::new(),
        video: summary.of(Kind::Video).next().and_then(|s| s.mid.clone()),
        ice: sdp::ice_of(&answer).into(),
    };
    let has = |kind| summary.of(kind).next().is_some();
    let url_id = sessions.insert(session)?;
    // The channel must know the session before the shard can report on it.
    let joined = Joined {
        peer: id,
        protocol,
        audio: has(Kind::Audio),
        video: has(Kind::Video),
        output: side == Side::Watch(Track::Output),
    };
    let handed = channel
        .tell(Message::Joined(joined, claim))
        .map_err(Problem::from)
        .and_then(|()| Ok(target.handle.send(Command::Add(Box::new(peer)))?));
    if let Err(problem) = handed {
        sessions.remove(&url_id);
        let ended = crate::engine::Event::Closed(id, CloseReason::Shutdown);
        // If even this finds no room the channel is being torn down.
        let _ = channel.tell(Message::Engine(ended));
        return Err(problem);
    }
    // A token taken back since it was looked at: the sessions that ended then did not include this one.
    if let Err(problem) = still_allowed(app, token.as_deref()) {
        sessions.remove(&url_id);
        let _ = target.handle.send(Command::Close(id, CloseReason::Revoked));
        return Err(problem);
    }
    created(app, protocol, name, &url_id, &etag, answer)
}

fn created(
    app: &App,
    protocol: Protocol,
    name: &str,
    id: &str,
    etag: &str,
    answer: String,
) -> Result<Response, Problem> {
    let location = format!("/{}/{name}/{id}", protocol.name());
    let header = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| Problem::Unreadable("not a header".to_owned()))
    };
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, header(&location)?);
    headers.insert(header::ETAG, header(etag)?);
    headers.insert(
        HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(FRAGMENT),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    links::of_session(
        headers,
        protocol,
        name,
        id,
        &app.shared.config.media.ice_servers,
    );
    Ok(response)
}

/// Path of a session URL.
#[derive(Debug, Deserialize)]
pub(super) struct SessionPath {
    pub(super) channel: String,
    pub(super) session: String,
}

/// `DELETE` on a session; a second one finds nothing.
pub(super) fn end(
    protocol: Protocol,
    app: &App,
    path: &SessionPath,
    headers: &HeaderMap,
) -> Result<StatusCode, Problem> {
    let session = find(app, protocol, path, headers)?;
    app.shared.shards[session.shard]
        .handle
        .send(Command::Close(session.peer, CloseReason::Deleted))?;
    app.shared.sessions.remove(&path.session);
    Ok(StatusCode::OK)
}

/// The session of a path, for those who may use it.
pub(super) fn find(
    app: &App,
    protocol: Protocol,
    path: &SessionPath,
    headers: &HeaderMap,
) -> Result<Session, Problem> {
    let need = match protocol {
        Protocol::Whip => Need::Publish(&path.channel),
        Protocol::Whep => Need::Watch(&path.channel),
    };
    let pass = allow(app, headers, need)?;
    let session = app
        .shared
        .sessions
        .find(&path.session)
        .ok_or(Problem::UnknownSession)?;
    if session.protocol != protocol || session.channel != path.channel {
        return Err(Problem::UnknownSession);
    }
    if session.holder == pass.holder {
        Ok(session)
    } else {
        Err(Problem::OtherHolder)
    }
}

fn count(app: &App, protocol: Protocol, result: &Result<Response, Problem>) {
    let result = match result {
        Ok(_) => "created",
        Err(problem) if problem.status().is_server_error() => "overloaded",
        Err(_) => "refused",
    };
    app.shared
        .metrics
        .sessions
        .with_label_values(&[protocol.name(), result])
        .inc();
}
