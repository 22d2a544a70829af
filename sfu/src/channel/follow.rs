//! The rate of the styled picture by what its viewers can take. Pure; told the time.

use std::time::{Duration, Instant};

/// Viewers, of a hundred, that may be left without enough for the picture.
const LEFT_BEHIND: usize = 10;
/// Part of an estimate, in percent, that the picture may take: sound, headers and what is sent again need the rest.
const SHARE: u64 = 85;
/// Least change that is worth telling the encoder, in percent.
const STEP: u64 = 10;
/// Most that the rate grows at once, in percent.
const RISE: u64 = 150;
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
            wanted
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
        let ten = [9.0, 9.0, 9.0, 0.2, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0];
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, now, &ten, 10), Some(1_700_000));
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(
            decide(&mut follow, now, &[1.0], 1),
            Some(850_000),
            "the only one counts"
        );
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(
            decide(&mut follow, now, &[1.0], 10),
            None,
            "the others tell nothing and are taken to have enough"
        );
    }

    #[test]
    fn the_rate_stays_between_its_bounds() {
        let now = Instant::now();
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, now, &[0.01], 1), Some(LEAST));
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, now, &[50.0], 1), None, "it is there");
        assert_eq!(decide(&mut follow, now, &[], 0), None);
        assert_eq!(follow.told, MOST);
    }

    #[test]
    fn it_falls_soon_and_rises_slowly_and_little_at_once() {
        let start = Instant::now();
        let at = |s: f64| start + Duration::from_secs_f64(s);
        let mut follow = Follow::new(LEAST, MOST);
        assert_eq!(decide(&mut follow, at(0.0), &[1.0], 1), Some(850_000));
        assert_eq!(decide(&mut follow, at(0.9), &[0.5], 1), None, "too soon");
        assert_eq!(decide(&mut follow, at(1.0), &[0.5], 1), Some(425_000));
        assert_eq!(decide(&mut follow, at(3.0), &[0.54], 1), None, "too little");
        assert_eq!(decide(&mut follow, at(4.9), &[5.0], 1), None, "too soon");
        assert_eq!(decide(&mut follow, at(5.0), &[5.0], 1), Some(637_500));
        assert_eq!(decide(&mut follow, at(9.0), &[5.0], 1), Some(956_250));
    }
}
