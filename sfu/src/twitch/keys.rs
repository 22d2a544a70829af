//! The extension's shared secrets, decoded: Twitch shows them in base64 and signs with the bytes.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use reverie_config::Secret;

/// With padding or without, and whatever stands in the bits that say nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Several are good while one takes the place of another. There is at least one; the first one signs.
#[derive(Clone)]
pub(crate) struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// `None` where there is no secret.
    pub(crate) fn of(secrets: &[Secret]) -> Option<Self> {
        let keys = secrets.iter().map(|secret| {
            let decoded = BASE64.decode(secret.reveal());
            decoded.expect("the configuration takes nothing but base64")
        });
        let keys: Vec<_> = keys.collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Keys for something else, which nobody can make these ones of.
    pub(super) fn derive(&self, purpose: &str) -> Self {
        let derived = self.0.iter().map(|key| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, purpose.as_bytes()).as_ref().to_vec()
        });
        Self(derived.collect())
    }

    /// The one that signs.
    pub(super) fn first(&self) -> &[u8] {
        &self.0[0]
    }

    /// All that are good.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> Keys {
        let secrets: Vec<_> = texts
            .iter()
            .map(|text| Secret::new(*text).unwrap())
            .collect();
        Keys::of(&secrets).unwrap()
    }

    #[test]
    fn a_secret_is_decoded_with_or_without_its_padding() {
        let keys = keys(&[
            "a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleQ==",
            "a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleQ",
        ]);
        for key in keys.iter() {
            assert_eq!(key, b"key key key key key key key key");
        }
        assert!(Keys::of(&[]).is_none());
    }

    #[test]
    fn a_derived_key_is_another_for_each_purpose() {
        let keys = keys(&["a2V5IGtleSBrZXkga2V5IGtleSBrZXkga2V5IGtleQ=="]);
        let (one, two) = (keys.derive("one"), keys.derive("two"));
        assert_ne!(one.first(), two.first());
        assert_ne!(one.first(), keys.first());
    }
}
