//! What a UNet is told beside the picture, brought into the form in which its blocks take it.
//!
//! Time and prompt reach every block through projections of their own. Neither depends on the picture, so all
//! projections are computed once for a list of timesteps and once for a prompt, in the order in which the blocks ask.

use std::slice;

use tch::{Kind, Tensor};

use super::Config;
use crate::attention::{KeyValue, KeyValueProjection, Source};
use crate::embeddings::{Sinusoid, TimestepEmbedding};
use crate::layers::Linear;
use crate::weights::Weights;

/// What SDXL is told beside timestep and prompt.
#[derive(Debug)]
pub struct Added {
    /// The pooled prompt: (n, [`Config::pooled_dim`]).
    pub text_embeds: Tensor,
    /// Original size, crop and target size: (n, 6).
    pub time_ids: Tensor,
}

/// The timesteps of a batch as each residual block adds them: (n, channels, 1, 1) for each, inputs first.
#[derive(Debug)]
pub struct Time(pub(super) Vec<Tensor>);

impl Time {
    /// What the first residual block adds.
    pub(crate) fn first(&self) -> Option<&Tensor> {
        self.0.first()
    }

    /// Several along the batch, all of one model.
    #[must_use]
    pub fn cat(parts: &[&Self]) -> Self {
        let blocks = parts.first().map_or(0, |part| part.0.len());
        Self(
            (0..blocks)
                .map(|i| {
                    let tensors: Vec<_> = parts.iter().map(|part| &part.0[i]).collect();
                    Tensor::cat(&tensors, 0)
                })
                .collect(),
        )
    }
}

/// The prompts of a batch, and with an IP-Adapter a picture each, as each cross attention takes them.
#[derive(Debug)]
pub struct Context {
    /// For each cross attention, in the order of [`super::UNet2DCondition::cross_attentions`].
    pub text: Vec<KeyValue>,
    /// What an IP-Adapter adds.
    pub image: Option<ImageContext>,
}

/// The pictures of a batch as each cross attention takes them.
#[derive(Debug)]
pub struct ImageContext {
    /// For each cross attention, in the order of [`super::UNet2DCondition::cross_attentions`].
    pub layers: Vec<KeyValue>,
    /// The weight of what the picture adds.
    pub scale: f64,
}

impl Context {
    /// Several along the batch, all of one model.
    ///
    /// # Panics
    /// When some have a picture and others none, or pictures of another scale: they cannot be of one batch.
    #[must_use]
    pub fn cat(parts: &[&Self]) -> Self {
        let text: Vec<_> = parts.iter().map(|part| part.text.as_slice()).collect();
        let images: Option<Vec<_>> = parts.iter().map(|part| part.image.as_ref()).collect();
        assert!(
            images.is_some() || parts.iter().all(|part| part.image.is_none()),
            "a batch is with pictures or without"
        );
        Self {
            text: cat_layers(&text),
            image: images
                .filter(|images| !images.is_empty())
                .map(|images| ImageContext::cat(&images)),
        }
    }
}

impl ImageContext {
    fn cat(parts: &[&Self]) -> Self {
        let scale = parts[0].scale;
        assert!(
            parts.iter().all(|part| part.scale == scale),
            "the pictures of a batch have one scale"
        );
        let layers: Vec<_> = parts.iter().map(|part| part.layers.as_slice()).collect();
        Self {
            layers: cat_layers(&layers),
            scale,
        }
    }
}

fn cat_layers(parts: &[&[KeyValue]]) -> Vec<KeyValue> {
    let layers = parts.first().map_or(0, |part| part.len());
    (0..layers)
        .map(|i| {
            let layer: Vec<_> = parts.iter().map(|part| &part[i]).collect();
            KeyValue::cat(&layer)
        })
        .collect()
}

/// The projections of the blocks, collected while they are loaded, in their order.
#[derive(Debug, Default)]
pub(crate) struct Projections {
    pub(crate) time: Vec<Linear>,
    pub(crate) sources: Vec<KeyValueProjection>,
}

/// All that turns timesteps and prompts into [`Time`] and [`Context`].
#[derive(Debug)]
pub(crate) struct Conditioning {
    sinusoid: Sinusoid,
    embedding: TimestepEmbedding,
    added: Option<(Sinusoid, TimestepEmbedding)>,
    kind: Kind,
    pub(crate) projections: Projections,
}

impl Conditioning {
    pub(crate) fn load(weights: &Weights, config: &Config, projections: Projections) -> Self {
        let inputs = config.block_out_channels[0];
        let width = config.time_channels();
        let load = |name, inputs| TimestepEmbedding::load(&weights.at(name), inputs, width);
        let added = config
            .addition_time_embed_dim
            .zip(config.projection_class_embeddings_input_dim)
            .filter(|_| config.takes_added())
            .map(|(each, inputs)| (config.sinusoid(each), load("add_embedding", inputs)));
        Self {
            sinusoid: config.sinusoid(inputs),
            embedding: load("time_embedding", inputs),
            added,
            kind: weights.placement().kind,
            projections,
        }
    }

    pub(crate) fn time(&self, timesteps: &Tensor, added: Option<&Added>) -> Time {
        let waves = self.sinusoid.forward(timesteps).to_kind(self.kind);
        let mut embedding = self.embedding.forward(&waves);
        if let Some((sinusoid, layers)) = &self.added {
            let added = added.expect("a model that takes a pooled prompt is given one");
            let numbers = sinusoid
                .forward(&added.time_ids.flatten(0, -1))
                .view([added.time_ids.size()[0], -1])
                .to_kind(self.kind);
            let pooled = added.text_embeds.to_kind(self.kind);
            embedding += layers.forward(&Tensor::cat(&[pooled, numbers], 1));
        }
        let embedding = embedding.silu();
        let project = |layer: &Linear| layer.forward(&embedding).unsqueeze(2).unsqueeze(3);
        Time(self.projections.time.iter().map(project).collect())
    }

    pub(crate) fn context(&self, embeddings: &Tensor) -> Context {
        let embeddings = embeddings.to_kind(self.kind);
        let sources = self.projections.sources.iter();
        Context {
            text: sources.map(|layer| layer.forward(&embeddings)).collect(),
            image: None,
        }
    }
}

/// Hands the blocks what belongs to them, one after the other.
pub(crate) struct Cursor<'a> {
    time: slice::Iter<'a, Tensor>,
    text: slice::Iter<'a, KeyValue>,
    image: Option<(slice::Iter<'a, KeyValue>, f64)>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(time: &'a Time, context: &'a Context) -> Self {
        Self {
            time: time.0.iter(),
            text: context.text.iter(),
            image: context
                .image
                .as_ref()
                .filter(|image| image.scale != 0.0)
                .map(|image| (image.layers.iter(), image.scale)),
        }
    }

    /// The next residual block's.
    pub(crate) fn time(&mut self) -> &'a Tensor {
        self.time.next().expect("time and blocks are of one model")
    }
}

/// The sources of the cross attentions.
impl<'a> Iterator for Cursor<'a> {
    type Item = Source<'a>;

    fn next(&mut self) -> Option<Source<'a>> {
        let text = self.text.next()?;
        let image = match &mut self.image {
            Some((layers, scale)) => Some((layers.next()?, *scale)),
            None => None,
        };
        Some(Source { text, image })
    }
}
