//! What became of the tensors of a model's files, and what makes them unusable.

use std::path::PathBuf;

use tch::Kind;

use crate::Error;

/// A tensor that the configuration asks for and no file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub key: String,
    /// The shape it should have.
    pub shape: Vec<i64>,
}

/// A tensor with another shape than the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshaped {
    /// Its name.
    pub key: String,
    /// The shape it should have.
    pub expected: Vec<i64>,
    /// The shape it has.
    pub found: Vec<i64>,
}

/// A tensor whose elements are no floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistyped {
    /// Its name.
    pub key: String,
    /// What they are.
    pub found: Kind,
}

/// What became of the tensors of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file, or the folder of the shards.
    pub path: PathBuf,
    /// How many were loaded.
    pub loaded: usize,
    /// Numbers in all tensors of the files.
    pub parameters: u64,
    /// Bytes of all tensors of the files.
    pub bytes: u64,
    /// The elements of the most of them.
    pub kind: Option<Kind>,
    /// In no file.
    pub missing: Vec<Missing>,
    /// Of another shape.
    pub misshaped: Vec<Misshaped>,
    /// Of whole numbers, as those of quantised models are.
    pub mistyped: Vec<Mistyped>,
    /// In a file, but not asked for; key and shape.
    pub unused: Vec<(String, Vec<i64>)>,
}

impl Report {
    /// [`Report::fault`] as an error.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let missing = |Missing { key, shape }: &Missing| (key.clone(), shape.clone());
        Some(Error::Weights {
            path: self.path.clone(),
            reason: self.fault()?,
            missing: self.missing.iter().map(missing).collect(),
        })
    }

    /// What makes the weights unusable, in one line; `None` if nothing does.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let missing = self
            .missing
            .iter()
            .map(|Missing { key, shape }| format!("{key} {shape:?} is missing"));
        let misshaped = self.misshaped.iter().map(
            |Misshaped {
                 key,
                 expected,
                 found,
             }| format!("{key} is {found:?} instead of {expected:?}"),
        );
        let mistyped = self
            .mistyped
            .iter()
            .map(|Mistyped { key, found }| format!("{key} has elements of {found:?}"));
        let faults: Vec<_> = misshaped.chain(mistyped).chain(missing).collect();
        let (first, more) = faults.split_first()?;
        Some(match more.len() {
            0 => first.clone(),
            n => format!("{first} (and {n} more)"),
        })
    }
}
