//! StreamDiffusion (Kodaira et al. 2023): pictures of a camera through few steps of denoising, frame after frame.
//!
//! A frame is three steps: [`Stream::begin`] gives what the UNet is called with, [`Stream::finish`] takes its answer,
//! and [`Stream::decode`] makes the picture. So one call of the UNet can serve the frames of several streams;
//! [`Stream::frame`] does all three for one.
//!
//! All parameters change between two frames, together or not at all. The pictures are the same for the same seed,
//! parameters and frames. Nothing here waits for the device, with two exceptions: a [`Picture`] that is read back, and
//! the filter for similar images when frames come on the device.

pub mod batch;
pub mod blend;
mod call;
mod change;
pub mod filter;
mod frame;
pub mod guidance;
mod models;
mod picture;
mod progress;
pub mod prompt;
pub mod seed;
mod shape;
mod told;
pub mod transition;

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tch::Tensor;

pub use call::{Call, Input, Progress};
pub use frame::{Frame, Output};
pub use models::{Models, Parts, Reports};
pub use picture::Picture;

use crate::Error;
use crate::guard::guard;
use crate::ip_adapter;
use crate::params::Params;
use batch::{State, Tables};
use change::{Change, Networks, Now, Text};
use filter::{SimilarImageFilter, Uniforms};
use guidance::Guidance;
use prompt::Embeddings;
use shape::Shape;
use told::Script;

/// A stream of pictures through `models`, which it owns or shares with others on its thread.
#[derive(Debug)]
pub struct Stream<M = Models> {
    models: M,
    params: Params,
    shape: Shape,
    guidance: Guidance,
    tables: Tables,
    state: State,
    text: Text,
    networks: Networks,
    filter: SimilarImageFilter,
    uniforms: Uniforms,
    /// So many frames are not skipped, because a change has yet to be seen.
    unskipped: i64,
    primed: bool,
    /// Counted up with every change: a call that was begun before is not finished after it.
    generation: u64,
    /// What came out last, latents and picture.
    former: Option<Tensor>,
    last: Option<Picture>,
    broken: Arc<AtomicBool>,
}

impl<M: Borrow<Models>> Stream<M> {
    /// A stream that has seen nothing yet.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a parameter does not fit another one or the models, [`Error::Torch`] when memory does
    /// not suffice.
    pub fn new(models: M, params: &Params) -> Result<Self, Error> {
        guard(|| Self::build(models, params))
    }

    fn build(models: M, params: &Params) -> Result<Self, Error> {
        let the = models.borrow();
        let shape = Shape::of(the, params)?;
        let tables = shape.tables(the, params)?;
        let noise = shape.noise(the, params)?;
        let guidance = change::guidance(params);
        let text = Text::new(the, params)?;
        the.check(&text.positive)?;
        let script = shape.script(&tables, guidance, &text.positive, &text.negative);
        Ok(Self {
            networks: Networks::new(the, params, &script, None),
            state: State::new(noise, shape.call()),
            params: params.clone().settled(),
            filter: filter(params),
            uniforms: uniforms(params),
            unskipped: 0,
            primed: false,
            generation: 0,
            former: None,
            last: None,
            broken: Arc::default(),
            shape,
            guidance,
            tables,
            text,
            models,
        })
    }

    /// The networks.
    #[must_use]
    pub fn models(&self) -> &Models {
        self.models.borrow()
    }

    /// The parameters in force. Of a transition that is under way the target is in force.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The constants of the steps.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// What is carried from frame to frame.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The prompt in force, as the models take it; in a transition it changes with every frame.
    #[must_use]
    pub fn embeddings(&self) -> &Embeddings {
        &self.text.positive
    }

    /// The prompts of all rows of a call of the UNet, negative ones first: (rows,77,D).
    pub fn embedding_rows(&self) -> &Tensor {
        &self.networks.embeddings
    }

    /// So many calls after its own a frame comes out: S-1, or 0 when the steps are done one after the other.
    #[must_use]
    pub fn delay(&self) -> i64 {
        self.shape.call().steps - 1
    }

    /// Other parameters from the next frame on: all of them, or none if there is an error.
    ///
    /// Prompts, seeds, guidance and the places of the steps change in the running stream. With another number of steps
    /// or another size it begins anew. Which networks are loaded is not looked at here.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub fn apply(&mut self, params: &Params) -> Result<(), Error> {
        if *params == self.params {
            return Ok(());
        }
        let now = Now {
            params: &self.params,
            shape: self.shape,
            guidance: self.guidance,
            tables: &self.tables,
        };
        let models = self.models.borrow();
        let change = guard(|| Change::plan(models, &now, &mut self.text, params))?;
        self.commit(change, params);
        Ok(())
    }

    /// The picture that the IP-Adapter shows beside the prompt, from the next frame on; without one it is the camera's.
    ///
    /// # Errors
    /// [`Error::Parameter`] when no IP-Adapter is loaded, [`Error::Torch`] when memory does not suffice.
    pub fn show(&mut self, picture: Option<&ip_adapter::Picture>) -> Result<(), Error> {
        let models = self.models.borrow();
        let adapter = models.ip_adapter.as_ref();
        let adapter =
            adapter.ok_or_else(|| Error::Parameter("no ip_adapter is loaded".to_owned()))?;
        let (tokens, networks) = guard(|| {
            let tokens = picture.map(|picture| adapter.encode(picture));
            let networks = self.tell(&self.text.positive, tokens.as_ref());
            Ok((tokens, networks))
        })?;
        self.text.picture = tokens;
        self.networks = networks;
        self.unskipped = self.shape.layout.steps;
        Ok(())
    }

    /// What the networks are told with this prompt and this picture beside it.
    fn tell(&self, positive: &Embeddings, picture: Option<&Tensor>) -> Networks {
        let script = self.script(positive);
        Networks::new(self.models.borrow(), &self.params, &script, picture)
    }

    fn script<'a>(&'a self, positive: &'a Embeddings) -> Script<'a> {
        let negative = &self.text.negative;
        self.shape
            .script(&self.tables, self.guidance, positive, negative)
    }

    fn commit(&mut self, change: Change, params: &Params) {
        let reshaped = change.shape != self.shape;
        self.shape = change.shape;
        self.guidance = change.guidance;
        replace(&mut self.tables, change.tables);
        replace(&mut self.text.positive, change.positive);
        replace(&mut self.text.negative, change.negative);
        replace(&mut self.text.transition, change.transition);
        replace(&mut self.networks, change.networks);
        if let Some(noise) = change.noise {
            if reshaped {
                self.state = State::new(noise, self.shape.call());
                self.primed = false;
            } else {
                self.state.noise = noise;
            }
        }
        if let Some(image) = &mut self.networks.unet.context.image {
            image.scale = change::picture_scale(params);
        }
        if params.seed != self.params.seed {
            self.uniforms = uniforms(params);
        }
        self.filter.set(
            params.similar_image_filter_threshold,
            params.similar_image_filter_max_skip_frame,
        );
        self.unskipped = self.shape.layout.steps;
        self.params = params.clone().settled();
        self.generation += 1;
    }

    /// Empties the stream: the next frame is fed as often as there are steps, so that what comes out is of it.
    pub fn restart(&mut self) {
        self.primed = false;
        self.former = None;
        self.last = None;
        self.generation += 1;
    }

    /// Lets the next frame into the buffers as they are, as StreamDiffusion itself does: what comes out of the first
    /// calls is noise. For comparison with it.
    pub fn skip_priming(&mut self) {
        self.primed = true;
    }
}

fn replace<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

fn filter(params: &Params) -> SimilarImageFilter {
    SimilarImageFilter::new(
        params.similar_image_filter_threshold,
        params.similar_image_filter_max_skip_frame,
    )
}

fn uniforms(params: &Params) -> Uniforms {
    Uniforms::new(params.seed.parts().next().map_or(0, |(seed, _)| *seed))
}
