//! Between pictures and their latents: `AutoencoderTiny` and `AutoencoderKL`, whichever a folder holds.

mod kl;
mod taesd;

use tch::Tensor;

pub use kl::{AutoencoderKL, Moments};
pub use taesd::AutoencoderTiny;

use crate::Error;
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;
use crate::weights::Report;

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
        let file = ConfigFile::read(folder)?;
        match folder.class_name()?.as_deref() {
            Some("AutoencoderTiny") => {
                let (vae, report) = AutoencoderTiny::load(&file, folder, placement)?;
                Ok((Self::Tiny(vae), report))
            }
            Some("AutoencoderKL") => {
                let (vae, report) = AutoencoderKL::load(&file, folder, placement)?;
                Ok((Self::KL(Box::new(vae)), report))
            }
            other => Err(file.unsupported(
                "_class_name",
                match other {
                    Some(name) => {
                        format!(
                            "\"{name}\" is not supported, only AutoencoderTiny and AutoencoderKL"
                        )
                    }
                    None => "is missing, so the architecture is not known".to_owned(),
                },
            )),
        }
    }

    /// Pictures of (n, 3, h, w) in [-1, 1] to latents of (n, [`Vae::latent_channels`], h / scale, w / scale) as the UNet
    /// takes them. Nothing is drawn at random: the latent of `AutoencoderKL` is the mean.
    pub fn encode(&self, image: &Tensor) -> Tensor {
        match self {
            Self::Tiny(vae) => vae.encode(image),
            Self::KL(vae) => vae.encode(image),
        }
    }

    /// Latents as the UNet gives them back to pictures in about [-1, 1].
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
