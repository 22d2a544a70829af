//! Software decoding with Cisco's OpenH264, on the calling thread.

use std::collections::BTreeMap;
use std::time::Instant;

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder as Native, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::{Decoder, Error};
use crate::candidate::{Refusal, Refusals};
use crate::color::Color;
use crate::frame::{Frame, I420, Picture, PlaneRef};
use crate::h264;
use crate::size::Size;
use crate::time::Pts;
use crate::unit::AccessUnit;

pub(super) const NAME: &str = "openh264";

/// Units that may wait for their picture: more than any stream reorders (ITU-T H.264 table A-1).
const HELD: usize = 16;

pub(super) struct OpenH264 {
    native: Native,
    order: Order,
    /// Colour description of the stream, which the native decoder does not hand out.
    color: Option<Color>,
}

impl OpenH264 {
    pub(super) fn open() -> Result<Self, String> {
        Self::with(Order::Same(Pts(0)))
    }

    fn with(order: Order) -> Result<Self, String> {
        // Without B-frames a picture is wanted at once; with them the native decoder must be let wait, or it runs
        // out of pictures.
        let flush = match order {
            Order::Same(_) => Flush::Auto,
            Order::Reordered(_) => Flush::NoFlush,
        };
        let config = DecoderConfig::new().flush_after_decode(flush);
        let native = Native::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            native,
            order,
            color: None,
        })
    }

    fn reopen(&mut self, order: Order) -> Result<(), Error> {
        *self = Self::with(order).map_err(|reason| {
            Error::Unavailable(Refusals(vec![Refusal {
                backend: NAME,
                reason,
            }]))
        })?;
        Ok(())
    }
}

/// How the order of units is related to that of their pictures.
enum Order {
    /// The same; the newest time.
    Same(Pts),
    /// Another one, because of B-frames: units whose picture did not come yet.
    Reordered(BTreeMap<Pts, Instant>),
}

impl Order {
    /// Takes a unit; false if it shows that the order is not the same.
    fn takes(&mut self, unit: &AccessUnit) -> bool {
        match self {
            Self::Same(newest) if unit.pts < *newest => return false,
            Self::Same(newest) => *newest = unit.pts,
            Self::Reordered(waiting) => {
                waiting.insert(unit.pts, unit.arrived);
                if waiting.len() > HELD {
                    waiting.pop_first();
                }
            }
        }
        true
    }

    /// No picture will come of this unit.
    fn lost(&mut self, unit: &AccessUnit) {
        if let Self::Reordered(waiting) = self {
            waiting.remove(&unit.pts);
        }
    }

    /// Time and arrival of the next picture: they come in the order in which they are shown.
    fn next(&mut self, unit: &AccessUnit) -> (Pts, Instant) {
        match self {
            Self::Same(_) => (unit.pts, unit.arrived),
            Self::Reordered(waiting) => waiting.pop_first().unwrap_or((unit.pts, unit.arrived)),
        }
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
        if !self.order.takes(unit) {
            // From the next keyframe on.
            self.reopen(Order::Reordered(BTreeMap::new()))?;
            return Err(Error::Corrupt {
                bytes: unit.data.len(),
                reason: "B-frames: decoding starts again in another mode".to_owned(),
            });
        }
        let decoded = self.native.decode(&unit.data).map_err(|error| {
            self.order.lost(unit);
            Error::Corrupt {
                bytes: unit.data.len(),
                reason: error.to_string(),
            }
        })?;
        let Some(decoded) = decoded else {
            return Ok(());
        };
        let picture = Picture::I420(copy(&decoded, self.color)?);
        let (pts, arrived) = self.order.next(unit);
        out.push(Frame {
            pts,
            arrived,
            picture,
        });
        Ok(())
    }

    /// Forgets what is held back, which is nothing unless there are B-frames.
    fn flush(&mut self, _out: &mut Vec<Frame>) -> Result<(), Error> {
        self.reopen(match self.order {
            Order::Same(_) => Order::Same(Pts(0)),
            Order::Reordered(_) => Order::Reordered(BTreeMap::new()),
        })
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
