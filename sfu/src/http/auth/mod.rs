//! Who people are: signing in and out, by e-mail or Twitch, what one is, and links for others.

pub(super) mod account;
mod me;
pub(super) mod roles;
pub(super) mod tokens;
pub(super) mod twitch;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::problem::Problem;
use super::routes::Routes;
use super::{App, cookies};
use crate::auth::session::{LIFE, Session};
use crate::identity::{Entered, Identity, STAY};

/// The routes of this folder.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/auth", ways)
        .post("/v1/auth/register", account::register)
        .post("/v1/auth/login", account::login)
        .post("/v1/auth/refresh", account::refresh)
        .post("/v1/auth/logout", account::logout)
        .post("/v1/auth/twitch-ext", twitch::extension)
        .get("/v1/auth/twitch/start", twitch::start)
        .get("/v1/auth/twitch/callback", twitch::callback)
        .get("/v1/me", me::me)
        .post("/v1/roles", roles::grant)
        .delete("/v1/roles", roles::withdraw)
        .post("/v1/tokens", tokens::create)
        .delete("/v1/tokens/{id}", tokens::revoke)
}

/// `GET /v1/auth`: how one can sign in here.
async fn ways(State(app): State<App>) -> Json<Value> {
    let config = &app.shared.config;
    let identity = app.identity.as_ref();
    let twitch = identity.is_some_and(|it| it.twitch.is_some() && it.sealer.is_some());
    Json(json!({
        "password": identity.is_some(),
        "registration": identity.is_some() && config.auth.registration,
        "twitch": twitch,
    }))
}

fn identity(app: &App) -> Result<Arc<Identity>, Problem> {
    app.identity
        .clone()
        .ok_or(Problem::NotConfigured("auth.session_key"))
}

/// Tells somebody who they are now: with tokens in the body for programs, in cookies for pages and then nowhere else.
fn welcome(app: &App, entered: &Entered, cookie: bool) -> Response {
    let mut told = told(&entered.session);
    told["expires_in"] = LIFE.as_secs().into();
    if cookie {
        let mut response = Json(told).into_response();
        give_cookies(app, response.headers_mut(), entered);
        return never_stored(response);
    }
    told["token"] = entered.token.0.clone().into();
    if let Some(refresh) = &entered.refresh {
        told["refresh"] = refresh.0.clone().into();
    }
    never_stored(Json(told).into_response())
}

fn give_cookies(app: &App, headers: &mut HeaderMap, entered: &Entered) {
    let life = LIFE.as_secs();
    cookies::set(app, headers, cookies::OF_SESSION, &entered.token.0, life);
    if let Some(refresh) = &entered.refresh {
        let stay = STAY.as_secs();
        cookies::set(app, headers, cookies::OF_REFRESH, &refresh.0, stay);
    }
}

fn told(session: &Session) -> Value {
    json!({
        "subject": session.subject,
        "role": session.rank.name(),
        "channel": session.channel,
    })
}

fn never_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
