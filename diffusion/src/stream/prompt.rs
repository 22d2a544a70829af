//! Prompts as the models take them: encoded, and blended by weight.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::blend::Method;
use crate::Error;
use crate::clip::TextEncoder;
use crate::device::Placement;
use crate::folder::Folder;
use crate::params::Blend;
use crate::tokenizer::Tokenizer;
use crate::weights::{Adapter, Report};

/// An encoded prompt, 32-bit floats.
#[derive(Debug)]
pub struct Embeddings {
    /// One vector for each token: (1,77,D).
    pub tokens: Tensor,
    /// One for the prompt as a whole, of models that take it (SDXL): (1,P).
    pub pooled: Option<Tensor>,
}

impl Embeddings {
    /// The same embeddings once more.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self {
            tokens: self.tokens.shallow_clone(),
            pooled: self.pooled.as_ref().map(Tensor::shallow_clone),
        }
    }
}

/// The text encoders of a model folder: one, or with SDXL two side by side.
#[derive(Debug)]
pub struct Encoder {
    first: Text,
    second: Option<Text>,
}

#[derive(Debug)]
struct Text {
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    placement: Placement,
}

impl Encoder {
    /// Loads `tokenizer` and `text_encoder` of a model folder, and with SDXL `tokenizer_2` and `text_encoder_2`.
    /// `adapter` gives what changes the weights of the first and of the second one.
    ///
    /// # Errors
    /// When a file cannot be read, or weights do not fit their configuration.
    pub fn load(
        folder: &Folder,
        placement: Placement,
        [first, second]: [Option<Adapter>; 2],
    ) -> Result<(Self, Vec<Report>), Error> {
        let (first, report) = Text::load(folder, "", placement, first)?;
        let mut reports = vec![report];
        let second = if folder.sub("text_encoder_2").exists() {
            let (text, report) = Text::load(folder, "_2", placement, second)?;
            reports.push(report);
            Some(text)
        } else {
            None
        };
        Ok((Self { first, second }, reports))
    }

    /// Encodes one prompt. The order of a model's training is followed: with one encoder its last hidden state, with
    /// two the last but one of each side by side, and the projected one of the second for the prompt as a whole.
    ///
    /// # Errors
    /// When the second encoder gives no projection.
    pub fn encode(&self, prompt: &str) -> Result<Embeddings, Error> {
        let first = self.first.encode(prompt);
        let Some(second) = &self.second else {
            return Ok(Embeddings {
                tokens: first.last.to_kind(Kind::Float),
                pooled: None,
            });
        };
        let second = second.encode(prompt);
        let pooled = second.projected.ok_or_else(|| {
            Error::Parameter("text_encoder_2 has no text_projection, which SDXL takes".to_owned())
        })?;
        let tokens = Tensor::cat(&[first.penultimate, second.penultimate], -1);
        Ok(Embeddings {
            tokens: tokens.to_kind(Kind::Float),
            pooled: Some(pooled.to_kind(Kind::Float)),
        })
    }
}

impl Text {
    fn load(
        folder: &Folder,
        suffix: &str,
        placement: Placement,
        adapter: Option<Adapter>,
    ) -> Result<(Self, Report), Error> {
        let part = |name: &str| folder.sub(&format!("{name}{suffix}"));
        let tokenizer = Tokenizer::load(&part("tokenizer"))?;
        let (encoder, report) = TextEncoder::load(&part("text_encoder"), placement, adapter)?;
        let text = Self {
            tokenizer,
            encoder,
            placement,
        };
        Ok((text, report))
    }

    fn encode(&self, prompt: &str) -> crate::clip::Output {
        let ids = self.tokenizer.encode(prompt);
        let ids = Tensor::from_slice(&ids).unsqueeze(0);
        self.encoder.forward(&ids.to_device(self.placement.device))
    }
}

/// Encodes blends of prompts and remembers their parts, so that moving a weight costs no encoding.
#[derive(Debug, Default)]
pub struct Prompts(BTreeMap<String, Embeddings>);

/// So many encoded prompts are remembered.
const REMEMBERED: usize = 32;

impl Prompts {
    /// One prompt, or several blended by `method`.
    ///
    /// # Errors
    /// As [`Encoder::encode`] and [`Method::blend`].
    pub fn encode(
        &mut self,
        encoder: &Encoder,
        prompt: &Blend<String>,
        method: Method,
    ) -> Result<Embeddings, Error> {
        let mut tokens = Vec::new();
        let mut pooled = Vec::new();
        for (text, weight) in prompt.parts() {
            let part = self.one(encoder, text)?;
            tokens.push((part.tokens, weight));
            pooled.extend(part.pooled.map(|pooled| (pooled, weight)));
        }
        Ok(Embeddings {
            tokens: method.blend(&tokens)?,
            pooled: match pooled.is_empty() {
                true => None,
                false => Some(method.blend(&pooled)?),
            },
        })
    }

    /// One prompt.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn one(&mut self, encoder: &Encoder, text: &str) -> Result<Embeddings, Error> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.shallow_clone());
        }
        let new = encoder.encode(text)?;
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), new.shallow_clone());
        Ok(new)
    }
}
