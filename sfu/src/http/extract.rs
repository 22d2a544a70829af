//! What requests carry, checked: channel names, content types, bounded bodies, tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::App;
use super::problem::Problem;
use crate::auth::{Denied, Fault, Need, Pass};

/// A body that takes longer is given up.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A channel name of the path: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone)]
pub(super) struct ChannelName(pub(super) String);

impl ChannelName {
    pub(super) fn parse(name: &str) -> Result<Self, Problem> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=64).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Problem::ChannelName(name.to_owned()))
        }
    }
}

/// Reads `{channel}` and, where the route has it, `{id}`.
#[derive(Debug, Clone, serde::Deserialize)]
struct Names {
    channel: String,
}

impl FromRequestParts<App> for ChannelName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &App) -> Result<Self, Problem> {
        let Path(names) = Path::<Names>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::ChannelName(parts.uri.path().to_owned()))?;
        Self::parse(&names.channel)
    }
}

/// Parameters of the path; what is not text is refused like everything else.
#[derive(Debug, Clone)]
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for PathOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &App) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value))
            .map_err(|_| Problem::NoSuchPath)
    }
}

/// Refuses a body that is not of type `accepted`; parameters such as a charset are allowed.
pub(super) fn content_type(headers: &HeaderMap, accepted: &'static str) -> Result<(), Problem> {
    content_type_of(headers, &[accepted])
}

/// Refuses a body that is of none of these types; the first one is told.
pub(super) fn content_type_of(
    headers: &HeaderMap,
    accepted: &[&'static str],
) -> Result<(), Problem> {
    let got = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = got.split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|one| essence.eq_ignore_ascii_case(one)) {
        return Ok(());
    }
    Err(Problem::MediaType {
        got: got.to_owned(),
        accepted: accepted.first().copied().unwrap_or_default(),
    })
}

/// The whole body as text, if it is not larger than allowed.
pub(super) async fn text(app: &App, body: Body) -> Result<String, Problem> {
    let limit = app.shared.config.http.max_body_bytes;
    let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit));
    let bytes = read.await.map_err(|_| Problem::SlowBody)?.map_err(|e| {
        let source = std::error::Error::source(&e)
            .map(ToString::to_string)
            .unwrap_or_default();
        if source.contains("length limit") {
            Problem::TooLarge { limit }
        } else {
            Problem::Unreadable("the body ended early".to_owned())
        }
    })?;
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::Unreadable("the body is not UTF-8".to_owned()))
}

/// A JSON body; an empty one reads as `{}` where `optional`.
pub(super) async fn json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    optional: bool,
) -> Result<T, Problem> {
    let text = text(app, body).await?;
    let text = if optional && text.is_empty() {
        "{}"
    } else {
        content_type(headers, "application/json")?;
        &text
    };
    serde_json::from_str(text).map_err(|e| Problem::Json(e.to_string()))
}

/// The version that `If-Match` names, as in `"3"` (RFC 9110, section 13.1.1); none where any will do.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"')?.parse().ok());
    version.map(Some).ok_or(Problem::Header {
        name: "If-Match",
        accepted: "one version, as in \"3\"",
    })
}

/// Checks the bearer token of a request against what it wants to do; a door that no token guards is open (the configuration
/// allows that only on the loopback, or for watching if the operator says so).
pub(super) fn allow(app: &App, headers: &HeaderMap, need: Need<'_>) -> Result<Pass, Problem> {
    let pass = app.auth.check(need, bearer(headers), now_s());
    pass.map_err(|denied| refused(app, denied))
}

/// Refuses a signed token that was taken back in the course of its request.
pub(super) fn still_allowed(app: &App, id: Option<&str>) -> Result<(), Problem> {
    match id {
        Some(id) if app.auth.revoked().has(id) => {
            Err(refused(app, Denied::Invalid(Fault::Revoked)))
        }
        _ => Ok(()),
    }
}

pub(super) fn refused(app: &App, denied: Denied) -> Problem {
    let refusals = &app.shared.metrics.auth_refusals;
    refusals.with_label_values(&[denied.name()]).inc();
    denied.into()
}

/// Whether the request could do that, without counting it as refused when not.
pub(super) fn is_trusted(app: &App, headers: &HeaderMap, need: Need<'_>) -> bool {
    app.auth.check(need, bearer(headers), now_s()).is_ok()
}

/// Unix time.
fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The token of the header `Authorization` (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_are_short_and_plain() {
        for name in ["a", "Streamer_1-x", &"x".repeat(64)] {
            assert!(ChannelName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "../etc", "ä", &"x".repeat(65)] {
            assert!(ChannelName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_version_stands_in_quotes_and_a_star_is_any() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::IF_MATCH,
                axum::http::HeaderValue::from_static(value),
            );
            if_match(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(if_match(&HeaderMap::new()), Ok(None));
        assert_eq!(with("*"), Ok(None));
        assert_eq!(with("\"3\""), Ok(Some(3)));
        assert_eq!(with("3"), Err(400));
        assert_eq!(with("\"three\""), Err(400));
    }

    #[test]
    fn a_content_type_may_have_parameters() {
        let mut headers = HeaderMap::new();
        assert!(content_type(&headers, "application/sdp").is_err());
        headers.insert(
            header::CONTENT_TYPE,
            "Application/SDP; charset=utf-8".parse().expect("value"),
        );
        assert!(content_type(&headers, "application/sdp").is_ok());
    }
}
