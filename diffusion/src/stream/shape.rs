//! How many rows of which size, checked against the models.

use tch::Tensor;

use super::batch::{Layout, Rows, Tables};
use super::blend::Method;
use super::guidance::Guidance;
use super::models::Models;
use super::prompt::Embeddings;
use super::seed;
use super::told::Script;
use crate::Error;
use crate::params::Params;

/// The sizes of everything in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) layout: Layout,
    /// All steps of a frame are done in one call, each on another frame; otherwise one after the other.
    pub(super) batched: bool,
    /// Height and width in pixels.
    pub(super) size: (i64, i64),
}

/// More steps than this leave too little of the stream batch's speed.
const MOST_STEPS: usize = 4;

impl Shape {
    pub(super) fn of(models: &Models, params: &Params) -> Result<Self, Error> {
        let steps = params.t_index_list.len();
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(Error::Parameter(format!(
                "t_index_list has {steps} steps; 1 to {MOST_STEPS} are possible"
            )));
        }
        if params.frame_buffer_size == 0 {
            return Err(Error::Parameter("frame_buffer_size is 0".to_owned()));
        }
        let multiple = models.vae.scale();
        for (name, pixels) in [("width", params.width), ("height", params.height)] {
            if pixels == 0 || i64::from(pixels) % multiple != 0 {
                return Err(Error::Parameter(format!(
                    "{name} is {pixels}; the autoencoder needs a multiple of {multiple}"
                )));
            }
        }
        if params.controlnets.len() != models.controlnets.len() {
            return Err(Error::Parameter(format!(
                "{} controlnets are asked for and {} are loaded",
                params.controlnets.len(),
                models.controlnets.len()
            )));
        }
        if params.ip_adapter.is_some() && models.ip_adapter.is_none() {
            return Err(Error::Parameter(
                "an ip_adapter is asked for and none is loaded".to_owned(),
            ));
        }
        Ok(Self {
            layout: Layout {
                steps: steps as i64,
                frames: i64::from(params.frame_buffer_size),
            },
            batched: params.use_denoising_batch,
            size: (i64::from(params.height), i64::from(params.width)),
        })
    }

    /// The rows of one call of the UNet, without negative ones.
    pub(super) fn call(self) -> Layout {
        if self.batched {
            self.layout
        } else {
            Layout {
                steps: 1,
                ..self.layout
            }
        }
    }

    /// The rows of the batch that call `place` of a frame is for.
    pub(super) fn rows(self, place: i64) -> Rows {
        if self.batched {
            Rows::all(self.layout)
        } else {
            Rows::step(self.layout, place)
        }
    }

    /// Calls of the UNet per frame.
    pub(super) fn calls(self) -> i64 {
        if self.batched { 1 } else { self.layout.steps }
    }

    pub(super) fn tables(self, models: &Models, params: &Params) -> Result<Tables, Error> {
        let steps = models
            .schedule
            .steps(params.num_inference_steps, &params.t_index_list)?;
        Ok(Tables::new(
            &steps,
            self.layout.frames,
            models.placement.device,
        ))
    }

    /// (B,channels,h,w) on the device.
    pub(super) fn noise(self, models: &Models, params: &Params) -> Result<Tensor, Error> {
        let (height, width) = self.size;
        let (channels, scale) = (models.unet.config().in_channels, models.vae.scale());
        let method = Method {
            interpolation: params.seed_interpolation_method,
            normalize: params.normalize_seed_weights,
        };
        let size = [self.layout.rows(), channels, height / scale, width / scale];
        // What the reference draws; without stream batch the noise of later steps has no seed there.
        let first = self.call().rows();
        let noise = seed::blended(&params.seed, method, &size, first)?;
        Ok(noise.to_device(models.placement.device))
    }

    pub(super) fn script<'a>(
        self,
        tables: &Tables,
        guidance: Guidance,
        positive: &'a Embeddings,
        negative: &'a Embeddings,
    ) -> Script<'a> {
        let call = self.call();
        let timesteps = |place| guidance.widen(&self.rows(place).of(&tables.timesteps), call);
        Script {
            timesteps: (0..self.calls()).map(timesteps).collect(),
            negative,
            negatives: guidance.negatives(call),
            positive,
            positives: call.rows(),
            size: self.size,
        }
    }
}
