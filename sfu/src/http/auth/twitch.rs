//! Who somebody is by Twitch: the extension's token, and signing in.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::{give_cookies, identity, never_stored, welcome};
use crate::auth::oauth::Client;
use crate::auth::seal::Sealer;
use crate::auth::{Denied, Need};
use crate::http::extract::{ChannelName, allow, json, refused};
use crate::http::problem::Problem;
use crate::http::{App, cookies};
use crate::identity::{Identity, now_ms};
use crate::session::random_name;

/// How long somebody may take at Twitch.
const PATIENCE_MS: i64 = 10 * 60 * 1000;
/// What the cookie of a journey to Twitch is sealed for.
const JOURNEY: &str = "oauth journey";
/// What a streamer lets this server do: write in the channel's chat, as themselves or as a bot.
const SCOPES: &str = "user:write:chat user:bot channel:bot";

/// Body of a request from a panel. Has no `Debug`.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = ExtensionToken)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Panel {
    /// The token that Twitch's helper gave it.
    token: String,
    /// The user id of the channel that the panel is on, to be sure.
    channel_id: Option<String>,
}

/// Query of a journey's begin.
#[derive(Debug, Deserialize)]
pub(super) struct Begin {
    /// The channel to tie to the account at Twitch; somebody only signs in without.
    channel: Option<String>,
}

/// Query of its end. Has no `Debug`: the code is a secret.
#[derive(Deserialize)]
pub(super) struct End {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// What is known of somebody while they are at Twitch; sealed in a cookie of theirs.
#[derive(Deserialize, Serialize)]
struct Journey {
    state: String,
    verifier: String,
    channel: Option<String>,
    until: i64,
}

/// `POST /v1/auth/twitch-ext`: a session for the token of the extension's helper.
pub(super) async fn extension(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let secrets = Problem::NotConfigured("twitch.extension_secrets");
    let extension = identity.extension.as_ref().ok_or(secrets)?;
    let panel: Panel = json(&app, &headers, body, false).await?;
    let visitor = extension
        .read(&panel.token)
        .map_err(|fault| refused(&app, Denied::Invalid(fault)))?;
    if let Some(channel) = panel.channel_id.filter(|id| *id != visitor.channel) {
        return Err(refused(
            &app,
            Denied::Elsewhere {
                has: format!("the channel {:?} of Twitch", visitor.channel),
                needs: format!(
                    "the channel {:?}",
                    channel.chars().take(20).collect::<String>()
                ),
            },
        ));
    }
    let entered = identity.visit(&visitor).await?;
    Ok(welcome(&app, &entered, false))
}

/// `GET /v1/auth/twitch/start`: sends somebody to Twitch.
pub(super) async fn start(
    State(app): State<App>,
    query: Result<Query<Begin>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let (twitch, sealer) = configured(&identity)?;
    let channel = query.ok().and_then(|Query(begin)| begin.channel);
    if let Some(channel) = &channel {
        ChannelName::parse(channel)?;
        allow(&app, &headers, Need::Own(channel))?;
    }
    let journey = Journey {
        state: random_name(16)?,
        verifier: random_name(32)?,
        until: now_ms() + PATIENCE_MS,
        channel,
    };
    let scopes = if journey.channel.is_some() {
        SCOPES
    } else {
        ""
    };
    let url = twitch
        .authorize(&journey.state, &journey.verifier, scopes)
        .ok_or(Problem::NotConfigured("twitch.id_url"))?;
    let clear = serde_json::to_string(&journey).unwrap_or_default();
    let sealed = sealer
        .seal(JOURNEY, &clear)
        .map_err(|error| Problem::Busy(error.to_string()))?;
    let mut response = to(&url);
    let seconds = u64::try_from(PATIENCE_MS / 1000).unwrap_or(0);
    cookies::set(
        &app,
        response.headers_mut(),
        cookies::OF_OAUTH,
        &sealed,
        seconds,
    );
    Ok(response)
}

/// `GET /v1/auth/twitch/callback`: takes somebody back from Twitch.
pub(super) async fn callback(
    State(app): State<App>,
    query: Result<Query<End>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let (twitch, sealer) = configured(&identity)?;
    let Ok(Query(end)) = query else {
        return Err(Problem::Json("Twitch sends a code and a state".to_owned()));
    };
    let journey = taken_up(sealer, &headers, end.state.as_deref())?;
    if end.error.is_some() {
        return Err(Problem::SignIn(
            "Twitch was not allowed to say who you are".to_owned(),
        ));
    }
    let code = end
        .code
        .ok_or_else(|| Problem::Json("Twitch sends a code and a state".to_owned()))?;
    let tokens = twitch
        .exchange(&code, &journey.verifier)
        .await
        .map_err(crate::identity::Refused::from)?;
    let user = twitch
        .user(&tokens.access_token)
        .await
        .map_err(crate::identity::Refused::from)?;
    if let Some(channel) = &journey.channel {
        identity.tie(sealer, channel, &user, &tokens).await?;
        tracing::info!(channel, "a channel was tied to an account of Twitch");
    }
    let entered = identity.come_by_twitch(&user).await?;
    tracing::info!(
        subject = entered.session.subject,
        "somebody signed in by Twitch"
    );
    let page = match &entered.session.channel {
        Some(channel) => format!("/bridge/{channel}"),
        None => "/".to_owned(),
    };
    let mut response = to(&page);
    let headers = response.headers_mut();
    give_cookies(&app, headers, &entered);
    cookies::set(&app, headers, cookies::OF_OAUTH, "", 0);
    Ok(response)
}

fn configured(identity: &Identity) -> Result<(&Client, &Sealer), Problem> {
    let twitch = identity.twitch.as_ref();
    let sealer = identity.sealer.as_ref();
    Ok((
        twitch.ok_or(Problem::NotConfigured("twitch.client_id"))?,
        sealer.ok_or(Problem::NotConfigured("auth.sealing_key"))?,
    ))
}

/// The journey that this browser began and that this answer of Twitch is for.
fn taken_up(sealer: &Sealer, headers: &HeaderMap, state: Option<&str>) -> Result<Journey, Problem> {
    let lost = || {
        Problem::SignIn("this browser has not begun to sign in here, or too long ago".to_owned())
    };
    let sealed = cookies::find(headers, cookies::OAUTH).ok_or_else(lost)?;
    let clear = sealer.open(JOURNEY, sealed).map_err(|_| lost())?;
    let journey: Journey = serde_json::from_str(&clear).map_err(|_| lost())?;
    let own = reverie_config::Secret::new(journey.state.clone());
    let same = own.is_ok_and(|own| own.matches(state.unwrap_or_default()));
    if same && now_ms() < journey.until {
        Ok(journey)
    } else {
        Err(lost())
    }
}

fn to(url: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(url) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    never_stored(response)
}
