//! Stages that err, panic, cannot be built or hang, and handles that are dropped meanwhile.

use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use crate::common::{size, stream};
use crate::running::{DEADLINE, Running, custom, invert};
use reverie_transcoder::pipeline::{Event, PipelineError};
use reverie_transcoder::stage::Applied;
use reverie_transcoder::{Frame, Stage, StageError, StageFactory, StylePatch};
use tokio::sync::mpsc::error::TryRecvError;

#[test]
fn a_stage_error_is_told_once_and_ends_the_pipeline() {
    let mut seen = 0;
    let mut running = Running::ready(custom(move |frame| {
        seen += 1;
        if seen == 3 {
            Err(StageError::Process("out of paint".into()))
        } else {
            Ok(Some(frame))
        }
    }));
    let source = stream(1..=6, size(320, 180), |_| false);
    running.through(&source[0]);
    running.through(&source[1]);
    for unit in &source[2..] {
        running.handle.push(unit.clone());
    }
    let (at, error) = running.failure();
    assert_eq!(
        (at, error.as_str()),
        ("stage", "cannot process a frame: out of paint")
    );
    running.stopped();
    assert_eq!(
        running.units.len(),
        2,
        "nothing comes out after the failure"
    );
    running.handle.push(source[0].clone());
    assert!(running.handle.apply(StylePatch::new()).is_err());
    assert_eq!(running.handle.counters().failures, 1);
}

#[test]
fn a_stage_panic_is_told_once_and_ends_the_pipeline() {
    let mut running = Running::ready(custom(|_| panic!("brush broke")));
    running
        .handle
        .push(stream([1], size(320, 180), |_| false)[0].clone());
    let (at, error) = running.failure();
    assert_eq!((at, error.as_str()), ("stage", "panicked: brush broke"));
    running.stopped();
    assert!(running.units.is_empty());
    assert_eq!(running.handle.stage_busy_since(), None);
}

#[test]
fn a_stage_that_cannot_be_built_or_warmed_is_never_ready() {
    struct Cold;
    impl Stage for Cold {
        fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
            Ok(Some(frame))
        }
        fn apply(&mut self, _: &StylePatch) -> Result<Applied, StageError> {
            Ok(Applied::none())
        }
        fn warm(&mut self) -> Result<(), StageError> {
            Err(StageError::Warm("no heat".into()))
        }
    }
    let unloadable: StageFactory = Box::new(|| Err(StageError::Load("no weights".into())));
    let cold: StageFactory = Box::new(|| Ok(Box::new(Cold)));
    for (factory, expected) in [
        (unloadable, "cannot load the stage: no weights"),
        (cold, "cannot warm up the stage: no heat"),
    ] {
        let mut running = Running::start(factory);
        let first = running.until("an event", |_| true);
        let Event::Failed {
            at: "stage",
            error: error @ PipelineError::Stage(_),
        } = first
        else {
            panic!("{first:?}");
        };
        assert_eq!(error.to_string(), expected);
        running.stopped();
    }
}

#[test]
fn a_stalled_stage_shows_from_outside_and_holds_nobody_up() {
    let (release, stalled) = std_mpsc::channel::<()>();
    let (entered, inside) = std_mpsc::channel();
    let running = Running::ready(custom(move |frame| {
        entered.send(()).unwrap();
        let _ = stalled.recv();
        Ok(Some(frame))
    }));
    assert_eq!(running.handle.stage_busy_since(), None);
    let before = Instant::now();
    let source = stream(1..=3, size(320, 180), |_| false);
    running.handle.push(source[0].clone());
    inside.recv_timeout(DEADLINE).unwrap();
    let since = running.handle.stage_busy_since().unwrap();
    assert!(since >= before && since <= Instant::now());

    running.handle.push(source[1].clone());
    let Running {
        handle, mut events, ..
    } = running;
    let counters = handle.shared_counters();
    let dropping = Instant::now();
    drop(handle);
    let took = dropping.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(counters.snapshot().detached, 1);
    assert!(
        matches!(events.try_recv(), Ok(Event::Stopped)),
        "the end is told all the same"
    );
    assert!(matches!(events.try_recv(), Err(TryRecvError::Disconnected)));
    drop(release);
}

#[test]
fn dropping_the_handle_joins_threads_that_wait() {
    let mut running = Running::ready(invert());
    running.through(&stream([1], size(320, 180), |_| false)[0]);
    let Running {
        handle, mut events, ..
    } = running;
    let counters = handle.shared_counters();
    drop(handle);
    assert_eq!(counters.snapshot().detached, 0);
    assert!(matches!(events.try_recv(), Ok(Event::Stopped)));
    assert!(matches!(events.try_recv(), Err(TryRecvError::Disconnected)));
}
