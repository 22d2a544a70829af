//! One direction of a bad network: what becomes of each datagram, decided without a socket or a clock.

use std::time::{Duration, Instant};

use super::random::Random;

/// What is wrong with one direction. The default is a perfect network.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Conditions {
    /// Probability that a datagram is lost, each for itself.
    pub loss: f64,
    /// Losses that come together.
    pub bursts: Option<Bursts>,
    /// Every datagram takes this long.
    pub delay: Duration,
    /// And up to this much longer, evenly distributed; order is kept.
    pub jitter: Duration,
    /// Probability that a datagram is held back by `held_back`, so that later ones overtake it.
    pub reorder: f64,
    /// See `reorder`.
    pub held_back: Duration,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// A link that is too narrow.
    pub rate: Option<Rate>,
    /// Nothing of this kind passes.
    pub refuse: Option<Class>,
    /// Nothing passes at all.
    pub dark: bool,
}

/// Losses that come together: a chain of two states (Gilbert 1960, Elliott 1963), all passes in one, nothing in the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Probability per datagram that a burst begins.
    pub begin: f64,
    /// Probability per datagram that it ends.
    pub end: f64,
}

/// A bucket of tokens with a queue before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes of datagrams per second.
    pub bytes_per_second: u32,
    /// Bytes that may wait; what comes on top is lost.
    pub queue: usize,
}

/// What a datagram is, from its first bytes (RFC 7983).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Connectivity checks.
    Stun,
    /// Handshake.
    Dtls,
    /// Media, retransmissions included.
    Rtp,
    /// Reports and requests.
    Rtcp,
    /// Anything else.
    Other,
}

impl Class {
    /// Reads it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            [128..=191, kind, ..] if (64..96).contains(&(kind & 0x7f)) => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}

/// What one direction did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that came.
    pub entered: u64,
    /// Datagrams that were passed on, duplicates included.
    pub passed: u64,
    /// Lost by chance, alone.
    pub lost: u64,
    /// Lost in a burst.
    pub lost_in_bursts: u64,
    /// Lost because the queue of a narrow link was full.
    pub overflowed: u64,
    /// Kept back because nothing, or nothing of their kind, passes.
    pub refused: u64,
    /// Passed on twice.
    pub duplicated: u64,
    /// Held back so that others overtook them.
    pub reordered: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) conditions: Conditions,
    pub(super) counts: Counts,
    random: Random,
    in_burst: bool,
    /// When the narrow link has sent all that was given to it.
    free_at: Option<Instant>,
    /// Nothing but what is held back on purpose arrives out of order.
    last: Option<Instant>,
}

impl Path {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            counts: Counts::default(),
            random: Random::new(seed),
            in_burst: false,
            free_at: None,
            last: None,
        }
    }

    /// When a datagram that enters now is passed on: never, once, or twice.
    pub(super) fn enter(&mut self, now: Instant, bytes: &[u8]) -> [Option<Instant>; 2] {
        self.counts.entered += 1;
        if self.is_lost(bytes) {
            return [None; 2];
        }
        let Some(through) = self.squeeze(now, bytes.len()) else {
            self.counts.overflowed += 1;
            return [None; 2];
        };
        let late = self.conditions.jitter.mul_f64(self.random.unit());
        let mut at = through + self.conditions.delay + late;
        if self.random.happens(self.conditions.reorder) {
            self.counts.reordered += 1;
            at += self.conditions.held_back;
        } else {
            at = self.last.map_or(at, |last| at.max(last));
            self.last = Some(at);
        }
        self.counts.passed += 1;
        let again = self.random.happens(self.conditions.duplicate);
        if again {
            self.counts.duplicated += 1;
            self.counts.passed += 1;
        }
        [Some(at), again.then_some(at)]
    }

    fn is_lost(&mut self, bytes: &[u8]) -> bool {
        let conditions = self.conditions;
        if conditions.dark || conditions.refuse == Some(Class::of(bytes)) {
            self.counts.refused += 1;
            return true;
        }
        if let Some(bursts) = conditions.bursts {
            let turns = if self.in_burst {
                bursts.end
            } else {
                bursts.begin
            };
            self.in_burst ^= self.random.happens(turns);
            if self.in_burst {
                self.counts.lost_in_bursts += 1;
                return true;
            }
        }
        let lost = self.random.happens(conditions.loss);
        self.counts.lost += u64::from(lost);
        lost
    }

    /// When the narrow link has sent the datagram; `None` if its queue is full.
    fn squeeze(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.conditions.rate else {
            self.free_at = None;
            return Some(now);
        };
        let time = |bytes: usize| {
            Duration::from_secs_f64(bytes as f64 / f64::from(rate.bytes_per_second.max(1)))
        };
        let begins = self.free_at.map_or(now, |at| at.max(now));
        if begins.saturating_duration_since(now) > time(rate.queue) {
            return None;
        }
        let ends = begins + time(len);
        self.free_at = Some(ends);
        Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: [u8; 100] = [0x80; 100];

    fn path(conditions: Conditions) -> Path {
        let mut path = Path::new(7);
        path.conditions = conditions;
        path
    }

    fn pass(path: &mut Path, count: u32) -> Vec<Instant> {
        let start = Instant::now();
        (0..count)
            .flat_map(|i| path.enter(start + Duration::from_millis(u64::from(i)), &RTP))
            .flatten()
            .collect()
    }

    #[test]
    fn a_perfect_network_does_nothing() {
        let now = Instant::now();
        assert_eq!(
            path(Conditions::default()).enter(now, &RTP),
            [Some(now), None]
        );
    }

    #[test]
    fn losses_come_as_often_as_asked_alone_or_together() {
        let mut alone = path(Conditions {
            loss: 0.03,
            ..Conditions::default()
        });
        let arrived = pass(&mut alone, 100_000).len();
        assert!((96_500..97_500).contains(&arrived), "{arrived}");

        // One burst per 100 datagrams, of 5: they take 5 of 105.
        let bursts = Bursts {
            begin: 0.01,
            end: 0.2,
        };
        let mut together = path(Conditions {
            bursts: Some(bursts),
            ..Conditions::default()
        });
        let arrived = pass(&mut together, 100_000).len();
        assert!((94_500..96_000).contains(&arrived), "{arrived}");
        assert_eq!(together.counts.lost_in_bursts, 100_000 - arrived as u64);
    }

    #[test]
    fn jitter_keeps_the_order_and_holding_back_does_not() {
        let jitter = Duration::from_millis(20);
        let mut late = path(Conditions {
            jitter,
            ..Conditions::default()
        });
        assert!(pass(&mut late, 1_000).is_sorted());
        let mut mixed = path(Conditions {
            reorder: 0.1,
            held_back: Duration::from_millis(5),
            duplicate: 0.1,
            ..Conditions::default()
        });
        let arrived = pass(&mut mixed, 1_000);
        assert!(!arrived.is_sorted());
        assert_eq!(arrived.len() as u64, 1_000 + mixed.counts.duplicated);
        assert!(mixed.counts.duplicated > 50 && mixed.counts.reordered > 50);
    }

    #[test]
    fn a_narrow_link_delays_what_it_can_queue_and_loses_the_rest() {
        // 100 bytes per 10 ms, and one datagram comes each millisecond.
        let rate = Rate {
            bytes_per_second: 10_000,
            queue: 1_000,
        };
        let mut narrow = path(Conditions {
            rate: Some(rate),
            ..Conditions::default()
        });
        let arrived = pass(&mut narrow, 1_000);
        assert!((100..=115).contains(&arrived.len()), "{}", arrived.len());
        assert!(
            arrived
                .windows(2)
                .all(|w| w[1] - w[0] >= Duration::from_micros(9_999))
        );
        assert_eq!(narrow.counts.overflowed, 1_000 - arrived.len() as u64);
    }

    #[test]
    fn a_kind_can_be_refused() {
        let mut deaf = path(Conditions {
            refuse: Some(Class::Rtcp),
            ..Conditions::default()
        });
        let now = Instant::now();
        assert_eq!(deaf.enter(now, &[0x81, 206, 0, 2]), [None, None]);
        assert_eq!(deaf.enter(now, &[0x80, 108, 0, 2]), [Some(now), None]);
        assert_eq!(Class::of(&[0, 1, 0, 0]), Class::Stun);
        assert_eq!(Class::of(&[22, 254, 253]), Class::Dtls);
    }
}
