//! Media time: 90 kHz ticks on a channel's own extended time line.

use std::ops::Add;
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Presentation time in 90 kHz ticks (RFC 6184 section 8.1) that never wraps: the 32-bit RTP
/// timestamp is extended where packets come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pts(pub u64);

impl Pts {
    /// Ticks per second.
    pub const HZ: u64 = 90_000;

    /// The presentation time `since_zero` after the start of the time line, rounded down to a tick.
    #[must_use]
    pub fn from_duration(since_zero: Duration) -> Self {
        let ticks = since_zero.as_nanos() * u128::from(Self::HZ) / NANOS_PER_SECOND;
        Self(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    /// Time since the start of the time line, rounded down to a nanosecond.
    #[must_use]
    pub fn duration(self) -> Duration {
        let nanos = u128::from(self.0) * NANOS_PER_SECOND / u128::from(Self::HZ);
        Duration::new(
            self.0 / Self::HZ,
            u32::try_from(nanos % NANOS_PER_SECOND).expect("a remainder below 1e9 fits in 32 bits"),
        )
    }

    /// Media time from `earlier` to `self`; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Self(self.0.saturating_sub(earlier.0)).duration()
    }

    /// Whole milliseconds since the start of the time line.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / (Self::HZ / 1000)
    }
}

impl Add<Duration> for Pts {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_duration(later).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_ninety_thousand_ticks() {
        assert_eq!(Pts::from_duration(Duration::from_secs(1)), Pts(90_000));
        assert_eq!(Pts(90_000).duration(), Duration::from_secs(1));
        assert_eq!(Pts(45).duration(), Duration::from_micros(500));
        assert_eq!(Pts(179).millis(), 1);
    }

    #[test]
    fn the_far_end_of_the_time_line_does_not_overflow() {
        assert_eq!(Pts(u64::MAX).duration().as_secs(), u64::MAX / 90_000);
        assert_eq!(Pts(u64::MAX) + Duration::from_secs(1), Pts(u64::MAX));
        assert_eq!(Pts::from_duration(Duration::MAX), Pts(u64::MAX));
    }

    #[test]
    fn time_since_a_later_moment_is_zero() {
        assert_eq!(Pts(1).since(Pts(2)), Duration::ZERO);
        assert_eq!(Pts(9_002).since(Pts(2)), Duration::from_millis(100));
    }
}
