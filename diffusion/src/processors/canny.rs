//! White edges on black: Canny's detector with a 3x3 Sobel operator and the L1 norm of the gradient.

use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::{Image, to_8_bits};
use super::settings::{self, Fault, Limit};

/// Settings of `canny`; gradients are in steps of 8-bit luma, of which a Sobel operator gives up to 2040.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Gradients above it belong to an edge if they touch one that is already; 1 to 2040.
    pub low_threshold: u16,
    /// Gradients above it are edges; 1 to 2040, not below the other.
    pub high_threshold: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            low_threshold: 100,
            high_threshold: 200,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[
        ("low_threshold", 1.0, 2040.0),
        ("high_threshold", 1.0, 2040.0),
    ];

    fn rules(&self) -> Result<(), Fault> {
        if self.low_threshold > self.high_threshold {
            let high = self.high_threshold;
            let reason = format!("must not be above high_threshold, which is {high}");
            return Err(Fault::at("low_threshold", reason));
        }
        Ok(())
    }
}

/// What a pixel is on the way to edges.
const NOT: u8 = 0;
const MAYBE: u8 = 1;
const EDGE: u8 = 2;

/// Tangents of 22.5 and 67.5 degrees times 2^15; the second is the first and 2.
const SHIFT: u32 = 15;
const TAN_22: i32 = 13_573;

pub(super) struct Canny {
    low: i16,
    high: i16,
    /// 8-bit luma, a border of one repeated value left and right.
    luma: Vec<u8>,
    /// Gradients to the right and downwards, and the sum of their magnitudes.
    across: Vec<i16>,
    down: Vec<i16>,
    /// With a border of one zero on all sides.
    steepness: Vec<i16>,
    /// With a border of one on all sides, which no edge crosses.
    marks: Vec<u8>,
    /// Pixels of edges whose neighbours were not looked at yet.
    open: Vec<usize>,
}

impl Canny {
    pub(super) fn new(settings: &Settings) -> Self {
        let threshold = |value: u16| i16::try_from(value).unwrap_or(i16::MAX);
        Self {
            low: threshold(settings.low_threshold),
            high: threshold(settings.high_threshold),
            luma: Vec::new(),
            across: Vec::new(),
            down: Vec::new(),
            steepness: Vec::new(),
            marks: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Luma of 8-bit red, green and blue in steps of 2^-15.
    fn take_luma(&mut self, image: &Image) {
        let (width, _) = image.size();
        self.luma.clear();
        let [r, g, b] = image.planes().map(|plane| plane.chunks_exact(width));
        for ((r, g), b) in r.zip(g).zip(b) {
            let start = self.luma.len();
            self.luma.push(0);
            self.luma.extend(
                r.iter()
                    .zip(g)
                    .zip(b)
                    .map(|((&r, &g), &b)| luma_of(r, g, b)),
            );
            let (first, last) = (self.luma[start + 1], self.luma[self.luma.len() - 1]);
            self.luma[start] = first;
            self.luma.push(last);
        }
    }

    fn find_gradients(&mut self, width: usize, height: usize) {
        self.across.resize(width * height, 0);
        self.down.resize(width * height, 0);
        self.steepness.clear();
        self.steepness.resize((width + 2) * (height + 2), 0);
        for y in 0..height {
            let row = |y: usize| &self.luma[y * (width + 2)..][..width + 2];
            let rows = [
                row(y.saturating_sub(1)),
                row(y),
                row((y + 1).min(height - 1)),
            ];
            let across = &mut self.across[y * width..][..width];
            let down = &mut self.down[y * width..][..width];
            sobel(rows, across, down);
            let steepness = &mut self.steepness[(y + 1) * (width + 2) + 1..][..width];
            for ((sum, x), y) in steepness.iter_mut().zip(across).zip(down) {
                *sum = x.abs() + y.abs();
            }
        }
    }

    /// Marks what is steeper than both neighbours in the direction of its gradient.
    fn thin(&mut self, width: usize, height: usize) {
        let stride = width + 2;
        self.marks.clear();
        self.marks.resize(stride * (height + 2), NOT);
        for y in 0..height {
            for x in 0..width {
                let at = (y + 1) * stride + x + 1;
                let here = self.steepness[at];
                if here > self.low && self.is_ridge(at, y * width + x, stride) {
                    self.marks[at] = MAYBE;
                    if here > self.high {
                        self.marks[at] = EDGE;
                        self.open.push(at);
                    }
                }
            }
        }
    }

    /// Among equals the first, from left to right and from above, is the ridge.
    fn is_ridge(&self, at: usize, pixel: usize, stride: usize) -> bool {
        let (across, down) = (i32::from(self.across[pixel]), i32::from(self.down[pixel]));
        let here = self.steepness[at];
        let flat = across.abs() * TAN_22;
        let rise = down.abs() << SHIFT;
        if rise < flat {
            here > self.steepness[at - 1] && here >= self.steepness[at + 1]
        } else if rise > flat + (across.abs() << (SHIFT + 1)) {
            here > self.steepness[at - stride] && here >= self.steepness[at + stride]
        } else {
            let (above, below) = if (across ^ down) < 0 {
                (at - stride + 1, at + stride - 1)
            } else {
                (at - stride - 1, at + stride + 1)
            };
            here > self.steepness[above] && here > self.steepness[below]
        }
    }

    /// Carries edges on over all that touches them.
    fn follow(&mut self, stride: usize) {
        while let Some(at) = self.open.pop() {
            for row in [at - stride, at, at + stride] {
                for next in [row - 1, row, row + 1] {
                    if self.marks[next] == MAYBE {
                        self.marks[next] = EDGE;
                        self.open.push(next);
                    }
                }
            }
        }
    }
}

impl Processor for Canny {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        let (width, height) = image.size();
        self.take_luma(image);
        self.find_gradients(width, height);
        self.thin(width, height);
        self.follow(width + 2);
        let [out, ..] = image.planes_mut();
        let marks = self.marks.chunks_exact(width + 2).skip(1);
        for (out, marks) in out.chunks_exact_mut(width).zip(marks) {
            for (value, &mark) in out.iter_mut().zip(&marks[1..]) {
                *value = f32::from(u8::from(mark == EDGE));
            }
        }
        image.spread();
    }
}

fn luma_of(r: f32, g: f32, b: f32) -> u8 {
    let [r, g, b] = [r, g, b].map(|value| u32::from(to_8_bits(value)));
    ((r * 9_798 + g * 19_235 + b * 3_735 + (1 << 14)) >> 15) as u8
}

/// Gradients of the middle of three rows, which have one value more at both ends.
fn sobel([above, here, below]: [&[u8]; 3], across: &mut [i16], down: &mut [i16]) {
    let width = across.len();
    let at = |row: &[u8], x: usize| i16::from(row[x]);
    let (above, here, below) = (&above[..width + 2], &here[..width + 2], &below[..width + 2]);
    for (x, (across, down)) in across.iter_mut().zip(down).enumerate() {
        let left = at(above, x) + 2 * at(here, x) + at(below, x);
        let right = at(above, x + 2) + 2 * at(here, x + 2) + at(below, x + 2);
        let up = at(above, x) + 2 * at(above, x + 1) + at(above, x + 2);
        let low = at(below, x) + 2 * at(below, x + 1) + at(below, x + 2);
        (*across, *down) = (right - left, low - up);
    }
}
