//! A way from one prompt to another over some frames.

use super::blend::Way;
use super::prompt::Embeddings;
use crate::params::Interpolation;

/// Embeddings between two ends, one for each frame.
#[derive(Debug)]
pub struct Transition {
    tokens: Way,
    pooled: Option<Way>,
    to: Embeddings,
    steps: u32,
    done: u32,
}

impl Transition {
    /// A way of `steps` frames, of which the last one shows the end.
    #[must_use]
    pub fn new(from: &Embeddings, to: Embeddings, how: Interpolation, steps: u32) -> Self {
        let pooled = from.pooled.as_ref().zip(to.pooled.as_ref());
        Self {
            tokens: Way::new(&from.tokens, &to.tokens, how),
            pooled: pooled.map(|(from, to)| Way::new(from, to, how)),
            to,
            steps,
            done: 0,
        }
    }

    /// The embeddings of the next frame; `None` once the end was reached.
    pub fn advance(&mut self) -> Option<Embeddings> {
        if self.done >= self.steps {
            return None;
        }
        self.done += 1;
        if self.done == self.steps {
            return Some(self.to.shallow_clone());
        }
        let share = f64::from(self.done) / f64::from(self.steps);
        Some(Embeddings {
            tokens: self.tokens.at(share),
            pooled: self.pooled.as_ref().map(|way| way.at(share)),
        })
    }
}
