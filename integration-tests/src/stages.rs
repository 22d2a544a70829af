//! Stages that misbehave on purpose.

use std::time::Duration;

use reverie_sfu::stages::Stages;
use reverie_transcoder::Frame;
use reverie_transcoder::stage::{
    Applied, DebugInvert, Stage, StageError, StageFactory, StylePatch,
};

/// Pictures that go well before the fault.
const GOOD: u32 = 45;

#[derive(Clone, Copy)]
enum Fault {
    Error,
    Panic,
    Stall,
}

struct Faulty {
    inner: DebugInvert,
    left: u32,
    fault: Fault,
}

impl Stage for Faulty {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        if self.left == 0 {
            match self.fault {
                Fault::Error => return Err(StageError::Process("the test says so".to_owned())),
                Fault::Panic => panic!("the test says so"),
                // Longer than any test: a foreign call that does not return.
                Fault::Stall => loop {
                    std::thread::park_timeout(Duration::from_secs(600));
                },
            }
        }
        self.left -= 1;
        self.inner.process(frame)
    }

    fn apply(&mut self, patch: &StylePatch) -> Result<Applied, StageError> {
        self.inner.apply(patch)
    }

    fn warm(&mut self) -> Result<(), StageError> {
        Ok(())
    }
}

/// The stages of the product and `fail-error`, `fail-panic`, `fail-stall`, which go wrong after 45 pictures,
/// and `fail-load`, which never loads.
#[must_use]
pub fn with_faults() -> Stages {
    let mut stages = Stages::default();
    for (name, fault) in [
        ("fail-error", Fault::Error),
        ("fail-panic", Fault::Panic),
        ("fail-stall", Fault::Stall),
    ] {
        stages.add(name, move || -> StageFactory {
            Box::new(move || {
                Ok(Box::new(Faulty {
                    inner: DebugInvert,
                    left: GOOD,
                    fault,
                }) as Box<dyn Stage>)
            })
        });
    }
    stages.add("fail-load", || -> StageFactory {
        Box::new(|| Err(StageError::Load("the test says so".to_owned())))
    });
    stages
}
