//! One value, or several with weights.

use serde::{Deserialize, Serialize};

/// In JSON a value, or `[[value, weight], ...]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Blend<T> {
    /// This alone.
    One(T),
    /// These, each with its weight.
    Many(Vec<(T, f64)>),
}

impl<T> Blend<T> {
    /// Values and weights in order; a single value has the weight 1.
    pub fn parts(&self) -> impl Iterator<Item = (&T, f64)> {
        let (one, many) = match self {
            Self::One(value) => (Some((value, 1.0)), &[][..]),
            Self::Many(parts) => (None, parts.as_slice()),
        };
        one.into_iter()
            .chain(many.iter().map(|(value, weight)| (value, *weight)))
    }
}

impl<T> From<T> for Blend<T> {
    fn from(value: T) -> Self {
        Self::One(value)
    }
}
