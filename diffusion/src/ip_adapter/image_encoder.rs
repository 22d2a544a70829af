//! The image encoder of an IP-Adapter: CLIP's vision transformer with projection (Radford et al. 2021), ViT-H or bigG.

use serde::Deserialize;
use tch::Tensor;

use crate::Error;
use crate::clip::{Activation, LayerConfig, Layers};
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;
use crate::layers::{Conv2d, Kernel, LayerNorm, Linear};
use crate::weights::{Report, Weights};

/// The fields of an image encoder's `config.json`, with the defaults of transformers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Features of a patch.
    pub hidden_size: i64,
    /// Features between the two linear layers after each attention.
    pub intermediate_size: i64,
    /// Features after `visual_projection`.
    pub projection_dim: i64,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of each attention.
    pub num_attention_heads: i64,
    /// Colours.
    pub num_channels: i64,
    /// Rows and columns of a picture.
    pub image_size: i64,
    /// Rows and columns of a patch.
    pub patch_size: i64,
    /// The activation.
    pub hidden_act: Activation,
    /// Added to the variance.
    pub layer_norm_eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl Config {
    fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only_all(&[
            ("hidden_act", &["\"quick_gelu\"", "\"gelu\""]),
            ("model_type", &["\"clip_vision_model\""]),
            ("num_channels", &["3"]),
            ("architectures", &["[\"CLIPVisionModelWithProjection\"]"]),
        ])?;
        let config: Self = file.parse()?;
        for (key, size) in [
            ("hidden_size", &config.hidden_size),
            ("intermediate_size", &config.intermediate_size),
            ("projection_dim", &config.projection_dim),
            ("image_size", &config.image_size),
            ("patch_size", &config.patch_size),
        ] {
            file.sizes(key, [size])?;
        }
        let (heads, features) = (config.num_attention_heads, config.hidden_size);
        file.divides("num_attention_heads", heads, features)?;
        if config.image_size > 4096 || config.patch_size > config.image_size {
            return Err(file.unsupported("image_size", "is no size of a picture in patches"));
        }
        if !(1..=1000).contains(&config.num_hidden_layers) {
            return Err(file.unsupported("num_hidden_layers", "is out of range"));
        }
        Ok(config)
    }

    /// Patches of a picture, and one for the whole.
    #[must_use]
    pub fn tokens(&self) -> i64 {
        (self.image_size / self.patch_size).pow(2) + 1
    }
}

/// What a picture becomes.
#[derive(Debug)]
pub struct Output {
    /// (n, 1 + patches, features): the last layer, not normalised.
    pub last: Tensor,
    /// (n, 1 + patches, features): the last layer but one, not normalised.
    pub penultimate: Tensor,
    /// (n, projected features): the picture as a whole.
    pub projected: Tensor,
}

/// An image encoder.
#[derive(Debug)]
pub struct ImageEncoder {
    config: Config,
    class: Tensor,
    patches: Conv2d,
    positions: Tensor,
    pre_norm: LayerNorm,
    layers: Layers,
    post_norm: LayerNorm,
    projection: Linear,
}

impl ImageEncoder {
    /// Reads configuration and weights.
    ///
    /// # Errors
    /// When a file cannot be read, the configuration asks for what is not supported, or the weights do not fit it.
    pub fn load(folder: &Folder, placement: Placement) -> Result<(Self, Report), Error> {
        let config = Config::read(&ConfigFile::read(folder)?)?;
        let weights = Weights::open(folder, placement)?;
        let encoder = Self::build(&weights, config);
        Ok((encoder, weights.finish()?))
    }

    fn build(weights: &Weights, config: Config) -> Self {
        let model = weights.at("vision_model");
        let embeddings = model.at("embeddings");
        // Older files hold the numbers 0, 1, 2, ...
        embeddings.ignore("position_ids");
        let features = config.hidden_size;
        let norm = |name| LayerNorm::load(&model.at(name), features, config.layer_norm_eps);
        let patch = Kernel {
            size: config.patch_size,
            stride: config.patch_size,
            padding: 0,
        };
        let layers = LayerConfig {
            features,
            intermediate: config.intermediate_size,
            count: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps: config.layer_norm_eps,
        };
        Self {
            class: embeddings.tensor("class_embedding", &[features]),
            patches: Conv2d::without_bias(
                &embeddings.at("patch_embedding"),
                config.num_channels,
                features,
                patch,
            ),
            positions: embeddings
                .at("position_embedding")
                .tensor("weight", &[config.tokens(), features]),
            // The name is misspelt in every file.
            pre_norm: norm("pre_layrnorm"),
            layers: Layers::load(&model.at("encoder").at("layers"), &layers),
            post_norm: norm("post_layernorm"),
            projection: Linear::without_bias(
                &weights.at("visual_projection"),
                features,
                config.projection_dim,
            ),
            config,
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Normalised pictures of (n, 3, [`Config::image_size`], [`Config::image_size`]).
    #[must_use]
    pub fn forward(&self, pixels: &Tensor) -> Output {
        let n = pixels.size()[0];
        let patches = self.patches.forward(pixels).flatten(2, 3).transpose(1, 2);
        let class = self.class.expand([n, 1, self.config.hidden_size], false);
        let x = Tensor::cat(&[class, patches], 1) + &self.positions;
        let (penultimate, last) = self.layers.forward(self.pre_norm.forward(&x), false);
        let whole = self.post_norm.forward(&last.select(1, 0));
        Output {
            last,
            penultimate,
            projected: self.projection.forward(&whole),
        }
    }
}
