//! Attention and the transformers between the convolutions of a UNet.

use tch::Tensor;

use crate::layers::{GroupNorm, LayerNorm, Linear};
use crate::weights::Weights;

/// (n, tokens, channels) to (n, heads, tokens, channels / heads).
pub fn split_heads(x: &Tensor, heads: i64) -> Tensor {
    let (n, tokens, channels) = x.size3().expect("tokens have three dimensions");
    x.view([n, tokens, heads, channels / heads]).transpose(1, 2)
}

/// Softmax attention of split heads, to (n, tokens of `query`, channels). With `causal`, a token sees none after it.
pub fn attend(query: &Tensor, key: &Tensor, value: &Tensor, causal: bool) -> Tensor {
    let mixed = Tensor::scaled_dot_product_attention::<Tensor>(
        query, key, value, None, 0.0, causal, None, false,
    );
    mixed.transpose(1, 2).flatten(2, 3)
}

/// Query, key and value of one input, projected as one.
#[derive(Debug)]
pub struct SelfAttention {
    query_key_value: Linear,
    out: Linear,
    heads: i64,
}

impl SelfAttention {
    /// From the projections of query, key, value and result.
    #[must_use]
    pub fn new(query_key_value: [Linear; 3], out: Linear, heads: i64) -> Self {
        Self {
            query_key_value: Linear::side_by_side(&query_key_value),
            out,
            heads,
        }
    }

    /// `to_q`, `to_k` and `to_v` without bias, `to_out.0` with it.
    #[must_use]
    pub fn load(weights: &Weights, channels: i64, heads: i64) -> Self {
        let projections = ["to_q", "to_k", "to_v"]
            .map(|name| Linear::without_bias(&weights.at(name), channels, channels));
        let out = Linear::load(&weights.at("to_out.0"), channels, channels);
        Self::new(projections, out, heads)
    }

    /// (n, tokens, channels) to the same shape. With `causal`, a token sees none after it.
    pub fn forward(&self, x: &Tensor, causal: bool) -> Tensor {
        let (n, tokens, channels) = x.size3().expect("tokens have three dimensions");
        let parts = self
            .query_key_value
            .forward(x)
            .view([n, tokens, 3, self.heads, channels / self.heads])
            .permute([2, 0, 3, 1, 4])
            .unbind(0);
        self.out
            .forward(&attend(&parts[0], &parts[1], &parts[2], causal))
    }
}

/// What a cross attention looks at: keys and values of (n, heads, tokens, channels / heads).
#[derive(Debug)]
pub struct KeyValue {
    /// What the queries are compared with.
    pub key: Tensor,
    /// What is mixed.
    pub value: Tensor,
}

impl KeyValue {
    /// Several along the batch; their numbers of tokens are the same.
    #[must_use]
    pub fn cat(parts: &[&Self]) -> Self {
        let join = |part: fn(&Self) -> &Tensor| {
            let tensors: Vec<_> = parts.iter().map(|one| part(one)).collect();
            Tensor::cat(&tensors, 0)
        };
        Self {
            key: join(|one| &one.key),
            value: join(|one| &one.value),
        }
    }
}

/// The projections `to_k` and `to_v` of one cross attention. They look only at the prompt, so they are computed when it
/// changes and not with every frame.
#[derive(Debug)]
pub struct KeyValueProjection {
    /// Name of the attention in the file, such as `mid_block.attentions.0.transformer_blocks.0.attn2`.
    pub path: String,
    /// Channels of what they are projected from.
    pub context: i64,
    /// Channels of its keys and values.
    pub channels: i64,
    /// Its heads.
    pub heads: i64,
    key: Linear,
    value: Linear,
}

impl KeyValueProjection {
    /// `to_k` and `to_v` of `context` to `channels`, without bias.
    #[must_use]
    pub fn load(weights: &Weights, context: i64, channels: i64, heads: i64) -> Self {
        let linear = |name| Linear::without_bias(&weights.at(name), context, channels);
        Self {
            path: weights.key("").trim_end_matches('.').to_owned(),
            context,
            channels,
            heads,
            key: linear("to_k"),
            value: linear("to_v"),
        }
    }

    /// `to_k_ip` and `to_v_ip` of the same shapes: those of an IP-Adapter.
    #[must_use]
    pub fn load_beside(&self, weights: &Weights) -> Self {
        let linear = |name| Linear::without_bias(&weights.at(name), self.context, self.channels);
        Self {
            path: self.path.clone(),
            key: linear("to_k_ip"),
            value: linear("to_v_ip"),
            ..*self
        }
    }

    /// Embeddings of (n, tokens, context).
    #[must_use]
    pub fn forward(&self, embeddings: &Tensor) -> KeyValue {
        KeyValue {
            key: split_heads(&self.key.forward(embeddings), self.heads),
            value: split_heads(&self.value.forward(embeddings), self.heads),
        }
    }
}

/// What one cross attention looks at: the prompt, and with an IP-Adapter a picture beside it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The prompt.
    pub text: &'a KeyValue,
    /// The picture and the weight of what it adds.
    pub image: Option<(&'a KeyValue, f64)>,
}

/// Attention of a picture's tokens to a [`Source`].
#[derive(Debug)]
pub struct CrossAttention {
    query: Linear,
    out: Linear,
    heads: i64,
}

impl CrossAttention {
    /// `to_q` without bias and `to_out.0` with it.
    #[must_use]
    pub fn load(weights: &Weights, channels: i64, heads: i64) -> Self {
        Self {
            query: Linear::without_bias(&weights.at("to_q"), channels, channels),
            out: Linear::load(&weights.at("to_out.0"), channels, channels),
            heads,
        }
    }

    /// (n, tokens, channels) to the same shape.
    pub fn forward(&self, x: &Tensor, source: Source<'_>) -> Tensor {
        let query = split_heads(&self.query.forward(x), self.heads);
        let mut mixed = attend(&query, &source.text.key, &source.text.value, false);
        if let Some((image, scale)) = source.image {
            mixed += attend(&query, &image.key, &image.value, false) * scale;
        }
        self.out.forward(&mixed)
    }
}

/// Two linear layers with a gated exact GELU between (Shazeer 2020, GEGLU).
#[derive(Debug)]
pub struct FeedForward {
    gate: Linear,
    out: Linear,
}

impl FeedForward {
    /// `net.0.proj` to twice four times as many channels, and `net.2` back.
    #[must_use]
    pub fn load(weights: &Weights, channels: i64) -> Self {
        let inner = channels * 4;
        Self {
            gate: Linear::load(&weights.at("net.0.proj"), channels, inner * 2),
            out: Linear::load(&weights.at("net.2"), inner, channels),
        }
    }

    /// (n, tokens, channels) to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let halves = self.gate.forward(x).chunk(2, -1);
        self.out.forward(&(&halves[0] * halves[1].gelu("none")))
    }
}

/// Self attention, cross attention and feed-forward, each beside a shortcut (`BasicTransformerBlock`).
#[derive(Debug)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: SelfAttention,
    norm2: LayerNorm,
    attn2: CrossAttention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn load(weights: &Weights, channels: i64, heads: i64) -> Self {
        let norm = |name| LayerNorm::load(&weights.at(name), channels, 1e-5);
        Self {
            norm1: norm("norm1"),
            attn1: SelfAttention::load(&weights.at("attn1"), channels, heads),
            norm2: norm("norm2"),
            attn2: CrossAttention::load(&weights.at("attn2"), channels, heads),
            norm3: norm("norm3"),
            ff: FeedForward::load(&weights.at("ff"), channels),
        }
    }

    fn forward(&self, x: &Tensor, source: Source<'_>) -> Tensor {
        let mut x = x + self.attn1.forward(&self.norm1.forward(x), false);
        x += self.attn2.forward(&self.norm2.forward(&x), source);
        x += self.ff.forward(&self.norm3.forward(&x));
        x
    }
}

/// A picture through transformer blocks, each pixel a token (`Transformer2DModel`).
#[derive(Debug)]
pub struct Transformer2D {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

/// The numbers of a [`Transformer2D`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Of the picture.
    pub channels: i64,
    /// Of every attention.
    pub heads: i64,
    /// Transformer blocks.
    pub depth: usize,
    /// Groups of the normalisation.
    pub groups: i64,
    /// Channels of the prompt's embeddings.
    pub context: i64,
}

impl Transformer2D {
    /// Loads the model; the projections of keys and values are appended to `sources`, one per block.
    #[must_use]
    pub fn load(weights: &Weights, shape: Shape, sources: &mut Vec<KeyValueProjection>) -> Self {
        let Shape {
            channels, heads, ..
        } = shape;
        let blocks = weights.at("transformer_blocks");
        for i in 0..shape.depth {
            sources.push(KeyValueProjection::load(
                &blocks.at(i).at("attn2"),
                shape.context,
                channels,
                heads,
            ));
        }
        Self {
            norm: GroupNorm::load(&weights.at("norm"), channels, shape.groups, 1e-6),
            proj_in: Linear::pointwise(&weights.at("proj_in"), channels, channels),
            blocks: (0..shape.depth)
                .map(|i| TransformerBlock::load(&blocks.at(i), channels, heads))
                .collect(),
            proj_out: Linear::pointwise(&weights.at("proj_out"), channels, channels),
        }
    }

    /// (n, channels, h, w) to the same shape; takes one of `sources` per block.
    pub fn forward<'a>(
        &self,
        picture: &Tensor,
        sources: &mut impl Iterator<Item = Source<'a>>,
    ) -> Tensor {
        let (n, channels, rows, columns) = picture.size4().expect("a picture has four dimensions");
        // A convolution of 1x1 and a linear layer over the last dimension are the same, and pixels with their channels
        // next to each other are tokens already.
        let tokens = self.norm.forward(picture).permute([0, 2, 3, 1]);
        let mut x = self
            .proj_in
            .forward(&tokens.reshape([n, rows * columns, channels]));
        for block in &self.blocks {
            let source = sources.next().expect("a source for every block");
            x = block.forward(&x, source);
        }
        let mut out = self
            .proj_out
            .forward(&x)
            .view([n, rows, columns, channels])
            .permute([0, 3, 1, 2]);
        out += picture;
        out
    }
}
