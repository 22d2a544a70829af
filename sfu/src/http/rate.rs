//! How often somebody may ask: a rate with a burst per key (the generic cell rate algorithm, ITU-T I.371). No clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Keys remembered at most; a key is forgotten once it has its whole burst again.
const KEYS: usize = 16_384;
/// While that many are remembered, those who may be forgotten are looked for this often and not with each request.
const SWEEP: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Rates<K> {
    /// Between two requests in the long run.
    interval: Duration,
    /// How far ahead of that pace a burst may run.
    ahead: Duration,
    /// When each key will have its whole burst again.
    rested: HashMap<K, Instant>,
    swept: Option<Instant>,
}

impl<K: Eq + Hash> Rates<K> {
    /// `rate` requests a second, `burst` of them at once.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        Self::every(Duration::from_secs(1) / rate.max(1), burst)
    }

    /// One request in each `interval`, `burst` of them at once.
    pub(super) fn every(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            ahead: interval * burst.max(1),
            rested: HashMap::new(),
            swept: None,
        }
    }

    /// Counts a request, or refuses it with the time after which the next one will be taken.
    ///
    /// A key for which there is no room is let through: a flood from everywhere must not lock out those who come after it.
    pub(super) fn take(&mut self, now: Instant, key: K) -> Result<(), Duration> {
        let rested = self.rested.get(&key).copied();
        let next = rested.map_or(now, |at| at.max(now)) + self.interval;
        let ahead = next - now;
        if ahead > self.ahead {
            return Err(ahead - self.ahead);
        }
        if rested.is_some() || self.has_room(now) {
            self.rested.insert(key, next);
        }
        Ok(())
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let full = self.rested.len() >= KEYS;
        if full && self.swept.is_none_or(|at| now >= at + SWEEP) {
            self.swept = Some(now);
            self.rested.retain(|_, rested| *rested > now);
        }
        self.rested.len() < KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let (mut rates, start) = (Rates::new(10, 3), Instant::now());
        for _ in 0..3 {
            assert_eq!(rates.take(start, "a"), Ok(()));
        }
        assert_eq!(rates.take(start, "a"), Err(SECOND / 10));
        assert_eq!(rates.take(start, "b"), Ok(()), "others are not concerned");
        assert_eq!(rates.take(start + SECOND / 10, "a"), Ok(()));
        assert!(rates.take(start + SECOND / 10, "a").is_err());
        let later = start + 10 * SECOND;
        let taken = (0..10).filter(|_| rates.take(later, "a").is_ok()).count();
        assert_eq!(taken, 3, "a rest gives the burst back and no more");
    }

    #[test]
    fn a_refused_request_does_not_count() {
        let (mut rates, start) = (Rates::new(1, 1), Instant::now());
        assert_eq!(rates.take(start, ()), Ok(()));
        for _ in 0..100 {
            assert_eq!(rates.take(start, ()), Err(SECOND));
        }
        assert_eq!(rates.take(start + SECOND, ()), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_newcomers_are_not_locked_out() {
        let (mut rates, start) = (Rates::new(1, 1), Instant::now());
        for key in 0..2 * KEYS {
            assert_eq!(rates.take(start, key), Ok(()));
        }
        assert_eq!(rates.rested.len(), KEYS);
        let later = start + 2 * SECOND;
        assert_eq!(rates.take(later, 2 * KEYS), Ok(()));
        assert_eq!(rates.rested.len(), 1, "who has rested is forgotten");
    }
}
