//! Notifications of EventSub: whether Twitch sent them, and what they say. Knows nothing of HTTP.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use reverie_config::Secret;
use reverie_moments::life::Ms;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::payment::Payment;

/// The only kind of event that is asked for.
pub(crate) const TRANSACTION: &str = "extension.bits_transaction.create";
/// How old a notification may be, and how far ahead of our clock.
const MAX_AGE: Ms = 10 * 60 * 1000;
/// How many messages are remembered. Of a longer row, the oldest are taken twice, and count once for their transaction.
const REMEMBERED: usize = 10_000;

/// Checks and reads notifications.
pub(crate) struct EventSub {
    key: hmac::Key,
    seen: Mutex<Seen>,
}

/// The headers of a notification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// `Twitch-Eventsub-Message-Id`.
    pub(crate) id: &'a str,
    /// `Twitch-Eventsub-Message-Timestamp`.
    pub(crate) timestamp: &'a str,
    /// `Twitch-Eventsub-Message-Signature`.
    pub(crate) signature: &'a str,
    /// `Twitch-Eventsub-Message-Type`.
    pub(crate) kind: &'a str,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Twitch asks whether this server wants them; the answer is this text.
    Challenge(String),
    /// Twitch sends no more of them, and why.
    Revoked { kind: String, why: String },
    /// Somebody paid.
    Paid(Payment),
    /// It was taken in before.
    Repeated,
    /// Something that is of no use here.
    Other(String),
}

/// Why a notification is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the notification's signature is wrong")]
    Signature,
    #[error("the notification is older than 10 minutes, or its time cannot be read")]
    Old,
    #[error("the notification cannot be read")]
    Malformed,
}

/// The messages that were taken in, by their id.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<(Ms, String)>,
}

#[derive(Deserialize)]
struct Message {
    challenge: Option<String>,
    subscription: Subscription,
    event: Option<Event>,
}

#[derive(Deserialize)]
struct Subscription {
    r#type: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    broadcaster_user_id: String,
    user_id: String,
    extension_client_id: String,
    product: Product,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    bits: i64,
    #[serde(default)]
    in_development: bool,
}

impl EventSub {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()),
            seen: Mutex::default(),
        }
    }

    /// What the notification says, if it is Twitch's. [`Self::taken`] makes it a repeated one from then on.
    pub(crate) fn hear(&self, signed: Signed<'_>, body: &[u8], now: Ms) -> Result<Heard, Fault> {
        self.verify(signed, body)?;
        let at = milliseconds(signed.timestamp).ok_or(Fault::Old)?;
        if now.saturating_sub(at).saturating_abs() > MAX_AGE {
            return Err(Fault::Old);
        }
        if self.seen().ids.contains(signed.id) {
            return Ok(Heard::Repeated);
        }
        let message: Message = serde_json::from_slice(body).map_err(|_| Fault::Malformed)?;
        read(signed.kind, message, body, at)
    }

    /// Remembers that a message was taken in. One that could not be is sent again by Twitch, and is not a repeated one.
    pub(crate) fn taken(&self, id: &str, now: Ms) {
        self.seen().add(id, now);
    }

    /// In constant time.
    fn verify(&self, signed: Signed<'_>, body: &[u8]) -> Result<(), Fault> {
        let told = signed.signature.strip_prefix("sha256=");
        let told = told.and_then(from_hex).ok_or(Fault::Signature)?;
        let whole = [signed.id.as_bytes(), signed.timestamp.as_bytes(), body].concat();
        hmac::verify(&self.key, &whole, &told).map_err(|_| Fault::Signature)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // At worst a message is taken in twice, which its transaction bears.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Messages that would be refused for their age need not be remembered.
    fn add(&mut self, id: &str, now: Ms) {
        let forgettable = |at: Ms| now.saturating_sub(at) > 2 * MAX_AGE;
        while let Some((at, _)) = self.order.front() {
            if !forgettable(*at) && self.order.len() < REMEMBERED {
                break;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.ids.remove(&id);
            }
        }
        if self.ids.insert(id.to_owned()) {
            self.order.push_back((now, id.to_owned()));
        }
    }
}

fn read(kind: &str, message: Message, body: &[u8], at: Ms) -> Result<Heard, Fault> {
    let Subscription { r#type, status } = message.subscription;
    match (kind, message.event) {
        ("webhook_callback_verification", _) => {
            let challenge = message.challenge.ok_or(Fault::Malformed)?;
            Ok(Heard::Challenge(challenge))
        }
        ("revocation", _) => Ok(Heard::Revoked {
            kind: r#type,
            why: status,
        }),
        ("notification", Some(event)) if r#type == TRANSACTION => Ok(Heard::Paid(Payment {
            transaction_id: event.id,
            broadcaster_id: event.broadcaster_user_id,
            user_id: event.user_id,
            extension: event.extension_client_id,
            sku: event.product.sku,
            amount: event.product.bits,
            in_development: event.product.in_development,
            at,
            raw: String::from_utf8_lossy(body).into_owned(),
        })),
        ("notification", None) if r#type == TRANSACTION => Err(Fault::Malformed),
        _ => Ok(Heard::Other(r#type)),
    }
}

/// A time as in `2027-01-31T12:00:00.123456789Z`.
pub(super) fn milliseconds(text: &str) -> Option<Ms> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Ms::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

impl fmt::Debug for EventSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSub").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_to_the_millisecond() {
        assert_eq!(milliseconds("1970-01-01T00:00:01.5Z"), Some(1500));
        assert_eq!(
            milliseconds("2027-01-31T12:00:00.123456789Z"),
            Some(1_801_396_800_123)
        );
        assert_eq!(milliseconds("yesterday"), None);
    }

    #[test]
    fn hexadecimal_is_read_in_pairs() {
        assert_eq!(from_hex("00ffA1"), Some(vec![0, 255, 161]));
        for wrong in ["0", "0g", "é"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_time() {
        let mut seen = Seen::default();
        for n in 0..REMEMBERED + 10 {
            seen.add(&n.to_string(), 0);
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!seen.ids.contains("9") && seen.ids.contains("10"));
        seen.add("late", 2 * MAX_AGE + 1);
        assert_eq!(seen.ids.len(), 1);
    }
}
