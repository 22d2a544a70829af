//! Sobel operators of 3x3, 5x5 and 7x7: how steeply a plane rises, and at which scale.

use super::window::Bordered;

/// The widest operator's reach.
pub(super) const REACH: usize = 3;

/// Half of an operator by its symmetry: the weight at column distance `1 + i` and row distance `j`.
pub(super) type Weights = [[f32; REACH + 1]; REACH];

pub(super) const SOBEL_3: Weights = [[2.0, 1.0, 0.0, 0.0], [0.0; 4], [0.0; 4]];
pub(super) const SOBEL_5: Weights = [
    [5.0 / 16.0, 3.0 / 16.0, 2.0 / 16.0, 0.0],
    [3.0 / 16.0, 2.0 / 16.0, 1.0 / 16.0, 0.0],
    [0.0; 4],
];
pub(super) const SOBEL_7: Weights = [
    [6.0 / 32.0, 5.0 / 32.0, 4.0 / 32.0, 3.0 / 32.0],
    [5.0 / 32.0, 4.0 / 32.0, 3.0 / 32.0, 2.0 / 32.0],
    [4.0 / 32.0, 3.0 / 32.0, 2.0 / 32.0, 1.0 / 32.0],
];

/// Magnitudes of gradients, one row at a time.
#[derive(Debug, Default)]
pub(super) struct Sobel {
    plane: Bordered,
    width: usize,
    /// Sums of the rows at distance `j` above and below, with border; at 0 the row itself.
    sums: [Vec<f32>; REACH + 1],
    /// The row at distance `1 + i` below less the one above, with border.
    steps: [Vec<f32>; REACH],
    across: Vec<f32>,
    down: Vec<f32>,
}

impl Sobel {
    /// Takes over a plane.
    pub(super) fn fill(&mut self, plane: &[f32], width: usize) {
        self.width = width;
        self.plane.fill(plane, width, REACH);
    }

    /// The rows above, at and below `y`; that at `y` with one value more at both ends.
    pub(super) fn cross(&self, y: usize) -> [&[f32]; 3] {
        let y = y as isize;
        let inner = |y| &self.plane.bordered(y)[REACH..][..self.width];
        let here = &self.plane.bordered(y)[REACH - 1..][..self.width + 2];
        [inner(y - 1), here, inner(y + 1)]
    }

    /// Makes ready for row `y` and operators of up to `reach`.
    pub(super) fn row(&mut self, y: usize, reach: usize) {
        let y = y as isize;
        self.sums[0].clear();
        self.sums[0].extend_from_slice(self.plane.bordered(y));
        for at in 1..=reach {
            let above = self.plane.bordered(y - at as isize);
            let below = self.plane.bordered(y + at as isize);
            let (sums, steps) = (&mut self.sums[at], &mut self.steps[at - 1]);
            sums.clear();
            sums.extend(above.iter().zip(below).map(|(above, below)| above + below));
            steps.clear();
            steps.extend(above.iter().zip(below).map(|(above, below)| below - above));
        }
    }

    /// Adds `share` of the gradient's magnitude to the row.
    pub(super) fn add_magnitude(
        &mut self,
        weights: &Weights,
        reach: usize,
        share: f32,
        out: &mut [f32],
    ) {
        let Self {
            sums,
            steps,
            across,
            down,
            width,
            ..
        } = self;
        let at = |row: &'_ Vec<f32>, x: isize| -> std::ops::Range<usize> {
            let start = (REACH as isize + x) as usize;
            debug_assert!(start + *width <= row.len());
            start..start + *width
        };
        clear(across, *width);
        clear(down, *width);
        for (i, weights) in weights.iter().enumerate().take(reach) {
            let (aside, steps) = (1 + i as isize, &steps[i]);
            add(down, &steps[at(steps, 0)], weights[0]);
            for (j, &weight) in weights.iter().enumerate().take(reach + 1) {
                let sums = &sums[j];
                let (left, right) = (&sums[at(sums, -aside)], &sums[at(sums, aside)]);
                add_difference(across, right, left, weight);
                if j > 0 {
                    let j = j as isize;
                    let (left, right) = (&steps[at(steps, -j)], &steps[at(steps, j)]);
                    add_sum(down, right, left, weight);
                }
            }
        }
        for ((out, x), y) in out.iter_mut().zip(across).zip(down) {
            *out += share * (*x * *x + *y * *y).sqrt();
        }
    }
}

fn clear(row: &mut Vec<f32>, width: usize) {
    row.clear();
    row.resize(width, 0.0);
}

fn add(out: &mut [f32], row: &[f32], weight: f32) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += weight * value;
    }
}

fn add_difference(out: &mut [f32], more: &[f32], less: &[f32], weight: f32) {
    for ((out, more), less) in out.iter_mut().zip(more).zip(less) {
        *out += weight * (more - less);
    }
}

fn add_sum(out: &mut [f32], one: &[f32], other: &[f32], weight: f32) {
    for ((out, one), other) in out.iter_mut().zip(one).zip(other) {
        *out += weight * (one + other);
    }
}
