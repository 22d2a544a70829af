//! One RTP stream of a publisher: its sound, its picture, or one layer of its picture.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::rtp::Ssrc;

use super::super::bitstream::Bitstream;
use super::super::clock::{TrackClock, duration, ticks};
use super::super::ids::LayerId;
use super::super::packet::Kind;
use super::holes::Holes;

/// Pictures whose times are remembered, for other layers to be placed beside.
const RECENT: usize = 32;
/// The first packet of a layer that comes this soon after a picture of another layer is of the same picture: an
/// encoder makes all layers of one picture before the next.
const TOGETHER: Duration = Duration::from_millis(25);
/// Sender reports say when a picture was captured to about a millisecond: what lies closer is one picture, and
/// pictures are further apart.
const ONE_PICTURE: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) layer: LayerId,
    pub(super) ssrc: Ssrc,
    pub(super) clock: TrackClock,
    pub(super) bitstream: Bitstream,
    pub(super) holes: Holes,
    pub(super) newest: Option<u64>,
    pub(super) heard: Instant,
    /// Timestamp on the wire of the packet heard last, and its place.
    pub(super) timestamp: u32,
    pts: u64,
    /// Counts the streams that media of this kind were taken from.
    pub(super) stream: u32,
    recent: VecDeque<u64>,
}

impl Track {
    pub(super) fn new(kind: Kind, layer: LayerId, ssrc: Ssrc, stream: u32, now: Instant) -> Self {
        Self {
            kind,
            layer,
            ssrc,
            clock: TrackClock::new(kind.clock_rate()),
            bitstream: Bitstream::default(),
            holes: Holes::default(),
            newest: None,
            heard: now,
            timestamp: 0,
            pts: 0,
            stream,
            recent: VecDeque::new(),
        }
    }

    /// Where the time line stands: what comes next must not go behind it.
    pub(super) fn end(&self) -> Duration {
        self.newest
            .map_or(Duration::ZERO, |pts| duration(pts, self.kind.clock_rate()))
    }

    /// Remembers the packet heard last.
    pub(super) fn hear(&mut self, timestamp: u32, pts: u64, now: Instant) {
        (self.timestamp, self.pts, self.heard) = (timestamp, pts, now);
        if self.newest < Some(pts) {
            self.newest = Some(pts);
            if !self.layer.is_only() {
                self.recent.truncate(RECENT - 1);
                self.recent.push_front(pts);
            }
        }
    }

    /// Where another layer begins whose first packet comes `now`, before any sender report of it.
    pub(super) fn beside(&self, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.heard);
        let after = if since < TOGETHER {
            0
        } else {
            ticks(since, self.kind.clock_rate())
        };
        Some(self.newest? + after)
    }

    /// Where sender reports put a picture of another layer that was captured at `captured` and lies at `pts` so far: on
    /// this layer's picture of the same instant, if there is one. `None` before there is a report.
    pub(super) fn place_of(&self, captured: Instant, pts: u64) -> Option<u64> {
        let rate = self.kind.clock_rate();
        let known = self.clock.reported(self.timestamp)?;
        let near = if captured >= known {
            self.pts + ticks(captured - known, rate)
        } else {
            self.pts.checked_sub(ticks(known - captured, rate))?
        };
        let within = ticks(ONE_PICTURE, rate);
        let same = self.recent.iter().min_by_key(|at| at.abs_diff(near));
        Some(match same.filter(|at| at.abs_diff(near) <= within) {
            Some(same) => *same,
            None if near.abs_diff(pts) <= within => pts,
            None => near,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, now: Instant) -> Track {
        Track::new(Kind::Video, LayerId::new(name), 1.into(), 0, now)
    }

    #[test]
    fn a_layer_begins_on_the_picture_that_came_just_before() {
        let now = Instant::now();
        let mut low = layer("l", now);
        assert_eq!(low.beside(now), None, "nothing to be placed beside");
        low.hear(500, 90_000, now);
        assert_eq!(low.beside(now + Duration::from_millis(24)), Some(90_000));
        assert_eq!(low.beside(now + Duration::from_millis(100)), Some(99_000));
    }

    #[test]
    fn reports_put_a_layer_onto_the_picture_that_was_captured_with_it() {
        let now = Instant::now();
        let mut low = layer("l", now);
        for frame in 0..10_u32 {
            low.hear(500 + frame * 3_000, u64::from(frame) * 3_000, now);
        }
        assert_eq!(low.place_of(now, 27_000), None, "no report yet");
        low.clock.report(27_500, now);
        let at = |ms: u64| now - Duration::from_millis(ms);
        assert_eq!(low.place_of(at(1), 27_000), Some(27_000), "where it is");
        assert_eq!(low.place_of(at(1), 28_000), Some(27_000));
        assert_eq!(low.place_of(at(67), 27_000), Some(21_000));
        let later = now + Duration::from_millis(33);
        assert_eq!(low.place_of(later, 30_000), Some(30_000), "no picture yet");
        assert_eq!(low.place_of(later, 27_000), Some(29_970));
    }
}
