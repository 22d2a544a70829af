//! `GET /v1/me`: who somebody is.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{identity, never_stored, told};
use crate::auth::Need;
use crate::http::App;
use crate::http::extract::allow;
use crate::http::problem::Problem;

/// What somebody is now, and everywhere else.
pub(super) async fn me(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let identity = identity(&app)?;
    let pass = allow(&app, &headers, Need::Person)?;
    let session = pass.session.ok_or(Problem::NoToken)?;
    let mut told = told(&session);
    let roles = identity.store.roles(&session.subject).await;
    let roles = roles.map_err(Problem::store)?;
    let roles: Vec<Value> = roles
        .iter()
        .map(|(channel, role)| json!({ "channel": channel, "role": role.as_str() }))
        .collect();
    told["roles"] = roles.into();
    told["twitch_user"] = session.user.clone().into();
    if let Some(id) = session.subject.strip_prefix("person:") {
        let person = identity.store.person(id).await.map_err(Problem::store)?;
        told["email"] = person.map(|person| person.email).into();
    }
    Ok(never_stored(Json(told).into_response()))
}
