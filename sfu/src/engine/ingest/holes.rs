//! Packets of a publisher's picture that never come, however often they are asked for again.
//!
//! Viewers lack them too, and a browser waits for seconds before it asks for a keyframe instead.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A hole that retransmissions have not filled by then stays: longer than a few round trips, and a pause that is seen.
const PATIENCE: Duration = Duration::from_millis(500);
/// Holes that are remembered; of more than that, the oldest stay.
const MAX_HOLES: usize = 64;

/// One stream by its extended sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// The number after the newest packet's.
    next: Option<u64>,
    open: VecDeque<Hole>,
}

/// Numbers that have not come, since a later one did.
#[derive(Debug)]
struct Hole {
    first: u64,
    last: u64,
    since: Instant,
}

impl Holes {
    /// A packet came, for the first time or again.
    pub(super) fn pass(&mut self, seq: u64, now: Instant) {
        let next = *self.next.get_or_insert(seq);
        if seq < next {
            return self.fill(seq);
        }
        if seq > next && self.open.len() < MAX_HOLES {
            let (first, last) = (next, seq - 1);
            let since = now;
            self.open.push_back(Hole { first, last, since });
        }
        self.next = Some(seq + 1);
    }

    /// A keyframe begins with this packet: what is missing before it matters no more.
    pub(super) fn restart(&mut self, seq: u64) {
        self.open.retain(|hole| hole.first > seq);
    }

    /// True once for holes that nobody will fill.
    pub(super) fn are_final(&mut self, now: Instant) -> bool {
        let is_final = |hole: &Hole| now.saturating_duration_since(hole.since) >= PATIENCE;
        let before = self.open.len();
        self.open.retain(|hole| !is_final(hole));
        self.open.len() < before
    }

    fn fill(&mut self, seq: u64) {
        let within = |hole: &Hole| (hole.first..=hole.last).contains(&seq);
        let Some(index) = self.open.iter().position(within) else {
            return;
        };
        let Hole { first, last, since } = self.open[index];
        let rest = [(first, seq.checked_sub(1)), (seq + 1, Some(last))];
        let rest = rest
            .into_iter()
            .filter_map(|(first, last)| Some((first, last?)))
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| Hole { first, last, since });
        self.open.remove(index);
        for (i, hole) in rest.enumerate() {
            if self.open.len() < MAX_HOLES {
                self.open.insert(index + i, hole);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_hole_is_final_once_when_it_stayed_for_its_time() {
        let start = Instant::now();
        let mut holes = Holes::default();
        for seq in [10, 11, 15] {
            holes.pass(seq, start);
        }
        assert!(!holes.are_final(after(start, 499)));
        assert!(holes.are_final(after(start, 500)));
        assert!(!holes.are_final(after(start, 5_000)), "it was told");
    }

    #[test]
    fn a_hole_that_is_filled_in_any_order_is_none() {
        let start = Instant::now();
        let mut holes = Holes::default();
        for seq in [10, 16, 13, 11, 15, 13, 12] {
            holes.pass(seq, start);
        }
        assert!(holes.are_final(after(start, 500)), "14 is missing");
        for seq in [20, 17, 19, 18] {
            holes.pass(seq, start);
        }
        assert!(!holes.are_final(after(start, 500)));
    }

    #[test]
    fn a_keyframe_ends_the_holes_before_it_and_none_after() {
        let start = Instant::now();
        let mut holes = Holes::default();
        for seq in [10, 12] {
            holes.pass(seq, start);
        }
        holes.restart(12);
        assert!(!holes.are_final(after(start, 500)));
        holes.pass(14, start);
        holes.restart(12);
        assert!(holes.are_final(after(start, 500)), "13 is the keyframe's");
    }

    #[test]
    fn a_stream_of_holes_keeps_a_bounded_number() {
        let start = Instant::now();
        let mut holes = Holes::default();
        for seq in 0..10_000 {
            holes.pass(seq * 2, start);
        }
        assert_eq!(holes.open.len(), MAX_HOLES);
        assert!(holes.are_final(after(start, 500)));
        // One wide hole, filled in every other place.
        holes.pass(40_000, start);
        for seq in 10_000..15_000 {
            holes.pass(seq * 2 + 1, start);
        }
        assert_eq!(holes.open.len(), MAX_HOLES);
    }
}
