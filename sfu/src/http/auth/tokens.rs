//! `POST /v1/tokens`: links for others, each for one thing on one channel and for a while.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use reverie_config::{Role, Scope};
use reverie_moments::store::ApiKey;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{identity, never_stored};
use crate::auth::session::Rank;
use crate::auth::token::mint;
use crate::auth::{Grant, Need, keys};
use crate::http::App;
use crate::http::extract::{ChannelName, PathOf, allow, json as body_of};
use crate::http::problem::Problem;
use crate::identity::{Identity, now_ms};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// The longest label of an API key, in characters.
const MAX_LABEL: usize = 100;

/// What a token is for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[schema(as = TokenKind)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Kind {
    /// Sending a picture to the channel (WHIP).
    Publish,
    /// Watching it (WHEP).
    Watch,
    /// Watching it and following its events, in a scene of a streaming program.
    Overlay,
    /// Moderating it, in a dock of a streaming program.
    Dock,
    /// Whatever its streamer may do, for a program.
    Key,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Wanted {
    kind: Kind,
    channel: String,
    ttl_s: Option<u64>,
    label: Option<String>,
}

impl Kind {
    /// How long it is good when nothing is said, and at most.
    fn life(self) -> (u64, u64) {
        match self {
            Self::Publish | Self::Watch => (12 * HOUR, 30 * DAY),
            Self::Overlay | Self::Dock => (30 * DAY, 90 * DAY),
            Self::Key => (90 * DAY, 366 * DAY),
        }
    }

    /// The page that takes it, if one does.
    fn page(self, channel: &str) -> Option<String> {
        match self {
            Self::Publish => Some(format!("/bridge/{channel}")),
            Self::Watch => Some(format!("/watch/{channel}")),
            Self::Overlay => Some(format!("/overlay/{channel}")),
            Self::Dock => Some(format!("/mod/{channel}?dock=1")),
            Self::Key => None,
        }
    }
}

/// Makes one.
pub(super) async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    // Who is nobody learns nothing of what is wrong with the body.
    allow(&app, &headers, Need::Change)?;
    let wanted: Wanted = body_of(&app, &headers, body, false).await?;
    ChannelName::parse(&wanted.channel)?;
    let pass = allow(&app, &headers, Need::Own(&wanted.channel))?;
    let subject = pass.session.map(|session| session.subject);
    let life = life(&wanted)?;
    let (id, token) = made(&identity, &wanted, subject.as_deref(), life).await?;
    tracing::info!(channel = wanted.channel, kind = ?wanted.kind, id, "a token was made");
    let mut told = json!({
        "id": id,
        "token": token,
        "channel": wanted.channel,
        "expires_at": now_ms() + i64::try_from(life.as_millis()).unwrap_or(i64::MAX),
    });
    if let Some(page) = wanted.kind.page(&wanted.channel) {
        let public = app.shared.config.twitch.public_url.as_deref();
        // What stands behind # is sent to no server and stands in no log.
        told["url"] = format!("{}{page}#token={token}", public.unwrap_or_default()).into();
    }
    Ok(never_stored(
        (StatusCode::CREATED, Json(told)).into_response(),
    ))
}

/// `DELETE /v1/tokens/{id}`: takes back a dock's token or a key of one's own.
pub(super) async fn revoke(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let identity = identity(&app)?;
    let pass = allow(&app, &headers, Need::Person)?;
    let subject = pass.session.ok_or(Problem::NoToken)?.subject;
    let store = &identity.store;
    let key = store
        .revoke_key(&id, &subject)
        .await
        .map_err(Problem::store)?;
    let ended = key
        || store
            .end_session_of(&id, &subject)
            .await
            .map_err(Problem::store)?;
    if ended {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::UnknownToken(id.chars().take(80).collect()))
    }
}

fn life(wanted: &Wanted) -> Result<Duration, Problem> {
    let (default, most) = wanted.kind.life();
    let seconds = wanted.ttl_s.unwrap_or(default);
    if !(1..=most).contains(&seconds) {
        return Err(Problem::Json(format!(
            "ttl_s is {seconds}; accepted for this kind are 1 to {most}"
        )));
    }
    Ok(Duration::from_secs(seconds))
}

async fn made(
    identity: &Identity,
    wanted: &Wanted,
    subject: Option<&str>,
    life: Duration,
) -> Result<(String, String), Problem> {
    let channel = &wanted.channel;
    // Without a session it is the control token, or a machine of one's own.
    let owner = subject.unwrap_or("control");
    match wanted.kind {
        Kind::Publish => media(identity, Role::Publish, channel, subject, life),
        Kind::Watch | Kind::Overlay => media(identity, Role::Watch, channel, None, life),
        Kind::Dock => {
            let (id, token) = identity.link(owner, Rank::Mod, channel, life).await?;
            Ok((id, token.0))
        }
        Kind::Key => key(identity, wanted, subject, life).await,
    }
}

fn media(
    identity: &Identity,
    role: Role,
    channel: &str,
    subject: Option<&str>,
    life: Duration,
) -> Result<(String, String), Problem> {
    let grant = Grant {
        role,
        scope: Scope::Channel(channel.to_owned()),
        subject: subject.map(str::to_owned),
    };
    let now_s = u64::try_from(now_ms() / 1000).unwrap_or(0);
    let minted = mint(&identity.media, &grant, now_s, life);
    let minted = minted.map_err(|error| Problem::Busy(error.to_string()))?;
    let claims: Value = serde_json::from_str(&minted.claims).unwrap_or_default();
    let id = claims["jti"].as_str().unwrap_or_default().to_owned();
    Ok((id, minted.token))
}

async fn key(
    identity: &Identity,
    wanted: &Wanted,
    subject: Option<&str>,
    life: Duration,
) -> Result<(String, String), Problem> {
    let subject = subject.ok_or_else(|| {
        Problem::Json("a key stands for somebody: sign in, and ask with that session".to_owned())
    })?;
    let label = wanted.label.clone().unwrap_or_default();
    if label.chars().count() > MAX_LABEL {
        return Err(Problem::Json(format!(
            "label has more than {MAX_LABEL} characters"
        )));
    }
    let made = keys::new_key()?;
    let kept = ApiKey {
        id: made.id,
        subject: subject.to_owned(),
        role: Rank::Streamer.name().to_owned(),
        channel: Some(wanted.channel.clone()),
        label,
        expires_at: Some(now_ms() + i64::try_from(life.as_millis()).unwrap_or(i64::MAX)),
    };
    let added = identity.store.add_key(now_ms(), &kept, &made.hash).await;
    added.map_err(Problem::store)?;
    Ok((kept.id, made.text))
}
