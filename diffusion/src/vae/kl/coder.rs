//! The two networks of an `AutoencoderKL`: encoder and decoder.

use tch::Tensor;

use super::config::{Config, EPS};
use crate::attention::attend;
use crate::layers::{Conv2d, GroupNorm, Kernel, Linear};
use crate::resnet::{ResnetBlock2D, picture_size, upsample};
use crate::weights::Weights;

#[derive(Debug)]
pub(super) struct Encoder {
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
    pub(super) fn load(weights: &Weights, config: &Config) -> Self {
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

    pub(super) fn forward(&self, image: &Tensor) -> Tensor {
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
pub(super) struct Decoder {
    conv_in: Conv2d,
    mid: Mid,
    blocks: Vec<Block>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub(super) fn load(weights: &Weights, config: &Config) -> Self {
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

    pub(super) fn forward(&self, latent: &Tensor) -> Tensor {
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
