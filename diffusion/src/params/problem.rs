//! What is wrong with parameters: every problem, each with the place it is at.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Problems that are told one by one; the rest is counted.
const TOLD: usize = 32;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is accepted there, and what was found.
    pub detail: String,
}

/// Everything that is wrong, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Problems {
    /// The first ones, in the order of the document.
    pub told: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl Problems {
    pub(super) fn one(at: &Pointer<'_>, detail: String) -> Self {
        let pointer = at.to_string();
        Self {
            told: vec![Problem { pointer, detail }],
            more: 0,
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Problem { pointer, detail }) in self.told.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{pointer}: {detail}")?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Where problems are collected.
#[derive(Debug, Default)]
pub(super) struct Found {
    told: Vec<Problem>,
    more: usize,
}

impl Found {
    pub(super) fn add(&mut self, at: &Pointer<'_>, detail: impl Into<String>) {
        self.add_below(at, "", detail);
    }

    /// At the end of a pointer that begins at a place.
    pub(super) fn add_below(&mut self, at: &Pointer<'_>, below: &str, detail: impl Into<String>) {
        if self.told.len() == TOLD {
            self.more += 1;
            return;
        }
        self.told.push(Problem {
            pointer: format!("{at}{below}"),
            detail: detail.into(),
        });
    }

    pub(super) fn result(self) -> Result<(), Problems> {
        if self.told.is_empty() {
            return Ok(());
        }
        Err(Problems {
            told: self.told,
            more: self.more,
        })
    }
}

/// A place in a document, written as a JSON pointer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pointer<'a> {
    Root,
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl<'a> Pointer<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(parent, key) => {
                let key: String = key.chars().take(80).collect();
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_would_end_a_key() {
        let root = Pointer::Root;
        let map = root.key("lora_dict");
        assert_eq!(map.key("a/b~c").to_string(), "/lora_dict/a~1b~0c");
        assert_eq!(map.index(3).to_string(), "/lora_dict/3");
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn only_the_first_problems_are_told() {
        let mut found = Found::default();
        for _ in 0..40 {
            found.add(&Pointer::Root.key("x"), "wrong");
        }
        let problems = found.result().expect_err("forty problems");
        assert_eq!((problems.told.len(), problems.more), (32, 8));
        assert!(problems.to_string().ends_with("/x: wrong; and 8 more"));
    }
}
