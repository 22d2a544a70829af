//! What a pipeline reports, and the way out for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;

use super::PipelineError;
use crate::stage::{Applied, StageError};
use crate::unit::AccessUnit;

/// Something that happened in a pipeline.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Decoder, stage and encoder are built and the stage is warm.
    Ready {
        /// Time since the pipeline was spawned.
        load: Duration,
    },
    /// An encoded unit, in order.
    Unit {
        /// The unit.
        unit: AccessUnit,
        /// What it took.
        timing: Timing,
    },
    /// The decoder waits for a keyframe. Said once until one comes: whoever asks the sender repeats.
    NeedKeyframe,
    /// The answer to one call of [`super::Handle::apply`], in order. An error leaves the style as
    /// it was and the pipeline running.
    Applied {
        /// What the stage made of it.
        result: Result<Applied, StageError>,
        /// The first frame it holds for, counted from 0 as the stage is given them.
        frame: u64,
    },
    /// The pipeline cannot go on and is ending. Said at most once.
    Failed {
        /// `decode`, `stage` or `encode`.
        at: &'static str,
        /// What happened.
        error: PipelineError,
    },
    /// The last event: the threads have ended, or one that hangs was left behind.
    Stopped,
}

/// What one unit took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Time in the decoder.
    pub decode: Duration,
    /// Time in the stage.
    pub stage: Duration,
    /// Time in the encoder.
    pub encode: Duration,
    /// Time since the first packet of the source unit came in, waiting included.
    pub total: Duration,
}

/// So many style changes are waiting for the stage or for the reader of events that another one is
/// refused, or the pipeline has stopped.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the pipeline takes no more style changes now")]
pub struct Busy;

/// Units that wait for the reader of events.
const UNITS: usize = 4;
/// All events that wait for the reader.
const EVENTS: usize = 64;
/// Room that is always kept for [`Event::Failed`] and [`Event::Stopped`].
const LAST_WORDS: usize = 2;

/// The sending side. Units leave when there is room for them; room for everything else is set aside
/// beforehand, so that no control event is ever lost.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Gone after the last event.
    sender: Option<mpsc::Sender<Event>>,
    /// Events that will come and have room set aside.
    promised: usize,
    failed: bool,
    keyframe_owed: bool,
}

impl Outbox {
    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let state = State {
            sender: Some(sender),
            promised: LAST_WORDS + 1,
            failed: false,
            keyframe_owed: false,
        };
        (Self(Mutex::new(state)), receiver)
    }

    /// False if the unit was dropped because units before it have not been taken.
    pub(super) fn unit(&self, unit: AccessUnit, timing: Timing) -> bool {
        let mut state = self.lock();
        state.pay_keyframe();
        let room = state.waiting() < UNITS;
        if room {
            state.send(Event::Unit { unit, timing });
        }
        room
    }

    pub(super) fn need_keyframe(&self) {
        let mut state = self.lock();
        state.keyframe_owed = true;
        state.pay_keyframe();
    }

    /// Sends what could not be sent when it was due.
    pub(super) fn catch_up(&self) {
        self.lock().pay_keyframe();
    }

    pub(super) fn ready(&self, load: Duration) {
        self.lock().keep_promise(Event::Ready { load });
    }

    /// Sets room aside for the answer to a style change.
    pub(super) fn promise(&self) -> Result<(), Busy> {
        let mut state = self.lock();
        if state.sender.is_none() || state.failed || state.room() == 0 {
            return Err(Busy);
        }
        state.promised += 1;
        Ok(())
    }

    pub(super) fn applied(&self, result: Result<Applied, StageError>, frame: u64) {
        self.lock().keep_promise(Event::Applied { result, frame });
    }

    /// True for the first failure, which is the one that is told.
    pub(super) fn failed(&self, at: &'static str, error: PipelineError) -> bool {
        let mut state = self.lock();
        if state.failed || state.sender.is_none() {
            return false;
        }
        state.failed = true;
        state.keep_promise(Event::Failed { at, error });
        true
    }

    /// Nothing is sent any more, and the reader sees the end of the channel.
    pub(super) fn stopped(&self) {
        let mut state = self.lock();
        state.keep_promise(Event::Stopped);
        state.sender = None;
    }

    /// Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.sender
            .as_ref()
            .map_or(0, |sender| sender.max_capacity() - sender.capacity())
    }

    /// Events that fit beside those that wait and those that were promised room.
    fn room(&self) -> usize {
        EVENTS.saturating_sub(self.waiting() + self.promised)
    }

    fn pay_keyframe(&mut self) {
        if self.keyframe_owed && self.room() > 0 {
            self.keyframe_owed = false;
            self.send(Event::NeedKeyframe);
        }
    }

    fn keep_promise(&mut self, event: Event) {
        self.promised = self.promised.saturating_sub(1);
        self.send(event);
    }

    /// Everything is sent under one lock and only with room at hand; what the reader takes
    /// meanwhile makes more. It fails only when the reader is gone, who then wants nothing.
    fn send(&mut self, event: Event) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::time::Pts;

    fn unit() -> AccessUnit {
        AccessUnit {
            pts: Pts(0),
            arrived: Instant::now(),
            keyframe: true,
            data: Bytes::new(),
        }
    }

    fn drain(receiver: &mut mpsc::Receiver<Event>) -> Vec<String> {
        let name = |event: Event| {
            let text = format!("{event:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        };
        std::iter::from_fn(|| receiver.try_recv().ok())
            .map(name)
            .collect()
    }

    #[test]
    fn units_beyond_the_bound_are_dropped_and_control_events_are_not() {
        let (outbox, mut receiver) = Outbox::new();
        outbox.ready(Duration::ZERO);
        assert_eq!(drain(&mut receiver), ["Ready"]);
        let sent = (0..10)
            .filter(|_| outbox.unit(unit(), Timing::default()))
            .count();
        assert_eq!(sent, UNITS);
        outbox.promise().unwrap();
        outbox.need_keyframe();
        outbox.applied(Ok(Applied::none()), 0);
        outbox.failed("stage", PipelineError::Panicked("one".into()));
        outbox.failed("encode", PipelineError::Panicked("two".into()));
        outbox.stopped();
        assert_eq!(
            drain(&mut receiver),
            [
                "Unit",
                "Unit",
                "Unit",
                "Unit",
                "NeedKeyframe",
                "Applied",
                "Failed",
                "Stopped"
            ]
        );
        assert!(receiver.is_closed());
    }

    #[test]
    fn a_reader_that_never_reads_still_finds_every_answer_and_the_end() {
        let (outbox, mut receiver) = Outbox::new();
        let taken = (0..200).filter(|_| outbox.promise().is_ok()).count();
        assert_eq!(taken, EVENTS - LAST_WORDS - 1);
        outbox.need_keyframe();
        outbox.ready(Duration::ZERO);
        (0..taken).for_each(|_| outbox.applied(Ok(Applied::none()), 0));
        outbox.failed("stage", PipelineError::Panicked("one".into()));
        outbox.stopped();
        let events = drain(&mut receiver);
        assert_eq!(events.len(), EVENTS);
        assert_eq!(events[EVENTS - 2..], ["Failed", "Stopped"]);
        assert_eq!(
            events.iter().filter(|name| *name == "Applied").count(),
            taken
        );
    }

    #[test]
    fn a_keyframe_is_asked_for_as_soon_as_there_is_room() {
        let (outbox, mut receiver) = Outbox::new();
        let taken = (0..200).filter(|_| outbox.promise().is_ok()).count();
        (0..taken).for_each(|_| outbox.applied(Ok(Applied::none()), 0));
        outbox.need_keyframe();
        assert!(!drain(&mut receiver).contains(&"NeedKeyframe".to_owned()));
        outbox.catch_up();
        assert_eq!(drain(&mut receiver), ["NeedKeyframe"]);
    }
}
