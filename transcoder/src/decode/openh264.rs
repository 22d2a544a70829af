//! Software decoding with Cisco's OpenH264, on the calling thread.

use openh264::decoder::{DecodedYUV, Decoder as Native};
use openh264::formats::YUVSource;

use super::{Decoder, Error};
use crate::candidate::{Refusal, Refusals};
use crate::color::Color;
use crate::frame::{Frame, I420, Picture, PlaneRef};
use crate::h264;
use crate::size::Size;
use crate::unit::AccessUnit;

pub(super) const NAME: &str = "openh264";

pub(super) struct OpenH264 {
    native: Native,
    /// Colour description of the stream, which the native decoder does not hand out.
    color: Option<Color>,
}

impl OpenH264 {
    pub(super) fn open() -> Result<Self, String> {
        let native = Native::new().map_err(|error| error.to_string())?;
        Ok(Self {
            native,
            color: None,
        })
    }
}

impl Decoder for OpenH264 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Frame>) -> Result<(), Error> {
        if unit.keyframe
            && let Some(sps) = h264::sps_of(&unit.data)
        {
            self.color = sps.color;
        }
        let decoded = self
            .native
            .decode(&unit.data)
            .map_err(|error| Error::Corrupt {
                bytes: unit.data.len(),
                reason: error.to_string(),
            })?;
        let Some(decoded) = decoded else {
            return Ok(());
        };
        let picture = Picture::I420(copy(&decoded, self.color)?);
        out.push(Frame {
            pts: unit.pts,
            arrived: unit.arrived,
            picture,
        });
        Ok(())
    }

    /// Nothing is ever held back: without reordering each unit yields its picture at once.
    fn flush(&mut self, _out: &mut Vec<Frame>) -> Result<(), Error> {
        *self = Self::open().map_err(|reason| {
            Error::Unavailable(Refusals(vec![Refusal {
                backend: NAME,
                reason,
            }]))
        })?;
        Ok(())
    }
}

fn copy(decoded: &DecodedYUV<'_>, color: Option<Color>) -> Result<I420, Error> {
    let (width, height) = decoded.dimensions();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let (width, height) = (side(width), side(height));
    let size = Size::new(width, height)?;
    let (y, u, v) = decoded.strides();
    let planes = [
        PlaneRef {
            data: decoded.y(),
            stride: y,
        },
        PlaneRef {
            data: decoded.u(),
            stride: u,
        },
        PlaneRef {
            data: decoded.v(),
            stride: v,
        },
    ];
    Ok(I420::copy_from(
        size,
        color.unwrap_or(Color::assumed(size)),
        planes,
    )?)
}
