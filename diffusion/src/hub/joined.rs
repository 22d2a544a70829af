//! What several streams tell the UNet, along one batch: joined once and kept until one of them says something else.

use tch::Tensor;

use crate::unet::{Context, Time};

/// So many sets of streams are remembered: some may leave out a frame.
const SETS: usize = 8;

type Told<'a> = (&'a Time, &'a Context);

/// Joined times and contexts, the latest used last.
#[derive(Debug, Default)]
pub(super) struct Joined(Vec<Set>);

#[derive(Debug)]
struct Set {
    /// The first tensors of each member. They are held, so that no other tensor can come to lie there.
    marks: Vec<Tensor>,
    scale: Option<f64>,
    time: Time,
    context: Context,
}

impl Joined {
    /// All of `told` in this order. There is at least one.
    ///
    /// # Panics
    /// As [`Context::cat`].
    pub(super) fn of(&mut self, told: &[Told<'_>]) -> Told<'_> {
        let marks: Vec<_> = told.iter().flat_map(marks).collect();
        let scale = told[0].1.image.as_ref().map(|image| image.scale);
        let same = |set: &Set| {
            let mut pairs = set.marks.iter().zip(&marks);
            set.scale == scale
                && set.marks.len() == marks.len()
                && pairs.all(|(a, b)| a.data_ptr() == b.data_ptr())
        };
        match self.0.iter().position(same) {
            Some(place) => self.0[place..].rotate_left(1),
            None => {
                if self.0.len() == SETS {
                    self.0.remove(0);
                }
                let times: Vec<_> = told.iter().map(|(time, _)| *time).collect();
                let contexts: Vec<_> = told.iter().map(|(_, context)| *context).collect();
                let set = Set {
                    time: Time::cat(&times),
                    context: Context::cat(&contexts),
                    marks,
                    scale,
                };
                self.0.push(set);
            }
        }
        let set = self.0.last().expect("it was just put there");
        (&set.time, &set.context)
    }
}

/// They are made anew together with all others of the same kind.
fn marks<'a>((time, context): &'a Told<'_>) -> impl Iterator<Item = Tensor> + 'a {
    let image = context.image.iter().flat_map(|image| image.layers.first());
    let layers = context.text.first().into_iter().chain(image);
    let layers = layers.map(|layer| &layer.key);
    time.first()
        .into_iter()
        .chain(layers)
        .map(Tensor::shallow_clone)
}
