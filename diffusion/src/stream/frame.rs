//! One frame: begin, call the UNet, finish, decode.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tch::{Kind, Tensor};

use super::call::{Call, Input, Progress};
use super::change;
use super::models::Models;
use super::{Picture, Stream};
use crate::Error;
use crate::guard::guard;

/// What goes into the stream.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// (fb,3,H,W) in 0..=1, on any device.
    pub image: &'a Tensor,
    /// For each ControlNet its picture, (fb,3,H,W) or (1,3,H,W) in 0..=1. Those that are missing see `image`.
    pub controls: &'a [Tensor],
}

impl<'a> From<&'a Tensor> for Frame<'a> {
    fn from(image: &'a Tensor) -> Self {
        Self {
            image,
            controls: &[],
        }
    }
}

/// What comes out.
#[derive(Debug)]
pub struct Output {
    /// Of the frame that went in [`Stream::delay`] calls before.
    pub picture: Picture,
    /// The frame was skipped as similar, and this is the last picture again.
    pub repeated: bool,
}

impl<M: Borrow<Models>> Stream<M> {
    /// Takes a frame and gives the picture that comes out.
    ///
    /// After an error the stream is as it was before, and may be used on.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the frame has another size than the parameters say, [`Error::Torch`] when libtorch
    /// fails. That a picture is not finite shows when it is read; then the stream begins anew with the next frame.
    pub fn frame<'a>(&mut self, frame: impl Into<Frame<'a>>) -> Result<Output, Error> {
        let Some(call) = self.begin(frame)? else {
            let last = self
                .last
                .as_ref()
                .expect("frames are like one that came out");
            return Ok(Output {
                picture: last.shallow_clone(),
                repeated: true,
            });
        };
        let latents = self.denoise(call)?;
        Ok(Output {
            picture: self.decode(&latents)?,
            repeated: false,
        })
    }

    /// Fills the empty stream with a frame, as [`Stream::frame`] does with the first one; nothing comes out.
    ///
    /// # Errors
    /// As [`Stream::frame`].
    pub fn prime<'a>(&mut self, frame: impl Into<Frame<'a>>) -> Result<(), Error> {
        self.restart();
        let call = self.begin(frame)?.expect("the first frame is not skipped");
        self.denoise(call).map(drop)
    }

    fn denoise(&mut self, mut call: Call) -> Result<Tensor, Error> {
        loop {
            let answer = guard(|| {
                let input = self.input(&call)?;
                let Input { time, context, .. } = input;
                let unet = &self.models.borrow().unet;
                Ok(unet.forward(&input.x, time, context, input.residuals.as_ref()))
            })?;
            match self.finish(call, &answer)? {
                Progress::Again(next) => call = next,
                Progress::Done(latents) => return Ok(latents),
            }
        }
    }

    /// Takes a frame as far as the UNet. `None` if it is skipped as similar to the last one: [`Stream::last`] stands
    /// for its picture.
    ///
    /// # Errors
    /// As [`Stream::frame`].
    pub fn begin<'a>(&mut self, frame: impl Into<Frame<'a>>) -> Result<Option<Call>, Error> {
        let frame = frame.into();
        self.check(&frame)?;
        if self.broken.swap(false, Ordering::Relaxed) {
            self.restart();
        }
        guard(|| {
            if self.skips(frame.image) {
                return Ok(None);
            }
            self.advance();
            self.encode(&frame).map(Some)
        })
    }

    fn check(&self, frame: &Frame<'_>) -> Result<(), Error> {
        let (height, width) = self.shape.size;
        let frames = self.shape.layout.frames;
        let fits = |tensor: &Tensor, rows: &[i64]| {
            rows.iter().any(|&n| tensor.size() == [n, 3, height, width])
        };
        let wrong = if fits(frame.image, &[frames]) {
            frame
                .controls
                .iter()
                .find(|control| !fits(control, &[1, frames]))
        } else {
            Some(frame.image)
        };
        match wrong {
            None => Ok(()),
            Some(tensor) => Err(Error::Parameter(format!(
                "a picture of {:?} came where {:?} is expected",
                tensor.size(),
                [frames, 3, height, width]
            ))),
        }
    }

    fn skips(&mut self, image: &Tensor) -> bool {
        if !self.params.enable_similar_image_filter {
            return false;
        }
        // A change shows only with frames that are computed.
        if self.unskipped > 0
            || !self.primed
            || self.last.is_none()
            || self.text.transition.is_some()
        {
            self.unskipped = (self.unskipped - 1).max(0);
            self.filter.reset();
        }
        let uniform = self.uniforms.next().expect("there is always another one");
        self.filter.skips(&(image * 2.0 - 1.0), uniform)
    }

    /// One frame further toward another prompt.
    fn advance(&mut self) {
        let Some(transition) = &mut self.text.transition else {
            return;
        };
        let Some(positive) = transition.advance() else {
            self.text.transition = None;
            return;
        };
        self.networks = self.tell(&positive, self.text.picture.as_ref());
        self.text.positive = positive;
    }

    fn encode(&mut self, frame: &Frame<'_>) -> Result<Call, Error> {
        let models = self.models.borrow();
        let place = models.placement;
        let ready = |image: &Tensor| image.to_device(place.device).to_kind(Kind::Float);
        let image = ready(frame.image);
        let latents = models.vae.encode(&(&image * 2.0 - 1.0).to_kind(place.kind));
        let latents = self.with_former(latents.to_kind(Kind::Float));
        let x_t = self.tables.noised(&latents, &self.state.noise);
        let controls = (0..models.controlnets.len())
            .map(|i| {
                frame
                    .controls
                    .get(i)
                    .map_or_else(|| image.shallow_clone(), ready)
            })
            .collect();
        self.see(&image);
        let mut rounds = 1;
        if !self.primed {
            self.state.clear();
            rounds += self.delay();
        }
        Ok(self.call(x_t, controls, rounds))
    }

    /// Without a picture of its own the IP-Adapter shows the frame (fb,3,H,W) in 0..=1.
    fn see(&mut self, image: &Tensor) {
        let models = self.models.borrow();
        let (Some(adapter), None) = (&models.ip_adapter, &self.text.picture) else {
            return;
        };
        if change::picture_scale(&self.params) != 0.0 {
            let tokens = adapter.encode_tensor(image);
            let script = self.script(&self.text.positive);
            let image = change::picture(models, &self.params, &script, &tokens);
            self.networks.unet.context.image = image;
        }
    }

    /// Latents with a share of those that came out last.
    fn with_former(&self, latents: Tensor) -> Tensor {
        let share = change::latent_feedback(&self.params);
        match &self.former {
            Some(former) if share > 0.0 && former.size() == latents.size() => {
                (1.0 - share) * latents + share * former
            }
            _ => latents,
        }
    }

    /// Makes the picture of latents (fb,4,h,w).
    ///
    /// # Errors
    /// As [`Stream::frame`].
    pub fn decode(&mut self, latents: &Tensor) -> Result<Picture, Error> {
        let models = self.models.borrow();
        let picture = guard(|| {
            let decoded = models.vae.decode(&latents.to_kind(models.placement.kind));
            Ok(Picture::new(&decoded, Arc::clone(&self.broken)))
        })?;
        self.last = Some(picture.shallow_clone());
        Ok(picture)
    }

    /// The last picture that came out.
    #[must_use]
    pub fn last(&self) -> Option<&Picture> {
        self.last.as_ref()
    }
}
