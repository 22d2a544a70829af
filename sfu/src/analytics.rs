//! How much the server is used, by day: streams that began, viewers told apart, and the most sessions of viewers at once. Pure.
//!
//! Viewers are told apart by an HMAC of their address under a salt that lives for a day in memory only: what is counted can be
//! led back to nobody, not even with the address in hand, once the day is over.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use aws_lc_rs::hmac;
use serde::Serialize;

/// Days that are remembered.
const DAYS: usize = 31;
/// Viewers that one day tells apart; further ones are not counted.
const VIEWERS: usize = 100_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A day in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Day {
    /// When it began, in milliseconds since 1970.
    pub(crate) at: i64,
    /// Publishers that came.
    pub(crate) streams: u64,
    /// Viewers, by their addresses.
    pub(crate) viewers: usize,
    /// The most of them at once.
    pub(crate) peak: usize,
}

/// Counts from the start of the process on.
pub(crate) struct Analytics {
    days: VecDeque<Day>,
    salt: Option<hmac::Key>,
    seen: HashSet<[u8; 8]>,
}

impl Analytics {
    pub(crate) fn new() -> Self {
        Self {
            days: VecDeque::new(),
            salt: None,
            seen: HashSet::new(),
        }
    }

    /// A publisher has come.
    pub(crate) fn stream(&mut self, now: i64, salt: impl FnOnce() -> Option<[u8; 32]>) {
        self.today(now, salt).streams += 1;
    }

    /// A viewer has come from an address, where that is known; `watching` are there with them.
    pub(crate) fn viewer(
        &mut self,
        now: i64,
        from: Option<IpAddr>,
        watching: usize,
        salt: impl FnOnce() -> Option<[u8; 32]>,
    ) {
        let day = self.today(now, salt);
        day.peak = day.peak.max(watching);
        if let (Some(from), Some(salt)) = (from, &self.salt)
            && self.seen.len() < VIEWERS
        {
            let tag = hmac::sign(salt, from.to_canonical().to_string().as_bytes());
            let mut short = [0; 8];
            short.copy_from_slice(&tag.as_ref()[..8]);
            self.seen.insert(short);
        }
        let viewers = self.seen.len();
        if let Some(day) = self.days.back_mut() {
            day.viewers = viewers;
        }
    }

    /// The days, the oldest first.
    pub(crate) fn days(&self) -> Vec<Day> {
        self.days.iter().cloned().collect()
    }

    /// The day of `now`, which begins with another salt; without randomness its viewers are not told apart.
    fn today(&mut self, now: i64, salt: impl FnOnce() -> Option<[u8; 32]>) -> &mut Day {
        let at = now - now.rem_euclid(DAY_MS);
        // A clock that was set back changes no day that is over.
        if self.days.back().is_none_or(|day| day.at < at) {
            self.salt = salt().map(|salt| hmac::Key::new(hmac::HMAC_SHA256, &salt));
            self.seen.clear();
            if self.days.len() == DAYS {
                self.days.pop_front();
            }
            self.days.push_back(Day {
                at,
                streams: 0,
                viewers: 0,
                peak: 0,
            });
        }
        self.days.back_mut().expect("the day of now was put there")
    }
}

impl std::fmt::Debug for Analytics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analytics")
            .field("days", &self.days)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * DAY_MS + DAY_MS / 2;

    fn salted() -> Option<[u8; 32]> {
        Some([7; 32])
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_viewer_counts_once_a_day_and_the_most_at_once_is_kept() {
        let mut analytics = Analytics::new();
        analytics.stream(NOON, salted);
        for (from, watching) in [(ip(1), 1), (ip(2), 2), (ip(1), 3), (None, 2)] {
            analytics.viewer(NOON, from, watching, salted);
        }
        analytics.viewer(NOON + DAY_MS, ip(1), 1, salted);
        let of = |at, streams, viewers, peak| Day {
            at,
            streams,
            viewers,
            peak,
        };
        let midnight = NOON - DAY_MS / 2;
        let wanted = [of(midnight, 1, 2, 3), of(midnight + DAY_MS, 0, 1, 1)];
        assert_eq!(analytics.days(), wanted);
    }

    #[test]
    fn a_month_is_remembered_and_a_clock_set_back_opens_no_day_again() {
        let mut analytics = Analytics::new();
        for day in 0..40 {
            analytics.stream(NOON + day * DAY_MS, salted);
        }
        analytics.stream(NOON, salted);
        let days = analytics.days();
        assert_eq!(days.len(), DAYS);
        assert_eq!(days.last().map(|day| day.streams), Some(2));
    }

    #[test]
    fn without_randomness_viewers_are_not_told_apart() {
        let mut analytics = Analytics::new();
        analytics.viewer(NOON, ip(1), 1, || None);
        assert_eq!(analytics.days()[0].viewers, 0);
        assert_eq!(analytics.days()[0].peak, 1);
    }
}
