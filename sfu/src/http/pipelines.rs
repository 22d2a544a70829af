//! The pipelines there are, how a channel's fares, and its parameters.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use reverie_diffusion::folder::Folder;
use reverie_diffusion::params::{self, Family, Params, Problems, broken, missing};
use reverie_diffusion::status::hex;
use serde::Serialize;
use serde_json::Value;

use super::App;
use super::api::known;
use super::extract::{ChannelName, allow, content_type_of, text};
use super::problem::Problem;
use crate::auth::Need;
use crate::channel::{Handle, Message, ParamsPatch, PipelineStatus};
use crate::stages::Told;

/// What a patch may be sent as (RFC 7396).
const PATCH: [&str; 2] = ["application/merge-patch+json", "application/json"];
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// All pipelines.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Pipelines {
    pipelines: Vec<Told>,
}

/// `GET /v1/pipelines`.
pub(super) async fn list(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<Pipelines>, Problem> {
    allow(&app, &headers, Need::List)?;
    let shared = app.shared.clone();
    let tell = move || shared.stages.tell(&shared.config, &shared.params);
    let pipelines = on_disk(tell).await?;
    Ok(Json(Pipelines { pipelines }))
}

/// `GET /v1/channels/{channel}/pipeline`.
pub(super) async fn status(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Json<PipelineStatus>, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    Ok(Json(known(&app, &name)?.ask(Message::Pipeline).await?))
}

/// `GET /v1/channels/{channel}/pipeline/params`.
pub(super) async fn params(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    let params = known(&app, &name)?.ask(Message::Params).await?;
    Ok(answer(&params))
}

/// `GET /v1/channels/{channel}/pipeline/params/schema`.
pub(super) async fn schema(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Look(&name.0))?;
    known(&app, &name)?;
    let schema = HeaderValue::from_static("application/schema+json");
    Ok(([(header::CONTENT_TYPE, schema)], Json(params::schema())).into_response())
}

/// `PATCH /v1/channels/{channel}/pipeline/params`.
pub(super) async fn patch(
    State(app): State<App>,
    name: ChannelName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    allow(&app, &headers, Need::Own(&name.0))?;
    content_type_of(&headers, &PATCH)?;
    let text = text(&app, body).await?;
    let patch = serde_json::from_str(&text).map_err(|error| Problem::Json(error.to_string()))?;
    let channel = known(&app, &name)?;
    let family = look(&app, &channel, &patch).await?;
    let request = ParamsPatch {
        patch,
        tags: tags(&headers),
        family,
    };
    let params = channel
        .ask(|reply| Message::Patch(request, reply))
        .await??;
    Ok(answer(&params))
}

fn answer(params: &Params) -> Response {
    let mut response = Json(params).into_response();
    let headers = response.headers_mut();
    let tag = format!("\"{}\"", hex(params.hash()));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(PATCH[0]));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Looks at the files that a patch is about to name: refuses those that are not there, and says of what family the
/// model is. What is wrong with the patch itself is left to the channel.
async fn look(app: &App, channel: &Handle, patch: &Value) -> Result<Option<Family>, Problem> {
    let now = channel.ask(Message::Params).await?;
    let Ok(next) = now.merge_over(&app.shared.params, patch) else {
        return Ok(None);
    };
    if !now.plan(&next).names_files() {
        return Ok(None);
    }
    let models = app.shared.config.models.dir.clone();
    let look = move || {
        let before = missing(&models, &now);
        let mut told = missing(&models, &next);
        told.retain(|problem| !before.contains(problem));
        if told.is_empty() {
            told = broken(&models, &now, &next);
        }
        let changed = next.model_id != now.model_id;
        let family = changed.then(|| Family::of(&Folder::new(models.join(&next.model_id))));
        (told, family.and_then(Result::ok).flatten())
    };
    let (told, family) = on_disk(look).await?;
    if told.is_empty() {
        Ok(family)
    } else {
        Err(Problem::Params(Problems { told, more: 0 }))
    }
}

/// Runs what looks at files where it may wait for them.
async fn on_disk<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Problem::Busy(error.to_string()))
}

/// The entity tags of `If-Match` (RFC 9110, section 13.1.1), if there are any.
fn tags(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    values.peek()?;
    let tags = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    Some(tags.map(|tag| tag.trim().to_owned()).collect())
}
