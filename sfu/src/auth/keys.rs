//! Arithmetic with keys: one for each purpose out of the configured one, hashes of what is kept as a hash only, API keys.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use reverie_config::Secret;

use crate::session::{Entropy, random_name};

/// What an API key begins with, so that it is known when it is found where it should not be.
const PREFIX: &str = "rvk_";

/// A new API key.
pub(crate) struct NewKey {
    pub(crate) id: String,
    /// The key; told once.
    pub(crate) text: String,
    /// What is kept of it.
    pub(crate) hash: String,
}

/// 32 bytes that tell nothing of the secret, nor of those for another purpose.
pub(crate) fn derive(secret: &Secret, purpose: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let mut derived = [0; 32];
    derived.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
    derived
}

/// The key of the tokens for WHIP and WHEP: the configured one, else one out of the key of sessions.
pub(crate) fn of_media(config: &reverie_config::Auth) -> Option<Secret> {
    let derived = || {
        let key = config.session_key.as_ref()?;
        Secret::new(hex(&derive(key, "reverie tokens of media"))).ok()
    };
    config.token_key.clone().or_else(derived)
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// Makes an API key of 256 random bits.
pub(crate) fn new_key() -> Result<NewKey, Entropy> {
    let id = random_name(8)?;
    let text = format!("{PREFIX}{id}_{}", random_name(32)?);
    Ok(NewKey {
        hash: hash(&text),
        id,
        text,
    })
}

/// The id and the hash of what looks like an API key.
pub(crate) fn read_key(text: &str) -> Option<(&str, String)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == 16 && secret.len() == 64).then(|| (id, hash(text)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_other_purposes_and_of_other_secrets_differ() {
        let one = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
        let other = Secret::new("0123456789abcdef0123456789abcdeg").unwrap();
        assert_eq!(derive(&one, "a"), derive(&one, "a"));
        assert_ne!(derive(&one, "a"), derive(&one, "b"));
        assert_ne!(derive(&one, "a"), derive(&other, "a"));
    }

    #[test]
    fn a_hash_is_that_of_sha256sum() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), abc);
    }

    #[test]
    fn a_key_is_read_back_and_no_two_are_the_same() {
        let (one, two) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one.text, two.text);
        let (id, found) = read_key(&one.text).unwrap();
        assert_eq!((id, found), (one.id.as_str(), one.hash.clone()));
        for bad in ["", "rvk_", "rvk_0_1", &one.text[4..], &one.text[..60]] {
            assert!(read_key(bad).is_none(), "{bad}");
        }
    }
}
