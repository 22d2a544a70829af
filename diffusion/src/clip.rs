//! The text encoders of Stable Diffusion (CLIP's text transformer, Radford et al. 2021): ViT-L, OpenCLIP H and bigG.

use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::Error;
use crate::attention::SelfAttention;
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;
use crate::layers::{LayerNorm, Linear};
use crate::weights::{Adapter, Report, Weights};

/// The fields of a text encoder's `config.json`, with the defaults of transformers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Tokens.
    pub vocab_size: i64,
    /// Features of a token.
    pub hidden_size: i64,
    /// Features between the two linear layers after each attention.
    pub intermediate_size: i64,
    /// Features after `text_projection`.
    pub projection_dim: i64,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of each attention.
    pub num_attention_heads: i64,
    /// The longest sequence.
    pub max_position_embeddings: i64,
    /// The activation.
    pub hidden_act: Activation,
    /// Added to the variance.
    pub layer_norm_eps: f64,
    /// The token that ends a prompt.
    pub eos_token_id: i64,
    architectures: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
            architectures: Vec::new(),
        }
    }
}

const WITH_PROJECTION: &str = "CLIPTextModelWithProjection";

impl Config {
    fn read(file: &ConfigFile) -> Result<Self, Error> {
        file.only_all(&[
            ("hidden_act", &["\"quick_gelu\"", "\"gelu\""]),
            ("model_type", &["\"clip_text_model\""]),
        ])?;
        let config: Self = file.parse()?;
        for (key, size) in [
            ("vocab_size", &config.vocab_size),
            ("hidden_size", &config.hidden_size),
            ("intermediate_size", &config.intermediate_size),
            ("projection_dim", &config.projection_dim),
            ("max_position_embeddings", &config.max_position_embeddings),
        ] {
            file.sizes(key, [size])?;
        }
        file.divides(
            "num_attention_heads",
            config.num_attention_heads,
            config.hidden_size,
        )?;
        if !(1..=1000).contains(&config.num_hidden_layers) {
            return Err(file.unsupported("num_hidden_layers", "is out of range"));
        }
        let known = ["CLIPTextModel", WITH_PROJECTION];
        match config.architectures.first() {
            Some(name) if !known.contains(&name.as_str()) => Err(file.unsupported(
                "architectures",
                format!("\"{name}\" is not supported, only {}", known.join(" and ")),
            )),
            _ => Ok(config),
        }
    }
}

/// The activation of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// The exact GELU.
    Gelu,
}

impl Activation {
    fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Self::QuickGelu => x * (x * 1.702).sigmoid_(),
            Self::Gelu => x.gelu("none"),
        }
    }
}

/// What a prompt becomes.
#[derive(Debug)]
pub struct Output {
    /// (n, tokens, features): the last layer after the final normalisation; what SD 1.5 and SD 2.1 take.
    pub last: Tensor,
    /// (n, tokens, features): the last layer but one, not normalised; what SDXL takes.
    pub penultimate: Tensor,
    /// (n, features): `last` at the end of the prompt.
    pub pooled: Tensor,
    /// (n, projected features): `pooled` projected, where the model has a projection; SDXL takes that of its second
    /// encoder.
    pub projected: Option<Tensor>,
}

/// A text encoder.
#[derive(Debug)]
pub struct TextEncoder {
    config: Config,
    tokens: Tensor,
    positions: Tensor,
    layers: Layers,
    final_norm: LayerNorm,
    projection: Option<Linear>,
}

impl TextEncoder {
    /// Reads configuration and weights; `adapter` changes tensors between file and model.
    ///
    /// # Errors
    /// When a file cannot be read, the configuration asks for what is not supported, or the weights do not fit it.
    pub fn load(
        folder: &Folder,
        placement: Placement,
        adapter: Option<Adapter>,
    ) -> Result<(Self, Report), Error> {
        let config = Config::read(&ConfigFile::read(folder)?)?;
        let mut weights = Weights::open(folder, placement)?;
        if let Some(adapter) = adapter {
            weights = weights.adapted(adapter);
        }
        let encoder = Self::build(&weights, config);
        Ok((encoder, weights.finish()?))
    }

    /// Compares the headers of the weights with the configuration, and reads no tensor. The model is only good for being
    /// asked what it is.
    ///
    /// # Errors
    /// When a file cannot be read or the configuration asks for what is not supported. What does not fit is in the
    /// report.
    pub fn check(folder: &Folder) -> Result<(Self, Report), Error> {
        let config = Config::read(&ConfigFile::read(folder)?)?;
        let weights = Weights::headers(folder)?;
        Ok((Self::build(&weights, config), weights.report()))
    }

    fn build(weights: &Weights, config: Config) -> Self {
        // Files written by another class of transformers have the model at the top.
        let model = match weights.has("embeddings") {
            true => weights.clone(),
            false => weights.at("text_model"),
        };
        let embeddings = model.at("embeddings");
        // Older files hold the numbers 0, 1, 2, ...
        embeddings.ignore("position_ids");
        let features = config.hidden_size;
        let table = |name: &str, rows| embeddings.at(name).tensor("weight", &[rows, features]);
        let projects = config
            .architectures
            .iter()
            .any(|name| name == WITH_PROJECTION)
            || weights.has("text_projection");
        Self {
            tokens: table("token_embedding", config.vocab_size),
            positions: table("position_embedding", config.max_position_embeddings),
            layers: Layers::load(&model.at("encoder").at("layers"), &LayerConfig::of(&config)),
            final_norm: LayerNorm::load(
                &model.at("final_layer_norm"),
                features,
                config.layer_norm_eps,
            ),
            projection: projects.then(|| {
                let weights = weights.at("text_projection");
                Linear::without_bias(&weights, features, config.projection_dim)
            }),
            config,
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tokens of (n, tokens), at most [`Config::max_position_embeddings`] and each below [`Config::vocab_size`].
    #[must_use]
    pub fn forward(&self, ids: &Tensor) -> Output {
        let ids = ids.to_device(self.tokens.device());
        let (n, length) = ids.size2().expect("tokens have two dimensions");
        let x = Tensor::embedding(&self.tokens, &ids, -1, false, false)
            + self.positions.narrow(0, 0, length);
        let (penultimate, x) = self.layers.forward(x, true);
        let last = self.final_norm.forward(&x);
        let end = self.end_of_prompt(&ids).view([n, 1, 1]);
        let pooled = last
            .gather(
                1,
                &end.expand([n, 1, self.config.hidden_size], false),
                false,
            )
            .squeeze_dim(1);
        Output {
            penultimate,
            projected: self.projection.as_ref().map(|layer| layer.forward(&pooled)),
            pooled,
            last,
        }
    }

    /// Where each prompt ends: (n).
    fn end_of_prompt(&self, ids: &Tensor) -> Tensor {
        // Configurations from before the number was put right say 2. The end was then, and is, the greatest token.
        if self.config.eos_token_id == 2 {
            return ids.argmax(1, false);
        }
        ids.eq(self.config.eos_token_id)
            .to_kind(Kind::Int)
            .argmax(1, false)
    }
}

/// The numbers of [`Layers`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerConfig {
    /// Features of a token.
    pub features: i64,
    /// Features between the two linear layers after each attention.
    pub intermediate: i64,
    /// How many layers.
    pub count: usize,
    /// Heads of each attention.
    pub heads: i64,
    /// The activation.
    pub activation: Activation,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerConfig {
    fn of(config: &Config) -> Self {
        Self {
            features: config.hidden_size,
            intermediate: config.intermediate_size,
            count: config.num_hidden_layers,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            eps: config.layer_norm_eps,
        }
    }
}

/// The layers of CLIP's transformers, which are the same for text and pictures.
#[derive(Debug)]
pub struct Layers(Vec<Layer>);

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    attention: SelfAttention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
}

impl Layers {
    /// Those below the numbers 0, 1, 2, ... of `weights`.
    #[must_use]
    pub fn load(weights: &Weights, config: &LayerConfig) -> Self {
        let load = |i| Layer::load(&weights.at(i), config);
        Self((0..config.count).map(load).collect())
    }

    /// (n, tokens, features) to the same shape: what the last layer is given, and what it gives. With `causal`, a token
    /// sees none after it.
    pub fn forward(&self, x: Tensor, causal: bool) -> (Tensor, Tensor) {
        let mut before = x.shallow_clone();
        let mut x = x;
        for layer in &self.0 {
            let after = layer.forward(&x, causal);
            before = std::mem::replace(&mut x, after);
        }
        (before, x)
    }
}

impl Layer {
    fn load(weights: &Weights, config: &LayerConfig) -> Self {
        let features = config.features;
        let norm = |name| LayerNorm::load(&weights.at(name), features, config.eps);
        let attention = weights.at("self_attn");
        let [query, key, value, out] = ["q_proj", "k_proj", "v_proj", "out_proj"]
            .map(|name| Linear::load(&attention.at(name), features, features));
        let mlp = weights.at("mlp");
        Self {
            norm1: norm("layer_norm1"),
            attention: SelfAttention::new([query, key, value], out, config.heads),
            norm2: norm("layer_norm2"),
            fc1: Linear::load(&mlp.at("fc1"), features, config.intermediate),
            fc2: Linear::load(&mlp.at("fc2"), config.intermediate, features),
            activation: config.activation,
        }
    }

    fn forward(&self, x: &Tensor, causal: bool) -> Tensor {
        let x = x + self.attention.forward(&self.norm1.forward(x), causal);
        let inner = self.fc1.forward(&self.norm2.forward(&x));
        x + self.fc2.forward(&self.activation.forward(&inner))
    }
}
