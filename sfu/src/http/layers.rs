//! The WHEP extension "layer selection": a viewer names the simulcast layer that it wants, or leaves the choice to the
//! server again.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::App;
use super::extract::{PathOf, content_type, text};
use super::problem::Problem;
use super::signalling::{SessionPath, find};
use crate::channel::{LayersView, Message};
use crate::engine::Command;
use crate::engine::ids::LayerId;
use crate::session::Protocol;

/// `rel` of the extension's `Link`.
pub(super) const EXTENSION: &str = "urn:ietf:params:whep:ext:core:layer";

/// What is asked for; layers inside of an encoding are not told apart, since H264 has none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    /// The section that it is about: the picture's `a=mid`, the only one that has layers.
    media_id: Option<String>,
    /// The layer, as its publisher and the event `layers` name it.
    encoding_id: String,
}

/// `POST /whep/{channel}/{session}/layer`: this layer from now on, whatever the connection carries.
pub(super) async fn select(
    State(app): State<App>,
    PathOf(path): PathOf<SessionPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<LayersView>), Problem> {
    let session = find(&app, Protocol::Whep, &path, &headers)?;
    content_type(&headers, "application/json")?;
    let asked: Selection = serde_json::from_str(&text(&app, body).await?)
        .map_err(|e| Problem::Unreadable(format!("not a selection of a layer: {e}")))?;
    if let Some(other) = asked
        .media_id
        .filter(|mid| session.video.as_ref() != Some(mid))
    {
        let video = session.video.as_deref().unwrap_or("none");
        return Err(Problem::Layer(format!(
            "{:?} is not the picture of this session, whose mediaId is {video}",
            short(&other)
        )));
    }
    let channel = app
        .channels
        .find(&path.channel)
        .ok_or(Problem::UnknownSession)?;
    let layers = channel.ask(Message::Layers).await?;
    if !layers.has(&asked.encoding_id) {
        return Err(Problem::Layer(format!(
            "the publisher sends no layer {:?}; it sends {}",
            short(&asked.encoding_id),
            layers.names()
        )));
    }
    let layer = LayerId::new(&asked.encoding_id);
    app.shared.shards[session.shard]
        .handle
        .send(Command::Layer(session.peer, Some(layer)))?;
    Ok((StatusCode::OK, Json(layers)))
}

/// `DELETE` of that URL: the server chooses again by what the connection carries.
pub(super) async fn release(
    State(app): State<App>,
    PathOf(path): PathOf<SessionPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let session = find(&app, Protocol::Whep, &path, &headers)?;
    app.shared.shards[session.shard]
        .handle
        .send(Command::Layer(session.peer, None))?;
    Ok(StatusCode::OK)
}

/// As much of a name as an answer repeats.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}
