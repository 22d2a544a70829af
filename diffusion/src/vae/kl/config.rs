//! The configuration of an `AutoencoderKL`.

use serde::Deserialize;

use crate::Error;
use crate::config::ConfigFile;
use crate::resnet::{Norm, ResnetBlock2D};
use crate::vae::MOST_LEVELS;
use crate::weights::Weights;

pub(super) const EPS: f64 = 1e-6;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) down_block_types: Vec<String>,
    pub(super) up_block_types: Vec<String>,
    pub(super) block_out_channels: Vec<i64>,
    pub(super) layers_per_block: usize,
    pub(super) latent_channels: i64,
    pub(super) norm_num_groups: i64,
    pub(super) scaling_factor: f64,
    pub(super) use_quant_conv: bool,
    pub(super) use_post_quant_conv: bool,
    pub(super) mid_block_add_attention: bool,
    /// Set by diffusers where 16-bit floats overflow. Files from before it was invented are of models that do not.
    pub(super) force_upcast: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DOWN.to_owned()],
            up_block_types: vec![UP.to_owned()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            force_upcast: false,
        }
    }
}

const DOWN: &str = "DownEncoderBlock2D";
const UP: &str = "UpDecoderBlock2D";

impl Config {
    pub(super) fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only_all(&[
            ("act_fn", &["\"silu\"", "\"swish\""]),
            ("shift_factor", &["null"]),
            ("latents_mean", &["null"]),
            ("latents_std", &["null"]),
        ])?;
        let config: Self = file.parse()?;
        file.sizes(
            "in_channels",
            [
                &config.in_channels,
                &config.out_channels,
                &config.latent_channels,
            ],
        )?;
        file.sizes("block_out_channels", &config.block_out_channels)?;
        let levels = config.block_out_channels.len();
        if !(1..=MOST_LEVELS).contains(&levels) {
            let reason = format!("{levels} blocks are out of range");
            return Err(file.unsupported("block_out_channels", reason));
        }
        let layers = config.layers_per_block;
        if !(1..=1000).contains(&layers) {
            return Err(file.unsupported("layers_per_block", format!("{layers} is out of range")));
        }
        for &channels in &config.block_out_channels {
            file.divides("norm_num_groups", config.norm_num_groups, channels)?;
        }
        for (key, types, known) in [
            ("down_block_types", &config.down_block_types, DOWN),
            ("up_block_types", &config.up_block_types, UP),
        ] {
            if let Some(name) = types.iter().find(|name| *name != known) {
                return Err(file.unsupported(
                    key,
                    format!("\"{name}\" is not supported, only \"{known}\""),
                ));
            }
            if types.len() != config.block_out_channels.len() {
                let blocks = config.block_out_channels.len();
                return Err(
                    file.unsupported(key, format!("there is not one for each of {blocks} blocks"))
                );
            }
        }
        if !config.scaling_factor.is_normal() {
            return Err(file.unsupported("scaling_factor", "is no factor"));
        }
        Ok(config)
    }

    fn norm(&self) -> Norm {
        Norm {
            groups: self.norm_num_groups,
            eps: EPS,
        }
    }

    pub(super) fn resnet(&self, weights: &Weights, inputs: i64, outputs: i64) -> ResnetBlock2D {
        ResnetBlock2D::load(weights, inputs, outputs, self.norm())
    }

    pub(super) fn innermost(&self) -> i64 {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }
}
