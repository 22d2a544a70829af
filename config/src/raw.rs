//! A value as it was written, before it is known what its key expects.

use crate::error::Origin;

/// How many characters of a wrong value are repeated to the reader.
const SHOWN_CHARS: usize = 60;

/// A written value and where it stands.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) origin: Origin,
    pub(crate) raw: Raw,
}

/// A written value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A variable's text, whose type is whatever the key expects.
    Variable(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Self>),
    /// A TOML value no key expects, in words.
    Other(String),
}

impl Raw {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Variable(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Variable(text) => text.parse().ok(),
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Variable(text) => text.parse().ok(),
            Self::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The items of an array; of a variable, what stands between its commas.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::Variable(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Variable(text) => Some(
                text.split(',')
                    .map(|item| Self::Variable(item.trim().to_owned()))
                    .collect(),
            ),
            Self::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    /// The value in words, for the end of a message.
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Variable(text) | Self::Text(text) => quoted(text),
            Self::Integer(integer) => integer.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::List(_) => "an array".to_owned(),
            Self::Other(words) => words.clone(),
        }
    }
}

fn quoted(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    format!("{start:?}... ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_read_as_what_its_key_expects() {
        assert_eq!(Raw::Variable("8".into()).integer(), Some(8));
        assert_eq!(Raw::Variable("true".into()).boolean(), Some(true));
        assert_eq!(Raw::Text("8".into()).integer(), None);
        assert_eq!(Raw::Text("true".into()).boolean(), None);
    }

    #[test]
    fn a_variable_lists_its_items_between_commas() {
        let items = |text: &str| Raw::Variable(text.into()).items().unwrap();
        assert_eq!(
            items("a, b"),
            [Raw::Variable("a".into()), Raw::Variable("b".into())]
        );
        assert_eq!(items("a,,b").len(), 3);
        assert_eq!(items(" "), []);
    }

    #[test]
    fn a_long_text_is_not_repeated_whole() {
        let found = Raw::Text("é".repeat(500)).found();
        assert!(found.ends_with("... (500 characters)"), "{found}");
        assert!(found.chars().count() < 100);
    }
}
