//! What is wrong with a configuration: every problem, where it was written, and what would be right.

use std::fmt;
use std::path::PathBuf;

/// Every problem found; never empty. Displays one per line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct Errors {
    problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The key with its section, as in `media.shards`; `None` when the file as a whole is the problem.
    pub key: Option<String>,
    /// Where the value was written.
    pub origin: Origin,
    /// What is wrong and what would be right, to be read after the key. Never repeats a secret.
    pub message: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, and the line (from 1) when it is known.
    File {
        /// The file as it was named to [`load`](crate::load).
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
    },
    /// The environment variable of this name.
    Variable(String),
    /// Nobody set it.
    Default,
}

impl Errors {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems: of the files first, then in the order of the keys, then those between keys.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    pub(crate) fn of_key(
        key: impl Into<String>,
        origin: Origin,
        message: impl Into<String>,
    ) -> Self {
        Self {
            key: Some(key.into()),
            origin,
            message: message.into(),
        }
    }

    pub(crate) fn of_file(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            key: None,
            origin,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
