//! What whoever runs the server sees and does: its sessions, whether it takes new ones, its configuration, how much it is used.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::App;
use super::extract::{PathOf, allow, json as body_of};
use super::problem::Problem;
use crate::auth::Need;
use crate::engine::ids::PeerId;
use crate::engine::{CloseReason, Command};

/// Body of a drain, and its answer.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// Whether new sessions are refused.
    draining: bool,
}

/// `GET /v1/admin/sessions`. By number, since whoever has a session's URL may end it.
pub(super) async fn sessions(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    allow(&app, &headers, Need::Admin)?;
    let sessions = app.shared.sessions.all();
    let sessions: Vec<Value> = sessions
        .into_iter()
        .map(|session| {
            json!({
                "id": session.peer.0,
                "protocol": session.protocol.name(),
                "channel": session.channel,
                "since": session.since,
            })
        })
        .collect();
    Ok(Json(json!({ "sessions": sessions })))
}

/// `DELETE /v1/admin/sessions/{id}`: ends one; its client may come again.
pub(super) async fn end(
    State(app): State<App>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    allow(&app, &headers, Need::Admin)?;
    let peer = id
        .parse()
        .map(PeerId)
        .map_err(|_| Problem::UnknownSession)?;
    let shard = app.shared.sessions.shard_of(peer);
    let shard = shard.ok_or(Problem::UnknownSession)?;
    let close = Command::Close(peer, CloseReason::Kicked);
    app.shared.shards[shard].handle.send(close)?;
    tracing::info!(peer = peer.0, "a session is ended by an admin");
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/admin/drain`: takes no new sessions, or takes them again; those that run go on.
pub(super) async fn drain(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Drain>, Problem> {
    allow(&app, &headers, Need::Admin)?;
    let wanted: Drain = body_of(&app, &headers, body, false).await?;
    app.set_draining(wanted.draining);
    tracing::info!(draining = wanted.draining, "an admin drains the server");
    let draining = app.is_draining();
    Ok(Json(Drain { draining }))
}

/// `GET /v1/admin/config`: the configuration in force as TOML, its secrets masked.
pub(super) async fn config(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    allow(&app, &headers, Need::Admin)?;
    let kind = [
        (header::CONTENT_TYPE, "application/toml"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((kind, app.shared.config.render()))
}

/// `GET /v1/admin/analytics`: how much the server is used, by day in UTC, since it was started.
pub(super) async fn analytics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    allow(&app, &headers, Need::Admin)?;
    Ok(Json(json!({ "days": app.analytics().days() })))
}
