//! The noise of a seed: the numbers that PyTorch's generator on the processor gives for it.

use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use super::blend::Method;
use crate::Error;
use crate::params::Blend;

/// libtorch has one generator for the whole process. Seeding it and drawing from it are one thing: between them no
/// other stream may do the same. Nothing else in this crate draws from it.
static GENERATOR: Mutex<()> = Mutex::new(());

/// Standard normal 32-bit floats on the processor, bit by bit those of `torch.manual_seed(seed)` and `torch.randn`.
pub fn noise(seed: u64, shape: &[i64]) -> Tensor {
    let _drawing = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed.cast_signed());
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// As [`noise`], its first `first` rows drawn alone and the others after them. That is not the same as all in one: of a
/// number of values that is no multiple of 16, PyTorch draws the last ones twice.
pub fn noise_in_two(seed: u64, shape: &[i64], first: i64) -> Tensor {
    let _drawing = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed.cast_signed());
    let draws = [first, shape[0] - first].map(|rows| {
        let shape = [&[rows], &shape[1..]].concat();
        Tensor::randn(&shape, (Kind::Float, Device::Cpu))
    });
    Tensor::cat(&draws, 0)
}

/// The noise of one seed, or of several blended; the first `first` rows of each are drawn alone.
///
/// # Errors
/// [`Error::Parameter`] when the weights add up to nothing.
pub fn blended(
    seeds: &Blend<u64>,
    method: Method,
    shape: &[i64],
    first: i64,
) -> Result<Tensor, Error> {
    let parts: Vec<_> = seeds
        .parts()
        .map(|(seed, weight)| (noise_in_two(*seed, shape, first), weight))
        .collect();
    method.blend_noise(&parts)
}
