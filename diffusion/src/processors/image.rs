//! A picture as processors see it: three planes of numbers.

use super::resize::{Filter, Resizer};

/// Adding it to 0..=2^22 leaves the number, rounded half to even, in the lowest bits.
const ROUNDING: f32 = 8_388_608.0;

/// Red, green and blue, one plane after the other, rows from the top without padding; 0 is black, 1 is full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl Image {
    /// A black picture.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0.0; width * height * 3],
        }
    }

    /// Changes the size; what the picture shows is then undefined. Memory is kept where it suffices.
    pub fn reset(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.data.resize(width * height * 3, 0.0);
    }

    /// Takes over packed 8-bit R, G, B rows from the top. Value 255 becomes 1.
    ///
    /// # Panics
    /// Unless `rgb` has 3 bytes per pixel.
    pub fn read_rgb8(&mut self, width: usize, height: usize, rgb: &[u8]) {
        assert_eq!(rgb.len(), width * height * 3, "3 bytes per pixel");
        self.reset(width, height);
        let [r, g, b] = self.planes_mut();
        let pixels = rgb.as_chunks::<3>().0.iter();
        for (((pixel, r), g), b) in pixels.zip(r).zip(g).zip(b) {
            [*r, *g, *b] = pixel.map(|value| f32::from(value) / 255.0);
        }
    }

    /// Writes packed 8-bit R, G, B rows from the top; what is outside of 0..=1 is cut, halves go to the even value.
    ///
    /// # Panics
    /// Unless `rgb` has 3 bytes per pixel.
    pub fn write_rgb8(&self, rgb: &mut [u8]) {
        assert_eq!(rgb.len(), self.data.len(), "3 bytes per pixel");
        let [r, g, b] = self.planes();
        let pixels = rgb.as_chunks_mut::<3>().0.iter_mut();
        for (((pixel, &r), &g), &b) in pixels.zip(r).zip(g).zip(b) {
            *pixel = [r, g, b].map(to_8_bits);
        }
    }

    /// Becomes a copy of `other`, in the memory that it has.
    pub fn copy_from(&mut self, other: &Self) {
        (self.width, self.height) = (other.width, other.height);
        self.data.clone_from(&other.data);
    }

    /// Becomes `other` in another size.
    pub(super) fn resize_from(
        &mut self,
        other: &Self,
        (width, height): (usize, usize),
        filter: Filter,
        resizer: &mut Resizer,
    ) {
        self.reset(width, height);
        for (from, to) in other.planes().into_iter().zip(self.planes_mut()) {
            resizer.plane(from, other.size(), to, (width, height), None, filter);
        }
        self.clamp();
    }

    /// Cuts what is outside of 0..=1.
    pub fn clamp(&mut self) {
        for value in &mut self.data {
            *value = value.clamp(0.0, 1.0);
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// All values: (3, height, width).
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values for writing.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Red, green and blue.
    #[must_use]
    pub fn planes(&self) -> [&[f32]; 3] {
        let pixels = self.width * self.height;
        let (r, rest) = self.data.split_at(pixels);
        let (g, b) = rest.split_at(pixels);
        [r, g, b]
    }

    /// Red, green and blue for writing.
    #[must_use]
    pub fn planes_mut(&mut self) -> [&mut [f32]; 3] {
        let pixels = self.width * self.height;
        let (r, rest) = self.data.split_at_mut(pixels);
        let (g, b) = rest.split_at_mut(pixels);
        [r, g, b]
    }

    /// Makes all three planes the first one.
    pub(super) fn spread(&mut self) {
        let pixels = self.width * self.height;
        let (first, others) = self.data.split_at_mut(pixels);
        for other in others.chunks_exact_mut(pixels) {
            other.copy_from_slice(first);
        }
    }
}

/// 0..=1 as 0..=255; written so that compilers find vector instructions for it.
pub(super) fn to_8_bits(value: f32) -> u8 {
    // The mask keeps what is no number at all from being more than a wrong colour.
    ((value.clamp(0.0, 1.0) * 255.0 + ROUNDING).to_bits() & 0xff) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let bytes: Vec<u8> = (0..=255).cycle().take(256 * 3).collect();
        let mut image = Image::default();
        image.read_rgb8(128, 2, &bytes);
        let mut back = vec![0; bytes.len()];
        image.write_rgb8(&mut back);
        assert_eq!(back, bytes);
        assert_eq!(image.planes()[1][0], 1.0 / 255.0);
    }

    #[test]
    fn what_is_out_of_range_is_cut() {
        let cases = [
            (-1.0, 0),
            (2.0, 255),
            (f32::INFINITY, 255),
            (0.5, 128),
            (0.499, 127),
        ];
        for (value, expected) in cases {
            assert_eq!(to_8_bits(value), expected, "{value}");
        }
    }
}
