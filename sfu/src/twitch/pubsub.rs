//! Pokes: a word to every page of a channel's extension that there is news. The news itself is asked for here.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::helix::{Fault, Helix};
use super::keys::Keys;

/// The largest message that Twitch takes, in bytes.
const MAX_BYTES: usize = 5 * 1024;
/// How long the token of a poke is good, in seconds.
const LIFE_S: i64 = 60;
/// The least time between two pokes of a channel: Twitch takes 100 a minute.
const SPACING: Duration = Duration::from_millis(1000);

/// Sends pokes in the name of the extension's owner.
pub(super) struct PubSub {
    helix: Helix,
    client_id: String,
    owner: String,
    key: EncodingKey,
}

impl PubSub {
    pub(super) fn new(helix: &Helix, client_id: &str, owner: &str, keys: &Keys) -> Self {
        Self {
            helix: helix.clone(),
            client_id: client_id.to_owned(),
            owner: owner.to_owned(),
            key: EncodingKey::from_secret(keys.first()),
        }
    }

    /// Tells the pages of this streamer's channel. `body` is what the mail says; a message has no more than 5 KB.
    pub(super) async fn poke(
        &self,
        broadcaster: &str,
        body: &Value,
        now_s: i64,
    ) -> Result<(), Fault> {
        let message = json!({ "type": "poke", "n": body["n"] }).to_string();
        if message.len() > MAX_BYTES {
            return Err(refused("the message is too large"));
        }
        let claims = json!({
            "exp": now_s + LIFE_S,
            "user_id": self.owner,
            "role": "external",
            "channel_id": broadcaster,
            "pubsub_perms": { "send": ["broadcast"] },
        });
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.key);
        let token = token.map_err(|_| refused("the token cannot be signed"))?;
        let body = json!({
            "target": ["broadcast"],
            "broadcaster_id": broadcaster,
            "is_global_broadcast": false,
            "message": message,
        });
        let url = self.helix.url("extensions/pubsub");
        let request = self.helix.client.post(url).bearer_auth(token);
        let request = request.header("client-id", &self.client_id).json(&body);
        self.helix.tell("pubsub", request).await
    }
}

fn refused(words: &str) -> Fault {
    Fault::Refused {
        status: 0,
        words: words.to_owned(),
    }
}

/// When each channel's last poke was answered.
#[derive(Debug, Default)]
pub(super) struct Spacing(HashMap<String, Instant>);

impl Spacing {
    /// How long the channel rests; it has no poke on its way. Channels that have had their rest are forgotten.
    pub(super) fn rest(&mut self, channel: &str, now: Instant) -> Option<Duration> {
        self.0.retain(|_, last| now.duration_since(*last) < SPACING);
        let last = self.0.get(channel)?;
        Some(SPACING.saturating_sub(now.duration_since(*last)))
    }

    /// Counted from the answer, so that two of them cannot come together on the way.
    pub(super) fn answered(&mut self, channel: &str, now: Instant) {
        self.0.insert(channel.to_owned(), now);
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSub")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_poked_once_a_second() {
        let (mut spacing, now) = (Spacing::default(), Instant::now());
        assert_eq!(spacing.rest("a", now), None);
        spacing.answered("a", now);
        let later = now + Duration::from_millis(300);
        assert_eq!(spacing.rest("a", later), Some(Duration::from_millis(700)));
        assert_eq!(spacing.rest("b", later), None);
        assert_eq!(spacing.rest("a", now + SPACING), None);
        assert!(spacing.0.is_empty());
    }
}
