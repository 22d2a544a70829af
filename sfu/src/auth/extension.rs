//! The tokens that Twitch's extension helper gives to a panel (HS256 with the extension's shared secret).

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use reverie_config::Secret;
use serde::Deserialize;

use super::session::Rank;
use super::token::{Fault, LEEWAY_S, MAX_BYTES, fault};

/// With or without padding, as people copy it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest opaque id, in bytes.
const MAX_OPAQUE: usize = 64;

/// Who looks at a panel, as Twitch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) rank: Rank,
    /// The user id of the channel's owner.
    pub(crate) channel: String,
    /// The same for one person and extension; begins with U for who is signed in, with A for who is not.
    pub(crate) opaque: String,
    /// The user id, where it is shared.
    pub(crate) user: Option<String>,
}

#[derive(Deserialize)]
struct Read {
    opaque_user_id: String,
    user_id: Option<String>,
    channel_id: String,
    role: String,
}

/// Checks tokens of the extension with each secret that is good.
pub(crate) struct Extension {
    keys: Vec<DecodingKey>,
    rules: Validation,
}

impl Extension {
    /// `None` without secrets. What is no base64 is left out; the configuration refuses it.
    pub(crate) fn new(secrets: &[Secret]) -> Option<Self> {
        let decoded = secrets
            .iter()
            .filter_map(|s| BASE64.decode(s.reveal()).ok());
        let keys: Vec<_> = decoded
            .filter(|key| !key.is_empty())
            .map(|key| DecodingKey::from_secret(&key))
            .collect();
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_S;
        // These tokens have no audience.
        rules.validate_aud = false;
        (!keys.is_empty()).then_some(Self { keys, rules })
    }

    /// Who has this token, if it is good now.
    ///
    /// A token of role `external` is made by servers, not by Twitch for somebody: it has no claim to a session.
    pub(crate) fn read(&self, token: &str) -> Result<Visitor, Fault> {
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 || token.len() > MAX_BYTES {
            return Err(Fault::Malformed);
        }
        let mut found = Err(Fault::Signature);
        for key in &self.keys {
            found = decode::<Read>(token, key, &self.rules).map_err(|error| fault(&error));
            if !matches!(found, Err(Fault::Signature)) {
                break;
            }
        }
        let claims = found?.claims;
        let opaque = &claims.opaque_user_id;
        let whole = is_number(&claims.channel_id)
            && claims.user_id.as_deref().is_none_or(is_number)
            && (1..=MAX_OPAQUE).contains(&opaque.len())
            && opaque
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let rank = match claims.role.as_str() {
            "broadcaster" => Rank::Streamer,
            "moderator" => Rank::Mod,
            "viewer" => Rank::Viewer,
            _ => return Err(Fault::Claims),
        };
        if !whole {
            return Err(Fault::Claims);
        }
        Ok(Visitor {
            rank,
            channel: claims.channel_id,
            opaque: claims.opaque_user_id,
            user: claims.user_id,
        })
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").finish_non_exhaustive()
    }
}

/// User ids of Twitch are numbers.
fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
