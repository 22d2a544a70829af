//! What ties a payment to what it is for: signed before the viewer pays, given back with the receipt.
//!
//! It is made for a minute, in which a page may begin to pay. A payment that was begun in time may end later, and who paid
//! is never turned away for it: the moment's own times decide.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use reverie_moments::MomentId;
use reverie_moments::life::{Moment, Ms};
use serde::{Deserialize, Serialize};

use super::keys::Keys;

/// How long a page may begin to pay, in seconds.
pub(crate) const LIFE_S: i64 = 60;

/// Makes the keys other ones than those of Twitch, so that no token of Twitch is an intent.
const PURPOSE: &str = "reverie intent 1";
const AUDIENCE: &str = "reverie-intent";
/// The largest that is looked at, in bytes.
const MAX_BYTES: usize = 2048;

/// Makes and reads intents.
pub(crate) struct Intents {
    signing: EncodingKey,
    reading: Vec<DecodingKey>,
    rules: Validation,
}

/// What is to be paid, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) moment: MomentId,
    pub(crate) channel: String,
    /// Whose moment it is, as by [`Viewer::account`](reverie_moments::life::Viewer::account).
    #[serde(rename = "sub")]
    pub(crate) viewer: String,
    pub(crate) sku: String,
    aud: String,
    /// Unix seconds until which a page may begin to pay.
    exp: i64,
}

/// A text that is no intent of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the intent is none of this server's")]
pub(crate) struct NoIntent;

impl Intents {
    /// By keys that are derived from these, which all nodes have.
    pub(crate) fn new(keys: &Keys) -> Self {
        let keys = keys.derive(PURPOSE);
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp", "aud", "sub"]);
        rules.set_audience(&[AUDIENCE]);
        rules.validate_exp = false;
        Self {
            signing: EncodingKey::from_secret(keys.first()),
            reading: keys.iter().map(DecodingKey::from_secret).collect(),
            rules,
        }
    }

    /// For a moment that waits for its payment.
    pub(crate) fn sign(&self, moment: &Moment, now: Ms) -> Option<String> {
        let intent = Intent {
            moment: moment.id.clone(),
            channel: moment.channel.clone(),
            viewer: moment.viewer.account().to_owned(),
            sku: moment.sku.clone(),
            aud: AUDIENCE.to_owned(),
            exp: now / 1000 + LIFE_S,
        };
        encode(&Header::new(Algorithm::HS256), &intent, &self.signing).ok()
    }

    /// What it was signed for, also when its time is over.
    pub(crate) fn read(&self, text: &str) -> Result<Intent, NoIntent> {
        if text.len() > MAX_BYTES {
            return Err(NoIntent);
        }
        let mut read = self.reading.iter();
        read.find_map(|key| decode::<Intent>(text, key, &self.rules).ok())
            .map(|read| read.claims)
            .ok_or(NoIntent)
    }
}

impl Intent {
    /// Whether a page may still begin to pay.
    pub(crate) fn is_open(&self, now: Ms) -> bool {
        now / 1000 <= self.exp
    }
}

impl fmt::Debug for Intents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use reverie_config::Secret;
    use reverie_moments::life::{Source, Submission, Viewer};

    use super::*;

    const NOW: Ms = 1_800_000_000_000;
    const OLD: &str = "b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xkIG9sZCE=";
    const NEW: &str = "bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3IG5ldyE=";

    fn intents(secrets: &[&str]) -> Intents {
        let secrets: Vec<_> = secrets.iter().map(|s| Secret::new(*s).unwrap()).collect();
        Intents::new(&Keys::of(&secrets).unwrap())
    }

    fn moment() -> Moment {
        let submission = Submission {
            id: "m1".into(),
            channel: "show".into(),
            viewer: Viewer {
                opaque: "U1".into(),
                id: Some("77".into()),
                name: None,
            },
            source: Source::Bits,
            sku: "rain".into(),
            price: 100,
            prompt: "rain".into(),
            params: "{}".into(),
            duration: 10_000,
            idempotency_key: "k".into(),
        };
        Moment::submitted(submission, NOW, NOW)
    }

    #[test]
    fn an_intent_says_what_is_to_be_paid_by_whom() {
        let intents = intents(&[NEW]);
        let text = intents.sign(&moment(), NOW).unwrap();
        let intent = intents.read(&text).unwrap();
        assert_eq!(
            (intent.moment.as_str(), intent.channel.as_str()),
            ("m1", "show")
        );
        assert_eq!(
            (intent.viewer.as_str(), intent.sku.as_str()),
            ("77", "rain")
        );
    }

    #[test]
    fn an_intent_is_open_for_a_minute_and_read_for_longer() {
        let intents = intents(&[NEW]);
        let text = intents.sign(&moment(), 0).unwrap();
        let intent = intents.read(&text).unwrap();
        assert!(intent.is_open(60_000));
        assert!(!intent.is_open(61_000));
    }

    #[test]
    fn an_intent_outlives_an_exchange_of_secrets() {
        let text = intents(&[OLD]).sign(&moment(), NOW).unwrap();
        assert!(intents(&[NEW, OLD]).read(&text).is_ok());
        assert_eq!(intents(&[NEW]).read(&text), Err(NoIntent));
    }

    #[test]
    fn what_was_changed_or_signed_for_something_else_is_no_intent() {
        let intents = intents(&[NEW]);
        let text = intents.sign(&moment(), NOW).unwrap();
        let mut changed = text.clone().into_bytes();
        changed[40] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        for wrong in ["", "..", changed.as_str(), &text[..text.len() - 1]] {
            assert_eq!(intents.read(wrong), Err(NoIntent), "{wrong}");
        }
    }
}
