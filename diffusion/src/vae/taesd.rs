//! The tiny autoencoder (TAESD, `AutoencoderTiny`): plain convolutions with ReLU.

use serde::Deserialize;
use tch::Tensor;

use crate::Error;
use crate::config::ConfigFile;
use crate::layers::{Conv2d, Kernel, channels_last};
use crate::resnet::picture_size;
use crate::weights::Weights;

use super::MOST_LEVELS;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    in_channels: i64,
    out_channels: i64,
    encoder_block_out_channels: Vec<i64>,
    decoder_block_out_channels: Vec<i64>,
    latent_channels: i64,
    upsampling_scaling_factor: i64,
    num_encoder_blocks: Vec<usize>,
    num_decoder_blocks: Vec<usize>,
    scaling_factor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            latent_channels: 4,
            upsampling_scaling_factor: 2,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            scaling_factor: 1.0,
        }
    }
}

impl Config {
    fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only("act_fn", &["\"relu\""])?;
        let config: Self = file.parse()?;
        file.sizes(
            "in_channels",
            [
                &config.in_channels,
                &config.out_channels,
                &config.latent_channels,
            ],
        )?;
        file.sizes(
            "upsampling_scaling_factor",
            [&config.upsampling_scaling_factor],
        )?;
        for (key, channels, blocks) in [
            (
                "encoder_block_out_channels",
                &config.encoder_block_out_channels,
                &config.num_encoder_blocks,
            ),
            (
                "decoder_block_out_channels",
                &config.decoder_block_out_channels,
                &config.num_decoder_blocks,
            ),
        ] {
            file.sizes(key, channels)?;
            if !(1..=MOST_LEVELS).contains(&channels.len()) || channels.len() != blocks.len() {
                return Err(file.unsupported(key, format!("there are {} blocks", blocks.len())));
            }
            if let Some(blocks) = blocks.iter().find(|&&blocks| blocks > 1000) {
                return Err(file.unsupported(key, format!("{blocks} blocks are out of range")));
            }
            if channels.iter().any(|width| *width != channels[0]) {
                return Err(file.unsupported(key, "the blocks are not of one width"));
            }
        }
        Ok(config)
    }
}

/// Encoder and decoder.
#[derive(Debug)]
pub struct AutoencoderTiny {
    config: Config,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
}

#[derive(Debug)]
enum Layer {
    Conv(Conv2d),
    Block(Block),
    Relu,
    /// By how much.
    Upsample(i64),
}

/// Three convolutions beside a shortcut.
#[derive(Debug)]
struct Block([Conv2d; 3]);

impl AutoencoderTiny {
    /// With the weights that `open` gives.
    pub(super) fn build(
        file: &ConfigFile,
        open: impl FnOnce() -> Result<Weights, Error>,
    ) -> Result<(Self, Weights), Error> {
        let config = Config::read(file)?;
        let weights = open()?;
        let vae = Self {
            encoder: encoder(&weights.at("encoder").at("layers"), &config),
            decoder: decoder(&weights.at("decoder").at("layers"), &config),
            config,
        };
        Ok((vae, weights))
    }

    pub(super) fn encode(&self, image: &Tensor) -> Tensor {
        // It was trained on pictures in [0, 1].
        let image = (channels_last(image) + 1.0) / 2.0;
        let latent = run(&self.encoder, image).contiguous();
        match self.config.scaling_factor {
            1.0 => latent,
            factor => latent * factor,
        }
    }

    pub(super) fn decode(&self, latent: &Tensor) -> Tensor {
        let latent = match self.config.scaling_factor {
            1.0 => channels_last(latent),
            factor => channels_last(latent) / factor,
        };
        // A soft clamp: the values it was trained on are within.
        let latent = (latent / 3.0).tanh() * 3.0;
        (run(&self.decoder, latent) * 2.0 - 1.0).contiguous()
    }

    pub(super) fn scale(&self) -> i64 {
        let halvings =
            u32::try_from(self.encoder_halvings()).expect("a picture is not halved that often");
        2_i64.pow(halvings)
    }

    pub(super) fn latent_channels(&self) -> i64 {
        self.config.latent_channels
    }

    fn encoder_halvings(&self) -> usize {
        self.config.num_encoder_blocks.len() - 1
    }
}

fn encoder(weights: &Weights, config: &Config) -> Vec<Layer> {
    let width = config.encoder_block_out_channels[0];
    let mut layers = Vec::new();
    for (i, &blocks) in config.num_encoder_blocks.iter().enumerate() {
        let weights_of_conv = weights.at(layers.len());
        layers.push(Layer::Conv(if i == 0 {
            Conv2d::load(&weights_of_conv, config.in_channels, width, Kernel::THREE)
        } else {
            Conv2d::without_bias(&weights_of_conv, width, width, Kernel::HALVE)
        }));
        push_blocks(&mut layers, weights, width, blocks);
    }
    let last = weights.at(layers.len());
    layers.push(Layer::Conv(Conv2d::load(
        &last,
        width,
        config.latent_channels,
        Kernel::THREE,
    )));
    layers
}

fn decoder(weights: &Weights, config: &Config) -> Vec<Layer> {
    let width = config.decoder_block_out_channels[0];
    let first = Conv2d::load(&weights.at(0), config.latent_channels, width, Kernel::THREE);
    let mut layers = vec![Layer::Conv(first), Layer::Relu];
    let last = config.num_decoder_blocks.len() - 1;
    for (i, &blocks) in config.num_decoder_blocks.iter().enumerate() {
        push_blocks(&mut layers, weights, width, blocks);
        if i < last {
            layers.push(Layer::Upsample(config.upsampling_scaling_factor));
        }
        let weights = weights.at(layers.len());
        layers.push(Layer::Conv(if i < last {
            Conv2d::without_bias(&weights, width, width, Kernel::THREE)
        } else {
            Conv2d::load(&weights, width, config.out_channels, Kernel::THREE)
        }));
    }
    layers
}

fn push_blocks(layers: &mut Vec<Layer>, weights: &Weights, width: i64, blocks: usize) {
    for _ in 0..blocks {
        let weights = weights.at(layers.len()).at("conv");
        // The numbers between are the activations.
        let convs = [0, 2, 4].map(|i| Conv2d::load(&weights.at(i), width, width, Kernel::THREE));
        layers.push(Layer::Block(Block(convs)));
    }
}

fn run(layers: &[Layer], x: Tensor) -> Tensor {
    layers.iter().fold(x, |x, layer| layer.forward(&x))
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
            Self::Relu => x.relu(),
            Self::Upsample(factor) => {
                let size = picture_size(x).map(|side| side * factor);
                x.upsample_nearest2d(size, None, None)
            }
        }
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let [first, second, third] = &self.0;
        let mut y = third.forward(&second.forward(&first.forward(x).relu_()).relu_());
        y += x;
        y.relu_()
    }
}
