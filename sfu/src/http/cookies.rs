//! Sessions of pages: cookies that no script reads, and a look at where a request comes from before one changes anything.

use axum::http::{HeaderMap, HeaderValue, Method, header};

use super::App;
use super::problem::Problem;

/// The session token; for every path.
pub(super) const SESSION: &str = "reverie_session";
/// The refresh token; only where it is used.
pub(super) const REFRESH: &str = "reverie_refresh";
/// What signing in by Twitch has to come back to.
pub(super) const OAUTH: &str = "reverie_oauth";

/// Where a cookie goes, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    name: &'static str,
    path: &'static str,
    /// Whether a link on another site may lead here with it.
    same_site: &'static str,
}

/// A page that was reached by a link is still signed in; nothing that changes anything is a link.
pub(super) const OF_SESSION: Kind = Kind {
    name: SESSION,
    path: "/",
    same_site: "Lax",
};
pub(super) const OF_REFRESH: Kind = Kind {
    name: REFRESH,
    path: "/v1/auth",
    same_site: "Strict",
};
/// Twitch leads back here by a link.
pub(super) const OF_OAUTH: Kind = Kind {
    name: OAUTH,
    path: "/v1/auth/twitch",
    same_site: "Lax",
};

/// Sets a cookie for so many seconds; none takes it away.
pub(super) fn set(app: &App, headers: &mut HeaderMap, kind: Kind, value: &str, seconds: u64) {
    let Kind {
        name,
        path,
        same_site,
    } = kind;
    let secure = if is_secure(app) { "; Secure" } else { "" };
    let cookie = format!(
        "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
    );
    // Values are tokens of ours: no spaces, no semicolons.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// The value of a cookie (RFC 6265, section 4.2).
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    found
        .next()
        .map(|(_, value)| value)
        .filter(|v| !v.is_empty())
}

/// Refuses a request with cookies that would change something and does not come from a page of this server: browsers send
/// cookies along whoever asks them to, but say where they were asked.
///
/// A WebSocket counts as a change: it carries commands, and a page of anybody may open one and read what comes.
pub(super) fn same_origin(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let reads = method.is_safe() && !headers.contains_key(header::UPGRADE);
    if reads || is_own(app, headers) {
        return Ok(());
    }
    Err(Problem::CrossSite)
}

/// Refuses a WebSocket that a page opens whose origin may not call: browsers ask nobody before they open one, as they do
/// before other requests.
pub(super) fn from_allowed_origin(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let allowed = &app.shared.config.http.allowed_origins;
    let is_allowed = allowed
        .iter()
        .any(|one| one == "*" || origin == one.as_str());
    if is_allowed || is_own(app, headers) {
        return Ok(());
    }
    Err(Problem::Origin)
}

fn is_own(app: &App, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        // Not even a browser leaves both out.
        return text(header::HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    };
    let public = app.shared.config.twitch.public_url.as_deref();
    if public.is_some_and(|public| origin_of(public) == origin) {
        return true;
    }
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == text(header::HOST)
}

/// Scheme and authority of a URL.
fn origin_of(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
    &url[..end]
}

fn is_secure(app: &App) -> bool {
    let config = &app.shared.config;
    let public = config.twitch.public_url.as_deref();
    config.http.tls.cert.is_some() || public.is_some_and(|url| url.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; xreverie_session=2"),
        );
        assert_eq!(find(&headers, SESSION), None);
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("reverie_session=3 ; b=4"),
        );
        assert_eq!(find(&headers, SESSION), Some("3"));
        assert_eq!(find(&headers, "b"), Some("4"));
        headers.insert(header::COOKIE, HeaderValue::from_static("reverie_session="));
        assert_eq!(find(&headers, SESSION), None);
    }

    #[test]
    fn an_origin_is_a_url_without_its_path() {
        assert_eq!(origin_of("https://a.example/live"), "https://a.example");
        assert_eq!(origin_of("http://a.example:8080"), "http://a.example:8080");
    }
}
