//! What is stored for later and must not be read by who has the store: AES-256-GCM, bound to what it is for.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reverie_config::Secret;

use super::keys::derive;

/// What the text begins with, for other ways of sealing to come.
const VERSION: &str = "1.";

/// Why a text stays closed, or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsealed {
    #[error("the system gave no random bytes")]
    Entropy,
    #[error("it was sealed with another key, for something else, or was changed since")]
    Closed,
}

/// Seals and opens with one key. `Debug` shows none of it.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    /// `None` only if the library has no AES.
    pub(crate) fn new(key: &Secret) -> Option<Self> {
        let key = derive(key, "reverie sealing");
        let key = UnboundKey::new(&AES_256_GCM, &key).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// The sealed text; `context` says what it is for, and must be said again to open it.
    pub(crate) fn seal(&self, context: &str, clear: &str) -> Result<String, Unsealed> {
        // Random, and so good for 2^32 texts under one key.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Unsealed::Entropy)?;
        let mut text = clear.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut text,
            )
            .map_err(|_| Unsealed::Closed)?;
        let whole = [&nonce[..], &text].concat();
        Ok(format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    /// What was sealed.
    pub(crate) fn open(&self, context: &str, sealed: &str) -> Result<String, Unsealed> {
        let text = sealed.strip_prefix(VERSION).ok_or(Unsealed::Closed)?;
        let whole = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unsealed::Closed)?;
        let (nonce, text) = whole.split_at_checked(NONCE_LEN).ok_or(Unsealed::Closed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealed::Closed)?;
        let mut text = text.to_vec();
        let clear = self
            .0
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut text)
            .map_err(|_| Unsealed::Closed)?;
        String::from_utf8(clear.to_vec()).map_err(|_| Unsealed::Closed)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&Secret::new(key).unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_read_with_its_key_and_for_its_purpose_only() {
        let ours = sealer("0123456789abcdef0123456789abcdef");
        let other = sealer("0123456789abcdef0123456789abcdeg");
        let sealed = ours.seal("twitch/show", "oauth-token").unwrap();
        assert!(!sealed.contains("oauth"), "{sealed}");
        assert_ne!(sealed, ours.seal("twitch/show", "oauth-token").unwrap());
        assert_eq!(
            ours.open("twitch/show", &sealed).as_deref(),
            Ok("oauth-token")
        );
        assert_eq!(other.open("twitch/show", &sealed), Err(Unsealed::Closed));
        assert_eq!(ours.open("twitch/other", &sealed), Err(Unsealed::Closed));
    }

    #[test]
    fn a_sealed_text_with_any_byte_changed_stays_closed() {
        let ours = sealer("0123456789abcdef0123456789abcdef");
        let sealed = ours.seal("a", "clear").unwrap();
        let whole = URL_SAFE_NO_PAD.decode(&sealed[2..]).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let changed = format!("1.{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(ours.open("a", &changed), Err(Unsealed::Closed), "byte {at}");
        }
        for bad in ["", "1.", "2.AAAA", "1.%", &sealed[..sealed.len() - 2]] {
            assert_eq!(ours.open("a", bad), Err(Unsealed::Closed), "{bad}");
        }
    }
}
