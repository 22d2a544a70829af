//! One raw picture and when it is from.

use std::time::Instant;

use thiserror::Error;

use crate::color::{CHROMA_GREY, Color, LUMA_BLACK, Range};
use crate::size::Size;
use crate::time::Pts;

/// A picture on the way from the decoder over the stage to the encoder.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Media time of the access unit that it was decoded from.
    pub pts: Pts,
    /// When the first packet of that access unit came in.
    pub arrived: Instant,
    /// The picture.
    pub picture: Picture,
}

/// Where the samples of a picture are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Picture {
    /// Planar 4:2:0 in main memory.
    I420(I420),
}

/// Planar YUV 4:2:0, 8 bits: Y, U and V one after the other in one buffer, rows without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I420 {
    size: Size,
    color: Color,
    data: Vec<u8>,
}

/// One plane of somebody else's picture: `stride` bytes from one row to the next.
#[derive(Clone, Copy, Debug)]
pub struct PlaneRef<'a> {
    /// The samples.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Samples that do not make up the picture they are said to be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A buffer has the wrong length.
    #[error("{size} needs {expected} bytes, got {got}")]
    Length {
        /// Size of the picture.
        size: Size,
        /// Bytes it needs.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A plane is too short for its rows.
    #[error("a plane of {got} bytes with stride {stride} is too small for {size}")]
    Plane {
        /// Size of the picture.
        size: Size,
        /// Stride of the plane.
        stride: usize,
        /// Bytes there are.
        got: usize,
    },
}

impl Picture {
    /// Size in luma samples.
    #[must_use]
    pub const fn size(&self) -> Size {
        match self {
            Self::I420(picture) => picture.size(),
        }
    }
}

impl I420 {
    /// A black picture.
    #[must_use]
    pub fn black(size: Size, color: Color) -> Self {
        let luma = match color.range {
            Range::Limited => LUMA_BLACK,
            Range::Full => 0,
        };
        let mut data = vec![luma; length(size)];
        data[size.pixels()..].fill(CHROMA_GREY);
        Self { size, color, data }
    }

    /// A picture from Y, U and V one after the other, rows without padding.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` holds exactly 1.5 bytes per pixel.
    pub fn from_vec(size: Size, color: Color, data: Vec<u8>) -> Result<Self, Error> {
        let (expected, got) = (length(size), data.len());
        if expected == got {
            Ok(Self { size, color, data })
        } else {
            Err(Error::Length {
                size,
                expected,
                got,
            })
        }
    }

    /// A picture copied from three planes with strides.
    ///
    /// # Errors
    /// [`Error::Plane`] when a plane is too short.
    pub fn copy_from(size: Size, color: Color, planes: [PlaneRef<'_>; 3]) -> Result<Self, Error> {
        let mut data = Vec::with_capacity(length(size));
        let (chroma_width, chroma_height) = size.chroma();
        let [y, u, v] = planes;
        copy_rows(&mut data, y, size.width(), size.height(), size)?;
        copy_rows(&mut data, u, chroma_width, chroma_height, size)?;
        copy_rows(&mut data, v, chroma_width, chroma_height, size)?;
        Ok(Self { size, color, data })
    }

    /// Luma and both chroma planes for writing.
    #[must_use]
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (y, chroma) = self.data.split_at_mut(self.size.pixels());
        let (u, v) = chroma.split_at_mut(self.size.pixels() / 4);
        [y, u, v]
    }

    /// Luma, U and V; row lengths are the width and half the width.
    #[must_use]
    pub fn planes(&self) -> [&[u8]; 3] {
        let (y, chroma) = self.data.split_at(self.size.pixels());
        let (u, v) = chroma.split_at(self.size.pixels() / 4);
        [y, u, v]
    }

    /// Size in luma samples.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// What the samples mean.
    #[must_use]
    pub const fn color(&self) -> Color {
        self.color
    }

    /// All samples: Y, U, V.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }
}

fn copy_rows(
    into: &mut Vec<u8>,
    plane: PlaneRef<'_>,
    width: u32,
    height: u32,
    size: Size,
) -> Result<(), Error> {
    let (width, height) = (width as usize, height as usize);
    let needed = plane.stride * (height - 1) + width;
    if plane.stride < width || plane.data.len() < needed {
        return Err(Error::Plane {
            size,
            stride: plane.stride,
            got: plane.data.len(),
        });
    }
    for row in plane.data.chunks(plane.stride).take(height) {
        into.extend_from_slice(&row[..width]);
    }
    Ok(())
}

const fn length(size: Size) -> usize {
    size.pixels() * 3 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> Size {
        Size::new(16, 16).unwrap()
    }

    #[test]
    fn padding_between_rows_is_left_behind() {
        let padded = |width: usize, height: usize| -> Vec<u8> {
            (0..height)
                .flat_map(|row| [vec![row as u8; width], vec![255; 5]].concat())
                .collect()
        };
        let (luma, chroma) = (padded(16, 16), padded(8, 8));
        let picture = I420::copy_from(
            size(),
            Color::BT601,
            [
                PlaneRef {
                    data: &luma,
                    stride: 21,
                },
                PlaneRef {
                    data: &chroma,
                    stride: 13,
                },
                PlaneRef {
                    data: &chroma[..13 * 7 + 8],
                    stride: 13,
                },
            ],
        )
        .unwrap();
        let [y, u, v] = picture.planes();
        assert!(
            y.chunks(16)
                .enumerate()
                .all(|(row, line)| line == [row as u8; 16])
        );
        assert!(
            u.chunks(8)
                .enumerate()
                .all(|(row, line)| line == [row as u8; 8])
        );
        assert_eq!(u, v);
    }

    #[test]
    fn short_planes_and_buffers_are_refused() {
        let short = PlaneRef {
            data: &[0; 16 * 16 - 1],
            stride: 16,
        };
        let narrow = PlaneRef {
            data: &[0; 16 * 16],
            stride: 15,
        };
        for bad in [short, narrow] {
            assert!(matches!(
                I420::copy_from(size(), Color::BT601, [bad, bad, bad]),
                Err(Error::Plane { .. })
            ));
        }
        assert!(I420::from_vec(size(), Color::BT601, vec![0; 383]).is_err());
    }
}
