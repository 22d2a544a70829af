//! The extension for Twitch as the file that its developer uploads there: the panel, the page that configures it, and what
//! both share with the pages of this server. Everything is in it and nothing is compressed or shrunk, as Twitch's reviewers want.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::pages::Files;
use super::problem::Problem;
use super::zip::{crc32, stored};

/// Where the extension is told which server it belongs to.
const SERVER: &str = "extension/server.js";
const UNNAMED: &str = "export const SERVER = '';";

/// What is in it, in order.
const CONTENT: [&str; 39] = [
    "extension/panel.html",
    "extension/config.html",
    "extension/bits.js",
    "extension/config.js",
    "extension/entry.js",
    "extension/panel.js",
    SERVER,
    "extension/twitch.js",
    "assets/api.js",
    "assets/backoff.js",
    "assets/clock.js",
    "assets/codecs.js",
    "assets/events.js",
    "assets/feed.js",
    "assets/home.js",
    "assets/ice.js",
    "assets/link.js",
    "assets/moments.js",
    "assets/nowcard.js",
    "assets/page.js",
    "assets/player.js",
    "assets/purchase.js",
    "assets/route.js",
    "assets/sampler.js",
    "assets/session.js",
    "assets/shop.js",
    "assets/situation.js",
    "assets/sse.js",
    "assets/stats.js",
    "assets/storefront.js",
    "assets/style.css",
    "assets/till.js",
    "assets/token.js",
    "assets/ui.js",
    "assets/wait.js",
    "assets/wallet.js",
    "assets/whep.js",
    "assets/words.js",
    "assets/icon.svg",
];

/// `GET /extension.zip`.
pub(super) async fn packed(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let server = app.shared.config.twitch.public_url.as_deref();
    let bytes = pack(server).ok_or(Problem::NoSuchPath)?;
    let tag = HeaderValue::from_str(&format!("\"{:08x}\"", crc32(&bytes)));
    let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let mut response = Body::from(bytes).into_response();
    let to = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "application/zip"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"reverie-extension.zip\"",
        ),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        to.insert(name, HeaderValue::from_static(value));
    }
    to.insert(header::ETAG, tag);
    Ok(response)
}

/// The file for a server with this address, or for one that the streamer names; `None` if a page is missing, which a test
/// excludes.
fn pack(server: Option<&str>) -> Option<Vec<u8>> {
    let files: Option<Vec<_>> = CONTENT
        .iter()
        .map(|path| Some((*path, content(path, server)?)))
        .collect();
    let files = files?;
    Some(stored(files.iter().map(|(path, bytes)| (*path, &**bytes))))
}

fn content(path: &str, server: Option<&str>) -> Option<Vec<u8>> {
    let bytes = Files::get(path)?.data.into_owned();
    let Some(server) = server.filter(|_| path == SERVER) else {
        return Some(bytes);
    };
    // A URL of the configuration, as a string of JavaScript: what JSON writes is one.
    let named = format!("export const SERVER = {};", serde_json::json!(server));
    let text = String::from_utf8(bytes).ok()?;
    Some(text.replace(UNNAMED, &named).into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(path: &str) -> String {
        String::from_utf8(content(path, None).expect(path)).expect(path)
    }

    /// Everything that a file names in quotes and that is not on another server, from the root of the extension.
    fn named(path: &str, text: &str) -> Vec<String> {
        let folder = path.split('/').next().unwrap_or_default();
        let starts: &[&str] = match path.rsplit('.').next() {
            Some("html") => &["src=\"", "href=\""],
            Some("js") => &[" from '", "import '"],
            _ => &[],
        };
        let found = starts
            .iter()
            .flat_map(|start| text.split(start).skip(1))
            .filter_map(|rest| rest.split(['"', '\'']).next())
            .filter(|name| !name.starts_with("https://") && !name.starts_with('#'));
        found
            .map(|name| match name.strip_prefix("../") {
                Some(name) => name.to_owned(),
                None => format!("{folder}/{}", name.trim_start_matches("./")),
            })
            .collect()
    }

    #[test]
    fn everything_that_a_page_of_it_needs_is_in_it_and_nothing_else() {
        let mut reached = BTreeSet::new();
        let mut next = vec![
            "extension/panel.html".to_owned(),
            "extension/config.html".to_owned(),
        ];
        while let Some(path) = next.pop() {
            if reached.insert(path.clone()) {
                next.extend(named(&path, &text(&path)));
            }
        }
        let content: BTreeSet<_> = CONTENT.iter().map(ToString::to_string).collect();
        assert_eq!(reached, content);
    }

    #[test]
    fn only_the_helper_of_twitch_comes_from_elsewhere() {
        let helper = "https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js";
        for path in CONTENT.iter().filter(|path| path.ends_with(".html")) {
            let text = text(path);
            let elsewhere: Vec<_> = text.split("src=\"").skip(1).collect();
            let elsewhere = elsewhere.iter().filter(|rest| rest.starts_with("http"));
            assert!(elsewhere.clone().all(|rest| rest.starts_with(helper)));
            assert_eq!(elsewhere.count(), 1, "{path}");
            assert!(!text.contains("<style") && !text.contains("style=\""));
        }
    }

    #[test]
    fn it_is_the_same_for_the_same_server_and_names_it() {
        let one = pack(Some("https://a.example")).unwrap();
        assert_eq!(Some(&one), pack(Some("https://a.example")).as_ref());
        assert_ne!(Some(&one), pack(None).as_ref());
        let text = String::from_utf8_lossy(&one).into_owned();
        assert!(text.contains("export const SERVER = \"https://a.example\";"));
        assert!(!text.contains(UNNAMED));
    }
}
