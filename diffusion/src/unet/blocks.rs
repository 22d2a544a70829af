//! The way down to few pixels with many channels, and the way up again.

use tch::Tensor;

use super::Config;
use super::conditioning::{Cursor, Projections};
use crate::attention::Transformer2D;
use crate::layers::{Conv2d, Kernel, Linear};
use crate::resnet::{ResnetBlock2D, picture_size, upsample};
use crate::weights::Weights;

/// A residual block that is told the time, and the transformer after it, if there is one.
#[derive(Debug)]
struct Layer {
    resnet: ResnetBlock2D,
    attention: Option<Transformer2D>,
}

/// Loads the layers of one block.
struct Loader<'a> {
    weights: Weights,
    config: &'a Config,
    projections: &'a mut Projections,
    /// The index, counted down, of the block that channels and heads are those of.
    block: usize,
}

impl Loader<'_> {
    fn resnet(&mut self, index: usize, inputs: i64) -> ResnetBlock2D {
        let weights = self.weights.at("resnets").at(index);
        let outputs = self.config.block_out_channels[self.block];
        self.projections.time.push(Linear::load(
            &weights.at("time_emb_proj"),
            self.config.time_channels(),
            outputs,
        ));
        ResnetBlock2D::load(&weights, inputs, outputs, self.config.norm())
    }

    fn attention(&mut self, index: usize, depth: usize) -> Transformer2D {
        Transformer2D::load(
            &self.weights.at("attentions").at(index),
            self.config.transformer(self.block, depth),
            &mut self.projections.sources,
        )
    }

    fn layer(&mut self, index: usize, inputs: i64, depth: Option<usize>) -> Layer {
        Layer {
            resnet: self.resnet(index, inputs),
            attention: depth.map(|depth| self.attention(index, depth)),
        }
    }

    /// The convolution that halves or doubles the size.
    fn sampler(&self, name: &str, kernel: Kernel) -> Conv2d {
        let channels = self.config.block_out_channels[self.block];
        let weights = self.weights.at(name).at(0).at("conv");
        Conv2d::load(&weights, channels, channels, kernel)
    }
}

impl Layer {
    fn forward(&self, x: &Tensor, cursor: &mut Cursor<'_>) -> Tensor {
        let x = self.resnet.forward(x, Some(cursor.time()));
        match &self.attention {
            Some(attention) => attention.forward(&x, cursor),
            None => x,
        }
    }
}

/// `conv_in`, `down_blocks` and `mid_block`: what a UNet and its ControlNets have in common.
#[derive(Debug)]
pub(crate) struct DownPath {
    conv_in: Conv2d,
    blocks: Vec<DownBlock>,
    mid: Option<MidBlock>,
}

/// What is found on the way down.
#[derive(Debug)]
pub(crate) struct Descent {
    /// The output of the mid block.
    pub(crate) mid: Tensor,
    /// The picture after `conv_in`, after every layer and after every halving.
    pub(crate) skips: Vec<Tensor>,
}

impl DownPath {
    pub(crate) fn load(weights: &Weights, config: &Config, projections: &mut Projections) -> Self {
        let conv_in = Conv2d::load(
            &weights.at("conv_in"),
            config.in_channels,
            config.block_out_channels[0],
            Kernel::same(config.conv_in_kernel),
        );
        let blocks = (0..config.blocks())
            .map(|block| {
                DownBlock::load(Loader {
                    weights: weights.at("down_blocks").at(block),
                    config,
                    projections,
                    block,
                })
            })
            .collect();
        let mid = MidBlock::load(Loader {
            weights: weights.at("mid_block"),
            config,
            projections,
            block: config.blocks() - 1,
        });
        Self {
            conv_in,
            blocks,
            mid,
        }
    }

    /// Channels of each of the skips, and of the mid block's output at the end.
    pub(crate) fn channels(config: &Config) -> Vec<i64> {
        let mut channels = vec![config.block_out_channels[0]];
        for (block, &outputs) in config.block_out_channels.iter().enumerate() {
            let halving = usize::from(block + 1 < config.blocks());
            let count = config.layers_per_block.at(block) + halving;
            channels.extend(std::iter::repeat_n(outputs, count));
        }
        channels
    }

    /// A picture through it; `hint` is added after the first convolution.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        hint: Option<&Tensor>,
        cursor: &mut Cursor<'_>,
    ) -> Descent {
        let mut x = self.conv_in.forward(x);
        if let Some(hint) = hint {
            x += hint;
        }
        let mut skips = vec![x.shallow_clone()];
        for block in &self.blocks {
            x = block.forward(x, &mut skips, cursor);
        }
        if let Some(mid) = &self.mid {
            x = mid.forward(&x, cursor);
        }
        Descent { mid: x, skips }
    }
}

/// `DownBlock2D` and `CrossAttnDownBlock2D`.
#[derive(Debug)]
struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Conv2d>,
}

impl DownBlock {
    fn load(mut loader: Loader<'_>) -> Self {
        let (config, block) = (loader.config, loader.block);
        let channels = &config.block_out_channels;
        let depths = config.transformer_layers_per_block.at(block);
        let layers = (0..*config.layers_per_block.at(block))
            .map(|i| {
                let inputs = match i {
                    0 => channels[block.saturating_sub(1)],
                    _ => channels[block],
                };
                let depth = config.attends(block).then(|| *depths.at(i));
                loader.layer(i, inputs, depth)
            })
            .collect();
        Self {
            layers,
            downsampler: (block + 1 < config.blocks())
                .then(|| loader.sampler("downsamplers", Kernel::HALVE)),
        }
    }

    fn forward(&self, mut x: Tensor, skips: &mut Vec<Tensor>, cursor: &mut Cursor<'_>) -> Tensor {
        for layer in &self.layers {
            x = layer.forward(&x, cursor);
            skips.push(x.shallow_clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = downsampler.forward(&x);
            skips.push(x.shallow_clone());
        }
        x
    }
}

/// `UNetMidBlock2DCrossAttn`, and `UNetMidBlock2D` which is its first residual block alone.
#[derive(Debug)]
struct MidBlock {
    first: Layer,
    last: Option<ResnetBlock2D>,
}

impl MidBlock {
    fn load(mut loader: Loader<'_>) -> Option<Self> {
        let (config, block) = (loader.config, loader.block);
        let attends = config.mid_block_type.as_deref()? == "UNetMidBlock2DCrossAttn";
        let channels = config.block_out_channels[block];
        let depth = *config.transformer_layers_per_block.at(block).at(0);
        Some(Self {
            first: loader.layer(0, channels, attends.then_some(depth)),
            last: attends.then(|| loader.resnet(1, channels)),
        })
    }

    fn forward(&self, x: &Tensor, cursor: &mut Cursor<'_>) -> Tensor {
        let x = self.first.forward(x, cursor);
        match &self.last {
            Some(last) => last.forward(&x, Some(cursor.time())),
            None => x,
        }
    }
}

/// `UpBlock2D` and `CrossAttnUpBlock2D`.
#[derive(Debug)]
pub(crate) struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Conv2d>,
}

impl UpBlock {
    /// All of them, the innermost first.
    pub(crate) fn load_all(
        weights: &Weights,
        config: &Config,
        projections: &mut Projections,
    ) -> Vec<Self> {
        // Every layer takes one of the skips, the last one first.
        let mut skips = DownPath::channels(config);
        let mut inputs = config.block_out_channels[config.blocks() - 1];
        (0..config.blocks())
            .map(|up| {
                let loader = Loader {
                    weights: weights.at("up_blocks").at(up),
                    config,
                    projections,
                    block: config.blocks() - 1 - up,
                };
                Self::load(loader, up, &mut inputs, &mut skips)
            })
            .collect()
    }

    fn load(mut loader: Loader<'_>, up: usize, inputs: &mut i64, skips: &mut Vec<i64>) -> Self {
        let config = loader.config;
        let layers = (0..config.layers_up(up))
            .map(|i| {
                let skip = skips
                    .pop()
                    .expect("a block up has one layer more than down");
                let depth = config.attends_up(up).then(|| *config.depths_up(up).at(i));
                let layer = loader.layer(i, *inputs + skip, depth);
                *inputs = config.block_out_channels[loader.block];
                layer
            })
            .collect();
        Self {
            layers,
            upsampler: (loader.block > 0).then(|| loader.sampler("upsamplers", Kernel::THREE)),
        }
    }

    pub(crate) fn forward(
        &self,
        mut x: Tensor,
        skips: &mut Vec<Tensor>,
        cursor: &mut Cursor<'_>,
    ) -> Tensor {
        for layer in &self.layers {
            let skip = skips.pop().expect("a skip for every layer");
            x = layer.forward(&Tensor::cat(&[x, skip], 1), cursor);
        }
        match (&self.upsampler, skips.last()) {
            (Some(conv), Some(next)) => upsample(&x, picture_size(next), conv),
            _ => x,
        }
    }
}
