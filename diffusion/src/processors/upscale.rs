//! A larger picture.

use serde::{Deserialize, Serialize};

use super::settings::{self, Choice, Limit};

/// Settings of `upscale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Factor of width and height, 1 to 4; less where a side would not fit in 4096 pixels.
    pub scale_factor: f64,
    /// How values between pixels are found.
    pub algorithm: Algorithm,
}

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// From 2x2 pixels.
    #[default]
    Bilinear,
    /// From 4x4 pixels by cubic convolution with a = -0.75.
    Bicubic,
    /// From 6x6 pixels by a sinc windowed with one three times as wide.
    Lanczos,
    /// The nearest pixel's.
    Nearest,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scale_factor: 2.0,
            algorithm: Algorithm::default(),
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("scale_factor", 1.0, 4.0)];
    const CHOICES: &'static [Choice] =
        &[("algorithm", &["bilinear", "bicubic", "lanczos", "nearest"])];
}
