//! From a publisher's RTP timestamps to the channel's time line and to capture time on this host.
//!
//! Reads no clock: every instant comes from outside.

use std::time::{Duration, Instant, SystemTime};

/// The part of the time between two sender reports by which the publisher's clock may move away from the
/// fastest delivery seen: follows the drift of real clocks (250 ppm) and not the network's jitter.
const DRIFT: u32 = 4_000;

/// A report that comes this much earlier or later than the one before promised means that the publisher
/// set its clock.
const STEP: Duration = Duration::from_secs(2);

/// Ticks after which the known pair is moved forward: well before a 32-bit distance changes its sign.
const RENEW: i32 = 1 << 30;

/// A distance in nanoseconds, negative toward the past.
type Nanos = i64;
/// A timestamp that is further than this from where its arrival puts it begins a new time line.
const JUMP: Duration = Duration::from_secs(10);
/// The part of the time that passed by which a publisher's clock may move away from ours (250 ppm).
const SLOW: u64 = 4_000;

/// Maps the publisher's NTP clock to this host's clock; one for all its tracks, so that a common
/// error moves picture and sound together (RFC 3550, section 6.4.1).
#[derive(Debug, Default)]
pub(crate) struct NtpClock {
    anchor: Option<(SystemTime, Instant)>,
}

/// What a sender report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Its NTP time on this host's clock.
    pub(crate) local: Instant,
    /// How far the whole mapping moved: what was known of other tracks moves with it.
    pub(crate) moved: Nanos,
}

impl NtpClock {
    /// Takes a sender report's NTP time that arrived at `at`; `known` is what its track thought of that instant.
    ///
    /// If the publisher set its clock, the mapping starts again where the track stands, and nothing moves.
    pub(crate) fn observe(
        &mut self,
        ntp: SystemTime,
        at: Instant,
        known: Option<Instant>,
    ) -> Observed {
        let Some((anchor, local)) = self.anchor else {
            self.anchor = Some((ntp, at));
            return Observed {
                local: at,
                moved: 0,
            };
        };
        let ahead = ntp.duration_since(anchor);
        let mapped = match &ahead {
            Ok(ahead) => local.checked_add(*ahead),
            Err(behind) => local.checked_sub(behind.duration()),
        };
        let stepped = mapped.is_none_or(|m| at.max(m).duration_since(at.min(m)) > STEP);
        let mapped = mapped.unwrap_or(at);
        let local = if stepped {
            known.unwrap_or(at)
        } else {
            at.min(mapped + ahead.unwrap_or_default() / DRIFT)
        };
        self.anchor = Some((ntp, local));
        let moved = if stepped { 0 } else { between(mapped, local) };
        Observed { local, moved }
    }

    /// Moves the mapping.
    pub(crate) fn shift(&mut self, by: Nanos) {
        if let Some((_, local)) = &mut self.anchor {
            *local = shifted(*local, by);
        }
    }
}

fn between(from: Instant, to: Instant) -> Nanos {
    let span = |a: Instant, b: Instant| {
        Nanos::try_from(a.saturating_duration_since(b).as_nanos()).unwrap_or(Nanos::MAX)
    };
    span(to, from) - span(from, to)
}

fn shifted(at: Instant, by: Nanos) -> Instant {
    let span = Duration::from_nanos(by.unsigned_abs());
    let moved = if by >= 0 {
        at.checked_add(span)
    } else {
        at.checked_sub(span)
    };
    moved.unwrap_or(at)
}

/// The clock of one track.
#[derive(Debug, Clone)]
pub(crate) struct TrackClock {
    rate: u32,
    /// First extended RTP timestamp and the channel ticks it was given.
    origin: Option<(u64, u64)>,
    /// A known pair (32-bit RTP timestamp, capture instant): from a sender report, or the first
    /// packet's arrival until there is one.
    capture: Option<(u32, Instant)>,
    /// That pair is a sender report's.
    reported: bool,
    /// How many ticks timestamps lie ahead of arrivals, and when that was looked at last.
    ahead: Option<(i64, Duration)>,
}

impl TrackClock {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            origin: None,
            capture: None,
            reported: false,
            ahead: None,
        }
    }

    /// True if a packet that arrived `elapsed` after the epoch has a timestamp that no network explains: the
    /// publisher began another time line without saying so, and pictures placed by this one would come out of
    /// order for as long as the jump is wide.
    pub(crate) fn has_jumped(&mut self, rtp: u64, elapsed: Duration) -> bool {
        let (Some((first, placed)), Some((known, at))) = (self.origin, self.ahead) else {
            return false;
        };
        let placed = placed.wrapping_add_signed(distance(first, rtp));
        let ahead = distance(ticks(elapsed, self.rate), placed);
        if ahead.abs_diff(known) > ticks(JUMP, self.rate) {
            return true;
        }
        let drift = ticks(elapsed.saturating_sub(at), self.rate) / SLOW;
        if drift > 0 {
            let drift = i64::try_from(drift).unwrap_or(i64::MAX);
            let near = ahead.clamp(known.saturating_sub(drift), known.saturating_add(drift));
            self.ahead = Some((near, elapsed));
        }
        false
    }

    /// Ticks on the channel's time line for an extended RTP timestamp first seen at `since_epoch`.
    ///
    /// The first packet is placed by wall clock, all others by their own distance to it; `elapsed` is its arrival, which
    /// lies before that where the time line is ahead.
    /// A timestamp before the first one (reordering at the start) may be `None`.
    pub(crate) fn pts(
        &mut self,
        rtp: u64,
        since_epoch: Duration,
        elapsed: Duration,
    ) -> Option<u64> {
        if self.origin.is_none() {
            self.place(rtp, ticks(since_epoch, self.rate), elapsed);
        }
        let (first, placed) = self.origin?;
        placed.checked_add_signed(distance(first, rtp))
    }

    /// Places a timestamp that arrived `elapsed` after the epoch at `pts`, and all others by their distance to it.
    pub(crate) fn place(&mut self, rtp: u64, pts: u64, elapsed: Duration) {
        self.ahead = Some((distance(ticks(elapsed, self.rate), pts), elapsed));
        self.origin = Some((rtp, pts));
    }

    /// True once a timestamp has its place.
    pub(crate) fn is_placed(&self) -> bool {
        self.origin.is_some()
    }

    /// A sender report said that `rtp` was captured at `local`.
    pub(crate) fn report(&mut self, rtp: u32, local: Instant) {
        self.capture = Some((rtp, local));
        self.reported = true;
    }

    /// Takes `rtp` to have been captured at `local`, until a sender report says otherwise.
    pub(crate) fn guess(&mut self, rtp: u32, local: Instant) {
        self.capture = Some((rtp, local));
        self.reported = false;
    }

    /// Capture instant of `rtp` as sender reports have it; `None` before the first one.
    pub(crate) fn reported(&self, rtp: u32) -> Option<Instant> {
        self.known(rtp).filter(|_| self.reported)
    }

    /// Moves what is known of capture times.
    pub(crate) fn shift(&mut self, by: Nanos) {
        if let Some((_, at)) = &mut self.capture {
            *at = shifted(*at, by);
        }
    }

    /// Capture instant of `rtp` as far as it is known; may be later than now.
    pub(crate) fn known(&self, rtp: u32) -> Option<Instant> {
        let (base, at) = self.capture?;
        let distance = rtp.wrapping_sub(base).cast_signed();
        let span = duration(u64::from(distance.unsigned_abs()), self.rate);
        if distance >= 0 {
            at.checked_add(span)
        } else {
            at.checked_sub(span)
        }
    }

    /// Capture instant of a packet with this 32-bit timestamp that arrived at `now`, and how far it lies after `now`.
    ///
    /// Nothing is captured after it arrived: the caller moves all clocks by what is over.
    pub(crate) fn captured(&mut self, rtp: u32, now: Instant) -> (Instant, Duration) {
        let at = self.known(rtp).unwrap_or(now);
        let (base, _) = *self.capture.get_or_insert((rtp, now));
        if rtp.wrapping_sub(base).cast_signed() > RENEW {
            self.capture = Some((rtp, at));
        }
        (at.min(now), at.saturating_duration_since(now))
    }
}

/// From one timestamp to another. Extended ones go below zero, and wrap, where a publisher that began near zero
/// sends something older.
fn distance(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// Ticks of a clock of `rate` Hz in `span`.
pub(crate) fn ticks(span: Duration, rate: u32) -> u64 {
    let ticks = span.as_nanos() * u128::from(rate) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Time that `ticks` of a clock of `rate` Hz take.
pub(crate) fn duration(ticks: u64, rate: u32) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Duration = Duration::from_secs(1);

    fn ntp(seconds: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + seconds)
    }

    #[test]
    fn a_slow_report_moves_the_clock_no_faster_than_clocks_drift() {
        let start = Instant::now();
        let mut clock = NtpClock::default();
        clock.observe(ntp(0.0), start, None);
        let late = clock.observe(ntp(1.0), start + ONE + Duration::from_millis(80), None);
        assert_eq!(late.local, start + ONE + ONE / DRIFT);
        assert_eq!(late.moved, 250_000);
    }

    #[test]
    fn a_fast_report_moves_the_clock_at_once_and_says_how_far() {
        let start = Instant::now();
        let mut clock = NtpClock::default();
        clock.observe(ntp(0.0), start, None);
        let early = clock.observe(ntp(1.0), start + Duration::from_millis(900), None);
        assert_eq!(early.local, start + Duration::from_millis(900));
        assert_eq!(early.moved, -100_000_000);
    }

    #[test]
    fn a_publisher_that_sets_its_clock_moves_nothing() {
        let start = Instant::now();
        let mut clock = NtpClock::default();
        clock.observe(ntp(0.0), start, None);
        for step in [3_600.0, -7_200.0] {
            let known = start + ONE;
            let seen = clock.observe(ntp(1.0 + step), start + ONE * 2, Some(known));
            assert_eq!((seen.local, seen.moved), (known, 0));
        }
    }

    #[test]
    fn timestamps_may_fall_below_zero_and_come_back() {
        let at = Duration::from_secs(1);
        let mut video = TrackClock::new(90_000);
        let older = 3_000_u64.wrapping_neg();
        assert_eq!(video.pts(older, at, at), Some(90_000));
        for rtp in [0, 3_000, 6_000] {
            assert!(!video.has_jumped(rtp, at));
            assert_eq!(video.pts(rtp, at, at), Some(93_000 + rtp));
        }
    }

    #[test]
    fn a_jump_is_told_from_drift_and_from_a_slow_network() {
        let at = |seconds: f64| Duration::from_secs_f64(seconds);
        let mut video = TrackClock::new(90_000);
        video.pts(5_000_000, at(3.0), at(3.0));
        assert!(!video.has_jumped(5_000_000, at(3.0)));
        // Two days of a clock that is 100 ppm fast.
        for hour in 1..48_u64 {
            let rtp = 5_000_000 + hour * 3_600 * 90_009;
            let elapsed = at(3.0) + Duration::from_secs(hour * 3_600);
            assert!(!video.has_jumped(rtp, elapsed), "hour {hour}");
        }
        let (rtp, elapsed) = (5_000_000 + 47 * 3_600 * 90_009, 3 + 47 * 3_600);
        let now = Duration::from_secs(elapsed);
        assert!(!video.has_jumped(rtp - 5 * 90_000, now), "5 s late");
        assert!(video.has_jumped(rtp - 11 * 90_000, now));
        assert!(video.has_jumped(rtp + (1 << 31), now));
        assert!(video.has_jumped(0, now));

        let mut young = TrackClock::new(90_000);
        young.pts(5_000_000, at(4.0), at(3.0));
        assert!(!young.has_jumped(5_003_000, at(3.0)));
        assert!(
            young.has_jumped(3_000, at(3.0)),
            "the second packet already"
        );
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let start = Instant::now();
        let mut video = TrackClock::new(90_000);
        video.report(u32::MAX - 44_999, start);
        let (captured, ahead) = video.captured(45_000, start + ONE * 5);
        assert_eq!((captured, ahead), (start + ONE, Duration::ZERO));
    }

    #[test]
    fn what_is_captured_after_its_arrival_is_told() {
        let now = Instant::now();
        let mut video = TrackClock::new(90_000);
        video.report(0, now);
        assert_eq!(video.captured(90_000, now), (now, ONE));
    }

    #[test]
    fn a_second_publisher_continues_the_time_line() {
        let mut first = TrackClock::new(90_000);
        let a = first
            .pts(500, Duration::from_secs(1), Duration::from_secs(1))
            .expect("placed");
        let mut second = TrackClock::new(90_000);
        let b = second
            .pts(7, Duration::from_secs(3), Duration::from_secs(3))
            .expect("placed");
        assert_eq!((a, b), (90_000, 270_000));
        assert_eq!(
            second.pts(7 + 3_000, Duration::ZERO, Duration::ZERO),
            Some(273_000)
        );
    }
}
