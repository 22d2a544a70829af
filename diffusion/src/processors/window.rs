//! Windows that slide over a plane; beyond its border the plane's outermost values go on.

/// A symmetric window that is a product of a row and a column, done in place.
#[derive(Debug, Default)]
pub(super) struct Smoothing {
    /// From the centre outwards.
    taps: Vec<f32>,
    /// One row with its border.
    padded: Vec<f32>,
    /// As many smoothed rows as the window is high; row `y` is at `y % (2 * reach + 1)`.
    rows: Vec<f32>,
}

impl Smoothing {
    /// A Gaussian of standard deviation `sigma` in a window of `2 * reach + 1` pixels.
    pub(super) fn gaussian(sigma: f64, reach: usize) -> Self {
        let weight = |at: usize| (-((at * at) as f64) / (2.0 * sigma * sigma)).exp();
        let sum = weight(0) + 2.0 * (1..=reach).map(weight).sum::<f64>();
        Self::new((0..=reach).map(|at| (weight(at) / sum) as f32).collect())
    }

    /// Binomial weights 1 4 6 4 1.
    pub(super) fn binomial() -> Self {
        Self::new(vec![6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0])
    }

    const fn new(taps: Vec<f32>) -> Self {
        Self {
            taps,
            padded: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Smooths `plane`, whose rows have `width` values.
    pub(super) fn run(&mut self, plane: &mut [f32], width: usize) {
        let (height, reach) = (plane.len() / width, self.taps.len() - 1);
        let high = 2 * reach + 1;
        self.rows.resize(high * width, 0.0);
        for y in 0..reach.min(height) {
            self.smooth_row(&plane[y * width..][..width], y % high);
        }
        for y in 0..height {
            if y + reach < height {
                self.smooth_row(&plane[(y + reach) * width..][..width], (y + reach) % high);
            }
            self.mix_rows(&mut plane[y * width..][..width], y, height);
        }
    }

    /// Smooths a row from left to right and keeps it at `slot`.
    fn smooth_row(&mut self, row: &[f32], slot: usize) {
        let (width, reach) = (row.len(), self.taps.len() - 1);
        pad(row, reach, &mut self.padded);
        let out = &mut self.rows[slot * width..][..width];
        scale(out, row, self.taps[0]);
        for (at, &tap) in self.taps.iter().enumerate().skip(1) {
            let (left, right) = (&self.padded[reach - at..], &self.padded[reach + at..]);
            add_pair(out, left, right, tap);
        }
    }

    /// Writes row `y` from the kept rows around it.
    fn mix_rows(&self, out: &mut [f32], y: usize, height: usize) {
        let (width, high) = (out.len(), 2 * self.taps.len() - 1);
        let row = |y: usize| &self.rows[y % high * width..][..width];
        scale(out, row(y), self.taps[0]);
        for (at, &tap) in self.taps.iter().enumerate().skip(1) {
            let (above, below) = (y.saturating_sub(at), (y + at).min(height - 1));
            add_pair(out, row(above), row(below), tap);
        }
    }
}

/// A plane whose rows go on for `reach` values on both sides.
#[derive(Debug, Default)]
pub(super) struct Bordered {
    width: usize,
    height: usize,
    reach: usize,
    data: Vec<f32>,
}

impl Bordered {
    /// Takes over `plane`, whose rows have `width` values.
    pub(super) fn fill(&mut self, plane: &[f32], width: usize, reach: usize) {
        (self.width, self.height, self.reach) = (width, plane.len() / width, reach);
        self.data.clear();
        for row in plane.chunks_exact(width) {
            border(row, reach, &mut self.data);
        }
    }

    /// Row `y`, which may be outside, with its border.
    pub(super) fn bordered(&self, y: isize) -> &[f32] {
        let y = y.clamp(0, self.height as isize - 1) as usize;
        let stride = self.width + 2 * self.reach;
        &self.data[y * stride..][..stride]
    }
}

/// `row` with its first and last value repeated `reach` times.
fn pad(row: &[f32], reach: usize, into: &mut Vec<f32>) {
    into.clear();
    border(row, reach, into);
}

fn border(row: &[f32], reach: usize, into: &mut Vec<f32>) {
    let (first, last) = (row[0], row[row.len() - 1]);
    into.resize(into.len() + reach, first);
    into.extend_from_slice(row);
    into.resize(into.len() + reach, last);
}

fn scale(out: &mut [f32], row: &[f32], factor: f32) {
    for (out, &value) in out.iter_mut().zip(row) {
        *out = value * factor;
    }
}

fn add_pair(out: &mut [f32], one: &[f32], other: &[f32], factor: f32) {
    for ((out, &one), &other) in out.iter_mut().zip(one).zip(other) {
        *out += (one + other) * factor;
    }
}
