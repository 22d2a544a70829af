//! The words that a channel does not want to see.

use super::fold::{Folded, STROKES, is_unspaced};

/// The most entries of a list.
pub const MAX_ENTRIES: usize = 500;
/// The longest entry, in characters.
pub const MAX_ENTRY_CHARS: usize = 64;
/// A letter that stands so often is drawn out.
const DRAWN_OUT: usize = 3;

/// Words and phrases. `word*` is every word that begins so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocklist {
    entries: Vec<String>,
    patterns: Vec<Pattern>,
}

/// An entry that cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadEntry {
    /// There is no letter in it.
    #[error("the entry {0:?} has no letter or digit")]
    Empty(String),
    /// It is too long.
    #[error("the entry {shown:?} has {chars} characters; at most {MAX_ENTRY_CHARS} are accepted", shown = shorten(.0), chars = .0.chars().count())]
    Long(String),
    /// There are too many.
    #[error("there are {0} entries; at most {MAX_ENTRIES} are accepted")]
    Many(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// For each reading of strokes.
    words: [Vec<String>; 2],
    /// Whether the last word may go on.
    open: bool,
    /// Whether it is found also inside of words.
    unspaced: bool,
}

impl Blocklist {
    /// Reads the entries; repeated ones count once.
    ///
    /// # Errors
    /// With the first entry that cannot be looked for.
    pub fn new<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Result<Self, BadEntry> {
        let mut list = Self::default();
        for entry in entries {
            let entry = entry.as_ref().trim();
            if entry.chars().count() > MAX_ENTRY_CHARS {
                return Err(BadEntry::Long(entry.to_owned()));
            }
            if list.entries.iter().any(|known| known == entry) {
                continue;
            }
            list.patterns.push(Pattern::of(entry)?);
            list.entries.push(entry.to_owned());
        }
        if list.entries.len() > MAX_ENTRIES {
            return Err(BadEntry::Many(list.entries.len()));
        }
        Ok(list)
    }

    /// The entries as they were written.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Whether the text has one of them, however it is written.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        STROKES.iter().enumerate().any(|(reading, stroke)| {
            let text = Folded::of(text, *stroke);
            let spelled = spelled(&text.words);
            let found = |pattern: &Pattern| pattern.is_in(reading, &text, &spelled);
            self.patterns.iter().any(found)
        })
    }
}

impl Pattern {
    fn of(entry: &str) -> Result<Self, BadEntry> {
        let words = STROKES.map(|stroke| Folded::of(entry, stroke).words);
        if words[0].is_empty() {
            return Err(BadEntry::Empty(entry.to_owned()));
        }
        Ok(Self {
            unspaced: words[0].iter().any(|word| word.contains(is_unspaced)),
            words,
            open: entry.ends_with('*'),
        })
    }

    fn is_in(&self, reading: usize, text: &Folded, spelled: &[String]) -> bool {
        let own = &self.words[reading];
        let whole = own.concat();
        if self.unspaced {
            return text.glued.concat().contains(&whole);
        }
        let phrase = |words: &[String]| {
            words
                .windows(own.len())
                .any(|window| self.is_phrase(own, window))
        };
        phrase(&text.words)
            || phrase(&text.glued)
            || text.glued.iter().any(|word| self.is_word(&whole, word))
            // Where each letter stands alone, nobody knows where a word begins.
            || (whole.chars().count() > 1 && spelled.iter().any(|run| run.contains(&whole)))
    }

    fn is_phrase(&self, own: &[String], window: &[String]) -> bool {
        let last = own.len() - 1;
        let mut pairs = own.iter().zip(window).enumerate();
        pairs.all(|(at, (own, word))| {
            if at == last {
                self.is_word(own, word)
            } else {
                is_same(own, word)
            }
        })
    }

    fn is_word(&self, own: &str, word: &str) -> bool {
        is_same(own, word) || (self.open && word.starts_with(own))
    }
}

/// Runs of letters that stand alone, joined: `bad` of "b a d".
fn spelled(words: &[String]) -> Vec<String> {
    let is_single = |word: &String| word.chars().count() == 1;
    let runs = words.chunk_by(|a, b| is_single(a) && is_single(b));
    runs.filter(|run| run.len() > 1)
        .map(<[String]>::concat)
        .collect()
}

/// Whether it is this word, or this word with letters drawn out, as in "baaad".
fn is_same(own: &str, word: &str) -> bool {
    own == word || {
        let (own, word) = (runs(own), runs(word));
        let same = |(a, b): (&(char, usize), &(char, usize))| {
            a.0 == b.0 && (a.1 == b.1 || b.1 >= DRAWN_OUT.max(a.1))
        };
        own.len() == word.len() && own.iter().zip(&word).all(same)
    }
}

fn runs(word: &str) -> Vec<(char, usize)> {
    let mut runs: Vec<(char, usize)> = Vec::new();
    for c in word.chars() {
        match runs.last_mut() {
            Some((last, count)) if *last == c => *count += 1,
            _ => runs.push((c, 1)),
        }
    }
    runs
}

fn shorten(entry: &str) -> String {
    entry.chars().take(20).collect::<String>() + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Blocklist {
        Blocklist::new(entries).unwrap()
    }

    #[test]
    fn a_word_is_found_however_it_is_written() {
        let list = list(&["Crab"]);
        for text in [
            "a crab",
            "CRAB!",
            "a crâb on the beach",
            "cr4b",
            "c r a b",
            "c.r.a.b",
            "c-r-a-b",
            "cr-ab",
            "c_r_a_b",
            "craaaab",
            "сrаb",
            "ｃｒａｂ",
            "c\u{200B}rab",
            "look: \"crab\", please",
        ] {
            assert!(list.finds(text), "{text}");
        }
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        let list = list(&["crab", "bot", "ass"]);
        for text in [
            "crabapple tree",
            "scrabble",
            "boot and bottle",
            "a classic bass",
            "car ab",
            "",
        ] {
            assert!(!list.finds(text), "{text}");
        }
    }

    #[test]
    fn a_star_is_every_word_that_begins_so() {
        let list = list(&["crab*"]);
        assert!(list.finds("crabapple") && list.finds("crab"));
        assert!(!list.finds("scrabble"));
    }

    #[test]
    fn a_phrase_is_found_in_its_order_only() {
        let list = list(&["red crab"]);
        for text in [
            "a red crab",
            "RED  crab",
            "red-crab",
            "redcrab",
            "r e d c r a b",
        ] {
            assert!(list.finds(text), "{text}");
        }
        for text in ["crab red", "red small crab", "red crabs"] {
            assert!(!list.finds(text), "{text}");
        }
    }

    #[test]
    fn a_stroke_is_read_as_either_letter() {
        assert!(list(&["lime"]).finds("1ime") && list(&["iron"]).finds("1ron"));
        assert!(list(&["1488"]).finds("year 1488"));
        assert!(!list(&["fall"]).finds("fail"));
    }

    #[test]
    fn a_script_without_spaces_is_searched_inside() {
        let list = list(&["蟹"]);
        assert!(list.finds("海辺の蟹の絵"));
        assert!(!list.finds("海辺の絵"));
    }

    #[test]
    fn entries_are_kept_as_written_and_once() {
        assert_eq!(
            list(&[" Crab ", "Crab", "crab*"]).entries(),
            ["Crab", "crab*"]
        );
    }

    #[test]
    fn an_entry_that_cannot_be_looked_for_is_named() {
        let refused = |entries: &[String]| Blocklist::new(entries).unwrap_err().to_string();
        assert_eq!(
            refused(&["...".into()]),
            "the entry \"...\" has no letter or digit"
        );
        assert!(refused(&["x".repeat(65)]).contains("has 65 characters; at most 64"));
        let many: Vec<String> = (0..501).map(|n| format!("w{n}")).collect();
        assert!(refused(&many).contains("501 entries; at most 500"));
    }

    #[test]
    fn the_empty_list_finds_nothing() {
        assert!(!Blocklist::default().finds("anything"));
    }
}
