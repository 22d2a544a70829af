//! `scheduler_config.json`: what of it is followed, and what is refused.

use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// Keys that are missing have the values of diffusers' LCM scheduler; those of other samplers are passed over, since
/// the stream does not sample with them.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) num_train_timesteps: i64,
    pub(super) beta_start: f64,
    pub(super) beta_end: f64,
    pub(super) beta_schedule: String,
    pub(super) trained_betas: Option<Vec<f32>>,
    rescale_betas_zero_snr: bool,
    prediction_type: String,
    pub(super) original_inference_steps: i64,
    pub(super) timestep_scaling: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: "scaled_linear".to_owned(),
            trained_betas: None,
            rescale_betas_zero_snr: false,
            prediction_type: "epsilon".to_owned(),
            original_inference_steps: 50,
            timestep_scaling: 10.0,
        }
    }
}

/// More timesteps than any model was trained with.
const MOST_TIMESTEPS: i64 = 100_000;

impl Config {
    /// Refuses what would give other pictures than the model was trained for.
    pub(super) fn check(&self, path: &Path) -> Result<(), Error> {
        let refuse = |key: &str, reason: String| Err(Error::unsupported(path, key, reason));
        let steps = self.num_train_timesteps;
        if self.prediction_type != "epsilon" {
            return refuse(
                "prediction_type",
                format!("{:?}; only epsilon is supported", self.prediction_type),
            );
        }
        if self.rescale_betas_zero_snr {
            return refuse(
                "rescale_betas_zero_snr",
                "true; a model that predicts the noise needs some signal at every step".to_owned(),
            );
        }
        if !(1..=MOST_TIMESTEPS).contains(&steps) {
            return refuse(
                "num_train_timesteps",
                format!("{steps} is not in 1..={MOST_TIMESTEPS}"),
            );
        }
        if !(1..=steps).contains(&self.original_inference_steps) {
            return refuse(
                "original_inference_steps",
                format!("{} is not in 1..={steps}", self.original_inference_steps),
            );
        }
        for (key, beta) in [("beta_start", self.beta_start), ("beta_end", self.beta_end)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(key, format!("{beta} is not in 0..1"));
            }
        }
        if !self.timestep_scaling.is_normal() {
            let reason = format!("{} is no factor", self.timestep_scaling);
            return refuse("timestep_scaling", reason);
        }
        let trained = self.trained_betas.as_ref();
        if let Some(betas) = trained.filter(|betas| betas.len() as i64 != steps) {
            return refuse(
                "trained_betas",
                format!("{} values for {steps} timesteps", betas.len()),
            );
        }
        Ok(())
    }
}
