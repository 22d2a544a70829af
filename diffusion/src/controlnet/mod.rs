//! A copy of a UNet's way down that follows a control picture and corrects the UNet (`ControlNetModel`, Zhang et al. 2023).

use std::ops::Add;

use serde::Deserialize;
use tch::Tensor;

use crate::Error;
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;
use crate::layers::{Conv2d, Kernel, channels_last};
use crate::unet::{
    Added, Conditioning, Config, Context, Cursor, Descent, DownPath, Projections, Time,
};
use crate::weights::{Report, Weights};

/// What the control picture goes through before it is added to the latent one.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct HintConfig {
    conditioning_channels: i64,
    conditioning_embedding_out_channels: Vec<i64>,
    controlnet_conditioning_channel_order: String,
}

impl Default for HintConfig {
    fn default() -> Self {
        Self {
            conditioning_channels: 3,
            conditioning_embedding_out_channels: vec![16, 32, 96, 256],
            controlnet_conditioning_channel_order: "rgb".to_owned(),
        }
    }
}

impl HintConfig {
    fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only_all(&[
            (
                "controlnet_conditioning_channel_order",
                &["\"rgb\"", "\"bgr\""],
            ),
            ("global_pool_conditions", &["false"]),
        ])?;
        let config: Self = file.parse()?;
        let key = "conditioning_embedding_out_channels";
        file.sizes("conditioning_channels", [&config.conditioning_channels])?;
        file.sizes(key, &config.conditioning_embedding_out_channels)?;
        if config.conditioning_embedding_out_channels.is_empty() {
            return Err(file.unsupported(key, "is empty"));
        }
        Ok(config)
    }
}

/// What ControlNets add to a UNet: one tensor for each of its skips, and one for the mid block.
#[derive(Debug)]
pub struct Residuals {
    /// In the order of the way down.
    pub down: Vec<Tensor>,
    /// For the output of the mid block.
    pub mid: Tensor,
}

/// The sum of two ControlNets' residuals, for a UNet of the same shape.
impl Add<&Self> for Residuals {
    type Output = Self;

    fn add(self, other: &Self) -> Self {
        Self {
            down: self
                .down
                .into_iter()
                .zip(&other.down)
                .map(|(mine, theirs)| mine + theirs)
                .collect(),
            mid: self.mid + &other.mid,
        }
    }
}

/// A ControlNet of SD 1.5, SD 2.1, SDXL or their like.
#[derive(Debug)]
pub struct ControlNet {
    config: Config,
    conditioning: Conditioning,
    hint: HintEmbedding,
    down: DownPath,
    skips_out: Vec<Conv2d>,
    mid_out: Conv2d,
}

impl ControlNet {
    /// Reads configuration and weights.
    ///
    /// # Errors
    /// When a file cannot be read, the configuration asks for what is not supported, or the weights do not fit it.
    pub fn load(folder: &Folder, placement: Placement) -> Result<(Self, Report), Error> {
        let (config, hint) = Self::configs(folder)?;
        let weights = Weights::open(folder, placement)?;
        let net = Self::build(&weights, config, &hint);
        Ok((net, weights.finish()?))
    }

    /// Compares the headers of the weights with the configuration, and reads no tensor. The model is only good for being
    /// asked what it is.
    ///
    /// # Errors
    /// When a file cannot be read or the configuration asks for what is not supported. What does not fit is in the
    /// report.
    pub fn check(folder: &Folder) -> Result<(Self, Report), Error> {
        let (config, hint) = Self::configs(folder)?;
        let weights = Weights::headers(folder)?;
        Ok((Self::build(&weights, config, &hint), weights.report()))
    }

    fn configs(folder: &Folder) -> Result<(Config, HintConfig), Error> {
        let file = ConfigFile::read(folder)?;
        file.class("ControlNetModel")?;
        Ok((Config::read(&file)?, HintConfig::read(&file)?))
    }

    fn build(weights: &Weights, config: Config, hint: &HintConfig) -> Self {
        let mut projections = Projections::default();
        let down = DownPath::load(weights, &config, &mut projections);
        let pointwise =
            |weights: &Weights, channels| Conv2d::load(weights, channels, channels, Kernel::ONE);
        let skips = weights.at("controlnet_down_blocks");
        let inner = config.block_out_channels[config.blocks() - 1];
        Self {
            conditioning: Conditioning::load(weights, &config, projections),
            hint: HintEmbedding::load(
                &weights.at("controlnet_cond_embedding"),
                hint,
                config.block_out_channels[0],
            ),
            down,
            skips_out: DownPath::channels(&config)
                .into_iter()
                .enumerate()
                .map(|(i, channels)| pointwise(&skips.at(i), channels))
                .collect(),
            mid_out: pointwise(&weights.at("controlnet_mid_block"), inner),
            config,
        }
    }

    /// Refuses a UNet that the residuals do not fit, or that takes other prompts. `folder` is where the net is from.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that names the net's configuration and the key that differs.
    pub fn fits(&self, unet: &Config, folder: &Folder) -> Result<(), Error> {
        let layers = |config: &Config| -> Vec<usize> {
            let blocks = 0..config.blocks();
            blocks.map(|i| *config.layers_per_block.at(i)).collect()
        };
        let contexts = |config: &Config| -> Vec<i64> {
            let blocks = 0..config.blocks();
            blocks.map(|i| *config.cross_attention_dim.at(i)).collect()
        };
        let say = |found: &dyn std::fmt::Debug| format!("{found:?}");
        let facts = |config: &Config| {
            [
                ("in_channels", say(&config.in_channels)),
                ("block_out_channels", say(&config.block_out_channels)),
                ("layers_per_block", say(&layers(config))),
                ("cross_attention_dim", say(&contexts(config))),
                ("addition_embed_type", say(&config.addition_embed_type)),
                (
                    "projection_class_embeddings_input_dim",
                    say(&config.pooled_dim()),
                ),
            ]
        };
        let (own, others) = (facts(&self.config), facts(unet));
        let differs = own.iter().zip(&others).find(|(own, other)| own != other);
        let Some(((key, own), (_, other))) = differs else {
            return Ok(());
        };
        Err(Error::unsupported(
            &folder.path().join("config.json"),
            *key,
            format!("{own}; the model has {other}"),
        ))
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// As [`crate::unet::UNet2DCondition::time`], for this model.
    #[must_use]
    pub fn time(&self, timesteps: &Tensor, added: Option<&Added>) -> Time {
        self.conditioning.time(timesteps, added)
    }

    /// As [`crate::unet::UNet2DCondition::context`], for this model.
    #[must_use]
    pub fn context(&self, embeddings: &Tensor) -> Context {
        self.conditioning.context(embeddings)
    }

    /// What is to be added to the UNet that is given the same `x`, times `scale`.
    ///
    /// `image` is (n, 3, h, w) in 0..=1 at the size of the picture that `x` is the latent of; with n = 1 it is for all of
    /// the batch and is computed once.
    #[must_use]
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Time,
        context: &Context,
        image: &Tensor,
        scale: f64,
    ) -> Residuals {
        let mut cursor = Cursor::new(time, context);
        let hint = self.hint.forward(&channels_last(image));
        let Descent { mid, skips } = self
            .down
            .forward(&channels_last(x), Some(&hint), &mut cursor);
        let scaled = |conv: &Conv2d, x: &Tensor| conv.forward(x) * scale;
        Residuals {
            down: self
                .skips_out
                .iter()
                .zip(&skips)
                .map(|(conv, skip)| scaled(conv, skip))
                .collect(),
            mid: scaled(&self.mid_out, &mid),
        }
    }
}

/// Convolutions that bring a picture down to the size of its latent.
#[derive(Debug)]
struct HintEmbedding {
    convs: Vec<Conv2d>,
    conv_out: Conv2d,
    reversed: bool,
}

impl HintEmbedding {
    fn load(weights: &Weights, config: &HintConfig, outputs: i64) -> Self {
        let widths = &config.conditioning_embedding_out_channels;
        let conv_in = Conv2d::load(
            &weights.at("conv_in"),
            config.conditioning_channels,
            widths[0],
            Kernel::THREE,
        );
        let blocks = weights.at("blocks");
        let pairs = widths.windows(2).enumerate().flat_map(|(i, pair)| {
            let (same, wider) = (blocks.at(2 * i), blocks.at(2 * i + 1));
            [
                Conv2d::load(&same, pair[0], pair[0], Kernel::THREE),
                Conv2d::load(&wider, pair[0], pair[1], Kernel::HALVE),
            ]
        });
        Self {
            convs: std::iter::once(conv_in).chain(pairs).collect(),
            conv_out: Conv2d::load(
                &weights.at("conv_out"),
                widths[widths.len() - 1],
                outputs,
                Kernel::THREE,
            ),
            reversed: config.controlnet_conditioning_channel_order == "bgr",
        }
    }

    fn forward(&self, image: &Tensor) -> Tensor {
        let mut x = match self.reversed {
            true => image.flip([1]),
            false => image.shallow_clone(),
        };
        for conv in &self.convs {
            x = conv.forward(&x).silu_();
        }
        self.conv_out.forward(&x)
    }
}
