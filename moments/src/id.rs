//! The id of a moment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a moment. Made by the caller, who answers for its being unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MomentId(String);

impl MomentId {
    /// Takes the text as an id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MomentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for MomentId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}
