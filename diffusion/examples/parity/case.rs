//! A recording of the reference implementation: its parameters and its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use reverie_diffusion::params::{Blend, CfgType, ControlNet, Interpolation, IpAdapter, Params};
use reverie_diffusion::processors::{self, Spec, latent_feedback};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Map, Value};
use tch::{Kind, Tensor};

/// The metadata `case` of a recording. What only some recordings have is left at what it means to be missing.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) model: String,
    pub(crate) t_index_list: Vec<u32>,
    cfg_type: CfgType,
    gs: f64,
    delta: f64,
    pub(crate) fb: u32,
    pub(crate) add_noise: bool,
    /// An AutoencoderTiny was in place of the model's own autoencoder.
    pub(crate) tiny: bool,
    /// Its folder.
    pub(crate) vae: Option<String>,
    seed: Blend<u64>,
    prompt: Blend<String>,
    neg: String,
    pub(crate) steps: u32,
    #[serde(rename = "W")]
    width: u32,
    #[serde(rename = "H")]
    height: u32,
    /// Frames.
    #[serde(rename = "NF")]
    pub(crate) frames: usize,
    /// Before which frame the prompt changes, and to what.
    upd: Option<(usize, String)>,
    #[serde(default = "yes")]
    pub(crate) denoise_batch: bool,
    /// What of the posterior of AutoencoderKL was taken; a sample if nothing is said.
    posterior: Option<String>,
    /// The first frame was fed once for each step.
    #[serde(default)]
    pub(crate) prime: bool,
    /// Folders and scales.
    #[serde(default)]
    pub(crate) controlnets: Vec<(String, f64)>,
    /// File and scale.
    pub(crate) ip_adapter: Option<(String, f64)>,
    /// Share of the former latents in new ones.
    #[serde(default)]
    latent_feedback: f64,
    /// Before which frame which parameters change.
    #[serde(default)]
    changes: Vec<(usize, Map<String, Value>)>,
    prompt_interpolation_method: Option<Interpolation>,
    seed_interpolation_method: Option<Interpolation>,
}

fn yes() -> bool {
    true
}

impl Case {
    /// The parameters at the beginning.
    pub(crate) fn params(&self) -> Params {
        let slerp = Interpolation::Slerp;
        Params {
            model_id: self.model.clone(),
            vae_id: self.vae.clone(),
            prompt: self.prompt.clone(),
            prompt_interpolation_method: self.prompt_interpolation_method.unwrap_or(slerp),
            negative_prompt: self.neg.clone(),
            guidance_scale: self.gs,
            delta: self.delta,
            num_inference_steps: self.steps,
            t_index_list: self.t_index_list.clone(),
            seed: self.seed.clone(),
            seed_interpolation_method: self.seed_interpolation_method.unwrap_or(slerp),
            cfg_type: Some(self.cfg_type),
            do_add_noise: self.add_noise,
            frame_buffer_size: self.fb,
            use_denoising_batch: self.denoise_batch,
            width: self.width,
            height: self.height,
            controlnets: self
                .controlnets
                .iter()
                .map(|(model_id, scale)| ControlNet {
                    model_id: model_id.clone(),
                    conditioning_scale: *scale,
                    preprocessor: Default::default(),
                })
                .collect(),
            ip_adapter: self.ip_adapter.as_ref().map(|(model_id, scale)| IpAdapter {
                model_id: model_id.clone(),
                image: None,
                scale: *scale,
            }),
            processors: feedback(self.latent_feedback),
            ..Params::default()
        }
    }

    /// The parameters from frame `frame` on, if they change there.
    pub(crate) fn change(&self, frame: usize, now: &Params) -> Result<Option<Params>> {
        let prompt = self.upd.iter().filter(|(at, _)| *at == frame);
        let prompts = prompt
            .map(|(_, prompt)| Map::from_iter([("prompt".to_owned(), prompt.as_str().into())]));
        let changes = self.changes.iter().filter(|(at, _)| *at == frame);
        let patches: Vec<_> = changes
            .map(|(_, patch)| patch.clone())
            .chain(prompts)
            .collect();
        if patches.is_empty() {
            return Ok(None);
        }
        let mut next = serde_json::to_value(now)?;
        for (key, value) in patches.into_iter().flatten() {
            match key.as_str() {
                "controlnets" => {
                    let scales: Vec<f64> = serde_json::from_value(value)?;
                    for (i, scale) in scales.into_iter().enumerate() {
                        next[&key][i]["conditioning_scale"] = scale.into();
                    }
                }
                "ip_adapter" => next[&key]["scale"] = value,
                "latent_feedback" => {
                    let share = serde_json::from_value(value)?;
                    next["processors"] = serde_json::to_value(feedback(share))?;
                }
                _ => next[key] = value,
            }
        }
        Ok(Some(serde_json::from_value(next)?))
    }

    /// The case in one line.
    #[allow(dead_code, reason = "the program prints it")]
    pub(crate) fn title(&self) -> String {
        let Self {
            model,
            width,
            height,
            t_index_list,
            steps,
            cfg_type,
            fb,
            frames,
            ..
        } = self;
        format!(
            "{model} {width}x{height}, t_index_list {t_index_list:?} of {steps}, {cfg_type:?}, fb {fb}, {frames} frames"
        )
    }

    /// True if something changes on the way.
    #[allow(dead_code, reason = "the tests ask")]
    pub(crate) fn is_live(&self) -> bool {
        self.upd.is_some() || !self.changes.is_empty()
    }

    /// True if the latents were drawn from the autoencoder's posterior, which no other generator can repeat.
    pub(crate) fn is_drawn(&self) -> bool {
        !self.tiny && self.posterior.as_deref() != Some("mean")
    }
}

fn feedback(share: f64) -> Vec<Spec> {
    let settings = latent_feedback::Settings {
        feedback_strength: share,
    };
    vec![Spec::new(processors::Kind::LatentFeedback(settings))]
}

/// A recording.
pub(crate) struct Recording {
    pub(crate) case: Case,
    tensors: BTreeMap<String, Tensor>,
}

impl Recording {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
        let case = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("case"))
            .context("the file has no metadata `case`")?;
        let case = serde_json::from_str(case).context("metadata `case`")?;
        let tensors = Tensor::read_safetensors(path)?.into_iter().collect();
        Ok(Self { case, tensors })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor `name`.
    pub(crate) fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.get(name)
            .with_context(|| format!("the file has no tensor {name}"))
    }

    /// The tensor `name` of frame `frame`.
    pub(crate) fn of(&self, frame: usize, name: &str) -> Option<&Tensor> {
        self.get(&format!("f{frame}.{name}"))
    }
}

/// Largest difference relative to the largest magnitude of `theirs`; infinite if the shapes differ.
pub(crate) fn relative_error(ours: &Tensor, theirs: &Tensor) -> f64 {
    if ours.size() != theirs.size() {
        return f64::INFINITY;
    }
    if theirs.numel() == 0 {
        return 0.0;
    }
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let (ours, theirs) = (double(ours), double(theirs));
    let largest = |tensor: Tensor| tensor.abs().max().double_value(&[]);
    largest(ours - &theirs) / (largest(theirs) + 1e-12)
}
