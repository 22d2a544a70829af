//! A pipeline that runs, the events it tells, and stages made of closures.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use reverie_transcoder::counters::Snapshot;
use reverie_transcoder::pipeline::{Config, Event, Handle, Timing};
use reverie_transcoder::stage::{Applied, DebugInvert};
use reverie_transcoder::{
    AccessUnit, Frame, Pipeline, Stage, StageError, StageFactory, StylePatch, decode,
};
use tokio::sync::mpsc::Receiver;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the next event without taking time from the threads that make it; `None` is the end.
pub(crate) fn next(
    events: &mut Receiver<Event>,
    until: Instant,
) -> Result<Option<Event>, &'static str> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(event) = events.poll_recv(&mut Context::from_waker(&waker)) {
            return Ok(event);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("waited in vain");
        }
        thread::park_timeout(left);
    }
}

/// A pipeline and the events it told.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) events: Receiver<Event>,
    pub(crate) units: Vec<(AccessUnit, Timing)>,
}

impl Running {
    pub(crate) fn start(stage: StageFactory) -> Self {
        Self::with(Config::new("test"), stage)
    }

    pub(crate) fn with(config: Config, stage: StageFactory) -> Self {
        let (handle, events) = Pipeline::spawn(config, stage);
        // Enough that rate control skips nothing: most tests wait for every unit.
        handle.set_bitrate(8_000_000);
        Self {
            handle,
            events,
            units: Vec::new(),
        }
    }

    pub(crate) fn ready(stage: StageFactory) -> Self {
        let mut running = Self::start(stage);
        running.until("ready", |event| matches!(event, Event::Ready { .. }));
        running
    }

    /// The next event that `wanted` accepts; units on the way are kept.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match next(&mut self.events, deadline) {
                Ok(Some(event)) if wanted(&event) => return event,
                Ok(Some(Event::Unit { unit, timing })) => self.units.push((unit, timing)),
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end came before: {what}"),
                Err(error) => panic!("{error} for: {what}; {:?}", self.handle.counters()),
            }
        }
    }

    /// Waits until the counters say so.
    pub(crate) fn counted(&self, what: &str, so: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !so(&self.handle.counters()) {
            let counters = self.handle.counters();
            assert!(Instant::now() < deadline, "{what}: {counters:?}");
            thread::yield_now();
        }
    }

    /// Pushes a unit and waits for what becomes of it.
    pub(crate) fn through(&mut self, unit: &AccessUnit) -> AccessUnit {
        self.handle.push(unit.clone());
        let pts = unit.pts;
        let is_it =
            move |event: &Event| matches!(event, Event::Unit { unit, .. } if unit.pts == pts);
        match self.until("the unit", is_it) {
            Event::Unit { unit, timing } => {
                self.units.push((unit.clone(), timing));
                unit
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn failure(&mut self) -> (&'static str, String) {
        match self.until("a failure", |event| matches!(event, Event::Failed { .. })) {
            Event::Failed { at, error } => (at, error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn stopped(&mut self) {
        self.until("the end", |event| matches!(event, Event::Stopped));
        // The channel closes after its last event was sent, not in one step with it.
        let after = next(&mut self.events, Instant::now() + DEADLINE);
        assert!(matches!(after, Ok(None)), "{after:?}");
    }
}

pub(crate) fn invert() -> StageFactory {
    Box::new(|| Ok(Box::new(DebugInvert)))
}

pub(crate) fn decoded(units: impl IntoIterator<Item = AccessUnit>) -> Vec<Frame> {
    let mut decoder = decode::open(&decode::Config::default()).unwrap();
    let mut frames = Vec::new();
    for unit in units {
        decoder.decode(&unit, &mut frames).unwrap();
    }
    frames
}

/// A stage made of closures.
pub(crate) struct Custom<P, A>(pub(crate) P, pub(crate) A);

impl<P, A> Stage for Custom<P, A>
where
    P: FnMut(Frame) -> Result<Option<Frame>, StageError>,
    A: FnMut(&StylePatch) -> Result<Applied, StageError>,
{
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        (self.0)(frame)
    }

    fn apply(&mut self, patch: &StylePatch) -> Result<Applied, StageError> {
        (self.1)(patch)
    }

    fn warm(&mut self) -> Result<(), StageError> {
        Ok(())
    }
}

pub(crate) fn custom(
    process: impl FnMut(Frame) -> Result<Option<Frame>, StageError> + Send + 'static,
) -> StageFactory {
    Box::new(|| {
        Ok(Box::new(Custom(process, |patch: &StylePatch| {
            Ok(Applied::all(patch))
        })))
    })
}
