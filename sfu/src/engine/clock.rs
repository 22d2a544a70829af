//! From a publisher's RTP timestamps to the channel's time line and to capture time on this host.
//!
//! Reads no clock: every instant comes from outside.

use std::time::{Duration, Instant, SystemTime};

/// How far one sender report may move the publisher's clock away from the fastest delivery seen:
/// follows real drift (1 ms per report) without following network jitter.
const DRIFT_PER_REPORT: Duration = Duration::from_millis(1);

/// Ticks after which the known pair is moved forward: well before a 32-bit distance changes its sign.
const RENEW: i32 = 1 << 30;

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

impl NtpClock {
    /// Takes a sender report's NTP time that arrived at `at` and returns it on this host's clock.
    pub(crate) fn observe(&mut self, ntp: SystemTime, at: Instant) -> Instant {
        let mapped = match self.anchor {
            None => at,
            Some((anchor, local)) => {
                let drifted = shift(local, ntp, anchor) + DRIFT_PER_REPORT;
                drifted.min(at)
            }
        };
        self.anchor = Some((ntp, mapped));
        mapped
    }
}

fn shift(local: Instant, ntp: SystemTime, anchor: SystemTime) -> Instant {
    match ntp.duration_since(anchor) {
        Ok(ahead) => local.checked_add(ahead).unwrap_or(local),
        Err(behind) => local.checked_sub(behind.duration()).unwrap_or(local),
    }
}

/// The clock of one track.
#[derive(Debug)]
pub(crate) struct TrackClock {
    rate: u32,
    /// First extended RTP timestamp and the channel ticks it was given.
    origin: Option<(u64, u64)>,
    /// A known pair (32-bit RTP timestamp, capture instant): from a sender report, or the first
    /// packet's arrival until there is one.
    capture: Option<(u32, Instant)>,
    /// How many ticks timestamps lie ahead of arrivals, and when that was looked at last.
    ahead: Option<(i64, Duration)>,
}

impl TrackClock {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            origin: None,
            capture: None,
            ahead: None,
        }
    }

    /// True if a packet that arrived `elapsed` after the epoch has a timestamp that no network explains: the
    /// publisher began another time line without saying so, and pictures placed by this one would come out of
    /// order for as long as the jump is wide.
    pub(crate) fn has_jumped(&mut self, rtp: u64, elapsed: Duration) -> bool {
        let Some((first, placed)) = self.origin else {
            return false;
        };
        let signed = |ticks: u64| i128::from(ticks);
        let placed = signed(placed) + signed(rtp) - signed(first);
        let ahead = placed - signed(ticks(elapsed, self.rate));
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        let Some((known, at)) = self.ahead else {
            self.ahead = Some((ahead, elapsed));
            return false;
        };
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
    /// The first packet is placed by wall clock, all others by their own distance to it.
    /// A timestamp before the first one (reordering at the start) may be `None`.
    pub(crate) fn pts(&mut self, rtp: u64, since_epoch: Duration) -> Option<u64> {
        let (first, ticks) = *self
            .origin
            .get_or_insert_with(|| (rtp, ticks(since_epoch, self.rate)));
        if rtp >= first {
            ticks.checked_add(rtp - first)
        } else {
            ticks.checked_sub(first - rtp)
        }
    }

    /// A sender report said that `rtp` was captured at `local`.
    pub(crate) fn report(&mut self, rtp: u32, local: Instant) {
        self.capture = Some((rtp, local));
    }

    /// Capture instant of a packet with this 32-bit timestamp that arrived at `now`; never later than `now`.
    pub(crate) fn captured(&mut self, rtp: u32, now: Instant) -> Instant {
        let (base, at) = *self.capture.get_or_insert((rtp, now));
        let distance = rtp.wrapping_sub(base).cast_signed();
        let span = duration(u64::from(distance.unsigned_abs()), self.rate);
        if distance > RENEW {
            self.capture = Some((rtp, at.checked_add(span).unwrap_or(at)));
        }
        let captured = if distance >= 0 {
            at.checked_add(span)
        } else {
            at.checked_sub(span)
        };
        captured.map_or(now, |t| t.min(now))
    }
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

    #[test]
    fn two_tracks_of_one_publisher_keep_their_capture_distance() {
        let start = Instant::now();
        let ntp = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut clock = NtpClock::default();
        let mut audio = TrackClock::new(48_000);
        let mut video = TrackClock::new(90_000);

        // Both reports name the same capture second, but the video report arrives 80 ms later.
        audio.report(4_800, clock.observe(ntp, start));
        let late = start + Duration::from_millis(80);
        video.report(9_000, clock.observe(ntp, late));

        let now = start + Duration::from_secs(2);
        let sound = audio.captured(4_800 + 48_000, now);
        let picture = video.captured(9_000 + 90_000, now);
        let skew = picture.max(sound) - picture.min(sound);
        assert!(skew <= DRIFT_PER_REPORT, "{skew:?}");
    }

    #[test]
    fn a_jump_is_told_from_drift_and_from_a_slow_network() {
        let at = |seconds: f64| Duration::from_secs_f64(seconds);
        let mut video = TrackClock::new(90_000);
        video.pts(5_000_000, at(3.0));
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
    }

    #[test]
    fn capture_is_never_in_the_future() {
        let now = Instant::now();
        let mut video = TrackClock::new(90_000);
        video.report(0, now);
        assert_eq!(video.captured(90_000, now), now);
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let start = Instant::now();
        let mut video = TrackClock::new(90_000);
        video.report(u32::MAX - 44_999, start);
        let captured = video.captured(45_000, start + Duration::from_secs(5));
        assert_eq!(captured, start + Duration::from_secs(1));
    }

    #[test]
    fn a_second_publisher_continues_the_time_line() {
        let mut first = TrackClock::new(90_000);
        let a = first.pts(500, Duration::from_secs(1)).expect("placed");
        let mut second = TrackClock::new(90_000);
        let b = second.pts(7, Duration::from_secs(3)).expect("placed");
        assert_eq!((a, b), (90_000, 270_000));
        assert_eq!(second.pts(7 + 3_000, Duration::ZERO), Some(273_000));
    }
}
