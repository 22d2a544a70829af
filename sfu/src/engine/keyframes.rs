//! What a joiner needs to see a picture at once: the last keyframe of a track and all that followed.

use std::collections::VecDeque;
use std::sync::Arc;

use reverie_transcoder::h264::PayloadKind;

use super::packet::{Packet, StyledUnit};

/// A group of pictures longer than this is not kept: a joiner then waits for a fresh keyframe.
const MAX_PACKETS: usize = 4_096;
/// Likewise in bytes of payload (a 10 s group at 3 Mbit/s).
const MAX_BYTES: usize = 4 << 20;
/// How many packets may arrive before a keyframe's missing one.
const REORDER: usize = 512;

/// The source track since its last complete keyframe, ordered by sequence number.
#[derive(Debug, Default)]
pub(crate) struct SourceCache {
    generation: u32,
    packets: VecDeque<Arc<Packet>>,
    bytes: usize,
    /// First sequence number of the keyframe that `packets` starts with.
    start: Option<u64>,
    /// Presentation time of a keyframe that is still arriving.
    arriving: Option<u64>,
}

impl SourceCache {
    /// Keeps a video packet; true if it made a new keyframe complete, which then is the first of [`Self::packets`].
    pub(crate) fn push(&mut self, packet: &Arc<Packet>) -> bool {
        if self.generation != packet.generation {
            self.clear();
            self.generation = packet.generation;
        }
        if starts_keyframe(packet.part) && self.is_news(packet) {
            self.arriving = Some(packet.pts);
        }
        if (self.start.is_none() && self.arriving.is_none())
            || self.start.is_some_and(|first| packet.seq < first)
        {
            return false;
        }
        if !self.insert(packet) {
            return false;
        }
        if self.arriving == Some(packet.pts) && self.promote() {
            return true;
        }
        self.bound();
        false
    }

    /// The last complete keyframe and everything after it, in order; empty if there is none.
    pub(crate) fn packets(&self) -> impl DoubleEndedIterator<Item = &Arc<Packet>> {
        let kept = if self.start.is_some() {
            self.packets.len()
        } else {
            0
        };
        self.packets.range(..kept)
    }

    /// Generation of the packets that were kept last.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Media time covered, in ticks; `None` without a keyframe.
    pub(crate) fn span(&self) -> Option<u64> {
        let first = self.packets().next()?.pts;
        let last = self.packets().next_back()?.pts;
        Some(last.saturating_sub(first))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
        self.start = None;
        self.arriving = None;
    }

    fn is_news(&self, packet: &Packet) -> bool {
        self.arriving.is_none_or(|pts| packet.pts > pts)
            && self.start.is_none_or(|seq| packet.seq > seq)
            && self
                .packets()
                .next()
                .is_none_or(|first| first.pts != packet.pts)
    }

    /// Inserts by sequence number; false for a duplicate.
    fn insert(&mut self, packet: &Arc<Packet>) -> bool {
        let mut at = self.packets.len();
        while at > 0 && self.packets[at - 1].seq > packet.seq {
            at -= 1;
        }
        if at > 0 && self.packets[at - 1].seq == packet.seq {
            return false;
        }
        self.bytes += packet.payload.len();
        self.packets.insert(at, packet.clone());
        true
    }

    /// Makes the arriving keyframe the start of the cache if it is complete.
    fn promote(&mut self) -> bool {
        let Some(pts) = self.arriving else {
            return false;
        };
        let Some(first) = self
            .packets
            .iter()
            .position(|p| p.pts == pts && starts_keyframe(p.part))
        else {
            return false;
        };
        let mut idr = false;
        let start = self.packets[first].seq;
        for (next, packet) in (start..).zip(self.packets.range(first..)) {
            if packet.seq != next || packet.pts != pts {
                return false;
            }
            idr |=
                packet.part == PayloadKind::IdrStart || packet.part == PayloadKind::ParameterSets;
            if packet.marker {
                self.drop_before(start);
                self.start = Some(start);
                self.arriving = None;
                return idr;
            }
        }
        false
    }

    fn drop_before(&mut self, seq: u64) {
        while self.packets.front().is_some_and(|p| p.seq < seq) {
            self.bytes -= self.packets.pop_front().map_or(0, |p| p.payload.len());
        }
    }

    fn bound(&mut self) {
        let waiting_too_long = self.start.is_none() && self.packets.len() > REORDER;
        if waiting_too_long || self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            self.clear();
        }
    }
}

/// A keyframe that carries its own parameter sets (RFC 6184): only such a one can start a new decoder.
fn starts_keyframe(part: PayloadKind) -> bool {
    part == PayloadKind::ParameterSets
}

/// The styled track since its last keyframe.
#[derive(Debug, Default)]
pub(crate) struct StyledCache {
    units: VecDeque<Arc<StyledUnit>>,
    bytes: usize,
}

impl StyledCache {
    /// Keeps a unit; a keyframe replaces all before it, a hole empties the cache.
    pub(crate) fn push(&mut self, unit: &Arc<StyledUnit>) {
        let hole = self
            .units
            .back()
            .is_none_or(|last| last.index + 1 != unit.index);
        if unit.keyframe || hole {
            self.clear();
        }
        if self.units.is_empty() && !unit.keyframe {
            return;
        }
        self.bytes += unit.len();
        self.units.push_back(unit.clone());
        if self.bytes > MAX_BYTES || self.units.len() > MAX_PACKETS {
            self.clear();
        }
    }

    /// The last keyframe and all after it.
    pub(crate) fn units(&self) -> impl ExactSizeIterator<Item = &Arc<StyledUnit>> {
        self.units.iter()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::packet::Kind;
    use super::*;

    fn packet(seq: u64, pts: u64, part: PayloadKind, marker: bool) -> Arc<Packet> {
        let now = Instant::now();
        Arc::new(Packet {
            kind: Kind::Video,
            generation: 1,
            layer: super::super::ids::LayerId::default(),
            seq,
            pts,
            captured: now,
            received: now,
            marker,
            part,
            rotation: None,
            payload: Arc::from([0_u8; 10]),
        })
    }

    fn keyframe(seq: u64, pts: u64) -> [Arc<Packet>; 3] {
        [
            packet(seq, pts, PayloadKind::ParameterSets, false),
            packet(seq + 1, pts, PayloadKind::IdrStart, false),
            packet(seq + 2, pts, PayloadKind::Continuation, true),
        ]
    }

    #[test]
    fn a_keyframe_counts_only_when_all_its_packets_are_there() {
        let [a, b, c] = keyframe(10, 3_000);
        let mut cache = SourceCache::default();
        assert!(!cache.push(&a));
        assert!(!cache.push(&c));
        assert_eq!(cache.packets().count(), 0);
        assert!(cache.push(&b), "the late packet completes it");
        let seqs: Vec<_> = cache.packets().map(|p| p.seq).collect();
        assert_eq!(seqs, [10, 11, 12]);
    }

    #[test]
    fn a_new_keyframe_replaces_the_group_before_it() {
        let mut cache = SourceCache::default();
        for p in keyframe(10, 3_000) {
            cache.push(&p);
        }
        cache.push(&packet(13, 6_000, PayloadKind::SliceStart, true));
        let ready = keyframe(14, 9_000).iter().filter(|p| cache.push(p)).count();
        assert_eq!(ready, 1);
        assert_eq!(
            cache.packets().map(|p| p.seq).collect::<Vec<_>>(),
            [14, 15, 16]
        );
    }

    #[test]
    fn a_group_that_grows_too_large_is_given_up() {
        let mut cache = SourceCache::default();
        for p in keyframe(0, 0) {
            cache.push(&p);
        }
        for seq in 3..=u64::try_from(MAX_PACKETS).expect("small") + 1 {
            cache.push(&packet(seq, seq * 3_000, PayloadKind::SliceStart, true));
        }
        assert_eq!(cache.span(), None);
    }

    #[test]
    fn another_publisher_starts_from_nothing() {
        let mut cache = SourceCache::default();
        for p in keyframe(10, 3_000) {
            cache.push(&p);
        }
        let mut next =
            Arc::into_inner(packet(1, 90_000, PayloadKind::SliceStart, true)).expect("only owner");
        next.generation = 2;
        cache.push(&Arc::new(next));
        assert_eq!(cache.packets().count(), 0);
    }

    #[test]
    fn a_hole_in_the_styled_track_waits_for_its_next_keyframe() {
        let unit = |index, keyframe| {
            Arc::new(StyledUnit {
                index,
                pts: reverie_transcoder::time::Pts(index * 3_000),
                keyframe,
                payloads: vec![Arc::from([0_u8; 4])],
            })
        };
        let mut cache = StyledCache::default();
        cache.push(&unit(0, true));
        cache.push(&unit(1, false));
        assert_eq!(cache.units().len(), 2);
        cache.push(&unit(3, false));
        assert_eq!(cache.units().len(), 0);
        cache.push(&unit(4, true));
        assert_eq!(cache.units().len(), 1);
    }
}
