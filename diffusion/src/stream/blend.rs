//! Blending of embeddings and of noise by weights: tensor maths without models.

use tch::{Kind, Tensor};

use crate::Error;
use crate::params::Interpolation;

/// How parts are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Straight or along the sphere.
    pub interpolation: Interpolation,
    /// Divide the weights by their sum; on the sphere that is always done.
    pub normalize: bool,
}

impl Method {
    /// True if this many parts are blended along the sphere, which has a meaning for two only.
    fn is_spherical(self, parts: usize) -> bool {
        self.interpolation == Interpolation::Slerp && parts == 2
    }

    /// Parts of one shape, blended by their weights.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there are no parts, or the weights add up to nothing.
    pub fn blend(self, parts: &[(Tensor, f64)]) -> Result<Tensor, Error> {
        let total: f64 = parts.iter().map(|(_, weight)| weight).sum();
        if parts.is_empty() || !(total.is_finite() && total > 0.0) {
            return Err(Error::Parameter(format!(
                "the weights of {} parts add up to {total}; more than 0 is needed",
                parts.len()
            )));
        }
        if let ([(from, _), (to, weight)], true) = (parts, self.is_spherical(parts.len())) {
            return Ok(Way::new(from, to, Interpolation::Slerp).at(weight / total));
        }
        let scale = if self.normalize { total } else { 1.0 };
        let weighted = parts.iter().map(|(part, weight)| part * (weight / scale));
        Ok(weighted
            .reduce(|sum, part| sum + part)
            .expect("there is a part"))
    }

    /// As [`Method::blend`], for noise: the sum of several has a smaller spread than each, so it is brought back to
    /// their mean norm.
    ///
    /// # Errors
    /// As [`Method::blend`].
    pub fn blend_noise(self, parts: &[(Tensor, f64)]) -> Result<Tensor, Error> {
        let sum = self.blend(parts)?;
        if parts.len() == 1 || self.is_spherical(parts.len()) || !self.normalize {
            return Ok(sum);
        }
        let norms: Vec<_> = parts.iter().map(|(part, _)| part.norm()).collect();
        let wanted = Tensor::stack(&norms, 0).mean(None);
        Ok(&sum * (wanted / sum.norm()))
    }
}

/// Everything between two tensors of one shape.
#[derive(Debug)]
pub struct Way {
    from: Tensor,
    to: Tensor,
    /// Angle between the ends over all elements as one vector, if the way goes along the sphere.
    theta: Option<f64>,
}

impl Way {
    /// The way along the sphere (Shoemake 1985) is straight where its ends are almost (anti)parallel: there it is not
    /// defined.
    #[must_use]
    pub fn new(from: &Tensor, to: &Tensor, interpolation: Interpolation) -> Self {
        let row = |tensor: &Tensor| tensor.to_kind(Kind::Double).flatten(0, -1);
        let angle = || {
            let (a, b) = (row(from), row(to));
            let cosine = a.dot(&b) / (a.norm() * b.norm());
            cosine.double_value(&[]).clamp(-1.0, 1.0).acos()
        };
        Self {
            from: from.shallow_clone(),
            to: to.shallow_clone(),
            theta: (interpolation == Interpolation::Slerp)
                .then(angle)
                .filter(|theta| theta.sin() >= 1e-6),
        }
    }

    /// At 0 the beginning, at 1 the end.
    pub fn at(&self, share: f64) -> Tensor {
        let sin = |theta: f64, part: f64| (part * theta).sin() / theta.sin();
        let (from, to) = match self.theta {
            Some(theta) => (sin(theta, 1.0 - share), sin(theta, share)),
            None => (1.0 - share, share),
        };
        &self.from * from + &self.to * to
    }
}
