//! A Gaussian blur.

use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::Image;
use super::settings::{self, Fault, Limit};
use super::window::Smoothing;

/// Settings of `blur`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Standard deviation in pixels, 0.1 to 10.
    pub blur_intensity: f64,
    /// Width of the window in pixels, odd, 3 to 51.
    pub kernel_size: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            blur_intensity: 2.0,
            kernel_size: 15,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("blur_intensity", 0.1, 10.0), ("kernel_size", 3.0, 51.0)];

    fn rules(&self) -> Result<(), Fault> {
        if self.kernel_size.is_multiple_of(2) {
            return Err(Fault::at("kernel_size", "must be odd"));
        }
        Ok(())
    }
}

pub(super) struct Blur(Smoothing);

impl Blur {
    pub(super) fn new(settings: &Settings) -> Self {
        let reach = usize::from(settings.kernel_size / 2);
        Self(Smoothing::gaussian(settings.blur_intensity, reach))
    }
}

impl Processor for Blur {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        let (width, _) = image.size();
        for plane in image.planes_mut() {
            self.0.run(plane, width);
        }
    }
}
