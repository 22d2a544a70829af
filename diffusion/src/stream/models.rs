//! The networks that a stream runs.

use tch::Tensor;

use super::prompt::{Embeddings, Encoder};
use crate::Error;
use crate::controlnet::ControlNet;
use crate::device::Placement;
use crate::folder::Folder;
use crate::lora::{Component, Loras};
use crate::scheduler::Schedule;
use crate::unet::UNet2DCondition;
use crate::vae::Vae;
use crate::weights::Report;

/// All networks of one stream, or of several of the same model.
#[derive(Debug)]
pub struct Models {
    /// Predicts the noise.
    pub unet: UNet2DCondition,
    /// Pictures to latents and back.
    pub vae: Vae,
    /// Prompts.
    pub encoder: Encoder,
    /// Betas of the training.
    pub schedule: Schedule,
    /// In the order of [`crate::params::Params::controlnets`].
    pub controlnets: Vec<ControlNet>,
    /// Device and precision of all of them.
    pub placement: Placement,
}

impl Models {
    /// Loads a model folder; `vae` takes the place of its own autoencoder.
    ///
    /// # Errors
    /// When a file is missing or broken, or asks for what is not supported.
    pub fn load(
        folder: &Folder,
        vae: Option<&Folder>,
        controlnets: &[Folder],
        placement: Placement,
    ) -> Result<(Self, Vec<Report>), Error> {
        let loras = Loras::open(folder, &[])?;
        Self::load_with(folder, vae, controlnets, &loras, placement)
    }

    /// As [`Models::load`], with `loras` added to the weights.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub fn load_with(
        folder: &Folder,
        vae: Option<&Folder>,
        controlnets: &[Folder],
        loras: &Loras,
        placement: Placement,
    ) -> Result<(Self, Vec<Report>), Error> {
        let schedule = Schedule::load(&folder.sub("scheduler"))?;
        let own = folder.sub("vae");
        let (unet, report) = UNet2DCondition::load(
            &folder.sub("unet"),
            placement,
            loras.adapter(Component::Unet),
        )?;
        let mut reports = vec![report];
        let (vae, report) = Vae::load(vae.unwrap_or(&own), placement)?;
        reports.push(report);
        let changes =
            [Component::TextEncoder, Component::TextEncoder2].map(|part| loras.adapter(part));
        let (encoder, texts) = Encoder::load(folder, placement, changes)?;
        reports.extend(texts);
        let mut nets = Vec::with_capacity(controlnets.len());
        for folder in controlnets {
            let (net, report) = ControlNet::load(folder, placement)?;
            nets.push(net);
            reports.push(report);
        }
        let models = Self {
            unet,
            vae,
            encoder,
            schedule,
            controlnets: nets,
            placement,
        };
        Ok((models, reports))
    }

    /// Refuses text encoders of another model than the UNet.
    pub(super) fn check(&self, text: &Embeddings) -> Result<(), Error> {
        let config = self.unet.config();
        let width = |tensor: &Tensor| tensor.size().last().copied();
        let tokens = width(&text.tokens);
        let mut taken = config.cross_attention_dim.values();
        if !taken.all(|taken| Some(*taken) == tokens) {
            return Err(Error::Parameter(format!(
                "the text encoder gives tokens of width {tokens:?}, and the unet takes {:?}",
                config.cross_attention_dim
            )));
        }
        let pooled = text.pooled.as_ref().and_then(width);
        if config.takes_added() && pooled != config.pooled_dim() {
            return Err(Error::Parameter(format!(
                "the text encoder gives pooled prompts of width {pooled:?}, and the unet takes {:?}",
                config.pooled_dim()
            )));
        }
        Ok(())
    }
}
