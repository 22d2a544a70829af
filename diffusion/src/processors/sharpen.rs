//! Unsharp masking, then brighter edges, then finer details.

use serde::{Deserialize, Serialize};

use super::settings::{self, Limit};

/// Settings of `sharpen`; a step whose factor is 0 is left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How much of the difference to the blurred picture is added, 0 to 5.
    pub sharpen_intensity: f64,
    /// Standard deviation of that blur in pixels, 0.1 to 5.
    pub unsharp_radius: f64,
    /// How much of the gradient's magnitude is added, 0 to 2.
    pub edge_enhancement: f64,
    /// How much of the Laplacian is added, 0 to 1.
    pub detail_boost: f64,
    /// Share of a slightly blurred picture, before anything else, 0 to 0.5.
    pub noise_reduction: f64,
    /// Mask with half, once and twice the radius, and not with one blur.
    pub multi_scale: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sharpen_intensity: 1.5,
            unsharp_radius: 1.0,
            edge_enhancement: 0.5,
            detail_boost: 0.3,
            noise_reduction: 0.1,
            multi_scale: true,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[
        ("sharpen_intensity", 0.0, 5.0),
        ("unsharp_radius", 0.1, 5.0),
        ("edge_enhancement", 0.0, 2.0),
        ("detail_boost", 0.0, 1.0),
        ("noise_reduction", 0.0, 0.5),
    ];
}
