//! Unsharp masking, then brighter edges, then finer details.

use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::Image;
use super::settings::{self, Limit};
use super::sobel::{SOBEL_3, Sobel};
use super::window::Smoothing;

/// Settings of `sharpen`; a step whose factor is 0 is left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How much of the difference to the blurred picture is added, 0 to 5.
    pub sharpen_intensity: f64,
    /// Standard deviation of that blur in pixels, 0.1 to 5.
    pub unsharp_radius: f64,
    /// How much of the gradient's magnitude is added, 0 to 2.
    pub edge_enhancement: f64,
    /// How much of the Laplacian is added, 0 to 1.
    pub detail_boost: f64,
    /// Share of a slightly blurred picture, before anything else, 0 to 0.5.
    pub noise_reduction: f64,
    /// Mask with half, once and twice the radius, and not with one blur.
    pub multi_scale: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sharpen_intensity: 1.5,
            unsharp_radius: 1.0,
            edge_enhancement: 0.5,
            detail_boost: 0.3,
            noise_reduction: 0.1,
            multi_scale: true,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[
        ("sharpen_intensity", 0.0, 5.0),
        ("unsharp_radius", 0.1, 5.0),
        ("edge_enhancement", 0.0, 2.0),
        ("detail_boost", 0.0, 1.0),
        ("noise_reduction", 0.0, 0.5),
    ];
}

/// Shares of the three scales of a mask, and their radii in terms of the middle one's.
const SCALES: [(f64, f64); 3] = [(0.5, 0.3), (1.0, 0.5), (2.0, 0.2)];
/// Standard deviation of the blur against noise.
const FINEST: f64 = 0.3;

pub(super) struct Sharpen {
    noise: Option<(Smoothing, f32)>,
    masks: Vec<Mask>,
    edges: f32,
    details: f32,
    sobel: Sobel,
    blurred: Vec<f32>,
    sharp: Vec<f32>,
}

/// One scale of unsharp masking: of `clamp(x + gain * (x - blurred)) - x` its share is added.
struct Mask {
    smoothing: Smoothing,
    gain: f32,
    share: f32,
}

impl Sharpen {
    pub(super) fn new(settings: &Settings) -> Self {
        let (radius, gain) = (settings.unsharp_radius, settings.sharpen_intensity);
        let mask = |scale: f64, share: f64, gain: f64| Mask {
            smoothing: gaussian(scale * radius),
            gain: gain as f32,
            share: share as f32,
        };
        let masks = if settings.multi_scale {
            let scales = SCALES.into_iter();
            scales
                .map(|(scale, share)| mask(scale, share, share * gain))
                .collect()
        } else {
            vec![mask(1.0, 1.0, gain)]
        };
        let noise = settings.noise_reduction;
        Self {
            noise: (noise > 0.0).then(|| (gaussian(FINEST), noise as f32)),
            masks,
            edges: settings.edge_enhancement as f32,
            details: settings.detail_boost as f32,
            sobel: Sobel::default(),
            blurred: Vec::new(),
            sharp: Vec::new(),
        }
    }

    fn calm(&mut self, plane: &mut [f32], width: usize) {
        let Some((smoothing, share)) = &mut self.noise else {
            return;
        };
        self.blurred.clear();
        self.blurred.extend_from_slice(plane);
        smoothing.run(&mut self.blurred, width);
        for (value, blurred) in plane.iter_mut().zip(&self.blurred) {
            *value = (1.0 - *share) * *value + *share * blurred;
        }
    }

    fn mask(&mut self, plane: &mut [f32], width: usize) {
        self.sharp.clear();
        self.sharp.extend_from_slice(plane);
        for mask in &mut self.masks {
            self.blurred.clear();
            self.blurred.extend_from_slice(plane);
            mask.smoothing.run(&mut self.blurred, width);
            let values = self.sharp.iter_mut().zip(&*plane).zip(&self.blurred);
            for ((sharp, &value), blurred) in values {
                let masked = (value + mask.gain * (value - blurred)).clamp(0.0, 1.0);
                *sharp += mask.share * (masked - value);
            }
        }
        for (value, sharp) in plane.iter_mut().zip(&self.sharp) {
            *value = sharp.clamp(0.0, 1.0);
        }
    }

    fn brighten_edges(&mut self, plane: &mut [f32], width: usize) {
        self.sobel.fill(plane, width);
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            self.sobel.row(y, 1);
            self.sobel.add_magnitude(&SOBEL_3, 1, self.edges, row);
            for value in row {
                *value = value.min(1.0);
            }
        }
    }

    /// Adds a share of four times each value less its neighbours above, below and beside.
    fn boost_details(&mut self, plane: &mut [f32], width: usize) {
        self.sobel.fill(plane, width);
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            let [above, here, below] = self.sobel.cross(y);
            let beside = here.iter().zip(&here[2..]);
            let around = above.iter().zip(below).zip(beside);
            for (value, ((above, below), (left, right))) in row.iter_mut().zip(around) {
                let detail = 4.0 * *value - (above + below) - (left + right);
                *value = (*value + self.details * detail).clamp(0.0, 1.0);
            }
        }
    }
}

impl Processor for Sharpen {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        let (width, _) = image.size();
        for plane in image.planes_mut() {
            self.calm(plane, width);
            self.mask(plane, width);
            if self.edges > 0.0 {
                self.brighten_edges(plane, width);
            }
            if self.details > 0.0 {
                self.boost_details(plane, width);
            }
        }
    }
}

/// A window of six standard deviations.
fn gaussian(sigma: f64) -> Smoothing {
    let pixels = ((6.0 * sigma + 1.0) as usize).max(3);
    Smoothing::gaussian(sigma, pixels / 2)
}
