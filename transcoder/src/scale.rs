//! I420 to another size: bilinear, and over the whole covered area when it gets smaller.
//!
//! Each plane is scaled by itself with pixel centres aligned; the half chroma sample by which
//! H.264 sites chroma to the left is below what the filter resolves.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use thiserror::Error;

use crate::frame::I420;
use crate::size::Size;

/// The scaler refused a plane.
#[derive(Debug, Error)]
#[error("cannot scale from {from} to {to}: {reason}")]
pub struct Error {
    /// Size of the picture.
    pub from: Size,
    /// Size asked for.
    pub to: Size,
    /// What the scaler said.
    pub reason: String,
}

/// Scales pictures; keeps its tables and buffers between pictures.
#[derive(Debug)]
pub struct Scaler {
    resizer: Resizer,
    options: ResizeOptions,
}

impl Default for Scaler {
    fn default() -> Self {
        Self::new()
    }
}

impl Scaler {
    /// A scaler that uses the widest instructions of this machine.
    #[must_use]
    pub fn new() -> Self {
        let algorithm = ResizeAlg::Convolution(FilterType::Bilinear);
        Self {
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(algorithm),
        }
    }

    /// `picture` at size `to`, with the same colour description.
    ///
    /// # Errors
    /// When the scaler refuses a plane.
    pub fn scale(&mut self, picture: &I420, to: Size) -> Result<I420, Error> {
        let from = picture.size();
        if from == to {
            return Ok(picture.clone());
        }
        let mut scaled = I420::black(to, picture.color());
        let sizes = [
            ((from.width(), from.height()), (to.width(), to.height())),
            (from.chroma(), to.chroma()),
            (from.chroma(), to.chroma()),
        ];
        let planes = picture
            .planes()
            .into_iter()
            .zip(scaled.planes_mut())
            .zip(sizes);
        for ((source, target), (source_size, target_size)) in planes {
            self.plane(source, source_size, target, target_size)
                .map_err(|reason| Error { from, to, reason })?;
        }
        Ok(scaled)
    }

    fn plane(
        &mut self,
        source: &[u8],
        source_size: (u32, u32),
        target: &mut [u8],
        target_size: (u32, u32),
    ) -> Result<(), String> {
        let source = ImageRef::new(source_size.0, source_size.1, source, PixelType::U8)
            .map_err(|error| error.to_string())?;
        let mut target = Image::from_slice_u8(target_size.0, target_size.1, target, PixelType::U8)
            .map_err(|error| error.to_string())?;
        self.resizer
            .resize(&source, &mut target, &self.options)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Color;

    #[test]
    fn a_flat_picture_stays_flat_in_any_size() {
        let size = |width, height| Size::new(width, height).unwrap();
        let mut flat = I420::black(size(64, 36), Color::BT709);
        for (plane, level) in flat.planes_mut().into_iter().zip([90, 60, 200]) {
            plane.fill(level);
        }
        for to in [size(16, 16), size(64, 36), size(66, 38), size(320, 180)] {
            let scaled = Scaler::new().scale(&flat, to).unwrap();
            assert_eq!(scaled.size(), to);
            for (plane, level) in scaled.planes().into_iter().zip([90, 60, 200]) {
                assert!(plane.iter().all(|&sample| sample == level));
            }
        }
    }
}
