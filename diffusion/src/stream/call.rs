//! One call of the UNet: what it is given, and what becomes of its answer.

use std::borrow::Borrow;

use tch::{Kind, Tensor};

use super::Stream;
use super::models::Models;
use crate::Error;
use crate::controlnet::Residuals;
use crate::guard::guard;
use crate::unet::{Context, Time};

/// A call of the UNet that a frame waits for.
#[derive(Debug)]
pub struct Call {
    /// Noisy latents, (rows,4,h,w) without negative rows, 32-bit floats.
    pub latents: Tensor,
    x_t: Tensor,
    stock: Tensor,
    controls: Vec<Tensor>,
    /// Which step it is for, when they are done one after the other.
    place: i64,
    /// So often the frame is fed yet, this time included.
    rounds: i64,
    generation: u64,
}

/// What the UNet is called with.
#[derive(Debug)]
pub struct Input<'a> {
    /// Latents with negative rows first, in the precision of the models.
    pub x: Tensor,
    /// Of the same rows, (rows).
    pub timesteps: &'a Tensor,
    /// `timesteps` as the UNet takes them.
    pub time: &'a Time,
    /// The prompts of the same rows, as the UNet takes them.
    pub context: &'a Context,
    /// The sum of what the ControlNets found.
    pub residuals: Option<Residuals>,
}

/// How a frame goes on after a call of the UNet.
#[derive(Debug)]
pub enum Progress {
    /// Another call is needed: the stream is filled, or the steps are done one after the other.
    Again(Call),
    /// The latents (fb,4,h,w) of the picture that comes out.
    Done(Tensor),
}

impl<M: Borrow<Models>> Stream<M> {
    /// The first call of a round.
    pub(super) fn call(&self, x_t: Tensor, controls: Vec<Tensor>, rounds: i64) -> Call {
        let (latents, stock) = self.state.enter(&x_t, self.shape.call());
        Call {
            latents,
            x_t,
            stock,
            controls,
            place: 0,
            rounds,
            generation: self.generation,
        }
    }

    /// What the UNet is to be called with. The ControlNets are run here.
    ///
    /// # Errors
    /// As [`Stream::frame`].
    pub fn input(&self, call: &Call) -> Result<Input<'_>, Error> {
        self.is_current(call)?;
        let told = &self.networks.unet;
        guard(|| {
            let kind = self.models.borrow().placement.kind;
            let x = self
                .guidance
                .widen(&call.latents, self.shape.call())
                .to_kind(kind);
            Ok(Input {
                residuals: self.residuals(call, &x),
                x,
                timesteps: &self.networks.timesteps[call.step()],
                time: &told.times[call.step()],
                context: &told.context,
            })
        })
    }

    fn residuals(&self, call: &Call, x: &Tensor) -> Option<Residuals> {
        let models = self.models.borrow();
        let nets = models.controlnets.iter().zip(&self.networks.controlnets);
        let wanted = self.params.controlnets.iter().zip(&call.controls);
        nets.zip(wanted)
            .filter_map(|((net, told), (wanted, control))| {
                let told = told.as_ref()?;
                let rows = x.size()[0] / control.size()[0];
                let control = control.repeat([rows, 1, 1, 1]).to_kind(x.kind());
                let time = &told.times[call.step()];
                let scale = wanted.conditioning_scale;
                Some(net.forward(x, time, &told.context, &control, scale))
            })
            .reduce(|sum, more| sum + &more)
    }

    /// Takes the UNet's answer to the input of `call`.
    ///
    /// # Errors
    /// As [`Stream::frame`].
    pub fn finish(&mut self, call: Call, answer: &Tensor) -> Result<Progress, Error> {
        self.is_current(&call)?;
        guard(|| {
            let answer = answer.to_kind(Kind::Float);
            let (noise, stock) = self
                .guidance
                .combine(&answer, &call.stock, self.shape.call());
            let rows = self.shape.rows(call.place);
            let denoised = self.tables.denoised(&noise, &call.latents, rows);
            let progress = if self.shape.batched {
                self.finish_batch(call, &noise, stock, &denoised)
            } else {
                self.finish_step(call, stock, denoised)
            };
            if let Progress::Done(latents) = &progress {
                self.primed = true;
                self.former = Some(latents.shallow_clone());
            }
            Ok(progress)
        })
    }

    fn finish_batch(
        &mut self,
        call: Call,
        noise: &Tensor,
        stock: Tensor,
        denoised: &Tensor,
    ) -> Progress {
        let drawn = &self.state.noise;
        let stock = if self.guidance.restocks() {
            self.tables.restock(noise, &stock, drawn)
        } else {
            stock
        };
        let added = self.params.do_add_noise.then_some(drawn);
        let (last, buffer) = self.tables.leave(denoised, added);
        // Nothing can fail from here on.
        self.state.stock = stock;
        self.state.buffer = buffer;
        if call.rounds > 1 {
            return Progress::Again(self.call(call.x_t, call.controls, call.rounds - 1));
        }
        Progress::Done(last)
    }

    fn finish_step(&mut self, call: Call, stock: Tensor, denoised: Tensor) -> Progress {
        let place = call.place + 1;
        if place == self.shape.calls() {
            self.state.stock = stock;
            return Progress::Done(denoised);
        }
        let added = self.params.do_add_noise.then_some(&self.state.noise);
        Progress::Again(Call {
            latents: self.tables.renoised(&denoised, added, place),
            stock,
            place,
            ..call
        })
    }

    fn is_current(&self, call: &Call) -> Result<(), Error> {
        if call.generation == self.generation {
            return Ok(());
        }
        Err(Error::Parameter(
            "the frame was begun before the parameters changed".to_owned(),
        ))
    }
}

impl Call {
    fn step(&self) -> usize {
        usize::try_from(self.place).expect("steps are counted from 0")
    }
}
