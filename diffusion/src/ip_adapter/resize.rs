//! Bicubic resizing of 8-bit pictures, byte by byte what Pillow computes.
//!
//! CLIP's preprocessing resizes bytes before it makes numbers of them, so its rounding is part of what the image encoder
//! was trained with. Separable convolution with the cubic of `a = -0.5`, widened when it makes smaller, weights in fixed
//! point of 22 bits, rows first, rounded and clamped after each direction.

use std::ops::Range;

/// An 8-bit RGB picture, rows from the top, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The middle, of `crop` columns and rows, of the picture resized to `size` columns and rows.
    ///
    /// # Panics
    /// When a side is 0, the crop is greater than the size, or `rgb` is not as long as width and height say.
    #[must_use]
    pub fn resize(&self, size: [usize; 2], crop: [usize; 2]) -> Self {
        assert_eq!(self.rgb.len(), self.width * self.height * CHANNELS);
        let [columns, rows] = [(self.width, 0), (self.height, 1)]
            .map(|(length, side)| Weights::new(length, size[side]).middle(crop[side]));
        self.resize_rows(&columns).resize_columns(&rows)
    }

    fn resize_rows(&self, weights: &Weights) -> Self {
        let windows = weights.windows();
        let mut rgb = Vec::with_capacity(windows.len() * self.height * CHANNELS);
        for row in self.rgb.chunks_exact(self.width * CHANNELS) {
            for Window { first, weights } in &windows {
                let pixels = &row[first * CHANNELS..];
                for channel in 0..CHANNELS {
                    let values = pixels[channel..].iter().step_by(CHANNELS);
                    rgb.push(sum(values, weights));
                }
            }
        }
        Self {
            width: windows.len(),
            height: self.height,
            rgb,
        }
    }

    fn resize_columns(&self, weights: &Weights) -> Self {
        let stride = self.width * CHANNELS;
        let windows = weights.windows();
        let mut rgb = Vec::with_capacity(windows.len() * stride);
        for Window { first, weights } in &windows {
            let rows = &self.rgb[first * stride..];
            for at in 0..stride {
                rgb.push(sum(rows[at..].iter().step_by(stride), weights));
            }
        }
        Self {
            width: self.width,
            height: windows.len(),
            rgb,
        }
    }
}

const CHANNELS: usize = 3;
/// Bits after the point of a weight: 32 less 8 of a byte and 2 for sums beyond it.
const PRECISION: u32 = 22;

fn sum<'a>(values: impl Iterator<Item = &'a u8>, weights: &[i32]) -> u8 {
    let half = 1 << (PRECISION - 1);
    let sum = values.zip(weights).fold(half, |sum, (&value, weight)| {
        sum + i32::from(value) * weight
    });
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// How the outputs along one direction are made of the inputs.
struct Weights {
    inputs: usize,
    scale: f64,
    outputs: Range<usize>,
}

/// One output: the weighted sum of some inputs.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Weights {
    fn new(inputs: usize, outputs: usize) -> Self {
        assert!(inputs > 0 && outputs > 0, "a picture has pixels");
        Self {
            inputs,
            scale: inputs as f64 / outputs as f64,
            outputs: 0..outputs,
        }
    }

    /// Only so many in the middle.
    fn middle(self, outputs: usize) -> Self {
        let first = (self.outputs.len() - outputs) / 2;
        Self {
            outputs: first..first + outputs,
            ..self
        }
    }

    fn windows(&self) -> Vec<Window> {
        self.outputs
            .clone()
            .map(|output| self.window(output))
            .collect()
    }

    fn window(&self, output: usize) -> Window {
        let widened = self.scale.max(1.0);
        let support = 2.0 * widened;
        let center = (output as f64 + 0.5) * self.scale;
        // Both are cut off, not rounded down, as the original's conversion to int does.
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(self.inputs);
        let weights: Vec<_> = (first..end)
            .map(|input| cubic((input as f64 - center + 0.5) * widened.recip()))
            .collect();
        let total: f64 = weights.iter().sum();
        Window {
            first,
            weights: weights.iter().map(|weight| fixed(weight / total)).collect(),
        }
    }
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (scaled + 0.5_f64.copysign(scaled)) as i32
}

/// Keys' cubic (1981) with `a = -0.5`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
