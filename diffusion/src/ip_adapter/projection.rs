//! From what the image encoder sees to tokens beside those of the prompt.

use tch::Tensor;

use crate::Error;
use crate::attention::{attend, split_heads};
use crate::layers::{LayerNorm, Linear};
use crate::weights::Weights;

use super::image_encoder::Output;

/// What an IP-Adapter makes tokens with.
#[derive(Debug)]
pub(super) enum Projection {
    /// A linear layer of the whole picture: the plain adapters.
    Linear {
        proj: Linear,
        norm: LayerNorm,
        tokens: i64,
    },
    /// Attention to the patches: the `plus` adapters.
    Resampler(Resampler),
    /// Two linear layers of each patch: the `full` adapters.
    Patches {
        inner: Linear,
        proj: Linear,
        norm: LayerNorm,
        tokens: i64,
    },
}

/// Of the picture and of the tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Of the picture as a whole.
    pub(super) projected: i64,
    /// Of a patch.
    pub(super) hidden: i64,
    /// Patches and one.
    pub(super) patches: i64,
    /// Of a token of the prompt.
    pub(super) context: i64,
}

impl Projection {
    /// `image_proj` of an adapter's file.
    ///
    /// # Errors
    /// When it is none of the known kinds; the message names a key.
    pub(super) fn load(weights: &Weights, sizes: Sizes) -> Result<Self, Error> {
        let proj = weights.at("proj");
        let rows = |weights: &Weights| weights.shape("weight").map_or(0, |shape| shape[0]);
        let context = sizes.context;
        let norm = |weights: &Weights| LayerNorm::load(weights, context, 1e-5);
        if weights.has("latents") {
            return Ok(Self::Resampler(Resampler::load(weights, sizes)));
        }
        if proj.has("weight") {
            let tokens = (rows(&proj) / context).max(1);
            return Ok(Self::Linear {
                proj: Linear::load(&proj, sizes.projected, tokens * context),
                norm: norm(&weights.at("norm")),
                tokens,
            });
        }
        if proj.has("0") && proj.has("2") && proj.has("3") && !weights.has("norm") {
            let inner = rows(&proj.at(0)).max(1);
            return Ok(Self::Patches {
                inner: Linear::load(&proj.at(0), sizes.hidden, inner),
                proj: Linear::load(&proj.at(2), inner, context),
                norm: norm(&proj.at(3)),
                tokens: sizes.patches,
            });
        }
        let first = weights.keys().find(|key| key.starts_with("image_proj."));
        Err(Error::unsupported(
            weights.path(),
            first.unwrap_or("image_proj"),
            "this is no projection of an IP-Adapter, plain, plus or full",
        ))
    }

    /// How many tokens a picture becomes.
    pub(super) fn tokens(&self) -> i64 {
        match self {
            Self::Linear { tokens, .. } | Self::Patches { tokens, .. } => *tokens,
            Self::Resampler(resampler) => resampler.latents.size()[1],
        }
    }

    /// (n, tokens, context).
    pub(super) fn forward(&self, seen: &Output) -> Tensor {
        match self {
            Self::Linear { proj, norm, tokens } => {
                let flat = proj.forward(&seen.projected);
                norm.forward(&flat.view([flat.size()[0], *tokens, -1]))
            }
            Self::Resampler(resampler) => resampler.forward(&seen.penultimate),
            Self::Patches {
                inner, proj, norm, ..
            } => norm.forward(&proj.forward(&inner.forward(&seen.penultimate).gelu("none"))),
        }
    }
}

/// The perceiver resampler (Alayrac et al. 2022): learnt queries that attend to the patches and to each other.
#[derive(Debug)]
pub(super) struct Resampler {
    latents: Tensor,
    proj_in: Linear,
    layers: Vec<Layer>,
    proj_out: Linear,
    norm_out: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    norm_patches: LayerNorm,
    norm_latents: LayerNorm,
    query: Linear,
    key_value: Linear,
    out: Linear,
    heads: i64,
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

/// Channels of a head in every published adapter; no file tells.
const HEAD: i64 = 64;

impl Resampler {
    fn load(weights: &Weights, sizes: Sizes) -> Self {
        let (tokens, features) = match weights.shape("latents") {
            Some([1, tokens, features]) => (*tokens, *features),
            // The report then says what it is instead.
            _ => (1, 1),
        };
        let layers = weights.at("layers");
        let mut loaded = Vec::new();
        while layers.has(&loaded.len().to_string()) {
            loaded.push(Layer::load(&layers.at(loaded.len()), features));
        }
        Self {
            latents: weights.tensor("latents", &[1, tokens, features]),
            proj_in: Linear::load(&weights.at("proj_in"), sizes.hidden, features),
            layers: loaded,
            proj_out: Linear::load(&weights.at("proj_out"), features, sizes.context),
            norm_out: LayerNorm::load(&weights.at("norm_out"), sizes.context, 1e-5),
        }
    }

    fn forward(&self, patches: &Tensor) -> Tensor {
        let patches = self.proj_in.forward(patches);
        let latents = self.latents.repeat([patches.size()[0], 1, 1]);
        let latents = self
            .layers
            .iter()
            .fold(latents, |latents, layer| layer.forward(&patches, latents));
        self.norm_out.forward(&self.proj_out.forward(&latents))
    }
}

impl Layer {
    fn load(weights: &Weights, features: i64) -> Self {
        let (attention, forward) = (weights.at(0), weights.at(1));
        let rows = |weights: &Weights| weights.shape("weight").map_or(0, |shape| shape[0]);
        let heads = (rows(&attention.at("to_q")) / HEAD).max(1);
        let wide = rows(&forward.at(1)).max(1);
        let linear = |weights: &Weights, from, to| Linear::without_bias(weights, from, to);
        let norm = |weights: &Weights| LayerNorm::load(weights, features, 1e-5);
        Self {
            norm_patches: norm(&attention.at("norm1")),
            norm_latents: norm(&attention.at("norm2")),
            query: linear(&attention.at("to_q"), features, heads * HEAD),
            key_value: linear(&attention.at("to_kv"), features, heads * HEAD * 2),
            out: linear(&attention.at("to_out"), heads * HEAD, features),
            heads,
            norm: norm(&forward.at(0)),
            wide: linear(&forward.at(1), features, wide),
            narrow: linear(&forward.at(3), wide, features),
        }
    }

    fn forward(&self, patches: &Tensor, latents: Tensor) -> Tensor {
        let patches = self.norm_patches.forward(patches);
        let own = self.norm_latents.forward(&latents);
        let key_value = self
            .key_value
            .forward(&Tensor::cat(&[&patches, &own], 1))
            .chunk(2, -1);
        let split = |x: &Tensor| split_heads(&x.contiguous(), self.heads);
        let query = split(&self.query.forward(&own));
        let mixed = attend(&query, &split(&key_value[0]), &split(&key_value[1]), false);
        let latents = latents + self.out.forward(&mixed);
        let wide = self.wide.forward(&self.norm.forward(&latents));
        latents + self.narrow.forward(&wide.gelu("none"))
    }
}
