//! The layers that every model is made of, loaded by key and checked against the shapes that the configuration asks for.

use tch::{Device, Kind, Tensor};

use crate::weights::Weights;

/// `y = x W^T + b` over the last dimension.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `weight` of (outputs, inputs) and `bias` of (outputs).
    #[must_use]
    pub fn load(weights: &Weights, inputs: i64, outputs: i64) -> Self {
        Self {
            bias: Some(weights.tensor("bias", &[outputs])),
            ..Self::without_bias(weights, inputs, outputs)
        }
    }

    /// `weight` alone.
    #[must_use]
    pub fn without_bias(weights: &Weights, inputs: i64, outputs: i64) -> Self {
        Self {
            weight: weights.tensor("weight", &[outputs, inputs]),
            bias: None,
        }
    }

    /// A 1x1 convolution as the same thing over the last dimension: `weight` of (outputs, inputs), or of
    /// (outputs, inputs, 1, 1) as older files have it, and `bias` of (outputs).
    #[must_use]
    pub fn pointwise(weights: &Weights, inputs: i64, outputs: i64) -> Self {
        if weights.shape("weight").is_none_or(|shape| shape.len() != 4) {
            return Self::load(weights, inputs, outputs);
        }
        Self {
            weight: weights
                .tensor("weight", &[outputs, inputs, 1, 1])
                .reshape([outputs, inputs]),
            bias: Some(weights.tensor("bias", &[outputs])),
        }
    }

    /// Several layers over the same input as one, their outputs side by side.
    #[must_use]
    pub fn side_by_side(layers: &[Self]) -> Self {
        let weight: Vec<_> = layers.iter().map(|layer| &layer.weight).collect();
        let bias: Option<Vec<_>> = layers.iter().map(|layer| layer.bias.as_ref()).collect();
        Self {
            weight: stack(&weight),
            bias: bias.map(|bias| stack(&bias)),
        }
    }

    /// (.., inputs) to (.., outputs).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

/// A 2-D convolution with square kernel.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

/// Kernel size, stride and zero padding of a [`Conv2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Rows and columns of the kernel.
    pub size: i64,
    /// Step in both directions.
    pub stride: i64,
    /// Zeros around the input.
    pub padding: i64,
}

impl Kernel {
    /// 1x1.
    pub const ONE: Self = Self {
        size: 1,
        stride: 1,
        padding: 0,
    };
    /// 3x3 that keeps the size.
    pub const THREE: Self = Self {
        size: 3,
        stride: 1,
        padding: 1,
    };
    /// 3x3 that halves the size.
    pub const HALVE: Self = Self {
        size: 3,
        stride: 2,
        padding: 1,
    };
    /// 3x3 that halves the size of an input padded beforehand.
    pub const HALVE_PADDED: Self = Self {
        size: 3,
        stride: 2,
        padding: 0,
    };

    /// One of odd `size` that keeps the size.
    #[must_use]
    pub fn same(size: i64) -> Self {
        Self {
            size,
            stride: 1,
            padding: size / 2,
        }
    }
}

impl Conv2d {
    /// `weight` of (outputs, inputs, size, size) and `bias` of (outputs).
    #[must_use]
    pub fn load(weights: &Weights, inputs: i64, outputs: i64, kernel: Kernel) -> Self {
        Self {
            bias: Some(weights.tensor("bias", &[outputs])),
            ..Self::without_bias(weights, inputs, outputs, kernel)
        }
    }

    /// `weight` alone.
    #[must_use]
    pub fn without_bias(weights: &Weights, inputs: i64, outputs: i64, kernel: Kernel) -> Self {
        let weight = weights.tensor("weight", &[outputs, inputs, kernel.size, kernel.size]);
        Self {
            weight: match stands_in(&weight) {
                true => weight,
                false => channels_last(&weight),
            },
            bias: None,
            stride: kernel.stride,
            padding: kernel.padding,
        }
    }

    /// (n, inputs, h, w) to (n, outputs, h', w').
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(
            &self.weight,
            self.bias.as_ref(),
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        )
    }
}

/// Group normalisation (Wu and He 2018) with scale and shift.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    /// `weight` and `bias` of (channels).
    #[must_use]
    pub fn load(weights: &Weights, channels: i64, groups: i64, eps: f64) -> Self {
        Self {
            weight: weights.tensor("weight", &[channels]),
            bias: weights.tensor("bias", &[channels]),
            groups,
            eps,
        }
    }

    /// (n, channels, ..) to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        // Where channels are next to each other, libtorch's kernel for the processor takes the variance as a difference
        // of squares. That is noise for channels that are almost constant, as those of empty latents are.
        let x = match (x.device(), x.kind()) {
            (Device::Cpu, Kind::Float) => &x.contiguous(),
            _ => x,
        };
        x.group_norm(
            self.groups,
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// `weight` and `bias` of (features).
    #[must_use]
    pub fn load(weights: &Weights, features: i64, eps: f64) -> Self {
        Self {
            weight: weights.tensor("weight", &[features]),
            bias: weights.tensor("bias", &[features]),
            eps,
        }
    }

    /// (.., features) to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(
            self.weight.size(),
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )
    }
}

/// `x` with its channels next to each other in memory, which is what convolutions are fast on; the shape stays.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Along the first dimension.
fn stack(parts: &[&Tensor]) -> Tensor {
    let Some(part) = parts.iter().find(|part| stands_in(part)) else {
        return Tensor::cat(parts, 0);
    };
    let mut size = part.size();
    size[0] = parts.iter().map(|part| part.size()[0]).sum();
    part.narrow(0, 0, 1).expand(&size, false)
}

/// True for one number under every index, as [`Weights`] gives for what it has not: a configuration may ask for any size,
/// so it is not to be copied.
fn stands_in(x: &Tensor) -> bool {
    let (size, stride) = (x.size(), x.stride());
    x.numel() > 1
        && size
            .iter()
            .zip(stride)
            .all(|(&n, stride)| n == 1 || stride == 0)
}
