//! The rate of the styled picture by what its viewers can take. Pure; told the time.

use std::time::{Duration, Instant};

/// Viewers, of a hundred, that may be left without enough for the picture.
const LEFT_BEHIND: usize = 10;
/// Part of an estimate, in percent, that the picture may take: sound, headers and what is sent again need the rest.
const SHARE: u64 = 85;
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
}

impl Follow {
    /// For an encoder that starts at `most` bits per second and never goes below `least`.
    pub(super) fn new(least: u32, most: u32) -> Self {
        Self {
            least: least.min(most),
            most,
            told: most,
            at: None,
        }
    }

    /// Another rate, if it is time for one; `estimates` are those of the viewers that tell, in bits per second, among
    /// `viewers` in all. Who tells nothing is taken to have enough.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        estimates: &mut [u64],
        viewers: usize,
    ) -> Option<u32> {
        let wanted = self.target(estimates, viewers);
        let (told, wanted) = (u64::from(self.told), u64::from(wanted));
        let since = self.at.map(|at| now.saturating_duration_since(at));
        let waited = |least| since.is_none_or(|since| since >= least);
        let next = if wanted * 100 <= told * (100 - STEP) && waited(FALL_AFTER) {
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

    /// The rate that nine of ten viewers can take.
    fn target(&self, estimates: &mut [u64], viewers: usize) -> u32 {
        let behind = viewers.max(estimates.len()) * LEFT_BEHIND / 100;
        estimates.sort_unstable();
        let carried = estimates.get(behind).map_or(u64::MAX, |e| e / 100 * SHARE);
        let carried = u32::try_from(carried).unwrap_or(u32::MAX);
        carried.clamp(self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u32 = 300_000;
    const MOST: u32 = 2_500_000;

    fn decide(follow: &mut Follow, now: Instant, mbits: &[f64], viewers: usize) -> Option<u32> {
        let mut estimates: Vec<_> = mbits.iter().map(|m| (m * 1e6) as u64).collect();
        follow.decide(now, &mut estimates, viewers)
    }

    #[test]
    fn nine_of_ten_viewers_can_take_the_rate() {
        let now = Instant::now();
        let ten = [9.0, 9.0, 9.0, 0.2, 2.4, 9.0, 9.0, 9.0, 9.0, 9.0];
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, now, &ten, 10), Some(2_040_000));
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(
            decide(&mut follow, now, &[2.2], 1),
            Some(1_870_000),
            "the only one counts"
        );
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(
            decide(&mut follow, now, &[2.2], 10),
            None,
            "the others tell nothing and are taken to have enough"
        );
    }

    #[test]
    fn the_rate_stays_between_its_bounds() {
        let now = Instant::now();
        let mut follow = Follow::new(LEAST, MOST);
        let falling = (0..20).map(|s| now + Duration::from_secs(s));
        let rates: Vec<_> = falling
            .filter_map(|at| decide(&mut follow, at, &[0.01], 1))
            .collect();
        assert_eq!(rates.first(), Some(&1_750_000), "in steps");
        assert_eq!(rates.last(), Some(&LEAST));
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, now, &[50.0], 1), None, "it is there");
        assert_eq!(decide(&mut follow, now, &[], 0), None);
        assert_eq!(follow.told, MOST);
    }

    #[test]
    fn it_falls_soon_and_rises_slowly_and_never_far_at_once() {
        let start = Instant::now();
        let at = |s: f64| start + Duration::from_secs_f64(s);
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, at(0.0), &[2.2], 1), Some(1_870_000));
        assert_eq!(decide(&mut follow, at(0.9), &[1.0], 1), None, "too soon");
        assert_eq!(decide(&mut follow, at(1.0), &[1.0], 1), Some(1_309_000));
        assert_eq!(decide(&mut follow, at(3.0), &[1.6], 1), None, "too little");
        assert_eq!(decide(&mut follow, at(4.9), &[5.0], 1), None, "too soon");
        assert_eq!(decide(&mut follow, at(5.0), &[5.0], 1), Some(1_963_500));
        assert_eq!(decide(&mut follow, at(9.0), &[5.0], 1), Some(MOST));
    }
}
