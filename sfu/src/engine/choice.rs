//! Which layer a viewer is given: the best one that its estimate carries, with hysteresis. Pure; told the time.

use std::time::{Duration, Instant};

use super::ids::LayerId;

/// A viewer goes up once its estimate has carried the better layer for this long.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// After going down it stays there for this long; each time it falls back soon after going up, twice as long.
const HOLD: Duration = Duration::from_secs(2);
/// Longest hold.
const MAX_HOLD: Duration = Duration::from_secs(32);
/// Falling back within this time after going up means that going up was wrong.
const TOO_SOON: Duration = Duration::from_secs(10);
/// The estimate must exceed a better layer's rate by this much, in percent, before a viewer goes up.
const UP: u64 = 120;
/// A viewer goes down when its estimate is below this part, in percent, of its layer's rate: a rate is an average of
/// pictures of different size.
const DOWN: u64 = 90;
/// Probes go this far beyond the rate of the layer that is wanted, in percent.
const PROBE: u64 = 150;

/// What is known of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) id: LayerId,
    /// Bits per second; `None` while it is too new to tell.
    pub(crate) rate: Option<u64>,
    /// Its pictures come.
    pub(crate) active: bool,
}

/// One viewer's choice.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Asked for by the viewer itself.
    manual: Option<LayerId>,
    chosen: Option<LayerId>,
    /// The layer above that the estimate carries, and since when.
    better: Option<(LayerId, Instant)>,
    went_up: Option<Instant>,
    went_down: Option<Instant>,
    hold: Duration,
}

/// What a viewer's connection should be able to carry, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// To be kept up with padding: what the next layer needs.
    pub(crate) least: u64,
    /// To be probed for: what the best layer needs.
    pub(crate) most: u64,
}

impl Wish {
    /// To be probed for once, before a picture of this rate is sent.
    pub(crate) fn for_rate(rate: u64) -> Self {
        Self {
            least: 0,
            most: rate * UP / 100,
        }
    }

    /// True if the difference is not worth telling the estimator.
    pub(crate) fn resembles(self, other: Self) -> bool {
        let near = |a: u64, b: u64| a.abs_diff(b) * 5 <= a.max(b);
        near(self.least, other.least) && near(self.most, other.most)
    }
}

impl Choice {
    /// The layer given; `None` before there was one to choose.
    pub(crate) fn chosen(&self) -> Option<LayerId> {
        self.chosen
    }

    /// The viewer asks for a layer, or leaves the choice to its estimate again.
    pub(crate) fn ask(&mut self, layer: Option<LayerId>) {
        self.manual = layer;
        self.better = None;
    }

    /// The publisher is another: nothing is known of its layers.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            manual: self.manual,
            ..Self::default()
        };
    }

    /// Chooses among layers in rising order; `None` for an estimate means that nothing limits the viewer.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        rungs: &[Rung],
        estimate: Option<u64>,
    ) -> Option<LayerId> {
        let next = self.next(now, rungs, estimate)?;
        self.note(now, rungs, next);
        self.chosen = Some(next);
        self.chosen
    }

    /// What the connection should be able to carry, so that the estimate can grow to what the choice needs.
    pub(crate) fn wish(&self, rungs: &[Rung]) -> Wish {
        let place = |id| rungs.iter().position(|r| Some(r.id) == id);
        let at = place(self.chosen).map_or(0, |i| i + 1);
        let above = rungs.iter().skip(at).filter(|r| r.active);
        let rates: Vec<u64> = above.filter_map(|r| r.rate).collect();
        if self.manual.is_some() {
            return Wish::default();
        }
        let (Some(next), Some(best)) = (rates.first(), rates.iter().max()) else {
            return Wish::default();
        };
        Wish {
            least: next * UP / 100,
            most: best * PROBE / 100,
        }
    }

    fn next(&mut self, now: Instant, rungs: &[Rung], estimate: Option<u64>) -> Option<LayerId> {
        let active: Vec<&Rung> = rungs.iter().filter(|r| r.active).collect();
        let (lowest, best) = (active.first()?.id, active.last()?.id);
        if let Some(manual) = self.manual.filter(|m| active.iter().any(|r| r.id == *m)) {
            return Some(manual);
        }
        let Some(estimate) = estimate else {
            return Some(best);
        };
        let fits = |rung: &Rung, part: u64| rung.rate.is_none_or(|r| r * part / 100 <= estimate);
        let known = |rung: &&&Rung| rung.rate.is_some();
        let highest = |part: u64| {
            let mut all = active.iter().filter(known);
            all.rfind(|r| fits(r, part)).map(|r| r.id)
        };
        let place = |id: LayerId| rungs.iter().position(|r| r.id == id);
        let current = self.chosen.and_then(place);
        let Some((at, rung)) = current.map(|at| (at, &rungs[at])) else {
            return Some(highest(100).unwrap_or(lowest));
        };
        if !rung.active {
            let below = active.iter().filter(|r| fits(r, 100));
            let below = below.filter(|r| place(r.id) < Some(at));
            return Some(below.max_by_key(|r| place(r.id)).map_or(lowest, |r| r.id));
        }
        if !fits(rung, DOWN) {
            return Some(highest(100).unwrap_or(lowest));
        }
        let up = highest(UP).filter(|id| place(*id) > Some(at));
        self.up(now, up).or(Some(rung.id))
    }

    /// The better layer, once it may be taken.
    fn up(&mut self, now: Instant, better: Option<LayerId>) -> Option<LayerId> {
        let better = better.or_else(|| {
            self.better = None;
            None
        })?;
        let since = match self.better {
            Some((known, since)) if known == better => since,
            _ => {
                self.better = Some((better, now));
                now
            }
        };
        let held = self.went_down.is_some_and(|at| now < at + self.hold);
        (now >= since + PATIENCE && !held).then_some(better)
    }

    fn note(&mut self, now: Instant, rungs: &[Rung], next: LayerId) {
        let place = |id: Option<LayerId>| rungs.iter().position(|r| Some(r.id) == id);
        let (Some(from), to) = (place(self.chosen), place(Some(next))) else {
            return;
        };
        if to > Some(from) {
            self.went_up = Some(now);
            self.better = None;
        } else if to < Some(from) && rungs[from].active {
            let soon = self.went_up.is_some_and(|at| now < at + TOO_SOON);
            self.hold = if soon {
                (self.hold * 2).clamp(HOLD, MAX_HOLD)
            } else {
                HOLD
            };
            self.went_down = Some(now);
            self.better = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> LayerId {
        LayerId::new(name)
    }

    fn rungs() -> [Rung; 3] {
        [("l", 150), ("m", 500), ("h", 2_000)].map(|(name, kbps)| Rung {
            id: id(name),
            rate: Some(kbps * 1_000),
            active: true,
        })
    }

    fn kbps(rate: u64) -> Option<u64> {
        Some(rate * 1_000)
    }

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn nothing_known_of_a_connection_gives_the_best_layer() {
        let mut choice = Choice::default();
        assert_eq!(choice.decide(Instant::now(), &rungs(), None), Some(id("h")));
        assert_eq!(choice.decide(Instant::now(), &[], None), None);
    }

    #[test]
    fn a_viewer_begins_on_what_its_estimate_carries_and_goes_up_after_a_while() {
        let start = Instant::now();
        let mut choice = Choice::default();
        let rungs = rungs();
        assert_eq!(choice.decide(start, &rungs, kbps(600)), Some(id("m")));
        let at = |s| after(start, s);
        assert_eq!(choice.decide(at(1.0), &rungs, kbps(2_300)), Some(id("m")));
        assert_eq!(
            choice.decide(at(1.5), &rungs, kbps(2_500)),
            Some(id("m")),
            "not at once"
        );
        assert_eq!(
            choice.decide(at(1.7), &rungs, kbps(2_399)),
            Some(id("m")),
            "begins to wait anew"
        );
        assert_eq!(choice.decide(at(1.8), &rungs, kbps(2_500)), Some(id("m")));
        assert_eq!(choice.decide(at(2.8), &rungs, kbps(2_500)), Some(id("h")));
    }

    #[test]
    fn an_estimate_below_the_layer_takes_it_away_at_once_and_for_a_while() {
        let start = Instant::now();
        let mut choice = Choice::default();
        let rungs = rungs();
        choice.decide(start, &rungs, kbps(3_000));
        let at = |s| after(start, s);
        assert_eq!(
            choice.decide(at(0.1), &rungs, kbps(1_801)),
            Some(id("h")),
            "nearly enough"
        );
        assert_eq!(choice.decide(at(0.2), &rungs, kbps(1_700)), Some(id("m")));
        assert_eq!(choice.decide(at(0.3), &rungs, kbps(100)), Some(id("l")));
        for tenth in 4..23 {
            let now = at(f64::from(tenth) / 10.0);
            assert_eq!(choice.decide(now, &rungs, kbps(9_000)), Some(id("l")));
        }
        assert_eq!(choice.decide(at(2.4), &rungs, kbps(9_000)), Some(id("h")));
        // Falling back soon after makes the next attempt wait twice as long.
        assert_eq!(choice.decide(at(3.0), &rungs, kbps(600)), Some(id("m")));
        assert_eq!(choice.decide(at(3.1), &rungs, kbps(9_000)), Some(id("m")));
        assert_eq!(choice.decide(at(6.9), &rungs, kbps(9_000)), Some(id("m")));
        assert_eq!(choice.decide(at(7.1), &rungs, kbps(9_000)), Some(id("h")));
    }

    #[test]
    fn a_layer_that_stops_is_left_for_the_next_lower_one_without_a_hold() {
        let start = Instant::now();
        let mut choice = Choice::default();
        let mut rungs = rungs();
        choice.decide(start, &rungs, kbps(9_000));
        rungs[2].active = false;
        assert_eq!(choice.decide(start, &rungs, kbps(9_000)), Some(id("m")));
        rungs[2].active = true;
        choice.decide(after(start, 1.0), &rungs, kbps(9_000));
        assert_eq!(
            choice.decide(after(start, 2.0), &rungs, kbps(9_000)),
            Some(id("h"))
        );
        rungs.iter_mut().for_each(|r| r.active = false);
        assert_eq!(choice.decide(after(start, 3.0), &rungs, None), None);
        assert_eq!(choice.chosen(), Some(id("h")), "keeps what it has");
    }

    #[test]
    fn what_a_viewer_asks_for_counts_while_it_is_sent() {
        let start = Instant::now();
        let mut choice = Choice::default();
        let mut rungs = rungs();
        choice.ask(Some(id("m")));
        assert_eq!(choice.decide(start, &rungs, kbps(100)), Some(id("m")));
        assert_eq!(choice.wish(&rungs), Wish::default(), "no probes");
        rungs[1].active = false;
        assert_eq!(choice.decide(start, &rungs, kbps(100)), Some(id("l")));
        choice.ask(None);
        rungs[1].active = true;
        choice.decide(after(start, 1.0), &rungs, kbps(9_000));
        assert_eq!(
            choice.decide(after(start, 9.0), &rungs, kbps(9_000)),
            Some(id("h"))
        );
    }

    #[test]
    fn a_limited_viewer_wishes_for_the_next_layer_and_probes_for_the_best() {
        let mut choice = Choice::default();
        choice.decide(Instant::now(), &rungs(), kbps(200));
        let wish = Wish {
            least: 600_000,
            most: 3_000_000,
        };
        assert_eq!(choice.wish(&rungs()), wish);
        choice.forget();
        choice.decide(Instant::now(), &rungs(), None);
        assert_eq!(choice.wish(&rungs()), Wish::default());
    }
}
