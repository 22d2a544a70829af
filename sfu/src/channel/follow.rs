//! The rate of the styled picture by what its viewers can take. Pure; told the time.

use std::time::{Duration, Instant};

/// Viewers, of a hundred, that may be left without enough for the picture.
const LEFT_BEHIND: usize = 10;
/// Part of an estimate, in percent, that the picture may take: sound, headers and what is sent again need the rest.
const SHARE: u64 = 85;
/// An estimate counts against the rate only if this part of what is sent, in percent, is more: a connection that is
/// asked for little shows little, and is not short of anything.
const TRIED: u64 = 110;
/// What is sent is taken over this long.
const WINDOW: Duration = Duration::from_secs(1);
/// Least change that is worth telling the encoder, in percent.
const STEP: u64 = 10;
/// What the rate grows to at most at once, and falls to at least, in percent: an encoder whose rate is cut by more
/// leaves out pictures until it has made up for what it spent.
const RISE: u64 = 150;
const FALL: u64 = 70;
/// Least time before the rate falls again, and before it rises again.
const FALL_AFTER: Duration = Duration::from_secs(1);
const RISE_AFTER: Duration = Duration::from_secs(4);

/// Decides when the encoder gets another rate.
#[derive(Debug)]
pub(super) struct Follow {
    least: u32,
    most: u32,
    told: u32,
    at: Option<Instant>,
    /// Bytes that came out of the encoder, since when, and what that was per second before.
    bytes: u64,
    since: Option<Instant>,
    sending: u64,
}

impl Follow {
    /// For an encoder that starts at `most` bits per second and never goes below `least`.
    pub(super) fn new(least: u32, most: u32) -> Self {
        Self {
            least: least.min(most),
            most,
            told: most,
            at: None,
            bytes: 0,
            since: None,
            sending: 0,
        }
    }

    /// This came out of the encoder.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Another rate, if it is time for one; `estimates` are those of the viewers that tell, in bits per second, among
    /// `viewers` in all. Who tells nothing is taken to have enough.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        estimates: &mut [u64],
        viewers: usize,
    ) -> Option<u32> {
        self.measure(now);
        let carried = carried(estimates, viewers);
        let wanted = self.target(carried);
        let short = carried < self.sending * TRIED / 100;
        let (told, wanted) = (u64::from(self.told), u64::from(wanted));
        let since = self.at.map(|at| now.saturating_duration_since(at));
        let waited = |least| since.is_none_or(|since| since >= least);
        let next = if short && wanted * 100 <= told * (100 - STEP) && waited(FALL_AFTER) {
            wanted.max(told * FALL / 100)
        } else if wanted * 100 >= told * (100 + STEP) && waited(RISE_AFTER) {
            wanted.min(told * RISE / 100)
        } else {
            return None;
        };
        self.at = Some(now);
        self.told = u32::try_from(next).unwrap_or(self.most);
        Some(self.told)
    }

    /// What the encoder is to send on connections that carry that much.
    fn target(&self, carried: u64) -> u32 {
        let share = u32::try_from(carried / 100 * SHARE).unwrap_or(u32::MAX);
        share.clamp(self.least, self.most)
    }

    fn measure(&mut self, now: Instant) {
        let span = self.since.map(|at| now.saturating_duration_since(at));
        if span.is_some_and(|span| span < WINDOW) {
            return;
        }
        let millis = span.map_or(0, |span| {
            u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
        });
        self.sending = (self.bytes * 8 * 1_000).checked_div(millis).unwrap_or(0);
        (self.bytes, self.since) = (0, Some(now));
    }
}

/// What nine of ten viewers can take, in bits per second.
fn carried(estimates: &mut [u64], viewers: usize) -> u64 {
    let behind = viewers.max(estimates.len()) * LEFT_BEHIND / 100;
    estimates.sort_unstable();
    estimates.get(behind).copied().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u32 = 300_000;
    const MOST: u32 = 2_500_000;

    /// An encoder that sends what it is told, and no more than `size` asks for, since `start`.
    struct Encoder {
        follow: Follow,
        at: Instant,
        size: u32,
    }

    impl Encoder {
        fn new(size: u32) -> Self {
            let (mut follow, at) = (Follow::new(LEAST, MOST), Instant::now());
            assert_eq!(follow.decide(at, &mut [], 0), None);
            Self { follow, at, size }
        }

        /// What is decided `ms` later.
        fn after(&mut self, ms: u64, mbits: &[f64], viewers: usize) -> Option<u32> {
            let rate = u64::from(self.follow.told.min(self.size));
            self.follow
                .sent(usize::try_from(rate * ms / 8_000).expect("small"));
            self.at += Duration::from_millis(ms);
            let mut estimates: Vec<_> = mbits.iter().map(|m| (m * 1e6) as u64).collect();
            self.follow.decide(self.at, &mut estimates, viewers)
        }
    }

    #[test]
    fn nine_of_ten_viewers_can_take_the_rate() {
        let ten = [9.0, 9.0, 9.0, 0.2, 2.4, 9.0, 9.0, 9.0, 9.0, 9.0];
        let after = |mbits: &[f64], viewers| Encoder::new(MOST).after(1_000, mbits, viewers);
        assert_eq!(after(&ten, 10), Some(2_040_000));
        assert_eq!(after(&[2.2], 1), Some(1_870_000), "the only one counts");
        assert_eq!(
            after(&[2.2], 10),
            None,
            "the others tell nothing and are taken to have enough"
        );
    }

    #[test]
    fn a_connection_that_is_asked_for_little_is_not_short_of_anything() {
        let mut small = Encoder::new(800_000);
        assert_eq!(small.after(1_000, &[1.0], 1), None, "it carries all of it");
        assert_eq!(
            small.after(1_000, &[0.7], 1),
            Some(1_750_000),
            "it does not"
        );
        let mut idle = Encoder::new(0);
        assert_eq!(idle.after(1_000, &[0.1], 1), None, "nothing is sent");
    }

    #[test]
    fn the_rate_stays_between_its_bounds() {
        let mut encoder = Encoder::new(MOST);
        let rates: Vec<_> = (0..20)
            .filter_map(|_| encoder.after(1_000, &[0.01], 1))
            .collect();
        assert_eq!(rates.first(), Some(&1_750_000), "in steps");
        assert_eq!(rates.last(), Some(&LEAST));
        let mut encoder = Encoder::new(MOST);
        assert_eq!(encoder.after(1_000, &[50.0], 1), None, "it is there");
        assert_eq!(encoder.after(1_000, &[], 0), None);
    }

    #[test]
    fn it_falls_soon_and_rises_slowly_and_never_far_at_once() {
        let mut encoder = Encoder::new(MOST);
        assert_eq!(encoder.after(1_000, &[2.2], 1), Some(1_870_000));
        assert_eq!(encoder.after(900, &[1.0], 1), None, "too soon");
        assert_eq!(encoder.after(100, &[1.0], 1), Some(1_309_000));
        assert_eq!(encoder.after(2_000, &[1.6], 1), None, "too little");
        assert_eq!(encoder.after(1_900, &[5.0], 1), None, "too soon");
        assert_eq!(encoder.after(100, &[5.0], 1), Some(1_963_500));
        assert_eq!(encoder.after(4_000, &[5.0], 1), Some(MOST));
    }
}
