//! From parameters to what a stream computes with: all of it at the beginning, then what a change touches.

use tch::Tensor;

use super::batch::Tables;
use super::blend::Method;
use super::guidance::Guidance;
use super::models::Models;
use super::prompt::{Embeddings, Prompts};
use super::shape::Shape;
use super::told::{Script, Told};
use super::transition::Transition;
use crate::Error;
use crate::params::Params;
use crate::unet::ImageContext;

/// The prompts in force.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) prompts: Prompts,
    pub(super) positive: Embeddings,
    pub(super) negative: Embeddings,
    pub(super) transition: Option<Transition>,
    /// Tokens (1,T,D) of the picture that an IP-Adapter shows; without it the camera's are taken.
    pub(super) picture: Option<Tensor>,
}

/// What the networks are told.
#[derive(Debug)]
pub(super) struct Networks {
    /// Of every call of a frame.
    pub(super) timesteps: Vec<Tensor>,
    pub(super) embeddings: Tensor,
    pub(super) unet: Told,
    /// `None` for a ControlNet that is off.
    pub(super) controlnets: Vec<Option<Told>>,
}

/// What a change of the parameters makes anew; `None` is what stays.
pub(super) struct Change {
    pub(super) shape: Shape,
    pub(super) guidance: Guidance,
    pub(super) tables: Option<Tables>,
    pub(super) noise: Option<Tensor>,
    pub(super) positive: Option<Embeddings>,
    pub(super) negative: Option<Embeddings>,
    pub(super) transition: Option<Option<Transition>>,
    pub(super) networks: Option<Networks>,
}

pub(super) fn guidance(params: &Params) -> Guidance {
    Guidance::new(params.guidance(), params.guidance_scale, params.delta)
}

/// The weight of the IP-Adapter's picture; 0 is off.
pub(super) fn picture_scale(params: &Params) -> f64 {
    params
        .ip_adapter
        .as_ref()
        .map_or(0.0, |adapter| adapter.scale)
}

/// The share of the former latents in new ones.
pub(super) fn latent_feedback(params: &Params) -> f64 {
    crate::processors::latent_feedback::strength(&params.processors)
}

fn prompt_method(params: &Params) -> Method {
    Method {
        interpolation: params.prompt_interpolation_method,
        normalize: params.normalize_prompt_weights,
    }
}

impl Networks {
    /// `tokens` are as [`Text::picture`].
    pub(super) fn new(
        models: &Models,
        params: &Params,
        script: &Script<'_>,
        tokens: Option<&Tensor>,
    ) -> Self {
        let unet = &models.unet;
        let nets = models.controlnets.iter().zip(&params.controlnets);
        let mut told = Told::new(
            script,
            |timesteps, added| unet.time(timesteps, added),
            |embeddings| unet.context(embeddings),
        );
        told.context.image = tokens.and_then(|tokens| picture(models, params, script, tokens));
        Self {
            timesteps: script.timesteps.iter().map(Tensor::shallow_clone).collect(),
            embeddings: script.embeddings(),
            unet: told,
            controlnets: nets
                .map(|(net, wanted)| {
                    let told = || {
                        Told::new(
                            script,
                            |timesteps, added| net.time(timesteps, added),
                            |embeddings| net.context(embeddings),
                        )
                    };
                    (wanted.conditioning_scale != 0.0).then(told)
                })
                .collect(),
        }
    }
}

/// What the UNet is shown of a picture's tokens beside the prompt, if it is wanted.
pub(super) fn picture(
    models: &Models,
    params: &Params,
    script: &Script<'_>,
    tokens: &Tensor,
) -> Option<ImageContext> {
    let adapter = models.ip_adapter.as_ref()?;
    script.picture(adapter, tokens, picture_scale(params))
}

impl Text {
    pub(super) fn new(models: &Models, params: &Params) -> Result<Self, Error> {
        let mut prompts = Prompts::default();
        let method = prompt_method(params);
        let mut text = Self {
            positive: prompts.encode(&models.encoder, &params.prompt, method)?,
            negative: prompts.one(&models.encoder, &params.negative_prompt)?,
            transition: None,
            picture: None,
            prompts,
        };
        text.transition = text.toward(models, params, None)?;
        Ok(text)
    }

    /// The way that `params` begin, from `from` or what is in force.
    fn toward(
        &mut self,
        models: &Models,
        params: &Params,
        from: Option<&Embeddings>,
    ) -> Result<Option<Transition>, Error> {
        let Some(wanted) = &params.transition else {
            return Ok(None);
        };
        let method = prompt_method(params);
        let target = self
            .prompts
            .encode(&models.encoder, &wanted.target, method)?;
        Ok(Some(Transition::new(
            from.unwrap_or(&self.positive),
            target,
            method.interpolation,
            wanted.num_steps,
        )))
    }

    /// Positive and negative prompt and transition, as far as they change from `now` to `next`.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn change(
        &mut self,
        models: &Models,
        now: &Params,
        next: &Params,
    ) -> Result<
        (
            Option<Embeddings>,
            Option<Embeddings>,
            Option<Option<Transition>>,
        ),
        Error,
    > {
        let (encoder, method) = (&models.encoder, prompt_method(next));
        let blended = next.prompt.parts().count() > 1;
        let other = next.prompt != now.prompt || blended && method != prompt_method(now);
        let positive = other
            .then(|| self.prompts.encode(encoder, &next.prompt, method))
            .transpose()?;
        let negative = (next.negative_prompt != now.negative_prompt)
            .then(|| self.prompts.one(encoder, &next.negative_prompt))
            .transpose()?;
        let begun = self.toward(models, next, positive.as_ref())?;
        let transition = (other || begun.is_some()).then_some(begun);
        Ok((positive, negative, transition))
    }
}

/// What a stream computes with now.
pub(super) struct Now<'a> {
    pub(super) params: &'a Params,
    pub(super) shape: Shape,
    pub(super) guidance: Guidance,
    pub(super) tables: &'a Tables,
}

impl Change {
    /// Computes everything that `next` needs and `now` has not; nothing is changed but what is remembered of prompts.
    pub(super) fn plan(
        models: &Models,
        now: &Now<'_>,
        text: &mut Text,
        next: &Params,
    ) -> Result<Self, Error> {
        let shape = Shape::of(models, next)?;
        let guidance = guidance(next);
        let reshaped = shape != now.shape;
        let tables = (reshaped || steps(next) != steps(now.params))
            .then(|| shape.tables(models, next))
            .transpose()?;
        let noise = (reshaped || seeds(next) != seeds(now.params))
            .then(|| shape.noise(models, next))
            .transpose()?;
        let (positive, negative, transition) = text.change(models, now.params, next)?;
        let negatives = guidance.negatives(shape.call());
        let retell = tables.is_some()
            || positive.is_some()
            || negative.is_some() && negatives > 0
            || negatives != now.guidance.negatives(now.shape.call())
            || switches(next) != switches(now.params);
        let networks = retell.then(|| {
            let script = shape.script(
                tables.as_ref().unwrap_or(now.tables),
                guidance,
                positive.as_ref().unwrap_or(&text.positive),
                negative.as_ref().unwrap_or(&text.negative),
            );
            Networks::new(models, next, &script, text.picture.as_ref())
        });
        Ok(Self {
            shape,
            guidance,
            tables,
            noise,
            positive,
            negative,
            transition,
            networks,
        })
    }
}

/// Which of the networks beside the UNet are on.
fn switches(params: &Params) -> Vec<bool> {
    let nets = params.controlnets.iter().map(|net| net.conditioning_scale);
    nets.chain([picture_scale(params)])
        .map(|scale| scale != 0.0)
        .collect()
}

fn steps(params: &Params) -> impl PartialEq + '_ {
    (params.num_inference_steps, &params.t_index_list)
}

fn seeds(params: &Params) -> impl PartialEq + '_ {
    (
        &params.seed,
        params.seed_interpolation_method,
        params.normalize_seed_weights,
    )
}
