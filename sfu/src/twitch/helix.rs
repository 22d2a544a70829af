//! Requests to Twitch, and what their answers mean: done, later, or never.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;

/// How long Twitch may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// How long to wait where Twitch says "not now" and not until when.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest wait that Twitch is believed.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// Where Twitch's API is, and a client for it.
#[derive(Debug, Clone)]
pub(super) struct Helix {
    pub(super) client: Client,
    /// Without a slash at its end.
    url: String,
    metrics: Arc<Metrics>,
}

/// Why Twitch did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Too much was asked; it may be asked again after so long.
    #[error("Twitch takes no more for {0:?}")]
    Wait(Duration),
    /// The token is not good any more.
    #[error("Twitch does not take the token")]
    Token,
    /// Asking again does not help.
    #[error("Twitch refuses with {status}: {words}")]
    Refused { status: u16, words: String },
    /// It may work later.
    #[error("Twitch cannot be asked: {0}")]
    Down(String),
}

impl Helix {
    pub(super) fn new(url: &str, metrics: &Arc<Metrics>) -> Result<Self, Fault> {
        crate::tls::use_everywhere();
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .build();
        Ok(Self {
            client: client.map_err(|error| Fault::Down(innermost(&error)))?,
            url: url.to_owned(),
            metrics: metrics.clone(),
        })
    }

    /// The URL of a path of the API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// Sends the request, which counts under this name, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        name: &'static str,
        request: RequestBuilder,
    ) -> Result<T, Fault> {
        let answer = self.send(name, request).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| Fault::Down(format!("the answer to {name} cannot be read: {error}")))
    }

    /// Sends the request, which counts under this name; the answer is not read.
    pub(super) async fn tell(
        &self,
        name: &'static str,
        request: RequestBuilder,
    ) -> Result<(), Fault> {
        self.send(name, request).await.map(drop)
    }

    async fn send(&self, name: &'static str, request: RequestBuilder) -> Result<Vec<u8>, Fault> {
        let answered = answered(request).await;
        let result = match &answered {
            Ok(_) => "ok",
            Err(Fault::Wait(_)) => "limited",
            Err(Fault::Token | Fault::Refused { .. }) => "refused",
            Err(Fault::Down(_)) => "down",
        };
        let calls = &self.metrics.twitch_calls;
        calls.with_label_values(&[name, result]).inc();
        answered
    }
}

async fn answered(request: RequestBuilder) -> Result<Vec<u8>, Fault> {
    let down = |error: &reqwest::Error| Fault::Down(innermost(error));
    let mut response = request.send().await.map_err(|error| down(&error))?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| down(&error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(Fault::Down("the answer does not end".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    judge(&response, &body)?;
    Ok(body)
}

fn judge(response: &Response, body: &[u8]) -> Result<(), Fault> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS => Fault::Wait(wait(response.headers(), now())),
        StatusCode::UNAUTHORIZED => Fault::Token,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Fault::Down(status.to_string()),
        status if status.is_client_error() => Fault::Refused {
            status: status.as_u16(),
            words: words(body),
        },
        status => Fault::Down(status.to_string()),
    })
}

/// Until when Twitch wants to be left alone: `Ratelimit-Reset` is a time in Unix seconds, `Retry-After` a number of them.
fn wait(headers: &HeaderMap, now: Duration) -> Duration {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let reset = number("ratelimit-reset").map(|at| Duration::from_secs(at).saturating_sub(now));
    let told = reset.or_else(|| number("retry-after").map(Duration::from_secs));
    // A reset that is now is a fraction of a second away.
    told.map_or(PAUSE, |wait| {
        wait.clamp(Duration::from_millis(200), MAX_WAIT)
    })
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// What Twitch says to its refusal: the field `message`, shortened.
fn words(body: &[u8]) -> String {
    let read = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = read.as_ref().and_then(|body| body["message"].as_str());
    message.unwrap_or("nothing").chars().take(200).collect()
}

/// An error of the client without the URL, which may have an id in it.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&'static str, &str)]) -> Duration {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        wait(&headers.collect(), Duration::from_millis(1_000_500))
    }

    #[test]
    fn twitch_is_left_alone_as_long_as_it_says() {
        assert_eq!(
            told(&[("ratelimit-reset", "1003")]),
            Duration::from_millis(2500)
        );
        assert_eq!(told(&[("retry-after", "7")]), Duration::from_secs(7));
    }

    #[test]
    fn a_wait_that_nobody_can_mean_is_bounded() {
        assert_eq!(
            told(&[("ratelimit-reset", "999")]),
            Duration::from_millis(200)
        );
        assert_eq!(told(&[("ratelimit-reset", "99999999999")]), MAX_WAIT);
        assert_eq!(told(&[]), PAUSE);
        assert_eq!(told(&[("ratelimit-reset", "soon")]), PAUSE);
    }
}
