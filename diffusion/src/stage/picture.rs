//! A frame to the model's size in packed RGB, and back to the frame's size and colour.

use reverie_transcoder::convert::{self, rgb_length};
use reverie_transcoder::frame::{I420, PlaneRef};
use reverie_transcoder::scale::Scaler;
use reverie_transcoder::size::Size;
use reverie_transcoder::stage::StageError;

use crate::params::Fit;

/// Converts frames of any size; keeps its buffers between frames.
#[derive(Debug)]
pub struct Pictures {
    size: Size,
    fit: Fit,
    scaler: Scaler,
    rgb: Vec<u8>,
}

impl Pictures {
    /// For a model whose pictures are of this size.
    #[must_use]
    pub fn new(size: Size, fit: Fit) -> Self {
        Self {
            size,
            fit,
            scaler: Scaler::new(),
            rgb: vec![0; rgb_length(size)],
        }
    }

    /// True if they are of this size and fit.
    #[must_use]
    pub fn are(&self, size: Size, fit: Fit) -> bool {
        (self.size, self.fit) == (size, fit)
    }

    /// The model's size.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The picture at the model's size as packed 8-bit R, G, B rows from the top (height x width x 3).
    ///
    /// # Errors
    /// [`StageError::Process`] when it cannot be scaled or converted.
    pub fn rgb(&mut self, picture: &I420) -> Result<&[u8], StageError> {
        let scaled = match self.window(picture.size()) {
            Some(window) => self.scaler.scale(&window.cut(picture)?, self.size),
            None => self.scaler.scale(picture, self.size),
        };
        let scaled = scaled.map_err(failed)?;
        convert::to_rgb(&scaled, &mut self.rgb).map_err(failed)?;
        Ok(&self.rgb)
    }

    /// `rgb` of `size`, laid out as [`Pictures::rgb`] gives it, as a picture of the size and colour of `like`.
    ///
    /// # Errors
    /// [`StageError::Process`] when it cannot be converted or scaled.
    pub fn picture(&mut self, rgb: &[u8], size: Size, like: &I420) -> Result<I420, StageError> {
        let styled = convert::from_rgb(rgb, size, like.color()).map_err(failed)?;
        let Some(window) = self.window(like.size()) else {
            return self.scaler.scale(&styled, like.size()).map_err(failed);
        };
        let mut whole = I420::black(like.size(), like.color());
        let styled = self.scaler.scale(&styled, window.size).map_err(failed)?;
        window.paste(&styled, &mut whole);
        Ok(whole)
    }

    /// The part of a frame that is transformed; `None` if that is all of it.
    fn window(&self, frame: Size) -> Option<Window> {
        match self.fit {
            Fit::Stretch => None,
            Fit::Crop => Window::middle(frame, self.size).filter(|window| window.size != frame),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> StageError {
    StageError::Process(error.to_string())
}

/// A rectangle of even place and size in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    left: usize,
    top: usize,
    size: Size,
}

impl Window {
    /// The largest rectangle of the shape of `model` in the middle of `frame`.
    fn middle(frame: Size, model: Size) -> Option<Self> {
        let (width, height) = (u64::from(frame.width()), u64::from(frame.height()));
        let (across, down) = (u64::from(model.width()), u64::from(model.height()));
        let (inner_width, inner_height) = if width * down > height * across {
            (height * across / down, height)
        } else {
            (width, width * down / across)
        };
        // Chroma has half the rows and columns.
        let even = |n: u64| u32::try_from(n & !1).expect("it is no more than a side of the frame");
        let size = Size::new(even(inner_width), even(inner_height)).ok()?;
        let middle = |outer: u32, inner: u32| ((outer - inner) / 2) as usize & !1;
        Some(Self {
            left: middle(frame.width(), size.width()),
            top: middle(frame.height(), size.height()),
            size,
        })
    }

    fn cut(self, picture: &I420) -> Result<I420, StageError> {
        let stride = picture.size().width() as usize;
        let [y, u, v] = picture.planes();
        let luma = PlaneRef {
            data: &y[self.top * stride + self.left..],
            stride,
        };
        let chroma = |plane| {
            let from: &[u8] = plane;
            PlaneRef {
                data: &from[self.top / 2 * (stride / 2) + self.left / 2..],
                stride: stride / 2,
            }
        };
        I420::copy_from(self.size, picture.color(), [luma, chroma(u), chroma(v)]).map_err(failed)
    }

    fn paste(self, part: &I420, whole: &mut I420) {
        let stride = whole.size().width() as usize;
        let width = self.size.width() as usize;
        let planes = part.planes().into_iter().zip(whole.planes_mut());
        for ((from, to), half) in planes.zip([1, 2, 2]) {
            let (left, top) = (self.left / half, self.top / half);
            let rows = to.chunks_mut(stride / half).skip(top);
            for (row, line) in rows.zip(from.chunks(width / half)) {
                row[left..left + line.len()].copy_from_slice(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use reverie_transcoder::color::Color;

    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    /// Luma rises to the right and downward, chroma likewise in other steps.
    fn ramp(size: Size, color: Color) -> I420 {
        let mut picture = I420::black(size, color);
        let width = size.width() as usize;
        let [y, u, v] = picture.planes_mut();
        for (at, sample) in y.iter_mut().enumerate() {
            *sample =
                40 + (at % width * 100 / width + at / width * 80 / size.height() as usize) as u8;
        }
        for (plane, step) in [(u, 20), (v, 30)] {
            for (at, sample) in plane.iter_mut().enumerate() {
                *sample = 110 + (at % (width / 2) * step / width) as u8;
            }
        }
        picture
    }

    fn worst(a: &I420, b: &I420) -> u8 {
        let pairs = a.as_bytes().iter().zip(b.as_bytes());
        pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn a_picture_that_nothing_was_done_to_comes_back_in_size_and_colour() {
        for color in [Color::BT601, Color::BT709] {
            for frame in [size(128, 128), size(256, 144), size(320, 240)] {
                let picture = ramp(frame, color);
                let mut pictures = Pictures::new(size(128, 128), Fit::Stretch);
                let rgb = pictures.rgb(&picture).unwrap().to_vec();
                let back = pictures.picture(&rgb, pictures.size(), &picture).unwrap();
                assert_eq!((back.size(), back.color()), (frame, color));
                let worst = worst(&picture, &back);
                assert!(worst <= 4, "{frame} {color:?}: {worst}");
            }
        }
    }

    #[test]
    fn a_crop_transforms_the_middle_and_blackens_what_is_beside_it() {
        let frame = size(256, 128);
        let picture = ramp(frame, Color::BT601);
        let mut pictures = Pictures::new(size(64, 64), Fit::Crop);
        let white = vec![255; pictures.rgb(&picture).unwrap().len()];
        let back = pictures.picture(&white, pictures.size(), &picture).unwrap();
        for row in back.planes()[0].chunks(256) {
            assert!(row[..64].iter().chain(&row[192..]).all(|&luma| luma == 16));
            assert!(row[64..192].iter().all(|&luma| luma == 235));
        }
    }

    #[test]
    fn a_crop_is_the_middle_of_the_frame_and_not_squeezed() {
        let frame = size(256, 128);
        let mut picture = I420::black(frame, Color::BT601);
        for row in picture.planes_mut()[0].chunks_mut(256) {
            row[64..192].fill(235);
        }
        let mut pictures = Pictures::new(size(128, 128), Fit::Crop);
        assert!(
            pictures
                .rgb(&picture)
                .unwrap()
                .iter()
                .all(|&level| level >= 250)
        );
    }
}
