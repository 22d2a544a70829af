//! The token by which an application asks in its own name (RFC 6749, section 4.4).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use reverie_config::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::helix::{Fault, Helix};

/// How long before its end a token is given up.
const MARGIN: Duration = Duration::from_secs(60);

/// An application and its token.
pub(super) struct App {
    helix: Helix,
    /// Where Twitch's OAuth is, without a slash at its end.
    id_url: String,
    client_id: String,
    secret: Secret,
    kept: Mutex<Option<Kept>>,
    /// Until when Twitch wants to be left alone, by what is asked.
    quiet: Mutex<HashMap<&'static str, Instant>>,
}

#[derive(Clone)]
struct Kept {
    token: String,
    end: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl App {
    pub(super) fn new(helix: &Helix, id_url: &str, client_id: &str, secret: &Secret) -> Self {
        Self {
            helix: helix.clone(),
            id_url: id_url.to_owned(),
            client_id: client_id.to_owned(),
            secret: secret.clone(),
            kept: Mutex::new(None),
            quiet: Mutex::default(),
        }
    }

    /// Asks in the name of the application, unless Twitch said "not now" to the same before.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        name: &'static str,
        request: impl Fn(&Helix) -> RequestBuilder,
    ) -> Result<T, Fault> {
        let now = Instant::now();
        let until = lock(&self.quiet).get(name).copied();
        if let Some(until) = until.filter(|until| now < *until) {
            return Err(Fault::Wait(until - now));
        }
        let answer = self.signed(name, request).await;
        if let Err(Fault::Wait(wait)) = &answer {
            lock(&self.quiet).insert(name, Instant::now() + *wait);
        }
        answer
    }

    /// With a token that Twitch took back meanwhile, once more with another.
    async fn signed<T: DeserializeOwned>(
        &self,
        name: &'static str,
        request: impl Fn(&Helix) -> RequestBuilder,
    ) -> Result<T, Fault> {
        let token = self.token().await?;
        let signed = |token: &str| {
            request(&self.helix)
                .bearer_auth(token)
                .header("client-id", &self.client_id)
        };
        match self.helix.ask(name, signed(&token)).await {
            Err(Fault::Token) => {
                self.forget(&token);
                let token = self.token().await?;
                self.helix.ask(name, signed(&token)).await
            }
            answer => answer,
        }
    }

    /// Two tasks that need one at once get two; both are good.
    async fn token(&self) -> Result<String, Fault> {
        let kept = lock(&self.kept).clone();
        if let Some(kept) = kept.filter(|kept| Instant::now() < kept.end) {
            return Ok(kept.token);
        }
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.secret.reveal()),
            ("grant_type", "client_credentials"),
        ];
        let request = self.helix.client.post(format!("{}/token", self.id_url));
        let granted: Granted = self.helix.ask("token", request.form(&form)).await?;
        let life = Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
        let kept = Kept {
            token: granted.access_token.clone(),
            end: Instant::now() + life.min(Duration::from_secs(86_400)),
        };
        *lock(&self.kept) = Some(kept);
        Ok(granted.access_token)
    }

    fn forget(&self, token: &str) {
        let mut kept = lock(&self.kept);
        if kept.as_ref().is_some_and(|kept| kept.token == token) {
            *kept = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // At worst a token is asked for again, or Twitch says again that it is too early.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
