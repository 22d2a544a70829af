//! A page of a channel with an extension's panel in it, and the panel's files: of another origin, in a sandboxed frame,
//! under the content policy that Twitch gives them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Of;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;

use super::state::{BOT, EXTENSION_ID, OWNER, STREAMER, State, VIEWER};

const HOST: &str = include_str!("page/host.html");
const HOST_JS: &str = include_str!("page/host.js");
const HELPER: &str = include_str!("page/helper.js");
const PANEL: &str = include_str!("page/panel.html");
const PANEL_JS: &str = include_str!("page/panel.js");

/// Where an extension's pages load their helper from.
const HELPER_URL: &str = "https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js";

/// The page around the panel, and the helper that the panel loads.
pub(super) fn host() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(page))
        .route("/host.js", get(async || script(HOST_JS.to_owned())))
        .route(
            "/helper/v1/twitch-ext.min.js",
            get(async || script(HELPER.to_owned())),
        )
}

/// The files of the extension, on a listener of their own.
pub(super) fn files(state: Arc<State>) -> Router {
    Router::new().fallback(get(file)).with_state(state)
}

async fn page(Of(state): Of<Arc<State>>) -> Html<String> {
    Html(fill(HOST, &state))
}

async fn file(Of(state): Of<Arc<State>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "panel.html" } else { path };
    let Some((kind, body)) = read(&state, path).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy(&state)),
    ];
    (headers, body).into_response()
}

async fn read(state: &State, path: &str) -> Option<(&'static str, Vec<u8>)> {
    let kind = kind(path);
    let Some(folder) = &state.setup.panel else {
        let own = match path {
            "panel.html" => fill(PANEL, state),
            "panel.js" => fill(PANEL_JS, state),
            _ => return None,
        };
        return Some((kind, own.into_bytes()));
    };
    let bytes = tokio::fs::read(below(folder, path)?).await.ok()?;
    if kind != "text/html" {
        return Some((kind, bytes));
    }
    // The one thing that is not as Twitch has it: where the helper is.
    let html = String::from_utf8_lossy(&bytes);
    let helper = format!("{}/helper/v1/twitch-ext.min.js", state.url());
    Some((kind, html.replace(HELPER_URL, &helper).into_bytes()))
}

/// The file, unless the path leads out of the folder.
fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| folder.join(path))
}

/// Nothing but the extension's own files, the helper, and the server that is named to Twitch.
fn policy(state: &State) -> String {
    let (twitch, server) = (state.url(), &state.setup.server);
    let socket = server.replacen("http", "ws", 1);
    format!(
        "default-src 'self'; script-src 'self' {twitch}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         media-src 'self' blob:; font-src 'self'; connect-src 'self' {twitch} {server} {socket}; object-src 'none'; \
         base-uri 'self'; form-action 'none'; frame-src 'none'; frame-ancestors {twitch}"
    )
}

fn fill(text: &str, state: &State) -> String {
    let values = [
        ("{{twitch}}", state.url()),
        ("{{panel}}", state.panel_url()),
        ("{{page}}", state.setup.panel_page.clone()),
        ("{{server}}", state.setup.server.clone()),
        ("{{channel}}", state.setup.channel.clone()),
        ("{{extension}}", EXTENSION_ID.to_owned()),
        ("{{streamer}}", STREAMER.to_owned()),
        ("{{viewer}}", VIEWER.to_owned()),
        ("{{bot}}", BOT.to_owned()),
        ("{{owner}}", OWNER.to_owned()),
    ];
    let filled = |text: String, (name, value): &(&str, String)| text.replace(name, value);
    values.iter().fold(text.to_owned(), filled)
}

fn script(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/javascript")], text).into_response()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html",
        Some("js" | "mjs") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = Path::new("/panel");
        assert_eq!(
            below(folder, "css/a.css"),
            Some(PathBuf::from("/panel/css/a.css"))
        );
        for wrong in ["../secret", "/etc/passwd", "a/../../b"] {
            assert_eq!(below(folder, wrong), None, "{wrong}");
        }
    }
}
