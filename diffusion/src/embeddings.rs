//! What the timestep, and with SDXL the size and the prompt as a whole, become before the model sees them.

use std::f64::consts::LN_10;

use tch::{Kind, Tensor};

use crate::layers::Linear;
use crate::weights::Weights;

/// Numbers as sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sinusoid {
    /// Values per number.
    pub channels: i64,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    /// Taken from the divisor of the exponents.
    pub freq_shift: f64,
}

impl Sinusoid {
    /// (n) to (n, channels), as 32-bit floats on the device of `numbers`.
    pub fn forward(&self, numbers: &Tensor) -> Tensor {
        let half = self.channels / 2;
        let options = (Kind::Float, numbers.device());
        let exponents =
            Tensor::arange(half, options) * (-4.0 * LN_10) / (half as f64 - self.freq_shift);
        let angles = numbers.to_kind(Kind::Float).unsqueeze(1) * exponents.exp().unsqueeze(0);
        let (sin, cos) = (angles.sin(), angles.cos());
        let values = if self.flip_sin_to_cos {
            [cos, sin]
        } else {
            [sin, cos]
        };
        // An odd number of channels ends with a zero.
        Tensor::cat(&values, 1).constant_pad_nd([0, self.channels % 2])
    }
}

/// Two linear layers with SiLU between.
#[derive(Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    /// `linear_1` of `inputs` to `width` and `linear_2` of `width` to `width`.
    #[must_use]
    pub fn load(weights: &Weights, inputs: i64, width: i64) -> Self {
        Self {
            linear_1: Linear::load(&weights.at("linear_1"), inputs, width),
            linear_2: Linear::load(&weights.at("linear_2"), width, width),
        }
    }

    /// (n, inputs) to (n, width).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.linear_2.forward(&self.linear_1.forward(x).silu())
    }
}
