//! Signing in by Twitch: the authorization code grant (RFC 6749, section 4.1) with PKCE (RFC 7636).

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};
use reverie_config::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long Twitch may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Why somebody could not be signed in. Names no code, token or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    #[error("Twitch cannot be reached")]
    Unreachable,
    #[error("Twitch answered {0}")]
    Status(u16),
    #[error("Twitch's answer cannot be read")]
    Answer,
}

/// The application, and where Twitch is.
pub(crate) struct Client {
    http: reqwest::Client,
    id: String,
    secret: Secret,
    id_url: String,
    helix_url: String,
    /// Where Twitch sends people back to.
    callback: String,
}

/// What Twitch gives for a code. `Debug` shows no token.
#[derive(Deserialize, Serialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Seconds until the first one expires.
    pub(crate) expires_in: u64,
    #[serde(default)]
    pub(crate) scope: Vec<String>,
}

/// An account of Twitch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) display_name: String,
}

#[derive(Deserialize)]
struct Users {
    data: Vec<User>,
}

impl Client {
    /// `None` while the configuration lacks the application or the address that Twitch sends people back to.
    pub(crate) fn new(config: &reverie_config::Twitch) -> Option<Self> {
        let (id, secret) = (config.client_id.clone()?, config.client_secret.clone()?);
        let public = config.public_url.as_deref()?;
        crate::tls::use_everywhere();
        // A redirect would take the secret along to wherever it leads.
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE);
        Some(Self {
            http: http.build().ok()?,
            id,
            secret,
            id_url: config.id_url.clone(),
            helix_url: config.helix_url.clone(),
            callback: format!("{public}/v1/auth/twitch/callback"),
        })
    }

    /// Where to send somebody who wants to sign in.
    pub(crate) fn authorize(&self, state: &str, verifier: &str, scopes: &str) -> Option<String> {
        let mut url = Url::parse(&format!("{}/authorize", self.id_url)).ok()?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.id)
            .append_pair("redirect_uri", &self.callback)
            .append_pair("scope", scopes)
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge(verifier))
            .append_pair("code_challenge_method", "S256");
        Some(url.into())
    }

    /// What the code that somebody came back with is worth.
    pub(crate) async fn exchange(&self, code: &str, verifier: &str) -> Result<Tokens, Failed> {
        let form = [
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.reveal()),
            ("code", code),
            ("code_verifier", verifier),
            ("grant_type", "authorization_code"),
            ("redirect_uri", &self.callback),
        ];
        let request = self.http.post(format!("{}/token", self.id_url));
        answer(request.form(&form)).await
    }

    /// Whose token it is.
    pub(crate) async fn user(&self, access_token: &str) -> Result<User, Failed> {
        let request = self.http.get(format!("{}/users", self.helix_url));
        let request = request
            .bearer_auth(access_token)
            .header("client-id", &self.id);
        let users: Users = answer(request).await?;
        let number = |user: &User| {
            (1..=20).contains(&user.id.len()) && user.id.bytes().all(|b| b.is_ascii_digit())
        };
        let user = users.data.into_iter().next().filter(number);
        user.ok_or(Failed::Answer)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id_url", &self.id_url)
            .field("helix_url", &self.helix_url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// RFC 7636, section 4.2, method S256.
fn challenge(verifier: &str) -> String {
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failed> {
    // The error of the library names the address, and with it perhaps what is in its query.
    let mut response = request.send().await.map_err(|_| Failed::Unreachable)?;
    let status = response.status();
    if !status.is_success() {
        return Err(Failed::Status(status.as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Failed::Unreachable)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Failed::Answer);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| Failed::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let config = reverie_config::Twitch {
            client_id: Some("abc".to_owned()),
            client_secret: Some(Secret::new("0123456789abcdef").unwrap()),
            public_url: Some("https://live.example".to_owned()),
            ..reverie_config::Twitch::default()
        };
        Client::new(&config).unwrap()
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn people_are_sent_to_twitch_with_state_and_challenge_and_without_secrets() {
        let url = client()
            .authorize("st&te", "verifier", "user:bot channel:bot")
            .unwrap();
        assert!(
            url.starts_with(
                "https://id.twitch.tv/oauth2/authorize?response_type=code&client_id=abc&"
            ),
            "{url}"
        );
        assert!(
            url.contains("redirect_uri=https%3A%2F%2Flive.example%2Fv1%2Fauth%2Ftwitch%2Fcallback"),
            "{url}"
        );
        assert!(
            url.contains("state=st%26te") && url.contains("scope=user%3Abot+channel%3Abot"),
            "{url}"
        );
        assert!(
            url.contains(&format!("code_challenge={}", challenge("verifier"))),
            "{url}"
        );
        assert!(
            !url.contains("=verifier") && !url.contains("0123456789abcdef"),
            "{url}"
        );
    }

    #[test]
    fn nothing_secret_is_in_a_debug_output() {
        let tokens = Tokens {
            access_token: "hunter2".to_owned(),
            refresh_token: "hunter3".to_owned(),
            expires_in: 1,
            scope: Vec::new(),
        };
        let shown = format!("{:?} {tokens:?}", client());
        assert!(
            !shown.contains("0123456789abcdef") && !shown.contains("hunter"),
            "{shown}"
        );
    }
}
