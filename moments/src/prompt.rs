//! What a prompt may be: one line of visible text.

/// Why a text is no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It has nothing but white space.
    #[error("the prompt is empty; 1 to {max} characters are accepted")]
    Empty {
        /// The most characters accepted.
        max: usize,
    },
    /// It is too long.
    #[error("the prompt has {chars} characters; at most {max} are accepted")]
    Long {
        /// How many it has once trimmed.
        chars: usize,
        /// The most characters accepted.
        max: usize,
    },
    /// It has a character that cannot be seen.
    #[error("the prompt has the control character U+{:04X} at place {place}; only text on one line is accepted", u32::from(*.found))]
    ControlCharacter {
        /// The character.
        found: char,
        /// Which one it is in the trimmed prompt, counted from 1.
        place: usize,
    },
}

/// The prompt without white space around it.
pub(crate) fn clean(text: &str, max: usize) -> Result<String, Unfit> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars == 0 {
        return Err(Unfit::Empty { max });
    }
    if chars > max {
        return Err(Unfit::Long { chars, max });
    }
    match text
        .chars()
        .position(is_control)
        .zip(text.chars().find(|c| is_control(*c)))
    {
        Some((before, found)) => Err(Unfit::ControlCharacter {
            found,
            place: before + 1,
        }),
        None => Ok(text.to_owned()),
    }
}

/// Control characters, line and paragraph separators, and those that turn the writing direction around:
/// a prompt is shown to everybody, and must not rearrange what stands beside it.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_trimmed_and_counted_in_characters() {
        assert_eq!(
            clean("  a café at dusk \n", 500),
            Ok("a café at dusk".into())
        );
        assert_eq!(clean("ééé", 3), Ok("ééé".into()));
        assert_eq!(clean("éééé", 3), Err(Unfit::Long { chars: 4, max: 3 }));
    }

    #[test]
    fn a_prompt_of_white_space_is_empty() {
        assert_eq!(clean(" \t\n\u{3000}", 9), Err(Unfit::Empty { max: 9 }));
    }

    #[test]
    fn a_character_that_cannot_be_seen_is_refused_and_named() {
        let refused = clean("two\nlines", 9).unwrap_err();
        assert_eq!(
            refused,
            Unfit::ControlCharacter {
                found: '\n',
                place: 4
            }
        );
        assert_eq!(
            refused.to_string(),
            "the prompt has the control character U+000A at place 4; only text on one line is accepted"
        );
        assert!(clean("a\u{202E}b", 9).is_err());
        assert!(clean("a\u{0}b", 9).is_err());
    }

    #[test]
    fn emoji_made_of_several_characters_are_text() {
        assert!(clean("👩\u{200D}🚀", 9).is_ok());
    }
}
