//! `GET /v1/channels/{channel}/ws`: a channel's events and what may be done about it, over one WebSocket (RFC 6455).
//!
//! Events are those of the event stream; commands are requests to the routes that do the same, gate and limits included.
//! Nothing is decided here that a route decides.

mod commands;
mod ending;
mod line;
mod sockets;
mod words;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderValue;
use axum::response::Response;

pub(super) use sockets::Sockets;

use super::App;
use super::extract::{ChannelName, allow};
use super::gate::Brought;
use super::limit::Peer;
use super::problem::Problem;
use super::{cookies, limit};
use crate::auth::Need;
use line::{Caller, Line};

/// Opens a socket. Who comes with a token or a cookie is refused as on any other route; who comes with neither may bring
/// a token in the first message, since a script can give a WebSocket no header.
pub(super) async fn open(
    State(app): State<App>,
    name: ChannelName,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    cookies::from_allowed_origin(&app, &parts.headers)?;
    let caller = Caller {
        brought: parts.extensions.get::<Brought>().map(|b| b.0.clone()),
        peer: parts.extensions.get::<Peer>().copied(),
        forwarded: forwarded(&parts.headers),
    };
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    if caller.brought.is_some() || upgrade.is_err() {
        allow(&app, &parts.headers, Need::Look(&name.0))?;
    }
    let upgrade = upgrade.map_err(|rejection| Problem::Upgrade(rejection.body_text()))?;
    if app.is_draining() {
        return Err(Problem::Draining);
    }
    let arrived = app.sockets.arrive()?;
    let limit = app.shared.config.http.max_body_bytes;
    let line = Line::new(app, name.0, caller);
    Ok(upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| line.run(socket, arrived)))
}

/// What says whose requests a proxy passes on: commands are counted as theirs.
fn forwarded(headers: &axum::http::HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(limit::FORWARDED).iter().cloned().collect()
}
