//! One RTP packet on the channel's own time line, shared by every viewer without a copy.

use std::sync::Arc;
use std::time::Instant;

use reverie_transcoder::h264::PayloadKind;
use reverie_transcoder::time::Pts;

use super::ids::LayerId;

/// Which of a channel's two media a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Opus at 48 kHz.
    Audio,
    /// H264 at 90 kHz.
    Video,
}

impl Kind {
    /// RTP clock rate in Hz.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Audio => 48_000,
            Self::Video => 90_000,
        }
    }
}

/// Which picture of a channel a viewer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Track {
    /// The shared one: the camera, or the styled picture during a moment.
    #[default]
    Output,
    /// The camera always, untouched.
    Source,
}

/// A packet of the publisher, rewritten onto the channel's time line.
#[derive(Debug)]
pub struct Packet {
    /// Audio or video.
    pub kind: Kind,
    /// The publisher's number in the channel, shifted by 8, and the stream of its track: sequence numbers of two
    /// generations are unrelated.
    pub generation: u32,
    /// Which of the publisher's simulcast layers it is of; without a name for sound and for a picture without layers.
    pub layer: LayerId,
    /// Extended RTP sequence number within the generation.
    pub seq: u64,
    /// Ticks of `kind.clock_rate()` since the channel's epoch; never wraps, grows over publishers.
    pub pts: u64,
    /// When the publisher captured it, on this host's clock (from its sender reports).
    pub captured: Instant,
    /// When its datagram was read.
    pub received: Instant,
    /// RTP marker bit: for video the last packet of the access unit.
    pub marker: bool,
    /// What the H264 payload starts (RFC 6184); `Other` for audio.
    pub part: PayloadKind,
    /// How the picture is to be turned before it is shown, if the packet says so (3GPP TS 26.114: the two low bits
    /// of `urn:3gpp:video-orientation`).
    pub rotation: Option<u8>,
    /// RTP payload without header.
    pub payload: Arc<[u8]>,
}

/// One access unit of the styled track, already cut into RTP payloads for all viewers.
#[derive(Debug, Clone)]
pub struct StyledUnit {
    /// Counts the units of one styled track; a hole means that a unit was dropped.
    pub index: u64,
    /// Presentation time of the source frame it was made from.
    pub pts: Pts,
    /// True if it can be decoded without its past.
    pub keyframe: bool,
    /// RTP payloads in order; the last one carries the marker.
    pub payloads: Vec<Arc<[u8]>>,
}

impl StyledUnit {
    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payloads.iter().map(|p| p.len()).sum()
    }

    /// True if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }
}
