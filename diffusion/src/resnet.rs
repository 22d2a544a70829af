//! Residual convolution blocks, and the convolutions that halve and double a picture.

use tch::Tensor;

use crate::layers::{Conv2d, GroupNorm, Kernel};
use crate::weights::Weights;

/// Two normalised convolutions beside a shortcut (`ResnetBlock2D`).
#[derive(Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

/// The normalisation of a [`ResnetBlock2D`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Groups of channels.
    pub groups: i64,
    /// Added to the variance.
    pub eps: f64,
}

impl ResnetBlock2D {
    /// `norm1`, `conv1`, `norm2`, `conv2`, and `conv_shortcut` where the number of channels changes.
    #[must_use]
    pub fn load(weights: &Weights, inputs: i64, outputs: i64, norm: Norm) -> Self {
        let group_norm =
            |name, channels| GroupNorm::load(&weights.at(name), channels, norm.groups, norm.eps);
        Self {
            norm1: group_norm("norm1", inputs),
            conv1: Conv2d::load(&weights.at("conv1"), inputs, outputs, Kernel::THREE),
            norm2: group_norm("norm2", outputs),
            conv2: Conv2d::load(&weights.at("conv2"), outputs, outputs, Kernel::THREE),
            shortcut: (inputs != outputs)
                .then(|| Conv2d::load(&weights.at("conv_shortcut"), inputs, outputs, Kernel::ONE)),
        }
    }

    /// (n, inputs, h, w) to (n, outputs, h, w); `time` of (n, outputs, 1, 1) is added between the convolutions.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Tensor {
        let mut h = self.conv1.forward(&self.norm1.forward(x).silu_());
        if let Some(time) = time {
            h += time;
        }
        let mut h = self.conv2.forward(&self.norm2.forward(&h).silu_());
        h += match &self.shortcut {
            Some(conv) => conv.forward(x),
            None => x.shallow_clone(),
        };
        h
    }
}

/// Nearest neighbours up to `size` (rows, columns), then a 3x3 convolution (`Upsample2D`).
///
/// The size is given, not doubled, because half of an odd size was rounded up on the way down.
pub fn upsample(x: &Tensor, size: [i64; 2], conv: &Conv2d) -> Tensor {
    conv.forward(&x.upsample_nearest2d(size, None, None))
}

/// Rows and columns of (n, c, h, w).
#[must_use]
pub fn picture_size(x: &Tensor) -> [i64; 2] {
    let (_, _, rows, columns) = x.size4().expect("a picture has four dimensions");
    [rows, columns]
}
