//! White edges on black: Canny's detector with a 3x3 Sobel operator and the L1 norm of the gradient.

use serde::{Deserialize, Serialize};

use super::settings::{self, Fault, Limit};

/// Settings of `canny`; gradients are in steps of 8-bit luma, of which a Sobel operator gives up to 2040.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Gradients above it belong to an edge if they touch one that is already; 1 to 2040.
    pub low_threshold: u16,
    /// Gradients above it are edges; 1 to 2040, not below the other.
    pub high_threshold: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            low_threshold: 100,
            high_threshold: 200,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[
        ("low_threshold", 1.0, 2040.0),
        ("high_threshold", 1.0, 2040.0),
    ];

    fn rules(&self) -> Result<(), Fault> {
        if self.low_threshold > self.high_threshold {
            let high = self.high_threshold;
            let reason = format!("must not be above high_threshold, which is {high}");
            return Err(Fault::at("low_threshold", reason));
        }
        Ok(())
    }
}
