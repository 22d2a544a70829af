//! The network that predicts the noise in a latent picture (`UNet2DConditionModel`), built from its `config.json`.

mod blocks;
mod conditioning;
mod config;
mod given;

use tch::Tensor;

pub(crate) use blocks::{Descent, DownPath};
pub use conditioning::{Added, Context, ImageContext, Time};
pub(crate) use conditioning::{Conditioning, Cursor, Projections};
pub use config::Config;
pub use given::Given;

use crate::Error;
use crate::attention::KeyValueProjection;
use crate::config::ConfigFile;
use crate::controlnet::Residuals;
use crate::device::Placement;
use crate::folder::Folder;
use crate::layers::{Conv2d, GroupNorm, Kernel, channels_last};
use crate::weights::{Adapter, Report, Weights};

/// A UNet of SD 1.5, SD 2.1, SDXL or their like.
#[derive(Debug)]
pub struct UNet2DCondition {
    config: Config,
    conditioning: Conditioning,
    down: DownPath,
    up: Vec<blocks::UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet2DCondition {
    /// Reads configuration and weights; `adapter` changes tensors between file and model.
    ///
    /// # Errors
    /// When a file cannot be read, the configuration asks for what is not supported, or the weights do not fit it.
    pub fn load(
        folder: &Folder,
        placement: Placement,
        adapter: Option<Adapter>,
    ) -> Result<(Self, Report), Error> {
        let config = Self::read(folder)?;
        let mut weights = Weights::open(folder, placement)?;
        if let Some(adapter) = adapter {
            weights = weights.adapted(adapter);
        }
        let unet = Self::build(&weights, config);
        Ok((unet, weights.finish()?))
    }

    /// Compares the headers of the weights with the configuration, and reads no tensor. The model is only good for being
    /// asked what it is.
    ///
    /// # Errors
    /// When a file cannot be read or the configuration asks for what is not supported. What does not fit is in the
    /// report.
    pub fn check(folder: &Folder) -> Result<(Self, Report), Error> {
        let config = Self::read(folder)?;
        let weights = Weights::headers(folder)?;
        Ok((Self::build(&weights, config), weights.report()))
    }

    fn read(folder: &Folder) -> Result<Config, Error> {
        let file = ConfigFile::read(folder)?;
        file.class("UNet2DConditionModel")?;
        let config = Config::read(&file)?;
        config.check_up(&file)?;
        Ok(config)
    }

    fn build(weights: &Weights, config: Config) -> Self {
        let mut projections = Projections::default();
        let down = DownPath::load(weights, &config, &mut projections);
        let up = blocks::UpBlock::load_all(weights, &config, &mut projections);
        let channels = config.block_out_channels[0];
        Self {
            conditioning: Conditioning::load(weights, &config, projections),
            down,
            up,
            norm_out: GroupNorm::load(
                &weights.at("conv_norm_out"),
                channels,
                config.norm_num_groups,
                config.norm_eps,
            ),
            conv_out: Conv2d::load(
                &weights.at("conv_out"),
                channels,
                config.out_channels,
                Kernel::same(config.conv_out_kernel),
            ),
            config,
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The cross attentions in the order of a [`Context`]: down, mid, up.
    #[must_use]
    pub fn cross_attentions(&self) -> &[KeyValueProjection] {
        &self.conditioning.projections.sources
    }

    /// Timesteps of (n), and for SDXL what is told beside, as the blocks take them.
    ///
    /// # Panics
    /// When `added` is missing and [`Config::takes_added`].
    #[must_use]
    pub fn time(&self, timesteps: &Tensor, added: Option<&Added>) -> Time {
        self.conditioning.time(timesteps, added)
    }

    /// Embeddings of prompts, (n, tokens, [`Config::cross_attention_dim`]), as the blocks take them.
    #[must_use]
    pub fn context(&self, embeddings: &Tensor) -> Context {
        self.conditioning.context(embeddings)
    }

    /// The noise in latent pictures of (n, in_channels, h, w), with the sum of what ControlNets found added.
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Time,
        context: &Context,
        residuals: Option<&Residuals>,
    ) -> Tensor {
        let mut cursor = Cursor::new(time, context);
        let x = channels_last(x);
        let Descent { mid, mut skips } = self.down.forward(&x, None, &mut cursor);
        let mut x = mid;
        if let Some(residuals) = residuals {
            for (skip, residual) in skips.iter_mut().zip(&residuals.down) {
                *skip = &*skip + residual;
            }
            x += &residuals.mid;
        }
        for block in &self.up {
            x = block.forward(x, &mut skips, &mut cursor);
        }
        self.conv_out
            .forward(&self.norm_out.forward(&x).silu_())
            .contiguous()
    }
}
