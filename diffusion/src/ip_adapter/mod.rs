//! IP-Adapter (Ye et al. 2023): a picture as a prompt. Its tokens get keys and values of their own in every cross
//! attention, and what the queries find there is added to what they find in the text, times a scale.

mod image_encoder;
mod preprocess;
mod projection;
mod resize;

use std::path::{Path, PathBuf};

use tch::Tensor;

pub use image_encoder::{Config, ImageEncoder, Output};
pub use preprocess::ImageProcessor;
pub use resize::Picture;

use crate::Error;
use crate::attention::KeyValueProjection;
use crate::device::Placement;
use crate::folder::Folder;
use crate::unet::{ImageContext, UNet2DCondition};
use crate::weights::{Report, Weights};

use self::projection::{Projection, Sizes};

/// An IP-Adapter for one UNet.
#[derive(Debug)]
pub struct IpAdapter {
    processor: ImageProcessor,
    encoder: ImageEncoder,
    projection: Projection,
    /// For each cross attention, in the order of the UNet's context.
    layers: Vec<KeyValueProjection>,
    placement: Placement,
}

impl IpAdapter {
    /// Reads an adapter for `unet`, whose placement is its own, too.
    ///
    /// `path` is the adapter's safetensors file, with the folder `image_encoder` beside it or one level up, or a folder
    /// with one such file in it. The reports are those of the image encoder and of the adapter.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is of an adapter of another kind, or does not fit the UNet.
    pub fn load(
        path: &Path,
        unet: &UNet2DCondition,
        placement: Placement,
    ) -> Result<(Self, [Report; 2]), Error> {
        let file = locate(path)?;
        let folder = encoder_folder(&file)?;
        let (encoder, encoder_report) = ImageEncoder::load(&folder, placement)?;
        let config = encoder.config();
        let processor = ImageProcessor::load(&folder, config.image_size as usize)?;
        let weights = Weights::open_files(&[file], placement)?;
        let sources = unet.cross_attentions();
        let context = sources.first().map_or(0, |source| source.context);
        let sizes = Sizes {
            projected: config.projection_dim,
            hidden: config.hidden_size,
            patches: config.tokens(),
            context,
        };
        let projection = Projection::load(&weights.at("image_proj"), sizes)?;
        let adapter = Self {
            layers: layers(&weights.at("ip_adapter"), sources),
            processor,
            encoder,
            projection,
            placement,
        };
        Ok((adapter, [encoder_report, weights.finish()?]))
    }

    /// The tokens of a picture: (1, [`IpAdapter::tokens`], channels of the prompt's embeddings).
    ///
    /// # Panics
    /// When the picture has no pixels or not as many as it says.
    pub fn encode(&self, picture: &Picture) -> Tensor {
        let pixels = self.processor.picture(picture, self.placement);
        self.projection.forward(&self.encoder.forward(&pixels))
    }

    /// As [`IpAdapter::encode`], of pictures of (n, 3, h, w) in 0 to 1 on the adapter's device; they are not rounded to
    /// bytes on the way.
    pub fn encode_tensor(&self, images: &Tensor) -> Tensor {
        let pixels = self.processor.tensor(images).to_kind(self.placement.kind);
        self.projection.forward(&self.encoder.forward(&pixels))
    }

    /// What stands for no picture, beside a negative prompt: (1, [`IpAdapter::tokens`], channels).
    pub fn nothing(&self) -> Tensor {
        let size = self.encoder.config().image_size;
        let Placement { device, kind } = self.placement;
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (kind, device));
        let mut seen = match self.projection {
            // Of the plain adapters, it is an embedding of zeros; of those that look at patches, a grey picture.
            Projection::Linear { .. } => Output {
                last: zeros(&[1]),
                penultimate: zeros(&[1]),
                projected: zeros(&[1]),
            },
            _ => self.encoder.forward(&zeros(&[1, 3, size, size])),
        };
        seen.projected = zeros(&[1, self.encoder.config().projection_dim]);
        self.projection.forward(&seen)
    }

    /// How many tokens a picture becomes.
    #[must_use]
    pub fn tokens(&self) -> i64 {
        self.projection.tokens()
    }

    /// Tokens of (n, [`IpAdapter::tokens`], channels) as the UNet's cross attentions take them, with the weight of what
    /// they add; nothing at scale 0, so that nothing is computed for it.
    #[must_use]
    pub fn context(&self, tokens: &Tensor, scale: f64) -> Option<ImageContext> {
        (scale != 0.0).then(|| ImageContext {
            layers: self
                .layers
                .iter()
                .map(|layer| layer.forward(tokens))
                .collect(),
            scale,
        })
    }
}

/// The projections of keys and values in the order of `sources`.
///
/// Files number all attentions as diffusers walks over them: down, up, mid, each self attention before its cross
/// attention.
fn layers(weights: &Weights, sources: &[KeyValueProjection]) -> Vec<KeyValueProjection> {
    let place = |path: &str| match path {
        _ if path.starts_with("down_blocks") => 0,
        _ if path.starts_with("up_blocks") => 1,
        _ => 2,
    };
    let mut order: Vec<_> = (0..sources.len()).collect();
    order.sort_by_key(|&i| place(&sources[i].path));
    let mut numbers = vec![0; sources.len()];
    for (position, i) in order.into_iter().enumerate() {
        numbers[i] = 2 * position + 1;
    }
    sources
        .iter()
        .zip(numbers)
        .map(|(source, number)| source.load_beside(&weights.at(number)))
        .collect()
}

fn locate(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(Error::file(path))? {
        let file = entry.map_err(Error::file(path))?.path();
        if file.extension().is_some_and(|kind| kind == "safetensors") {
            files.push(file);
        }
    }
    match files.len() {
        1 => Ok(files.remove(0)),
        0 => Err(Error::malformed(
            path,
            "no .safetensors file of an IP-Adapter here",
        )),
        n => Err(Error::malformed(
            path,
            format!("{n} .safetensors files here: name the one that is meant"),
        )),
    }
}

fn encoder_folder(file: &Path) -> Result<Folder, Error> {
    let beside = file.ancestors().skip(1).take(2);
    beside
        .map(|folder| Folder::new(folder.join("image_encoder")))
        .find(Folder::exists)
        .ok_or_else(|| Error::malformed(file, "the folder image_encoder is not beside it"))
}
