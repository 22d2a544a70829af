//! Between pictures and their latents: `AutoencoderTiny` and `AutoencoderKL`, whichever a folder holds.

mod kl;
mod taesd;

use tch::{Kind, Tensor};

pub use kl::{AutoencoderKL, Moments};
pub use taesd::AutoencoderTiny;

use crate::Error;
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;
use crate::weights::{Report, Weights};

/// More sizes of the picture, each half of the one before, than there are in any.
const MOST_LEVELS: usize = 16;

/// An autoencoder.
#[derive(Debug)]
pub enum Vae {
    /// Small, fast and a little blurred (TAESD).
    Tiny(AutoencoderTiny),
    /// The one that the UNet was trained with.
    KL(Box<AutoencoderKL>),
}

impl Vae {
    /// Reads the autoencoder of the class that `config.json` names.
    ///
    /// # Errors
    /// When a file cannot be read, the class or a setting is not supported, or the weights do not fit.
    pub fn load(folder: &Folder, placement: Placement) -> Result<(Self, Report), Error> {
        let (vae, weights) = Self::build(folder, |in_full| {
            let kind = match placement.kind {
                Kind::Half if in_full => Kind::Float,
                kind => kind,
            };
            Weights::open(folder, Placement { kind, ..placement })
        })?;
        Ok((vae, weights.finish()?))
    }

    /// Compares the headers of the weights with the configuration, and reads no tensor. The autoencoder is only good for
    /// being asked for its sizes.
    ///
    /// # Errors
    /// When a file cannot be read or the configuration asks for what is not supported. What does not fit is in the
    /// report.
    pub fn check(folder: &Folder) -> Result<(Self, Report), Error> {
        let (vae, weights) = Self::build(folder, |_| Weights::headers(folder))?;
        Ok((vae, weights.report()))
    }

    fn build(
        folder: &Folder,
        open: impl FnOnce(bool) -> Result<Weights, Error>,
    ) -> Result<(Self, Weights), Error> {
        let file = ConfigFile::read(folder)?;
        match folder.class_name()?.as_deref() {
            Some("AutoencoderTiny") => {
                let (vae, weights) = AutoencoderTiny::build(&file, || open(false))?;
                Ok((Self::Tiny(vae), weights))
            }
            Some("AutoencoderKL") => {
                let (vae, weights) = AutoencoderKL::build(&file, open)?;
                Ok((Self::KL(Box::new(vae)), weights))
            }
            other => {
                let reason = match other {
                    Some(name) => format!(
                        "\"{name}\" is not supported, only AutoencoderTiny and AutoencoderKL"
                    ),
                    None => "is missing, so the architecture is not known".to_owned(),
                };
                Err(file.unsupported("_class_name", reason))
            }
        }
    }

    /// Pictures of (n, 3, h, w) in -1..=1 to latents of (n, [`Vae::latent_channels`], h / scale, w / scale) as the UNet
    /// takes them. Nothing is drawn at random: the latent of `AutoencoderKL` is the mean.
    pub fn encode(&self, image: &Tensor) -> Tensor {
        match self {
            Self::Tiny(vae) => vae.encode(image),
            Self::KL(vae) => vae.encode(image),
        }
    }

    /// Latents as the UNet gives them back to pictures in about -1..=1.
    pub fn decode(&self, latent: &Tensor) -> Tensor {
        match self {
            Self::Tiny(vae) => vae.decode(latent),
            Self::KL(vae) => vae.decode(latent),
        }
    }

    /// Pixels of the picture along one side of a pixel of the latent.
    #[must_use]
    pub fn scale(&self) -> i64 {
        match self {
            Self::Tiny(vae) => vae.scale(),
            Self::KL(vae) => vae.scale(),
        }
    }

    /// Channels of the latent.
    #[must_use]
    pub fn latent_channels(&self) -> i64 {
        match self {
            Self::Tiny(vae) => vae.latent_channels(),
            Self::KL(vae) => vae.latent_channels(),
        }
    }
}
