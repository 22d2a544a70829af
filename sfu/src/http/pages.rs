//! The pages, embedded in the binary, under a strict content policy.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::extract::{ChannelName, PathOf};
use super::problem::Problem;

/// Everything of a page comes from this server, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "web/"]
#[include = "*.html"]
#[include = "assets/*"]
#[include = "extension/*"]
pub(super) struct Files;

/// `GET /`.
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    file("index.html", &headers)
}

/// `GET /bridge/{channel}`.
pub(super) async fn bridge(
    name: Result<ChannelName, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    name.and_then(|_| file("bridge.html", &headers))
}

/// `GET /watch/{channel}`.
pub(super) async fn watch(
    name: Result<ChannelName, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    name.and_then(|_| file("watch.html", &headers))
}

/// `GET /mod/{channel}`.
pub(super) async fn moderator(
    name: Result<ChannelName, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    name.and_then(|_| file("mod.html", &headers))
}

/// `GET /overlay/{channel}`.
pub(super) async fn overlay(
    name: Result<ChannelName, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    name.and_then(|_| file("overlay.html", &headers))
}

/// `GET /admin`.
pub(super) async fn admin(headers: HeaderMap) -> Result<Response, Problem> {
    file("admin.html", &headers)
}

/// `GET /account`.
pub(super) async fn account(headers: HeaderMap) -> Result<Response, Problem> {
    file("account.html", &headers)
}

/// `GET /assets/{path}`.
pub(super) async fn asset(
    PathOf(path): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    file(&format!("assets/{path}"), &headers)
}

fn file(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = Files::get(path).ok_or(Problem::NoSuchPath)?;
    let etag = etag(&file);
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes())
    {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let mut response = Body::from(file.data.into_owned()).into_response();
    let to = response.headers_mut();
    to.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type(path)),
    );
    to.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    to.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    to.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        to.insert(header::ETAG, etag);
    }
    Ok(response)
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
