//! Receipts of Bits: the JWT that Twitch gives a viewer's page for a payment, and whether it is one.
//!
//! A receipt names neither channel nor prompt, so it is compared with the moment that its [intent](super::intent) names.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use reverie_moments::MomentId;
use reverie_moments::life;
use serde::Deserialize;

use super::keys::Keys;

/// Whose transaction ids these are, in the store.
pub(crate) const BITS: &str = "bits";

/// What every receipt is about.
const TOPIC: &str = "bits_transaction_receipt";
/// How far Twitch's clock and ours may differ, in seconds.
const LEEWAY_S: u64 = 15;
/// The largest receipt that is looked at, in bytes; Twitch's have an eighth of it.
const MAX_BYTES: usize = 4096;
/// The longest id or name in one, in bytes.
const MAX_TEXT: usize = 128;

/// Checks receipts of one extension.
pub(crate) struct Receipts {
    keys: Vec<DecodingKey>,
    rules: Validation,
    /// Where the extension's products are.
    domain: String,
}

/// A payment that Twitch vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purchase {
    pub(crate) transaction_id: String,
    /// The user id of who paid.
    pub(crate) user_id: String,
    pub(crate) sku: String,
    /// In Bits.
    pub(crate) amount: i64,
}

/// What is wrong with a text that is no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the receipt is no JWT of Twitch")]
    Malformed,
    #[error("the receipt is not signed with HS256")]
    Algorithm,
    #[error("the receipt's signature is wrong")]
    Signature,
    #[error("the receipt has expired")]
    Expired,
    #[error("the receipt lacks a claim, or has one that cannot be read")]
    Claims,
    #[error("the token is no receipt of a transaction of Bits")]
    Topic,
    #[error("the receipt is another extension's")]
    Domain,
    #[error("the receipt is not about Bits")]
    Unit,
}

#[derive(Deserialize)]
struct Claims {
    topic: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    transaction_id: String,
    user_id: String,
    product: Product,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    domain_id: String,
    sku: String,
    cost: Cost,
}

#[derive(Deserialize)]
struct Cost {
    amount: i64,
    r#type: String,
}

impl Receipts {
    /// Checks receipts of the extension with this client id.
    pub(crate) fn new(keys: &Keys, client_id: &str) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp"]);
        rules.validate_aud = false;
        rules.leeway = LEEWAY_S;
        Self {
            keys: keys.iter().map(DecodingKey::from_secret).collect(),
            rules,
            domain: domain(client_id),
        }
    }

    /// The payment that the receipt proves; it is the caller's to compare it with what was to be paid.
    pub(crate) fn read(&self, receipt: &str) -> Result<Purchase, Fault> {
        if receipt.len() > MAX_BYTES {
            return Err(Fault::Malformed);
        }
        let Claims { topic, data } = self.claims(receipt)?;
        let Data {
            transaction_id,
            user_id,
            product,
        } = data;
        let texts = [&transaction_id, &user_id, &product.sku];
        let legible = |text: &&String| (1..=MAX_TEXT).contains(&text.len());
        if topic != TOPIC {
            Err(Fault::Topic)
        } else if product.domain_id != self.domain {
            Err(Fault::Domain)
        } else if product.cost.r#type != BITS {
            Err(Fault::Unit)
        } else if product.cost.amount < 0 || !texts.iter().all(legible) {
            Err(Fault::Claims)
        } else {
            Ok(Purchase {
                transaction_id,
                user_id,
                sku: product.sku,
                amount: product.cost.amount,
            })
        }
    }

    /// Every secret is tried; one by which the signature is right decides.
    fn claims(&self, receipt: &str) -> Result<Claims, Fault> {
        let mut fault = Fault::Malformed;
        for key in &self.keys {
            match decode::<Claims>(receipt, key, &self.rules) {
                Ok(read) => return Ok(read.claims),
                Err(error) => fault = self::fault(error.kind()),
            }
            if fault != Fault::Signature {
                break;
            }
        }
        Err(fault)
    }
}

impl Purchase {
    /// As the store takes it in, for this moment of this channel.
    pub(crate) fn of_moment(self, channel: &str, moment: MomentId, raw: String) -> life::Receipt {
        life::Receipt {
            source: BITS.to_owned(),
            transaction_id: self.transaction_id,
            channel: channel.to_owned(),
            moment: Some(moment),
            user_id: self.user_id,
            sku: self.sku,
            amount: self.amount,
            raw,
        }
    }
}

/// Where Twitch keeps the products of an extension.
pub(super) fn domain(client_id: &str) -> String {
    format!("twitch.ext.{client_id}")
}

fn fault(kind: &ErrorKind) -> Fault {
    match kind {
        ErrorKind::InvalidSignature => Fault::Signature,
        ErrorKind::ExpiredSignature => Fault::Expired,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::InvalidAlgorithmName => Fault::Algorithm,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_) => Fault::Claims,
        _ => Fault::Malformed,
    }
}

impl fmt::Debug for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipts")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
