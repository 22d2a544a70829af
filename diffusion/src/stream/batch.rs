//! The stream batch (StreamDiffusion, Kodaira et al. 2023, section 3.1): tensor maths without models.
//!
//! All denoising steps are done at once, each on another frame: row `i` of the batch is at step `i`, and what a step
//! gives is the input of the next one at the next frame. Everything here is in 32-bit floats, whatever the models
//! compute in: near the end of the schedule a small error of the latents is a large one of the picture.

use tch::{Device, Kind, Tensor};

use crate::scheduler::Step;

/// What row belongs to what: `steps` groups of `frames` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Denoising steps, S.
    pub steps: i64,
    /// Frames that are computed at once, fb.
    pub frames: i64,
}

impl Layout {
    /// Rows of the batch, B.
    #[must_use]
    pub fn rows(self) -> i64 {
        self.steps * self.frames
    }

    /// By how many rows a frame moves on from call to call. With one step nothing moves on, and the reference's
    /// residual noise goes round by single rows.
    fn hop(self) -> i64 {
        if self.steps > 1 { self.frames } else { 1 }
    }
}

/// The constants of every row, (B,1,1,1) each.
#[derive(Debug)]
pub struct Tables {
    /// Rows of the batch.
    pub layout: Layout,
    /// (B), 64-bit integers.
    pub timesteps: Tensor,
    /// Share of the picture, sqrt(ac).
    pub alpha: Tensor,
    /// Share of the noise, sqrt(1-ac).
    pub beta: Tensor,
    /// Share of the noisy input in the result.
    pub c_skip: Tensor,
    /// Share of the prediction in the result.
    pub c_out: Tensor,
    alpha_next: Tensor,
    beta_next: Tensor,
}

impl Tables {
    /// The constants of these steps, each repeated for `frames` rows.
    #[must_use]
    pub fn new(steps: &[Step], frames: i64, device: Device) -> Self {
        let layout = Layout {
            steps: steps.len() as i64,
            frames,
        };
        let column = |value: fn(&Step) -> f32| {
            let values: Vec<_> = steps.iter().map(value).collect();
            Tensor::from_slice(&values)
                .repeat_interleave_self_int(frames, 0, None)
                .view([-1, 1, 1, 1])
                .to_device(device)
        };
        let timesteps: Vec<_> = steps.iter().map(|step| step.timestep).collect();
        let (alpha, beta) = (column(|step| step.alpha), column(|step| step.beta));
        Self {
            layout,
            timesteps: Tensor::from_slice(&timesteps)
                .repeat_interleave_self_int(frames, 0, None)
                .to_device(device),
            c_skip: column(|step| step.c_skip),
            c_out: column(|step| step.c_out),
            alpha_next: next_or_one(&alpha, layout.hop()),
            beta_next: next_or_one(&beta, layout.hop()),
            alpha,
            beta,
        }
    }

    /// A picture's latents (fb,4,h,w) with the noise of the first step.
    pub fn noised(&self, latents: &Tensor, noise: &Tensor) -> Tensor {
        self.alpha.get(0) * latents + self.beta.get(0) * noise.get(0)
    }

    /// Latents without noise, of noisy ones and the noise that is in them; rows `rows` of the batch.
    pub fn denoised(&self, noise: &Tensor, latents: &Tensor, rows: Rows) -> Tensor {
        let prediction = (latents - rows.of(&self.beta) * noise) / rows.of(&self.alpha);
        rows.of(&self.c_out) * prediction + rows.of(&self.c_skip) * latents
    }

    /// The input of step `step` of the result of the step before it, when the steps are done one after the other.
    /// Without `noise` none is added.
    pub fn renoised(&self, denoised: &Tensor, noise: Option<&Tensor>, step: i64) -> Tensor {
        let rows = Rows::step(self.layout, step);
        let picture = rows.of(&self.alpha) * denoised;
        match noise {
            Some(noise) => picture + rows.of(&self.beta) * rows.of(noise),
            None => picture,
        }
    }
}

/// Some rows of the batch, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    from: i64,
    count: i64,
}

impl Rows {
    /// All rows.
    #[must_use]
    pub fn all(layout: Layout) -> Self {
        Self {
            from: 0,
            count: layout.rows(),
        }
    }

    /// The rows of one step.
    #[must_use]
    pub fn step(layout: Layout, step: i64) -> Self {
        Self {
            from: step * layout.frames,
            count: layout.frames,
        }
    }

    /// These rows of a tensor with one row for each of the batch; a view.
    pub fn of(self, tensor: &Tensor) -> Tensor {
        tensor.narrow(0, self.from, self.count)
    }
}

/// What is carried from frame to frame.
#[derive(Debug)]
pub struct State {
    /// (B,4,h,w): the noise of every row, the same for all frames.
    pub noise: Tensor,
    /// (B,4,h,w), or (fb,4,h,w) without stream batch: the noise that the stream itself is taken to have, for residual
    /// guidance.
    pub stock: Tensor,
    /// (B-fb,4,h,w): the inputs of all steps but the first, of which there are none without stream batch.
    pub buffer: Tensor,
}

impl State {
    /// Nothing has been seen yet. `noise` is of all rows of the batch, `call` the rows of one call of the UNet: all of
    /// them, or those of one step, when the steps are done one after the other.
    #[must_use]
    pub fn new(noise: Tensor, call: Layout) -> Self {
        let mut size = noise.size();
        let mut zeros = |rows| {
            size[0] = rows;
            Tensor::zeros(&size, (Kind::Float, noise.device()))
        };
        Self {
            stock: zeros(call.rows()),
            buffer: zeros(call.rows() - call.frames),
            noise,
        }
    }

    /// Forgets what has been seen.
    pub fn clear(&mut self) {
        self.stock = self.stock.zeros_like();
        self.buffer = self.buffer.zeros_like();
    }

    /// The batch of one call: latents (B,4,h,w) with the new frames at the first step, and the stock moved on.
    pub fn enter(&self, x_t: &Tensor, layout: Layout) -> (Tensor, Tensor) {
        if layout.steps == 1 {
            return (x_t.shallow_clone(), self.stock.shallow_clone());
        }
        let frames = layout.frames;
        let older = layout.rows() - frames;
        let stock = [
            self.noise.narrow(0, 0, frames),
            self.stock.narrow(0, 0, older),
        ];
        (Tensor::cat(&[x_t, &self.buffer], 0), Tensor::cat(&stock, 0))
    }
}

impl Tables {
    /// The stock after a call, of the guided noise of all rows and the stock it was guided by.
    pub fn restock(&self, noise: &Tensor, stock: &Tensor, drawn: &Tensor) -> Tensor {
        let all = Rows::all(self.layout);
        let change = self.denoised(noise, &(&self.beta * stock), all);
        let change = &self.alpha_next * change / &self.beta_next;
        rolled(drawn, self.layout.hop()) + change
    }

    /// What leaves a call, of the denoised latents of all rows: those of the last step (fb,4,h,w), and the inputs of
    /// all steps but the first at the next call, with `noise` of all rows added if there is any.
    pub fn leave(&self, denoised: &Tensor, noise: Option<&Tensor>) -> (Tensor, Tensor) {
        let frames = self.layout.frames;
        let older = self.layout.rows() - frames;
        let last = denoised.narrow(0, older, frames);
        let later = |tensor: &Tensor| tensor.narrow(0, frames, older);
        let picture = later(&self.alpha) * denoised.narrow(0, 0, older);
        let buffer = match noise {
            Some(noise) => picture + later(&self.beta) * later(noise),
            None => picture,
        };
        (last, buffer)
    }
}

fn next_or_one(column: &Tensor, hop: i64) -> Tensor {
    let rows = column.size()[0];
    let ones = column.narrow(0, 0, hop).ones_like();
    Tensor::cat(&[column.narrow(0, hop, rows - hop), ones], 0)
}

fn rolled(rows: &Tensor, hop: i64) -> Tensor {
    rows.roll([-hop], [0])
}
