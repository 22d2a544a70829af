//! The tokens that streamers gave for their channels: opened when one is needed, refreshed before its end, sealed again.

use std::fmt;

use reverie_config::{Config, Secret};
use reverie_moments::life::Ms;
use reverie_moments::store::{ProviderToken, Store};
use tokio::sync::Semaphore;

use super::helix::{Fault, Helix};
use crate::auth::oauth::Tokens;
use crate::auth::seal::Sealer;
use crate::identity::{TWITCH, sealed_for};

/// What a streamer allows who lets lines be written in their name.
const SCOPE: &str = "user:write:chat";
/// How long before its end a token is refreshed.
const MARGIN: Ms = 5 * 60 * 1000;

/// Opens and refreshes them.
pub(super) struct Streamers {
    helix: Helix,
    /// Where Twitch's OAuth is, without a slash at its end.
    id_url: String,
    client_id: String,
    secret: Secret,
    sealer: Sealer,
    /// One refreshes at a time: Twitch may take a refresh token once.
    turn: Semaphore,
}

/// A token that is good now.
pub(super) struct Pass {
    /// Whose it is.
    pub(super) user: String,
    /// Not for logs.
    pub(super) token: String,
}

impl Streamers {
    /// `None` where no token can be kept or refreshed.
    pub(super) fn new(config: &Config, helix: &Helix) -> Option<Self> {
        let twitch = &config.twitch;
        Some(Self {
            helix: helix.clone(),
            id_url: twitch.id_url.clone(),
            client_id: twitch.client_id.clone()?,
            secret: twitch.client_secret.clone()?,
            sealer: Sealer::new(config.auth.sealing_key.as_ref()?)?,
            turn: Semaphore::new(1),
        })
    }

    /// The application that the tokens are for.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn helix(&self) -> &Helix {
        &self.helix
    }

    /// The token of a channel's streamer, other than `stale`, which Twitch did not take. `None` where there is none that
    /// writes in chats, or none any more.
    pub(super) async fn pass(
        &self,
        store: &Store,
        channel: &str,
        stale: Option<&str>,
        now: Ms,
    ) -> Result<Option<Pass>, Fault> {
        // Never closed.
        let _turn = self.turn.acquire().await;
        let Some(kept) = read(store, channel).await? else {
            return Ok(None);
        };
        let Some(tokens) = self.open(&kept) else {
            return Ok(None);
        };
        let is_good = kept.expires_at.saturating_sub(now) > MARGIN
            && stale != Some(tokens.access_token.as_str());
        if is_good {
            return Ok(Some(Pass {
                user: kept.subject,
                token: tokens.access_token,
            }));
        }
        match self.refresh(&tokens.refresh_token).await {
            Ok(tokens) => self.keep(store, kept, tokens, now).await.map(Some),
            Err(Fault::Refused { .. } | Fault::Token) => {
                tracing::warn!(
                    channel,
                    "the streamer has taken back what was allowed at Twitch"
                );
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn open(&self, kept: &ProviderToken) -> Option<Tokens> {
        if !kept.scopes.split(' ').any(|scope| scope == SCOPE) {
            return None;
        }
        let clear = self.sealer.open(&sealed_for(&kept.channel), &kept.sealed);
        let tokens = clear
            .ok()
            .and_then(|clear| serde_json::from_str(&clear).ok());
        if tokens.is_none() {
            tracing::error!(channel = %kept.channel, "a token of Twitch was sealed with another key");
        }
        tokens
    }

    async fn refresh(&self, refresh: &str) -> Result<Tokens, Fault> {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.secret.reveal()),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
        ];
        let request = self.helix.client.post(format!("{}/token", self.id_url));
        self.helix.ask("refresh", request.form(&form)).await
    }

    async fn keep(
        &self,
        store: &Store,
        kept: ProviderToken,
        tokens: Tokens,
        now: Ms,
    ) -> Result<Pass, Fault> {
        let failed = |_| Fault::Down("a token cannot be kept".to_owned());
        let clear = serde_json::to_string(&tokens).map_err(|error| failed(error.to_string()))?;
        let sealed = self.sealer.seal(&sealed_for(&kept.channel), &clear);
        let lasts = Ms::try_from(tokens.expires_in).unwrap_or(0);
        let kept = ProviderToken {
            sealed: sealed.map_err(|error| failed(error.to_string()))?,
            expires_at: now.saturating_add(lasts.saturating_mul(1000)),
            ..kept
        };
        let written = store.keep_token(&kept).await;
        written.map_err(|error| failed(error.to_string()))?;
        Ok(Pass {
            user: kept.subject,
            token: tokens.access_token,
        })
    }
}

async fn read(store: &Store, channel: &str) -> Result<Option<ProviderToken>, Fault> {
    let kept = store.kept_token(channel, TWITCH).await;
    kept.map_err(|_| Fault::Down("the store does not answer".to_owned()))
}

impl fmt::Debug for Streamers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamers").finish_non_exhaustive()
    }
}
