//! A mix with the picture that was put out last.

use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::Image;
use super::resize::{Filter, Resizer};
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

pub(super) struct Feedback {
    share: f32,
    /// The former picture where it has another size.
    fitted: Image,
    resizer: Resizer,
}

impl Feedback {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            share: settings.feedback_strength as f32,
            fitted: Image::default(),
            resizer: Resizer::default(),
        }
    }
}

impl Processor for Feedback {
    fn run(&mut self, image: &mut Image, former: Option<&Image>) {
        let Some(mut former) = former else {
            return;
        };
        if former.size() != image.size() {
            let filter = Filter::Bilinear;
            self.fitted
                .resize_from(former, image.size(), filter, &mut self.resizer);
            former = &self.fitted;
        }
        let fresh = 1.0 - self.share;
        for (value, former) in image.data_mut().iter_mut().zip(former.data()) {
            *value = fresh * *value + self.share * former;
        }
    }
}
