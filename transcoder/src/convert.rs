//! I420 to packed RGB and back, for stages that think in RGB.
//!
//! Chroma is repeated on the way out and averaged over 2x2 pixels on the way in. Luma below black
//! counts as black.

use thiserror::Error;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix, rgb_to_yuv420, yuv420_to_rgb,
};

use crate::color::{Color, Matrix, Range};
use crate::frame::I420;
use crate::size::Size;

/// Why a picture was not converted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The RGB buffer has the wrong length.
    #[error("{size} in RGB takes {expected} bytes, got {got}")]
    Length {
        /// Size of the picture.
        size: Size,
        /// Bytes it needs.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The conversion itself failed.
    #[error("cannot convert a picture of {size}: {source}")]
    Convert {
        /// Size of the picture.
        size: Size,
        /// What the converter said.
        source: YuvError,
    },
}

/// Bytes of a packed RGB picture.
#[must_use]
pub const fn rgb_length(size: Size) -> usize {
    size.pixels() * 3
}

/// Writes `picture` to `rgb` as packed 8-bit R, G, B rows from the top (height x width x 3).
///
/// # Errors
/// [`Error::Length`] unless `rgb` has [`rgb_length`] bytes.
pub fn to_rgb(picture: &I420, rgb: &mut [u8]) -> Result<(), Error> {
    let size = picture.size();
    check(size, rgb.len())?;
    let [y_plane, u_plane, v_plane] = picture.planes();
    let (chroma_width, _) = size.chroma();
    let image = YuvPlanarImage {
        y_plane,
        y_stride: size.width(),
        u_plane,
        u_stride: chroma_width,
        v_plane,
        v_stride: chroma_width,
        width: size.width(),
        height: size.height(),
    };
    let (range, matrix) = native(picture.color());
    yuv420_to_rgb(&image, rgb, size.width() * 3, range, matrix)
        .map_err(|source| Error::Convert { size, source })
}

/// The picture in `rgb` (packed 8-bit R, G, B rows from the top) as I420 in `color`.
///
/// # Errors
/// [`Error::Length`] unless `rgb` has [`rgb_length`] bytes.
pub fn from_rgb(rgb: &[u8], size: Size, color: Color) -> Result<I420, Error> {
    check(size, rgb.len())?;
    let mut picture = I420::black(size, color);
    let (chroma_width, _) = size.chroma();
    let [y, u, v] = picture.planes_mut();
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: size.width(),
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: chroma_width,
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: chroma_width,
        width: size.width(),
        height: size.height(),
    };
    let (range, matrix) = native(color);
    rgb_to_yuv420(
        &mut image,
        rgb,
        size.width() * 3,
        range,
        matrix,
        YuvConversionMode::Balanced,
    )
    .map_err(|source| Error::Convert { size, source })?;
    Ok(picture)
}

const fn check(size: Size, got: usize) -> Result<(), Error> {
    let expected = rgb_length(size);
    if expected == got {
        Ok(())
    } else {
        Err(Error::Length {
            size,
            expected,
            got,
        })
    }
}

const fn native(color: Color) -> (YuvRange, YuvStandardMatrix) {
    let range = match color.range {
        Range::Limited => YuvRange::Limited,
        Range::Full => YuvRange::Full,
    };
    let matrix = match color.matrix {
        Matrix::Bt601 => YuvStandardMatrix::Bt601,
        Matrix::Bt709 => YuvStandardMatrix::Bt709,
    };
    (range, matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_another_size_is_refused() {
        let size = Size::new(16, 16).unwrap();
        assert!(matches!(
            to_rgb(&I420::black(size, Color::BT601), &mut [0; 767]),
            Err(Error::Length {
                expected: 768,
                got: 767,
                ..
            })
        ));
        assert!(from_rgb(&[0; 769], size, Color::BT601).is_err());
    }
}
