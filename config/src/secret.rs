//! A token that never shows itself and is compared in constant time.

use std::fmt;
use std::hint::black_box;

/// The fewest characters of a secret.
const MIN_CHARS: usize = 16;

/// A bearer token: at least 16 characters of printable ASCII without spaces. `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that cannot be a [`Secret`]; it does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret needs at least 16 characters of printable ASCII without spaces")]
pub struct WeakSecret;

impl Secret {
    /// Takes the text as a secret.
    ///
    /// # Errors
    /// When it is shorter than 16 characters, or has any that is not printable ASCII, or a space.
    pub fn new(text: impl Into<String>) -> Result<Self, WeakSecret> {
        let text = text.into();
        let strong = text.len() >= MIN_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic());
        strong.then_some(Self(text)).ok_or(WeakSecret)
    }

    /// The secret itself, for a computation that needs it, such as a signature. Never for people.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this secret. Takes the same time wherever the two differ; only the length can be timed.
    #[must_use]
    pub fn matches(&self, offered: &str) -> bool {
        let (own, offered) = (self.0.as_bytes(), offered.as_bytes());
        let difference = own
            .iter()
            .zip(offered)
            .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
        own.len() == offered.len() && difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = Secret::new(TOKEN).unwrap();
        assert!(secret.matches(TOKEN));
        for wrong in [
            "",
            "c",
            "correct-horse-batterY",
            "Correct-horse-battery",
            "correct-horse-battery2",
            "correct-horse-batter",
        ] {
            assert!(!secret.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_short_or_unprintable_text_is_no_secret() {
        for weak in [
            "",
            "fifteen-letters",
            "sixteen letters!",
            "sixteen-létters!",
            "sixteen-letters\n",
        ] {
            assert_eq!(Secret::new(weak), Err(WeakSecret), "{weak:?}");
        }
        assert!(Secret::new("sixteen-letters!").is_ok());
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new(TOKEN).unwrap();
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    }
}
