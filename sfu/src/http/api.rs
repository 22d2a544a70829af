//! The JSON API of channels.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::App;
use super::extract::{ChannelName, allow, json};
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::{ChannelView, Handle, Message, PipelineView};

/// Body of a request to load a stage.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmUp {
    pipeline: Option<String>,
}

/// All channels.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Channels {
    channels: Vec<ChannelView>,
}

/// `GET /v1/channels`.
pub(super) async fn channels(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<Channels>, Problem> {
    let pass = allow(&app, &headers, Need::List)?;
    let mut channels = Vec::new();
    for (name, handle) in app.channels.all() {
        if !pass.scope.covers(&name) {
            continue;
        }
        // A channel that ends meanwhile is no error of this request.
        if let Ok(view) = handle.ask(Message::Look).await {
            channels.push(view);
        }
    }
    Ok(Json(Channels { channels }))
}

/// `GET /v1/channels/{channel}`.
pub(super) async fn channel(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Json<ChannelView>, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    Ok(Json(known(&app, &name)?.ask(Message::Look).await?))
}

/// `POST /v1/channels/{channel}/warm`.
pub(super) async fn warm(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    let wanted: WarmUp = json(&app, &headers, body, true).await?;
    let pipeline = known(&app, &name)?
        .ask(|reply| Message::Warm(wanted.pipeline, reply))
        .await??;
    Ok(accepted(&pipeline))
}

/// `POST /v1/channels/{channel}/cool`.
pub(super) async fn cool(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    let pipeline = known(&app, &name)?.ask(Message::Cool).await?;
    Ok(accepted(&pipeline))
}

fn accepted(pipeline: &PipelineView) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(json!({ "pipeline": pipeline })))
}

pub(super) fn known(app: &App, name: &ChannelName) -> Result<Handle, Problem> {
    app.channels
        .find(&name.0)
        .ok_or_else(|| Problem::UnknownChannel(name.0.clone()))
}
