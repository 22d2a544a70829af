//! What is read of a publisher's H264 on its way: B-frames are noticed, and parameter sets that were sent once are
//! sent again before every keyframe that comes without them, so that each can start a viewer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reverie_transcoder::h264::{self, PayloadKind};

use super::clock::duration;

/// Largest payload of repeated parameter sets; a publisher with more is left as it is.
const MAX_SETS: usize = 1_200;
/// Insertions that are remembered for late packets.
const MAX_INSERTED: usize = 256;
/// Pictures whose time lies before that of an earlier one, until these are taken for B-frames.
const REORDERED: u32 = 3;
/// A time that goes back further than this is not a B-frame's.
const REORDER_SPAN: Duration = Duration::from_secs(1);
/// A STAP-A of the highest importance (RFC 6184, section 5.7.1).
const STAP_A: u8 = 0x78;

/// One video track in order of its sequence numbers.
#[derive(Debug, Default)]
pub(crate) struct Bitstream {
    sets: Vec<Vec<u8>>,
    /// Time of the picture that `sets` came with.
    sets_of: Option<u64>,
    picture: Option<Picture>,
    /// Sequence numbers before which one packet was inserted, the oldest first; and how many are forgotten.
    inserted: VecDeque<u64>,
    forgotten: u64,
    newest: Option<u64>,
    reordered: u32,
}

/// The picture that is arriving.
#[derive(Debug, Clone, Copy)]
struct Picture {
    last_seq: u64,
    pts: u64,
    /// Every packet from its first to `last_seq` was seen.
    whole: bool,
    has_sets: bool,
}

/// Where a packet goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its number among the packets of the stream and those inserted.
    pub(crate) seq: u64,
    /// Parameter sets to be sent with the number before it.
    pub(crate) sets: Option<Arc<[u8]>>,
}

impl Bitstream {
    /// Takes a packet; `None` if it is too late to be given a number.
    pub(crate) fn place(
        &mut self,
        seq: u64,
        pts: u64,
        part: PayloadKind,
        payload: &[u8],
    ) -> Option<Placed> {
        self.remember(pts, payload);
        let sets = self
            .follow(seq, pts, part)
            .then(|| self.aggregate())
            .flatten();
        if sets.is_some() {
            self.inserted.push_back(seq);
            if self.inserted.len() > MAX_INSERTED {
                self.inserted.pop_front();
                self.forgotten += 1;
            }
        }
        if self.forgotten > 0 && self.inserted.front().is_some_and(|oldest| seq < *oldest) {
            return None;
        }
        let before = self.inserted.partition_point(|at| *at <= seq) as u64;
        Some(Placed {
            seq: seq + self.forgotten + before,
            sets,
        })
    }

    /// True once the track is known to have B-frames.
    pub(crate) fn has_b_frames(&self) -> bool {
        self.reordered >= REORDERED
    }

    fn remember(&mut self, pts: u64, payload: &[u8]) {
        for unit in h264::parameter_sets(payload) {
            if h264::NalKind::of(unit[0]) == h264::NalKind::Sps && self.sets_of != Some(pts) {
                self.sets.clear();
                self.sets_of = Some(pts);
            }
            if !self.sets.iter().any(|known| known == unit) {
                self.sets.push(unit.to_vec());
            }
        }
    }

    /// Follows the packets in order; true if a whole keyframe begins here without parameter sets.
    fn follow(&mut self, seq: u64, pts: u64, part: PayloadKind) -> bool {
        let last = self.picture;
        if last.is_some_and(|p| seq <= p.last_seq) {
            return false;
        }
        let next = last.is_none_or(|p| seq == p.last_seq + 1);
        let same = last.filter(|p| p.pts == pts);
        if same.is_none() {
            self.order(pts);
        }
        let mut picture = Picture {
            last_seq: seq,
            pts,
            whole: next && same.is_none_or(|p| p.whole),
            has_sets: same.is_some_and(|p| p.has_sets),
        };
        picture.has_sets |= part == PayloadKind::ParameterSets;
        let bare = part == PayloadKind::IdrStart && picture.whole && !picture.has_sets;
        picture.has_sets |= bare;
        self.picture = Some(picture);
        bare
    }

    fn order(&mut self, pts: u64) {
        let back = self.newest.map_or(0, |newest| newest.saturating_sub(pts));
        if back > 0 && duration(back, 90_000) < REORDER_SPAN {
            self.reordered = self.reordered.saturating_add(1);
        }
        self.newest = self.newest.max(Some(pts));
    }

    /// The remembered sets as one payload, if there are any and they fit.
    fn aggregate(&self) -> Option<Arc<[u8]>> {
        let mut payload = vec![STAP_A];
        for unit in &self.sets {
            payload.extend(u16::try_from(unit.len()).ok()?.to_be_bytes());
            payload.extend(unit);
        }
        (!self.sets.is_empty() && payload.len() <= MAX_SETS).then(|| payload.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f];
    const PPS: &[u8] = &[0x68, 0xce];
    const IDR: &[u8] = &[0x65, 0x88, 1];
    const SLICE: &[u8] = &[0x41, 0x9a, 1];

    fn place(stream: &mut Bitstream, seq: u64, pts: u64, payload: &[u8]) -> Option<(u64, bool)> {
        let placed = stream.place(seq, pts, h264::payload_kind(payload), payload)?;
        if let Some(sets) = &placed.sets {
            assert_eq!(
                &sets[..],
                [&[STAP_A, 0, 4][..], SPS, &[0, 2], PPS].concat(),
                "both sets in one packet"
            );
        }
        Some((placed.seq, placed.sets.is_some()))
    }

    /// Sets and a keyframe at 10 to 12, a picture at 13.
    fn begun() -> Bitstream {
        let mut stream = Bitstream::default();
        for (seq, payload) in [(10, SPS), (11, PPS), (12, IDR)] {
            assert_eq!(
                place(&mut stream, seq, 0, payload),
                Some((seq, false)),
                "sent with sets"
            );
        }
        assert_eq!(place(&mut stream, 13, 3_000, SLICE), Some((13, false)));
        stream
    }

    #[test]
    fn a_keyframe_without_sets_gets_those_sent_before() {
        let mut stream = begun();
        assert_eq!(place(&mut stream, 14, 6_000, IDR), Some((15, true)));
        assert_eq!(place(&mut stream, 15, 9_000, SLICE), Some((16, false)));
        assert_eq!(place(&mut stream, 16, 12_000, IDR), Some((18, true)));
        assert_eq!(
            place(&mut stream, 13, 3_000, SLICE),
            Some((13, false)),
            "a late one keeps its place"
        );
        assert_eq!(place(&mut stream, 15, 9_000, SLICE), Some((16, false)));
    }

    #[test]
    fn nothing_is_inserted_where_the_sets_may_still_come() {
        let mut stream = begun();
        assert_eq!(place(&mut stream, 15, 6_000, IDR), Some((15, false)));
        assert_eq!(place(&mut stream, 14, 6_000, SPS), Some((14, false)));
    }

    #[test]
    fn pictures_out_of_order_are_b_frames_and_late_packets_are_not() {
        let mut stream = begun();
        for seq in 14..40 {
            place(&mut stream, seq, seq * 3_000, SLICE);
            place(&mut stream, seq - 2, (seq - 2) * 3_000, SLICE);
        }
        assert!(!stream.has_b_frames());
        for (seq, frame) in (40..).zip([43, 41, 42, 46, 44, 45]) {
            place(&mut stream, seq, frame * 3_000, SLICE);
        }
        assert!(stream.has_b_frames());
    }
}
