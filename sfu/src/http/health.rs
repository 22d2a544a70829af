//! `/healthz`, `/readyz`, `/version` and, on its own listener, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::App;
use super::extract::allow;
use super::problem::Problem;
use crate::auth::Need;

/// The process runs.
pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// New sessions are welcome: every check by name.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let serving = !app.is_draining();
    let channels = app.channels.all().len() < app.shared.config.media.max_channels;
    let sessions = app.shared.sessions.len() < app.shared.config.media.max_sessions;
    let udp = app.shared.shards.iter().all(|s| s.handle.is_alive());
    let ready = serving && channels && sessions && udp;
    let checks =
        json!({ "udp": udp, "not_draining": serving, "channels": channels, "sessions": sessions });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready, "checks": checks })))
}

/// What runs.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "name": "reverie", "version": env!("CARGO_PKG_VERSION") }))
}

/// The text exposition format of Prometheus.
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    allow(&app, &headers, Need::Metrics)?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        app.shared.metrics.render(),
    ))
}
