//! The networks that a stream runs.

use std::path::{Path, PathBuf};

use tch::Tensor;

use super::progress::Progress;
use super::prompt::{Embeddings, Encoder};
use crate::Error;
use crate::controlnet::ControlNet;
use crate::device::Placement;
use crate::folder::Folder;
use crate::ip_adapter::IpAdapter;
use crate::lora::{self, Component, Loras};
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
    /// A picture beside the prompt.
    pub ip_adapter: Option<IpAdapter>,
    /// Device and precision of all of them.
    pub placement: Placement,
}

/// What is loaded beside a model folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// In place of the model's own autoencoder.
    pub vae: Option<&'a Folder>,
    /// In the order of [`crate::params::Params::controlnets`].
    pub controlnets: &'a [Folder],
    /// Files and scales.
    pub loras: &'a [(PathBuf, f64)],
    /// File or folder of an IP-Adapter.
    pub ip_adapter: Option<&'a Path>,
}

/// What became of the tensors of all files.
#[derive(Debug, Default)]
pub struct Reports {
    /// Of every network.
    pub weights: Vec<Report>,
    /// Of every LoRA.
    pub loras: Vec<lora::Report>,
}

impl Models {
    /// Loads a model folder and `parts` beside it.
    ///
    /// # Errors
    /// When a file is missing or broken, asks for what is not supported, or does not fit the others.
    pub fn load(
        folder: &Folder,
        parts: Parts<'_>,
        placement: Placement,
    ) -> Result<(Self, Reports), Error> {
        Self::load_telling(folder, parts, placement, &mut |_, _| {})
    }

    /// As [`Models::load`]; `told` hears of each network when it is begun, and which share of the bytes of all of them
    /// is loaded by then.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub fn load_telling(
        folder: &Folder,
        parts: Parts<'_>,
        placement: Placement,
        told: &mut dyn FnMut(&str, f64),
    ) -> Result<(Self, Reports), Error> {
        let mut progress = Progress::new(folder, parts, told);
        let loras = (!parts.loras.is_empty())
            .then(|| Loras::open(folder, parts.loras))
            .transpose()?;
        let adapter = |component| loras.as_ref().and_then(|loras| loras.adapter(component));
        let mut weights = Vec::new();
        let schedule = Schedule::load(&folder.sub("scheduler"))?;
        let unet = folder.sub("unet");
        progress.begin("unet");
        let unet = UNet2DCondition::load(&unet, placement, adapter(Component::Unet))?;
        let unet = noted(&mut weights, unet);
        let own = folder.sub("vae");
        progress.begin("vae");
        let vae = Vae::load(parts.vae.unwrap_or(&own), placement)?;
        let vae = noted(&mut weights, vae);
        progress.begin("text_encoder");
        let texts = [Component::TextEncoder, Component::TextEncoder2].map(adapter);
        let (encoder, reports) = Encoder::load(folder, placement, texts)?;
        weights.extend(reports);
        let mut controlnets = Vec::with_capacity(parts.controlnets.len());
        for folder in parts.controlnets {
            progress.begin("controlnet");
            let net = ControlNet::load(folder, placement)?;
            net.0.fits(unet.config(), folder)?;
            controlnets.push(noted(&mut weights, net));
        }
        let ip_adapter = match parts.ip_adapter {
            Some(path) => {
                progress.begin("ip_adapter");
                let (adapter, reports) = IpAdapter::load(path, &unet, placement)?;
                weights.extend(reports);
                Some(adapter)
            }
            None => None,
        };
        let models = Self {
            unet,
            vae,
            encoder,
            schedule,
            controlnets,
            ip_adapter,
            placement,
        };
        let loras = loras.map_or_else(Vec::new, |loras| loras.reports().to_vec());
        Ok((models, Reports { weights, loras }))
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

fn noted<T>(reports: &mut Vec<Report>, (network, report): (T, Report)) -> T {
    reports.push(report);
    network
}
