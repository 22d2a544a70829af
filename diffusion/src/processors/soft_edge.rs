//! Broad grey edges: gradients at three scales, smoothed, relative to the picture's strongest, on an S-curve.

use super::chain::Processor;
use super::image::Image;
use super::sobel::{SOBEL_3, SOBEL_5, SOBEL_7, Sobel};
use super::window::Smoothing;

/// Intervals of the table of the S-curve; linear between its points it is exact to 3e-8.
const INTERVALS: usize = 4096;

pub(super) struct SoftEdge {
    gray: Vec<f32>,
    sobel: Sobel,
    smoothing: Smoothing,
    /// `sigmoid(6x - 3)` from 0 to 1, and one point more for the interval that begins at 1.
    curve: Vec<f32>,
}

impl SoftEdge {
    pub(super) fn new() -> Self {
        let sigmoid = |at: usize| {
            let x = at as f64 / INTERVALS as f64;
            (1.0 / (1.0 + (3.0 - 6.0 * x).exp())) as f32
        };
        Self {
            gray: Vec::new(),
            sobel: Sobel::default(),
            smoothing: Smoothing::binomial(),
            curve: (0..INTERVALS + 2).map(sigmoid).collect(),
        }
    }

    fn edges(&mut self, width: usize, out: &mut [f32]) {
        self.sobel.fill(&self.gray, width);
        out.fill(0.0);
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            self.sobel.row(y, 3);
            self.sobel.add_magnitude(&SOBEL_3, 1, 0.5, out);
            self.sobel.add_magnitude(&SOBEL_5, 2, 0.3, out);
            self.sobel.add_magnitude(&SOBEL_7, 3, 0.2, out);
        }
        self.smoothing.run(out, width);
    }

    fn bend(&self, plane: &mut [f32]) {
        let scale = INTERVALS as f32 / (greatest(plane) + 1e-8);
        for value in plane {
            let at = (*value * scale).clamp(0.0, INTERVALS as f32);
            let (point, rest) = (at as usize, at.fract());
            let (from, to) = (self.curve[point], self.curve[point + 1]);
            *value = from + (to - from) * rest;
        }
    }
}

impl Processor for SoftEdge {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        let (width, _) = image.size();
        let [r, g, b] = image.planes();
        self.gray.clear();
        let pixels = r.iter().zip(g).zip(b);
        self.gray
            .extend(pixels.map(|((r, g), b)| 0.299 * r + 0.587 * g + 0.114 * b));
        let [out, ..] = image.planes_mut();
        self.edges(width, out);
        self.bend(out);
        image.spread();
    }
}

/// The greatest of values that are not negative.
fn greatest(plane: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (chunks, rest) = plane.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(value);
        }
    }
    rest.iter().chain(&lanes).copied().fold(0.0, f32::max)
}
