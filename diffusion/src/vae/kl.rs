//! The autoencoder that Stable Diffusion's UNets are trained with (`AutoencoderKL`).

use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::Error;
use crate::attention::attend;
use crate::config::ConfigFile;
use crate::layers::{Conv2d, GroupNorm, Kernel, Linear, channels_last};
use crate::resnet::{Norm, ResnetBlock2D, picture_size, upsample};
use crate::weights::Weights;

use super::MOST_LEVELS;

const EPS: f64 = 1e-6;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    in_channels: i64,
    out_channels: i64,
    down_block_types: Vec<String>,
    up_block_types: Vec<String>,
    block_out_channels: Vec<i64>,
    layers_per_block: usize,
    latent_channels: i64,
    norm_num_groups: i64,
    scaling_factor: f64,
    use_quant_conv: bool,
    use_post_quant_conv: bool,
    mid_block_add_attention: bool,
    /// Set by diffusers where 16-bit floats overflow. Files from before it was invented are of models that do not.
    force_upcast: bool,
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
    fn read(file: &ConfigFile) -> Result<Self, Error> {
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

    fn resnet(&self, weights: &Weights, inputs: i64, outputs: i64) -> ResnetBlock2D {
        ResnetBlock2D::load(weights, inputs, outputs, self.norm())
    }

    fn innermost(&self) -> i64 {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }
}

/// Encoder and decoder.
#[derive(Debug)]
pub struct AutoencoderKL {
    config: Config,
    kind: Kind,
    encoder: Encoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Decoder,
}

/// The distribution of latents for a picture, before the scaling factor: (n, latent channels, h, w) each.
#[derive(Debug)]
pub struct Moments {
    /// The mean.
    pub mean: Tensor,
    /// The standard deviation.
    pub std: Tensor,
}

impl AutoencoderKL {
    /// With the weights that `open` gives; it is told whether 16-bit floats are too narrow for them.
    pub(super) fn build(
        file: &ConfigFile,
        open: impl FnOnce(bool) -> Result<Weights, Error>,
    ) -> Result<(Self, Weights), Error> {
        let config = Config::read(file)?;
        let weights = open(config.force_upcast)?;
        let latent = config.latent_channels;
        let pointwise = |used: bool, name, channels| {
            used.then(|| Conv2d::load(&weights.at(name), channels, channels, Kernel::ONE))
        };
        let vae = Self {
            encoder: Encoder::load(&weights.at("encoder"), &config),
            quant_conv: pointwise(config.use_quant_conv, "quant_conv", 2 * latent),
            post_quant_conv: pointwise(config.use_post_quant_conv, "post_quant_conv", latent),
            decoder: Decoder::load(&weights.at("decoder"), &config),
            kind: weights.placement().kind,
            config,
        };
        Ok((vae, weights))
    }

    /// Mean and standard deviation for pictures of (n, 3, h, w) in -1..=1.
    #[must_use]
    pub fn encode_moments(&self, image: &Tensor) -> Moments {
        let halves = self.encode_both(image);
        Moments {
            mean: halves[0].contiguous(),
            std: (halves[1].clamp(-30.0, 20.0) * 0.5).exp().contiguous(),
        }
    }

    fn encode_both(&self, image: &Tensor) -> Vec<Tensor> {
        let mut x = self
            .encoder
            .forward(&channels_last(&image.to_kind(self.kind)));
        if let Some(conv) = &self.quant_conv {
            x = conv.forward(&x);
        }
        x.chunk(2, 1)
    }

    pub(super) fn encode(&self, image: &Tensor) -> Tensor {
        let latent = &self.encode_both(image)[0] * self.config.scaling_factor;
        latent.to_kind(image.kind()).contiguous()
    }

    pub(super) fn decode(&self, latent: &Tensor) -> Tensor {
        let mut x = channels_last(&latent.to_kind(self.kind)) / self.config.scaling_factor;
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward(&x);
        }
        let image = self.decoder.forward(&x);
        image.to_kind(latent.kind()).contiguous()
    }

    pub(super) fn scale(&self) -> i64 {
        let halvings = u32::try_from(self.config.block_out_channels.len() - 1)
            .expect("a picture is not halved that often");
        2_i64.pow(halvings)
    }

    pub(super) fn latent_channels(&self) -> i64 {
        self.config.latent_channels
    }
}

#[derive(Debug)]
struct Encoder {
    conv_in: Conv2d,
    blocks: Vec<Block>,
    mid: Mid,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// Residual blocks, and the convolution after them that changes the size.
#[derive(Debug)]
struct Block {
    resnets: Vec<ResnetBlock2D>,
    sampler: Option<Conv2d>,
}

impl Block {
    fn load(weights: &Weights, config: &Config, inputs: i64, outputs: i64, layers: usize) -> Self {
        let resnets = weights.at("resnets");
        Self {
            resnets: (0..layers)
                .map(|i| {
                    let inputs = if i == 0 { inputs } else { outputs };
                    config.resnet(&resnets.at(i), inputs, outputs)
                })
                .collect(),
            sampler: None,
        }
    }

    fn with_sampler(self, weights: &Weights, channels: i64, kernel: Kernel) -> Self {
        let weights = weights.at(0).at("conv");
        Self {
            sampler: Some(Conv2d::load(&weights, channels, channels, kernel)),
            ..self
        }
    }

    fn resnets(&self, x: Tensor) -> Tensor {
        let mut x = x;
        for resnet in &self.resnets {
            x = resnet.forward(&x, None);
        }
        x
    }
}

impl Encoder {
    fn load(weights: &Weights, config: &Config) -> Self {
        let channels = &config.block_out_channels;
        let blocks = (0..channels.len())
            .map(|i| {
                let weights = weights.at("down_blocks").at(i);
                let inputs = channels[i.saturating_sub(1)];
                let layers = config.layers_per_block;
                let block = Block::load(&weights, config, inputs, channels[i], layers);
                if i + 1 == channels.len() {
                    return block;
                }
                let weights = weights.at("downsamplers");
                block.with_sampler(&weights, channels[i], Kernel::HALVE_PADDED)
            })
            .collect();
        let inner = config.innermost();
        let conv =
            |name, inputs, outputs| Conv2d::load(&weights.at(name), inputs, outputs, Kernel::THREE);
        Self {
            conv_in: conv("conv_in", config.in_channels, channels[0]),
            blocks,
            mid: Mid::load(&weights.at("mid_block"), config),
            norm_out: GroupNorm::load(
                &weights.at("conv_norm_out"),
                inner,
                config.norm_num_groups,
                EPS,
            ),
            conv_out: conv("conv_out", inner, 2 * config.latent_channels),
        }
    }

    fn forward(&self, image: &Tensor) -> Tensor {
        let mut x = self.conv_in.forward(image);
        for block in &self.blocks {
            x = block.resnets(x);
            if let Some(conv) = &block.sampler {
                // One column right and one row below: the convolution then has no padding left and above.
                x = conv.forward(&x.constant_pad_nd([0, 1, 0, 1]));
            }
        }
        let x = self.mid.forward(&x);
        self.conv_out.forward(&self.norm_out.forward(&x).silu_())
    }
}

#[derive(Debug)]
struct Decoder {
    conv_in: Conv2d,
    mid: Mid,
    blocks: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn load(weights: &Weights, config: &Config) -> Self {
        let channels: Vec<_> = config.block_out_channels.iter().rev().copied().collect();
        let blocks = (0..channels.len())
            .map(|i| {
                let weights = weights.at("up_blocks").at(i);
                let inputs = channels[i.saturating_sub(1)];
                let layers = config.layers_per_block + 1;
                let block = Block::load(&weights, config, inputs, channels[i], layers);
                if i + 1 == channels.len() {
                    return block;
                }
                block.with_sampler(&weights.at("upsamplers"), channels[i], Kernel::THREE)
            })
            .collect();
        let outer = config.block_out_channels[0];
        let conv =
            |name, inputs, outputs| Conv2d::load(&weights.at(name), inputs, outputs, Kernel::THREE);
        Self {
            conv_in: conv("conv_in", config.latent_channels, config.innermost()),
            mid: Mid::load(&weights.at("mid_block"), config),
            blocks,
            norm_out: GroupNorm::load(
                &weights.at("conv_norm_out"),
                outer,
                config.norm_num_groups,
                EPS,
            ),
            conv_out: conv("conv_out", outer, config.out_channels),
        }
    }

    fn forward(&self, latent: &Tensor) -> Tensor {
        let mut x = self.mid.forward(&self.conv_in.forward(latent));
        for block in &self.blocks {
            x = block.resnets(x);
            if let Some(conv) = &block.sampler {
                x = upsample(&x, picture_size(&x).map(|side| side * 2), conv);
            }
        }
        self.conv_out.forward(&self.norm_out.forward(&x).silu_())
    }
}

/// Two residual blocks with attention between.
#[derive(Debug)]
struct Mid {
    first: ResnetBlock2D,
    attention: Option<Attention>,
    last: ResnetBlock2D,
}

impl Mid {
    fn load(weights: &Weights, config: &Config) -> Self {
        let channels = config.innermost();
        let resnet = |i: usize| config.resnet(&weights.at("resnets").at(i), channels, channels);
        let attention = weights.at("attentions").at(0);
        Self {
            first: resnet(0),
            attention: config
                .mid_block_add_attention
                .then(|| Attention::load(&attention, channels, config.norm_num_groups)),
            last: resnet(1),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = self.first.forward(x, None);
        if let Some(attention) = &self.attention {
            x = attention.forward(&x);
        }
        self.last.forward(&x, None)
    }
}

/// Self attention of pixels with one head.
#[derive(Debug)]
struct Attention {
    norm: GroupNorm,
    query_key_value: Linear,
    out: Linear,
}

impl Attention {
    fn load(weights: &Weights, channels: i64, groups: i64) -> Self {
        // The names of before diffusers 0.17 are still in many files.
        let names = match weights.has("query") {
            true => ["query", "key", "value", "proj_attn"],
            false => ["to_q", "to_k", "to_v", "to_out.0"],
        };
        let [query, key, value, out] =
            names.map(|name| Linear::pointwise(&weights.at(name), channels, channels));
        Self {
            norm: GroupNorm::load(&weights.at("group_norm"), channels, groups, EPS),
            query_key_value: Linear::side_by_side(&[query, key, value]),
            out,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (n, channels, rows, columns) = x.size4().expect("a picture has four dimensions");
        let tokens =
            self.norm
                .forward(x)
                .permute([0, 2, 3, 1])
                .reshape([n, rows * columns, channels]);
        let parts: Vec<_> = self
            .query_key_value
            .forward(&tokens)
            .unsqueeze(1)
            .chunk(3, -1);
        let mixed = attend(&parts[0], &parts[1], &parts[2], false);
        let mut out = self
            .out
            .forward(&mixed)
            .view([n, rows, columns, channels])
            .permute([0, 3, 1, 2]);
        out += x;
        out
    }
}
