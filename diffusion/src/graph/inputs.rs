//! The tensors that recorded work reads: copies in memory that stays where it is.

use tch::Tensor;

/// What changes with every call and what seldom does, in this order.
#[derive(Debug)]
pub struct Inputs {
    own: Vec<Tensor>,
    /// What the steady ones were copied from. They are held, so that no other tensor can come to lie there.
    sources: Vec<Tensor>,
}

impl Inputs {
    /// Copies, laid out as the originals are.
    #[must_use]
    pub fn new(fresh: &[&Tensor], steady: &[&Tensor]) -> Self {
        let own = |x: &&Tensor| {
            let mut copy = x.empty_like();
            copy.copy_(x);
            copy
        };
        Self {
            own: fresh.iter().chain(steady).map(own).collect(),
            sources: steady.iter().map(|x| x.shallow_clone()).collect(),
        }
    }

    /// Takes over tensors of the same shapes: the fresh ones always, a steady one only if it is another tensor than the
    /// last time. So what is steady must not be written to.
    ///
    /// # Panics
    /// When there are more or fewer than before, or one has another shape.
    pub fn fill(&mut self, fresh: &[&Tensor], steady: &[&Tensor]) {
        assert_eq!(
            (fresh.len() + steady.len(), steady.len()),
            (self.own.len(), self.sources.len()),
            "recorded work has as many inputs each time"
        );
        let (own_fresh, own_steady) = self.own.split_at_mut(fresh.len());
        for (own, x) in own_fresh.iter_mut().zip(fresh) {
            copy(own, x);
        }
        let places = own_steady.iter_mut().zip(&mut self.sources);
        for ((own, source), x) in places.zip(steady) {
            if source.data_ptr() != x.data_ptr() {
                copy(own, x);
                *source = x.shallow_clone();
            }
        }
    }

    /// The copies, fresh ones first.
    pub fn own(&self) -> &[Tensor] {
        &self.own
    }
}

fn copy(to: &mut Tensor, from: &Tensor) {
    // `copy_` would repeat what is smaller.
    assert_eq!(
        to.size(),
        from.size(),
        "recorded work has the same shapes each time"
    );
    to.copy_(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(inputs: &Inputs) -> Vec<f64> {
        let first = |x: &Tensor| x.double_value(&[0]);
        inputs.own().iter().map(first).collect()
    }

    #[test]
    fn what_is_steady_is_copied_once_and_what_is_fresh_each_time() {
        let mut picture = Tensor::from_slice(&[1.0]);
        let (one, other) = (Tensor::from_slice(&[2.0]), Tensor::from_slice(&[3.0]));
        let mut inputs = Inputs::new(&[&picture], &[&one]);
        let places: Vec<_> = inputs.own().iter().map(Tensor::data_ptr).collect();
        assert_eq!(values(&inputs), [1.0, 2.0]);

        let _ = picture.fill_(5.0);
        inputs.fill(&[&picture], &[&one]);
        assert_eq!(values(&inputs), [5.0, 2.0]);

        inputs.fill(&[&picture], &[&other]);
        assert_eq!(values(&inputs), [5.0, 3.0]);
        drop(other);
        inputs.fill(&[&picture], &[&one]);
        assert_eq!(values(&inputs), [5.0, 2.0]);
        let same: Vec<_> = inputs.own().iter().map(Tensor::data_ptr).collect();
        assert_eq!(places, same, "the copies stay where they are");
    }

    #[test]
    #[should_panic(expected = "the same shapes")]
    fn another_shape_is_refused() {
        let x = Tensor::from_slice(&[1.0, 2.0]);
        let mut inputs = Inputs::new(&[&x], &[]);
        inputs.fill(&[&Tensor::from_slice(&[1.0])], &[]);
    }
}
