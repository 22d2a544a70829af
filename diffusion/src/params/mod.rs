//! What a picture is made with: the parameters, as they are written in JSON.
//!
//! The values here are plain data. Whether they can be followed is checked where they come in, so that
//! code which is given a [`Params`] need not look at single fields again.

mod adapters;
mod blend;
mod check;
mod family;
mod files;
mod overlay;
mod patch;
mod problem;
mod rules;
mod schema;
pub mod slider;
mod table;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::processors::Spec;

pub use adapters::{ControlNet, IpAdapter, Transition};
pub use blend::Blend;
pub use family::Family;
pub use files::{broken, missing};
pub use patch::Plan;
pub use problem::{Problem, Problems};
pub use schema::{markdown, schema};
pub use values::{Acceleration, CfgType, Fit, Interpolation};

/// All parameters of a stream. [`Default`] is what a channel begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The model: a folder below the directory of models, usually `owner/name`.
    pub model_id: String,
    /// Another autoencoder than the model's own, for example TAESD; a folder likewise.
    pub vae_id: Option<String>,
    /// What the picture shall look like.
    pub prompt: Blend<String>,
    /// How several prompts are blended.
    pub prompt_interpolation_method: Interpolation,
    /// Divide the weights of several prompts by their sum.
    pub normalize_prompt_weights: bool,
    /// What it shall not look like; used while `cfg_type` is `full` or `initialize`.
    pub negative_prompt: String,
    /// How far the picture is pushed from the negative toward the prompt; 1 and less is no guidance.
    pub guidance_scale: f64,
    /// Strength of the residual noise that stands for the negative prompt.
    pub delta: f64,
    /// Length of the schedule that `t_index_list` counts in, 1..=50.
    pub num_inference_steps: u32,
    /// The steps of the schedule that are done, rising, each below `num_inference_steps`; 1 to 4 of them.
    pub t_index_list: Vec<u32>,
    /// Seed of the noise.
    pub seed: Blend<u64>,
    /// How the noise of several seeds is blended.
    pub seed_interpolation_method: Interpolation,
    /// Divide the weights of several seeds by their sum.
    pub normalize_seed_weights: bool,
    /// Guidance; `None` leaves it to the model: [`CfgType::None`] for turbo models,
    /// [`CfgType::SelfNegative`] for others.
    pub cfg_type: Option<CfgType>,
    /// Add fresh noise between the steps.
    pub do_add_noise: bool,
    /// Frames that are computed at once.
    pub frame_buffer_size: u32,
    /// Compute all steps in one call of the UNet, each on another frame.
    pub use_denoising_batch: bool,
    /// Width of the model's picture in pixels, a multiple of 64.
    pub width: u32,
    /// Height of the model's picture in pixels, a multiple of 64.
    pub height: u32,
    /// What becomes of frames of another shape.
    pub fit: Fit,
    /// LoRA files below the directory of models, and the scale of each.
    pub lora_dict: BTreeMap<String, f64>,
    /// Which fast paths may be taken.
    pub acceleration: Acceleration,
    /// ControlNets; their residuals are summed.
    pub controlnets: Vec<ControlNet>,
    /// A picture beside the prompt.
    pub ip_adapter: Option<IpAdapter>,
    /// Skip frames that hardly differ from the last one that was computed.
    pub enable_similar_image_filter: bool,
    /// Cosine similarity from which a frame may be skipped, 0..=1.
    pub similar_image_filter_threshold: f64,
    /// So many frames are skipped in a row at most.
    pub similar_image_filter_max_skip_frame: u32,
    /// Way to another prompt over some frames. It is under way once: see [`Params::settled`].
    pub transition: Option<Transition>,
    /// Picture processors that need no weights, in order.
    pub processors: Vec<Spec>,
    /// Leave out the model: only processors.
    pub skip_diffusion: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            model_id: "stabilityai/sd-turbo".to_owned(),
            vae_id: None,
            prompt: Blend::One("flowers".to_owned()),
            prompt_interpolation_method: Interpolation::Slerp,
            normalize_prompt_weights: true,
            negative_prompt: "blurry, low quality, flat, 2d".to_owned(),
            guidance_scale: 1.0,
            delta: 0.7,
            num_inference_steps: 50,
            t_index_list: vec![12, 20, 32],
            seed: Blend::One(789),
            seed_interpolation_method: Interpolation::Slerp,
            normalize_seed_weights: true,
            cfg_type: None,
            do_add_noise: true,
            frame_buffer_size: 1,
            use_denoising_batch: true,
            width: 512,
            height: 512,
            fit: Fit::Stretch,
            lora_dict: BTreeMap::new(),
            acceleration: Acceleration::Auto,
            controlnets: Vec::new(),
            ip_adapter: None,
            enable_similar_image_filter: false,
            similar_image_filter_threshold: 0.98,
            similar_image_filter_max_skip_frame: 10,
            transition: None,
            processors: Vec::new(),
            skip_diffusion: false,
        }
    }
}

impl Params {
    /// What is in force once a transition has begun: its target is the prompt, and it will not begin again.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if let Some(transition) = self.transition.take() {
            self.prompt = transition.target;
        }
        self
    }
}
