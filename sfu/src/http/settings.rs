//! The JSON API of what a channel is set to: its policy, who starts its moments, and what viewers may ask for.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use reverie_moments::life::{Policy, Refused};
use reverie_moments::store::{self, Error};
use serde::{Deserialize, Serialize};

use super::App;
use super::extract::{ChannelName, allow, if_match, json};
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::Settings;
use crate::node::now_ms;

/// What becomes of a channel's paid moments.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Policy)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    #[schema(value_type = String)]
    policy: Policy,
}

/// `GET /v1/channels/{channel}/policy`.
pub(super) async fn policy(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let stored = stored(&app, &name.0).await?;
    Ok(answer(&policy_of(&stored), stored.version))
}

/// `PUT /v1/channels/{channel}/policy`.
pub(super) async fn set_policy(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    let wanted: PolicyBody = json(&app, &headers, body, false).await?;
    let store = &app.shared.node.store;
    store.add_channel(now_ms(), &name.0, None).await?;
    let seen = if_match(&headers)?;
    let changed = store.change_policy(now_ms(), &name.0, wanted.policy, seen);
    let Some(version) = changed.await? else {
        let current = stored(&app, &name.0).await?.version;
        return Err(Problem::SettingsChanged { current });
    };
    Ok(answer(&wanted, version))
}

/// `GET /v1/channels/{channel}/settings`.
pub(super) async fn settings(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let stored = stored(&app, &name.0).await?;
    Ok(answer(&Settings::read(&stored.settings), stored.version))
}

/// `PUT /v1/channels/{channel}/settings`.
pub(super) async fn set_settings(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    let wanted: Settings = json(&app, &headers, body, false).await?;
    let text = serde_json::to_string(&wanted).map_err(|error| Problem::Json(error.to_string()))?;
    let store = &app.shared.node.store;
    store.add_channel(now_ms(), &name.0, None).await?;
    let seen = match if_match(&headers)? {
        Some(version) => version,
        None => stored(&app, &name.0).await?.version,
    };
    let Some(version) = store.set_settings(now_ms(), &name.0, &text, seen).await? else {
        let current = stored(&app, &name.0).await?.version;
        return Err(Problem::SettingsChanged { current });
    };
    Ok(answer(&wanted, version))
}

/// What the store has; the defaults for a channel that nobody set anything of.
async fn stored(app: &App, channel: &str) -> Result<store::Settings, Problem> {
    match app.shared.node.store.settings(channel).await {
        Err(Error::Refused(Refused::Channel(_))) if app.channels.find(channel).is_some() => {
            Ok(store::Settings {
                policy: Policy::Manual,
                paused: false,
                settings: "{}".to_owned(),
                version: 0,
            })
        }
        other => Ok(other?),
    }
}

fn policy_of(stored: &store::Settings) -> PolicyBody {
    PolicyBody {
        policy: stored.policy,
    }
}

fn answer(body: &impl Serialize, version: i64) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
