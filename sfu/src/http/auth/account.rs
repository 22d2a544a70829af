//! Accounts by e-mail address and password, and the life of a session.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{identity, never_stored, welcome};
use crate::http::extract::{ChannelName, bearer, json};
use crate::http::limit::{Attempt, Peer, attempt};
use crate::http::problem::Problem;
use crate::http::{App, cookies};

/// Body of a request to sign in, or for an account. Has no `Debug`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Credentials {
    email: String,
    password: String,
    /// What to be on; the first that one is something on when missing.
    channel: Option<String>,
    /// Whether a page asks, which is given cookies.
    #[serde(default)]
    cookie: bool,
}

/// Body of a request for the next token, or to leave. Has no `Debug`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Refresh)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Token {
    /// The refresh token; that of the cookie when missing.
    refresh: Option<String>,
}

/// `POST /v1/auth/register`.
pub(super) async fn register(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    if !app.shared.config.auth.registration {
        return Err(Problem::NotConfigured("auth.registration"));
    }
    let wanted = credentials(&app, &headers, body).await?;
    let peer = peer.map(|Extension(peer)| peer);
    attempt(&app, peer, &headers, Attempt::Register)?;
    let channel = wanted.channel.as_deref();
    let entered = identity
        .register(&wanted.email, wanted.password, channel)
        .await?;
    tracing::info!(subject = entered.session.subject, "an account was made");
    let mut response = welcome(&app, &entered, wanted.cookie);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `POST /v1/auth/login`.
pub(super) async fn login(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let wanted = credentials(&app, &headers, body).await?;
    let peer = peer.map(|Extension(peer)| peer);
    attempt(&app, peer, &headers, Attempt::Login(&wanted.email))?;
    let channel = wanted.channel.as_deref();
    let entered = identity
        .login(&wanted.email, wanted.password, channel)
        .await?;
    tracing::info!(subject = entered.session.subject, "somebody signed in");
    Ok(welcome(&app, &entered, wanted.cookie))
}

/// `POST /v1/auth/refresh`.
pub(super) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let token: Token = json(&app, &headers, body, true).await?;
    if let Some(refresh) = token.refresh {
        let entered = identity.refresh(&refresh).await?;
        return Ok(welcome(&app, &entered, false));
    }
    let refresh = cookies::find(&headers, cookies::REFRESH).ok_or(Problem::NoToken)?;
    cookies::same_origin(&app, &Method::POST, &headers)?;
    let entered = identity.refresh(refresh).await?;
    Ok(welcome(&app, &entered, true))
}

/// `POST /v1/auth/logout`: ends the session of the bearer token, of the refresh token in the body, or of the cookies.
pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let token: Token = json(&app, &headers, body, true).await?;
    if let Some(refresh) = token.refresh {
        identity.leave_by(&refresh).await?;
    } else if let Some(token) = bearer(&headers) {
        let session = app.auth.session(token).ok_or(Problem::NoToken)?;
        identity.leave(&session.map_err(Problem::BadToken)?).await?;
    } else {
        cookies::same_origin(&app, &Method::POST, &headers)?;
        let refresh = cookies::find(&headers, cookies::REFRESH).ok_or(Problem::NoToken)?;
        identity.leave_by(refresh).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let to = response.headers_mut();
    cookies::set(&app, to, cookies::OF_SESSION, "", 0);
    cookies::set(&app, to, cookies::OF_REFRESH, "", 0);
    Ok(never_stored(response))
}

async fn credentials(app: &App, headers: &HeaderMap, body: Body) -> Result<Credentials, Problem> {
    let wanted: Credentials = json(app, headers, body, false).await?;
    if let Some(channel) = &wanted.channel {
        ChannelName::parse(channel)?;
    }
    if wanted.cookie {
        // Nobody is signed in by the page of somebody else.
        cookies::same_origin(app, &Method::POST, headers)?;
    }
    Ok(wanted)
}
