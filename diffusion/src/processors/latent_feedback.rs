//! A mix of each new latent with the one that came out of the diffusion last; the stream does it.

use serde::{Deserialize, Serialize};

use super::settings::{self, Limit};
use super::spec::{Kind, Spec};

/// Settings of `latent_feedback`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Share of the former latent: `latent = (1 - s) * latent + s * former`, 0 to 0.4.
    pub feedback_strength: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            feedback_strength: 0.15,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("feedback_strength", 0.0, 0.4)];
}

/// The share of the former latent that all enabled `latent_feedback` of `specs` make together, one mixing
/// after the other; 0 if there is none.
#[must_use]
pub fn strength(specs: &[Spec]) -> f64 {
    let fresh = specs.iter().fold(1.0, |fresh, spec| match &spec.kind {
        Kind::LatentFeedback(settings) if spec.enabled => {
            fresh * (1.0 - settings.feedback_strength)
        }
        _ => fresh,
    });
    1.0 - fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mixings_make_one_with_the_product_of_what_is_fresh() {
        let mix =
            |feedback_strength| Spec::new(Kind::LatentFeedback(Settings { feedback_strength }));
        let mut specs = vec![mix(0.4), mix(0.2)];
        assert!((strength(&specs) - 0.52).abs() < 1e-12);
        specs[0].enabled = false;
        assert!((strength(&specs) - 0.2).abs() < 1e-12);
        assert_eq!(strength(&[]), 0.0);
    }
}
