//! A larger picture.

use std::mem;

use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::Image;
use super::resize::{Filter, Resizer};
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
    /// From 4x4 pixels by cubic convolution with a = -0.5.
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

/// The longest side of a picture on its way through the server.
const LONGEST: usize = 4096;

pub(super) struct Upscale {
    factor: f64,
    filter: Filter,
    small: Image,
    resizer: Resizer,
}

impl Upscale {
    pub(super) fn new(settings: &Settings) -> Self {
        let filter = match settings.algorithm {
            Algorithm::Bilinear => Filter::Bilinear,
            Algorithm::Bicubic => Filter::Bicubic,
            Algorithm::Lanczos => Filter::Lanczos,
            Algorithm::Nearest => Filter::Nearest,
        };
        Self {
            factor: settings.scale_factor,
            filter,
            small: Image::default(),
            resizer: Resizer::default(),
        }
    }
}

impl Processor for Upscale {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        let size = larger(image.size(), self.factor);
        if size != image.size() {
            mem::swap(image, &mut self.small);
            image.resize_from(&self.small, size, self.filter, &mut self.resizer);
        }
    }
}

/// Both sides times `factor`, down to an even number; less if the longer one would not fit, and never smaller.
fn larger((width, height): (usize, usize), factor: f64) -> (usize, usize) {
    let fits = LONGEST as f64 / width.max(height) as f64;
    let side = |side: usize| {
        let wanted = (side as f64 * factor.min(fits)) as usize;
        (wanted & !1).max(side)
    };
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_stay_even_and_fit() {
        assert_eq!(larger((640, 360), 2.0), (1280, 720));
        assert_eq!(larger((642, 362), 1.5), (962, 542));
        assert_eq!(larger((1920, 1080), 4.0), (4096, 2304));
        assert_eq!(larger((4096, 16), 4.0), (4096, 16));
        assert_eq!(larger((54, 38), 1.0), (54, 38));
    }
}
