//! Access units on their way to the decoder: in order, bounded by media time, never latest-wins.
//!
//! A unit needs the ones before it, so whatever breaks the chain (a full queue, a loss, a decoder
//! error) also drops everything up to the next keyframe.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::decode::gate::{Gate, Verdict};
use crate::unit::AccessUnit;

/// Units that may wait, whatever their times say.
const UNITS: usize = 64;

/// What became of a unit, or of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Units that were dropped.
    pub dropped: u64,
    /// Whether a keyframe has to be asked for; said once until one comes.
    pub need_keyframe: bool,
}

/// A unit and the epoch in which it was pushed, see [`Queue::reset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popped {
    /// The unit.
    pub unit: AccessUnit,
    /// How often the queue had been reset.
    pub epoch: u64,
}

/// The queue: pushing never blocks, popping waits.
#[derive(Debug)]
pub struct Queue {
    backlog: Mutex<Backlog>,
    changed: Condvar,
}

#[derive(Debug)]
struct Backlog {
    units: VecDeque<AccessUnit>,
    gate: Gate,
    span: Duration,
    epoch: u64,
    closed: bool,
}

impl Queue {
    /// A queue in which the newest unit is at most `span` of media time ahead of the oldest.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        let backlog = Backlog {
            units: VecDeque::new(),
            gate: Gate::new(),
            span,
            epoch: 0,
            closed: false,
        };
        Self {
            backlog: Mutex::new(backlog),
            changed: Condvar::new(),
        }
    }

    /// Appends a unit, unless it has to be dropped.
    pub fn push(&self, unit: AccessUnit) -> Outcome {
        let outcome = self.lock().push(unit);
        self.changed.notify_one();
        outcome
    }

    /// Units are missing behind those that wait.
    pub fn gap(&self) -> Outcome {
        let need_keyframe = self.lock().gate.close();
        Outcome {
            dropped: 0,
            need_keyframe,
        }
    }

    /// The unit popped last could not be decoded: what waits for it is dropped.
    pub fn broken(&self) -> Outcome {
        self.lock().broken()
    }

    /// Empties the queue and starts a new epoch, whose number is returned: the next unit must be a
    /// keyframe, which is asked for when something else comes.
    pub fn reset(&self) -> u64 {
        let mut backlog = self.lock();
        backlog.units.clear();
        backlog.gate.reset();
        backlog.epoch += 1;
        backlog.epoch
    }

    /// Waits for the oldest unit; `None` after [`Self::close`].
    pub fn pop(&self) -> Option<Popped> {
        let mut backlog = self.lock();
        loop {
            if backlog.closed {
                return None;
            }
            if let Some(unit) = backlog.units.pop_front() {
                return Some(Popped {
                    unit,
                    epoch: backlog.epoch,
                });
            }
            backlog = self
                .changed
                .wait(backlog)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Empties the queue and wakes the other side for good.
    pub fn close(&self) {
        let mut backlog = self.lock();
        backlog.closed = true;
        backlog.units.clear();
        drop(backlog);
        self.changed.notify_one();
    }

    /// Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn push(&mut self, unit: AccessUnit) -> Outcome {
        if self.closed {
            return Outcome {
                dropped: 1,
                need_keyframe: false,
            };
        }
        if let Verdict::Drop { ask } = self.gate.admit(unit.keyframe) {
            return Outcome {
                dropped: 1,
                need_keyframe: ask,
            };
        }
        if !self.is_full(&unit) {
            self.units.push_back(unit);
            return Outcome::default();
        }
        let dropped = self.units.len() as u64;
        self.units.clear();
        if unit.keyframe {
            self.units.push_back(unit);
            return Outcome {
                dropped,
                need_keyframe: false,
            };
        }
        Outcome {
            dropped: dropped + 1,
            need_keyframe: self.gate.close(),
        }
    }

    fn is_full(&self, unit: &AccessUnit) -> bool {
        self.units.len() >= UNITS
            || self
                .units
                .front()
                .is_some_and(|oldest| unit.pts.since(oldest.pts) > self.span)
    }

    fn broken(&mut self) -> Outcome {
        let keyframe = self.units.iter().position(|unit| unit.keyframe);
        let dropped = keyframe.unwrap_or(self.units.len());
        self.units.drain(..dropped);
        let need_keyframe = keyframe.is_none() && self.gate.close();
        Outcome {
            dropped: dropped as u64,
            need_keyframe,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::time::Pts;

    const SPAN: Duration = Duration::from_millis(250);
    const DROPPED: Outcome = Outcome {
        dropped: 1,
        need_keyframe: false,
    };
    const KEPT: Outcome = Outcome {
        dropped: 0,
        need_keyframe: false,
    };

    fn unit(frame: u64, keyframe: bool) -> AccessUnit {
        let (pts, arrived) = (Pts(frame * 3000), Instant::now());
        AccessUnit {
            pts,
            arrived,
            keyframe,
            data: Bytes::new(),
        }
    }

    /// A queue with a keyframe and `deltas` more units.
    fn filled(deltas: u64) -> Queue {
        let queue = Queue::new(SPAN);
        for frame in 0..=deltas {
            assert_eq!(queue.push(unit(frame, frame == 0)), KEPT);
        }
        queue
    }

    fn drain(queue: &Queue) -> Vec<u64> {
        let waiting = queue.lock().units.len();
        (0..waiting)
            .map(|_| queue.pop().unwrap().unit.pts.0 / 3000)
            .collect()
    }

    #[test]
    fn nothing_waits_before_the_first_keyframe() {
        let queue = Queue::new(SPAN);
        assert_eq!(
            queue.push(unit(0, false)),
            Outcome {
                dropped: 1,
                need_keyframe: true
            }
        );
        assert_eq!(queue.push(unit(1, false)), DROPPED);
        assert_eq!(queue.push(unit(2, true)), KEPT);
        assert_eq!(drain(&queue), [2]);
    }

    #[test]
    fn a_full_queue_is_cleared_up_to_the_next_keyframe() {
        let queue = filled(7);
        assert_eq!(
            queue.push(unit(8, false)),
            Outcome {
                dropped: 9,
                need_keyframe: true
            }
        );
        assert_eq!(queue.push(unit(9, false)), DROPPED);
        assert_eq!(queue.push(unit(10, true)), KEPT);
        assert_eq!(queue.push(unit(11, false)), KEPT);
        assert_eq!(drain(&queue), [10, 11]);
    }

    #[test]
    fn a_keyframe_that_finds_the_queue_full_takes_its_place() {
        let queue = filled(7);
        assert_eq!(
            queue.push(unit(8, true)),
            Outcome {
                dropped: 8,
                need_keyframe: false
            }
        );
        assert_eq!(drain(&queue), [8]);
    }

    #[test]
    fn units_of_one_time_are_bounded_by_count() {
        let queue = Queue::new(SPAN);
        for _ in 0..UNITS {
            assert_eq!(queue.push(unit(0, true)), KEPT);
        }
        assert_eq!(queue.push(unit(0, false)).dropped, UNITS as u64 + 1);
    }

    #[test]
    fn what_waits_in_front_of_a_gap_is_still_good() {
        let queue = filled(2);
        assert!(queue.gap().need_keyframe);
        assert!(!queue.gap().need_keyframe);
        assert_eq!(queue.push(unit(4, false)), DROPPED);
        assert_eq!(drain(&queue), [0, 1, 2]);
    }

    #[test]
    fn a_decoder_error_costs_what_waits_in_front_of_the_next_keyframe() {
        let queue = filled(3);
        queue.pop().unwrap();
        queue.push(unit(4, true));
        assert_eq!(
            queue.broken(),
            Outcome {
                dropped: 3,
                need_keyframe: false
            }
        );
        assert_eq!(drain(&queue), [4]);
        assert_eq!(
            queue.broken(),
            Outcome {
                dropped: 0,
                need_keyframe: true
            }
        );
        assert_eq!(queue.push(unit(5, false)), DROPPED);
    }

    #[test]
    fn a_reset_starts_an_epoch_with_a_keyframe() {
        let queue = filled(3);
        assert_eq!(queue.reset(), 1);
        assert!(queue.push(unit(5, false)).need_keyframe);
        queue.push(unit(6, true));
        assert_eq!(queue.pop().map(|popped| popped.epoch), Some(1));
    }

    #[test]
    fn closing_wakes_the_other_side() {
        let queue = filled(0);
        std::thread::scope(|scope| {
            let popper = scope.spawn(|| {
                let first = queue.pop().map(|popped| popped.unit.keyframe);
                (first, queue.pop().is_none())
            });
            while !queue.lock().units.is_empty() {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(popper.join().unwrap(), (Some(true), true));
        });
        assert_eq!(queue.push(unit(1, true)), DROPPED);
    }
}
