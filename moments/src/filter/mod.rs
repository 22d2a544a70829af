//! Which prompts are not taken, whoever pays: words of the channel's own list, and what is vulgar in English.
//!
//! A filter errs on both sides. It is the first look and costs nobody anything; the second one is a moderator's.

mod blocklist;
mod fold;

use rustrict::{Censor, Type};

pub use blocklist::{BadEntry, Blocklist, MAX_ENTRIES, MAX_ENTRY_CHARS};

/// Why a prompt is not taken. It does not repeat the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwanted {
    /// It has a word of the channel's list.
    #[error("the prompt has a word that this channel does not take")]
    Blocked,
    /// It has a word that offends.
    #[error("the prompt has a word that is not taken here; say it in other words")]
    Vulgar,
}

/// Looks a prompt through.
///
/// # Errors
/// When it has a word of the list or, with `refuse_vulgar`, one that offends.
pub fn check(prompt: &str, blocklist: &Blocklist, refuse_vulgar: bool) -> Result<(), Unwanted> {
    if blocklist.finds(prompt) {
        return Err(Unwanted::Blocked);
    }
    if refuse_vulgar && is_vulgar(prompt) {
        return Err(Unwanted::Vulgar);
    }
    Ok(())
}

/// Looks at what stands between commas, since "fox, 4k" is nothing bad; what is a letter there is part of a word.
fn is_vulgar(prompt: &str) -> bool {
    let parts = || prompt.split([',', ';', '|']).map(str::trim);
    let letters = parts().filter(|part| part.chars().count() == 1);
    let letters: String = letters.collect();
    // What is mild, such as a bloody sunset, is a picture.
    let limit = Type::INAPPROPRIATE & Type::MODERATE_OR_HIGHER;
    let offends = |text: &str| Censor::from_str(text).analyze().is(limit);
    parts().any(offends) || offends(&letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(prompt: &str) -> Option<Unwanted> {
        check(prompt, &Blocklist::default(), true).err()
    }

    #[test]
    fn pictures_are_taken() {
        for prompt in [
            "a village in Scunthorpe at night, oil on canvas",
            "bloody sunset over the sea, killer whales",
            "a cockatoo in the style of Klimt",
            "an assassin in a cloak, a classic bass, a glass of grass",
            "hello from hell, a damned castle, classic analog photo",
            "海辺の夕日、水彩画",
            "дождь над городом",
            "a café in Zürich, émigré, über-cozy",
            "a fox, 4k, 8-bit, f/1.8, (masterpiece:1.2)",
        ] {
            assert_eq!(refused(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn vulgar_words_are_refused_also_in_disguise() {
        for prompt in [
            "a fucking mess",
            "FuCk",
            "f u c k",
            "f*ck this",
            "sh1t",
            "ｆｕｃｋ",
        ] {
            assert_eq!(refused(prompt), Some(Unwanted::Vulgar), "{prompt}");
        }
    }

    #[test]
    fn a_channel_may_take_them() {
        assert_eq!(check("what the fuck", &Blocklist::default(), false), Ok(()));
    }

    #[test]
    fn the_list_is_asked_in_any_case() {
        let list = Blocklist::new(["Voldemort"]).unwrap();
        assert_eq!(
            check("lord v0ldem0rt", &list, false),
            Err(Unwanted::Blocked)
        );
    }
}
