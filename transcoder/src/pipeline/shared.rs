//! What the three threads and the handle have in common.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::event::{Busy, Event, Outbox};
use super::{Config, PipelineError};
use crate::counters::Counters;
use crate::frame::Frame;
use crate::latest::Latest;
use crate::queue::{Outcome, Queue};
use crate::stage::StylePatch;
use crate::time::Pts;
use crate::worker::{Ending, Report};

/// Threads of a pipeline.
const THREADS: usize = 3;
/// No frame has to be a keyframe.
const NEVER: u64 = u64::MAX;
/// No new bitrate.
const UNCHANGED: u32 = 0;

/// A frame under way and what it took so far.
pub(super) struct Work {
    pub(super) frame: Frame,
    pub(super) epoch: u64,
    pub(super) decode: Duration,
    pub(super) stage: Duration,
}

pub(super) struct Shared {
    pub(super) units: Queue,
    pub(super) decoded: Latest<Work>,
    pub(super) staged: Latest<Work>,
    pub(super) counters: Arc<Counters>,
    pub(super) outbox: Outbox,
    pub(super) stage_busy: BusySince,
    patches: Mutex<VecDeque<StylePatch>>,
    started: Instant,
    building: AtomicUsize,
    running: AtomicUsize,
    /// Frames of an older epoch are dropped wherever they are.
    epoch: AtomicU64,
    keyframe_from: AtomicU64,
    keyframe_now: AtomicBool,
    bitrate: AtomicU32,
}

impl Shared {
    pub(super) fn new(config: &Config) -> (Self, mpsc::Receiver<Event>) {
        let (outbox, events) = Outbox::new();
        let started = Instant::now();
        let shared = Self {
            units: Queue::new(config.unit_queue),
            decoded: Latest::new(),
            staged: Latest::new(),
            counters: Arc::default(),
            outbox,
            stage_busy: BusySince::new(started),
            patches: Mutex::default(),
            started,
            building: AtomicUsize::new(THREADS),
            running: AtomicUsize::new(THREADS),
            epoch: AtomicU64::new(0),
            keyframe_from: AtomicU64::new(NEVER),
            keyframe_now: AtomicBool::new(false),
            bitrate: AtomicU32::new(UNCHANGED),
        };
        (shared, events)
    }

    /// Counts what became of a unit and passes on that a keyframe is needed.
    pub(super) fn note(&self, outcome: Outcome) {
        self.counters.dropped_units.add(outcome.dropped);
        if outcome.need_keyframe {
            self.counters.keyframe_needs.inc();
            self.outbox.need_keyframe();
        } else {
            self.outbox.catch_up();
        }
    }

    /// Follows a thread through its life.
    pub(super) fn report(&self, at: &'static str, report: Report<PipelineError>) {
        match report {
            Report::Ready => {
                if self.building.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.outbox.ready(self.started.elapsed());
                }
            }
            Report::Ended(ended) => {
                match ended {
                    Ok(()) => {}
                    Err(Ending::Failed(error)) => self.fail(at, error),
                    Err(Ending::Panicked(message)) => {
                        self.fail(at, PipelineError::Panicked(message));
                    }
                }
                if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.outbox.stopped();
                }
            }
        }
    }

    fn fail(&self, at: &'static str, error: PipelineError) {
        if self.outbox.failed(at, error) {
            self.counters.failures.inc();
        }
        self.close();
    }

    /// Lets every thread run to its end.
    pub(super) fn close(&self) {
        self.units.close();
        self.decoded.close();
        self.staged.close();
    }

    pub(super) fn pause(&self) {
        let epoch = self.units.reset();
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
        let dropped = u64::from(self.decoded.clear()) + u64::from(self.staged.clear());
        self.counters.stale.add(dropped);
    }

    pub(super) fn is_stale(&self, epoch: u64) -> bool {
        epoch < self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn apply(&self, patch: StylePatch) -> Result<(), Busy> {
        self.outbox.promise()?;
        self.patches().push_back(patch);
        self.decoded.nudge();
        Ok(())
    }

    pub(super) fn next_patch(&self) -> Option<StylePatch> {
        self.patches().pop_front()
    }

    pub(super) fn keyframe_from(&self, pts: Pts) {
        self.keyframe_from.store(pts.0, Ordering::Release);
    }

    pub(super) fn request_keyframe(&self) {
        self.keyframe_now.store(true, Ordering::Release);
    }

    /// Whether the frame at `pts` was asked to be a keyframe; each request counts once.
    pub(super) fn take_keyframe_request(&self, pts: Pts) -> bool {
        let from = self.keyframe_from.load(Ordering::Acquire);
        // A request that replaced this one meanwhile stays.
        let reached = pts.0 >= from
            && self
                .keyframe_from
                .compare_exchange(from, NEVER, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        self.keyframe_now.swap(false, Ordering::AcqRel) || reached
    }

    pub(super) fn set_bitrate(&self, bits_per_s: u32) {
        self.bitrate.store(bits_per_s.max(1), Ordering::Release);
    }

    pub(super) fn take_bitrate(&self) -> Option<u32> {
        let bitrate = self.bitrate.swap(UNCHANGED, Ordering::AcqRel);
        (bitrate != UNCHANGED).then_some(bitrate)
    }

    /// Nothing panics under the lock.
    fn patches(&self) -> MutexGuard<'_, VecDeque<StylePatch>> {
        self.patches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when a call has been running, readable from outside.
pub(super) struct BusySince {
    zero: Instant,
    /// Nanoseconds since `zero`, plus one; 0 while idle.
    since: AtomicU64,
}

impl BusySince {
    const fn new(zero: Instant) -> Self {
        Self {
            zero,
            since: AtomicU64::new(0),
        }
    }

    /// Runs `call`, visible to [`Self::get`] until it returns or panics.
    pub(super) fn during<T>(&self, call: impl FnOnce() -> T) -> (T, Duration) {
        let started = Instant::now();
        let nanos = started.saturating_duration_since(self.zero).as_nanos();
        self.since.store(
            u64::try_from(nanos).unwrap_or(NEVER - 1) + 1,
            Ordering::Release,
        );
        let _idle = Idle(&self.since);
        let result = call();
        (result, started.elapsed())
    }

    pub(super) fn get(&self) -> Option<Instant> {
        let nanos = self.since.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.zero + Duration::from_nanos(nanos))
    }
}

struct Idle<'a>(&'a AtomicU64);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared::new(&Config::new("test")).0
    }

    #[test]
    fn a_keyframe_request_counts_once_from_its_time_on() {
        let shared = shared();
        shared.keyframe_from(Pts(100));
        assert!(!shared.take_keyframe_request(Pts(99)));
        assert!(shared.take_keyframe_request(Pts(101)));
        assert!(!shared.take_keyframe_request(Pts(102)));
        shared.request_keyframe();
        assert!(shared.take_keyframe_request(Pts(0)));
        assert!(!shared.take_keyframe_request(Pts(0)));
    }

    #[test]
    fn only_the_newest_bitrate_is_taken() {
        let shared = shared();
        assert_eq!(shared.take_bitrate(), None);
        shared.set_bitrate(1_000_000);
        shared.set_bitrate(2_000_000);
        assert_eq!(shared.take_bitrate(), Some(2_000_000));
        assert_eq!(shared.take_bitrate(), None);
    }

    #[test]
    fn a_call_is_visible_while_it_runs_and_not_after_a_panic() {
        let shared = shared();
        let before = Instant::now();
        let (seen, _) = shared.stage_busy.during(|| shared.stage_busy.get());
        assert!(seen.is_some_and(|since| since >= before && since <= Instant::now()));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            shared.stage_busy.during(|| panic!("in the stage"));
        }));
        assert!(panic.is_err());
        assert_eq!(shared.stage_busy.get(), None);
    }
}
