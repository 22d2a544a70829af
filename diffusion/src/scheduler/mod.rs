//! The noise schedule of a model folder and the timesteps of the LCM sampler (Luo et al. 2023), which the stream uses
//! whatever sampler the folder names.

mod config;

use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::folder::Folder;
use config::Config;

/// What `scheduler/scheduler_config.json` says, as far as the LCM sampler needs it.
#[derive(Debug)]
pub struct Schedule {
    path: PathBuf,
    alphas_cumprod: Vec<f32>,
    original_steps: i64,
    timestep_scaling: f32,
}

/// The numbers of one timestep. Each is computed in 32-bit floats, as the reference does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The timestep, counted down from the last one of training.
    pub timestep: i64,
    /// `sqrt(alphas_cumprod)`: the share of the picture.
    pub alpha: f32,
    /// `sqrt(1 - alphas_cumprod)`: the share of the noise.
    pub beta: f32,
    /// Share of the noisy input in the result (boundary condition of consistency models).
    pub c_skip: f32,
    /// Share of the prediction in the result.
    pub c_out: f32,
}

/// `sigma_data` of the consistency models, squared.
const SIGMA_DATA_SQUARED: f32 = 0.25;

impl Schedule {
    /// Reads `scheduler_config.json` in `folder`, the `scheduler` folder of a model.
    ///
    /// # Errors
    /// When the file cannot be read, or asks for something else than noise prediction with known betas; the message
    /// names file and key.
    pub fn load(folder: &Folder) -> Result<Self, Error> {
        let name = "scheduler_config.json";
        let config: Config = folder.json(name)?;
        let path = folder.path().join(name);
        config.check(&path)?;
        Ok(Self {
            alphas_cumprod: alphas_cumprod(&config, &path)?,
            path,
            original_steps: config.original_inference_steps,
            timestep_scaling: config.timestep_scaling,
        })
    }

    /// Cumulative product of `1 - beta` over the timesteps of training.
    #[must_use]
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// The `steps` timesteps of the LCM sampler, falling.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless 1 <= steps <= 50 (the folder's `original_inference_steps`).
    pub fn timesteps(&self, steps: u32) -> Result<Vec<i64>, Error> {
        let (all, steps) = (self.original_steps, i64::from(steps));
        if !(1..=all).contains(&steps) {
            return Err(Error::Parameter(format!(
                "num_inference_steps is {steps}; 1 to {all} are possible with {}",
                self.path.display()
            )));
        }
        let stride = self.alphas_cumprod.len() as i64 / all;
        Ok((0..steps)
            .map(|i| (all - i * all / steps) * stride - 1)
            .collect())
    }

    /// The numbers of the timesteps at these places of the schedule of `steps` steps.
    ///
    /// # Errors
    /// As [`Schedule::timesteps`], and when a place is outside of the schedule.
    pub fn steps(&self, steps: u32, t_index_list: &[u32]) -> Result<Vec<Step>, Error> {
        let timesteps = self.timesteps(steps)?;
        t_index_list
            .iter()
            .map(|&index| {
                let timestep = timesteps.get(index as usize).ok_or_else(|| {
                    Error::Parameter(format!(
                        "t_index_list holds {index}; with num_inference_steps {steps} it ends at {}",
                        steps - 1
                    ))
                })?;
                Ok(self.step(*timestep))
            })
            .collect()
    }

    fn step(&self, timestep: i64) -> Step {
        let index = usize::try_from(timestep).expect("timesteps are not negative");
        let alpha_cumprod = self.alphas_cumprod[index];
        let scaled = timestep as f32 * self.timestep_scaling;
        let squared = scaled * scaled + SIGMA_DATA_SQUARED;
        Step {
            timestep,
            alpha: alpha_cumprod.sqrt(),
            beta: (1.0 - alpha_cumprod).sqrt(),
            c_skip: SIGMA_DATA_SQUARED / squared,
            c_out: scaled / squared.sqrt(),
        }
    }
}

/// Computed by libtorch, whose 32-bit `linspace` and `cumprod` are the reference bit by bit.
fn alphas_cumprod(config: &Config, path: &Path) -> Result<Vec<f32>, Error> {
    let steps = config.num_train_timesteps;
    let line = |from: f64, to: f64| Tensor::linspace(from, to, steps, (Kind::Float, Device::Cpu));
    let (start, end) = (config.beta_start, config.beta_end);
    let betas = match (&config.trained_betas, config.beta_schedule.as_str()) {
        (Some(betas), _) => Tensor::from_slice(betas),
        (None, "linear") => line(start, end),
        (None, "scaled_linear") => line(start.sqrt(), end.sqrt()).square(),
        (None, "squaredcos_cap_v2") => Tensor::from_slice(&squared_cosine(steps)),
        (None, other) => {
            return Err(Error::unsupported(
                path,
                "beta_schedule",
                format!("{other:?}; linear, scaled_linear and squaredcos_cap_v2 are supported"),
            ));
        }
    };
    let product = (betas.ones_like() - betas).cumprod(0, None);
    let product = Vec::try_from(product).expect("it is one row of floats");
    // At 0 the picture, and at 1 the noise, would be divided away.
    if product
        .iter()
        .all(|share| (0.0..1.0).contains(share) && *share > 0.0)
    {
        Ok(product)
    } else {
        let key = if config.trained_betas.is_some() {
            "trained_betas"
        } else {
            "beta_end"
        };
        Err(Error::unsupported(
            path,
            key,
            "the betas leave nothing of the picture, or no noise",
        ))
    }
}

/// The schedule `squaredcos_cap_v2` (Nichol and Dhariwal 2021).
fn squared_cosine(steps: i64) -> Vec<f32> {
    const LARGEST: f64 = 0.999;
    let bar = |i: i64| {
        let t = i as f64 / steps as f64;
        ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2)
    };
    (0..steps)
        .map(|i| (1.0 - bar(i + 1) / bar(i)).min(LARGEST) as f32)
        .collect()
}
