//! Thins frames to a highest rate by media time; no clock.

use crate::time::Pts;

/// A jump back of more than this many ticks is a new time line, not a late frame.
const RESTART: u64 = Pts::HZ;

/// Decides which frames of a faster stream are kept so that the result has at most `max_fps`.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: u64,
    due: Option<u64>,
}

impl Pace {
    /// Keeps at most `max_fps` frames per second of media time; 0 is taken for 1.
    #[must_use]
    pub fn new(max_fps: u32) -> Self {
        Self {
            interval: Pts::HZ / u64::from(max_fps.max(1)),
            due: None,
        }
    }

    /// Whether the frame at `pts` is kept. The cadence is held over jitter of a quarter interval.
    pub fn keep(&mut self, pts: Pts) -> bool {
        let now = pts.0;
        let due = self
            .due
            .filter(|due| now.saturating_add(RESTART) > *due)
            .unwrap_or(now);
        if now.saturating_add(self.interval / 4) < due {
            return false;
        }
        let next = due.saturating_add(self.interval);
        self.due = Some(if now > next {
            now.saturating_add(self.interval)
        } else {
            next
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(max_fps: u32, source: impl Iterator<Item = u64>) -> usize {
        let mut pace = Pace::new(max_fps);
        source.filter(|&pts| pace.keep(Pts(pts))).count()
    }

    #[test]
    fn a_slower_stream_passes_whole() {
        assert_eq!(kept(30, (0..300).map(|n| n * 3000)), 300);
        let jittered = (0..300).map(|n| n * 3000 + if n % 2 == 0 { 0 } else { 700 });
        assert_eq!(kept(30, jittered), 300);
    }

    #[test]
    fn a_faster_stream_is_thinned_to_the_rate() {
        assert_eq!(kept(30, (0..600).map(|n| n * 1500)), 300);
        let from_30_to_24 = kept(24, (0..300).map(|n| n * 3000));
        assert!(
            (238..=242).contains(&from_30_to_24),
            "{from_30_to_24} of 300"
        );
    }

    #[test]
    fn a_restarted_time_line_is_not_held_back() {
        let mut pace = Pace::new(30);
        assert!(pace.keep(Pts(10 * Pts::HZ)));
        assert!(pace.keep(Pts(0)));
        assert!(!pace.keep(Pts(100)));
    }
}
