//! A mix with the picture that was put out last.

use serde::{Deserialize, Serialize};

use super::settings::{self, Limit};

/// Settings of `feedback`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Share of the former picture: `picture = (1 - s) * picture + s * former`, 0 to 1.
    pub feedback_strength: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            feedback_strength: 0.5,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("feedback_strength", 0.0, 1.0)];
}
