//! What Reverie needs to know about H.264 (ITU-T H.264) and its RTP payload (RFC 6184).

mod nal;
mod payload;
mod sps;

pub use nal::{NalKind, NalUnits, is_keyframe, nal_units};
pub use payload::{PayloadKind, is_h264_payload_plausible, payload_kind, payload_starts_keyframe};
pub use sps::{Sps, sps_of};

pub(crate) use payload::{Form, form};
