//! Who somebody is: accounts, sessions, the extension's tokens, links for others, cookies, and what each route asks.

mod account;
mod cookies;
mod extension;
mod oauth;
mod page;
mod routes;
mod sockets;
mod tokens;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::{Config, Secret};
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::auth::python;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
const CONTROL: &str = "control-0123456789";
/// Shared secrets of the extension: the one that was, and the one that comes.
const SECRETS: [&str; 2] = [
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
];
const PASSWORD: &str = "correct horse battery";

/// A server that knows people, with its store in a folder of its own.
pub(crate) struct People {
    pub(crate) server: TestServer,
    pub(crate) folder: TempDir,
}

impl People {
    async fn start() -> Result<Self> {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = config();
        config.data_dir = folder.path().to_owned();
        config.auth.session_key = Secret::new(KEY).ok();
        config.auth.sealing_key = Secret::new(KEY.replace('0', "z")).ok();
        config.auth.control_token = Secret::new(CONTROL).ok();
        config.auth.registration = true;
        let secrets = SECRETS.iter().map(|secret| Secret::new(*secret));
        config.twitch.extension_secrets = secrets.collect::<Result<_, _>>()?;
        change(&mut config);
        let server = TestServer::start_with(config).await?;
        Ok(Self { server, folder })
    }

    /// A request with a token, and a body unless it is null.
    async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Result<Answer> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        self.raw(method, path, &headers, body).await
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(method, &self.server.url(path), headers, body).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::POST, path, token, body).await
    }

    async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.ask(Method::GET, path, token, &Value::Null).await
    }

    /// Makes an account with a channel and gives its session token and refresh token.
    async fn registered(&self, name: &str, channel: Option<&str>) -> Result<(String, String)> {
        let body = json!({ "email": email(name), "password": PASSWORD, "channel": channel });
        let made = self.post("/v1/auth/register", "", &body).await?;
        ensure!(made.status == 201, "{made:?}");
        Ok((text(&made, "token")?, text(&made, "refresh")?))
    }

    /// A session that another library signed, of the kind that is in no table.
    async fn session(&self, aud: &str, channel: Option<&str>) -> Result<String> {
        Ok(signed(&[claims(aud, channel)]).await?.remove(0))
    }
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}

fn text(answer: &Answer, field: &str) -> Result<String> {
    let json = answer.json();
    let text = json[field].as_str();
    Ok(text
        .with_context(|| format!("{field} in {json}"))?
        .to_owned())
}

fn claims(aud: &str, channel: Option<&str>) -> Value {
    let mut claims =
        json!({ "iss": "reverie", "aud": aud, "sub": format!("person:{aud}"), "sid": "ext-1" });
    if let Some(channel) = channel {
        claims["channel"] = channel.into();
    }
    claims
}

async fn signed(claims: &[Value]) -> Result<Vec<String>> {
    let claims = Value::from(claims.to_vec()).to_string();
    let tokens = python(&["sign", &claims, "--key", KEY]).await?;
    Ok(serde_json::from_value(tokens)?)
}

/// Tokens with something wrong by what it is, and the good one.
async fn abused(what: &str, key: &str) -> Result<(String, BTreeMap<String, String>)> {
    let tokens = python(&[what, "--key", key]).await?;
    let mut tokens: BTreeMap<String, String> = serde_json::from_value(tokens)?;
    let good = tokens.remove("good").context("a good one")?;
    ensure!(tokens.len() > 25, "{tokens:?}");
    Ok((good, tokens))
}
