//! Answers as Twitch words them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// A refusal.
pub(super) fn refused(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "error": error, "status": status.as_u16(), "message": message });
    (status, Json(body)).into_response()
}

/// Success.
pub(super) fn fine(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    (status, Json(body)).into_response()
}
