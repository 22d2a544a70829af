//! One encoded picture.

use std::time::Instant;

use bytes::Bytes;

use crate::time::Pts;

/// All NAL units of one picture (ITU-T H.264 section 7.4.1.2.3) as an Annex B byte stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Media time.
    pub pts: Pts,
    /// When its first packet came in; for an encoded unit, that of the source unit.
    pub arrived: Instant,
    /// Whether decoding can start here (it contains an IDR picture).
    pub keyframe: bool,
    /// NAL units with start codes.
    pub data: Bytes,
}
