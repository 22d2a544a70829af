//! The autoencoder that Stable Diffusion's UNets are trained with (`AutoencoderKL`).

mod coder;
mod config;

use tch::{Kind, Tensor};

use self::coder::{Decoder, Encoder};
use self::config::Config;
use crate::Error;
use crate::config::ConfigFile;
use crate::layers::{Conv2d, Kernel, channels_last};
use crate::weights::Weights;

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
