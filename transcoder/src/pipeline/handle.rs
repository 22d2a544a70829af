//! The owner's side of a pipeline.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::warn;

use super::event::{Busy, Event};
use super::shared::Shared;
use super::{Config, PipelineError, decoding, encoding, staging};
use crate::counters::{Counters, Snapshot};
use crate::pace::Pace;
use crate::stage::{StageFactory, StylePatch};
use crate::time::Pts;
use crate::unit::AccessUnit;
use crate::worker::{Ending, Report, Worker};
use crate::{decode, encode};

/// How long a dropped handle waits for its threads: longer than a codec takes for any frame on a
/// machine that has other things to do. Only a thread that hangs makes the drop last that long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Drives a pipeline; dropping it stops the pipeline.
///
/// The drop lets the threads run to their end and waits for them, at most 1 s in all. A stage in a
/// call that does not return cannot be cancelled: its thread is left behind with a warning and
/// counted, and ends when the call does.
pub struct Handle {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// Where units go in; cheap to clone, for the thread that receives media.
#[derive(Clone)]
pub struct Input(Arc<Shared>);

impl Input {
    /// Hands over the next unit. Never blocks: when units wait for too long they are dropped up to
    /// the next keyframe, counted, and [`Event::NeedKeyframe`] says so.
    pub fn push(&self, unit: AccessUnit) {
        self.0.counters.pushed.inc();
        self.0.note(self.0.units.push(unit));
    }

    /// Units were lost in front of the next one: nothing is decoded until a keyframe comes.
    pub fn gap(&self) {
        self.0.note(self.0.units.gap());
    }
}

impl Handle {
    /// A way in for another thread.
    #[must_use]
    pub fn input(&self) -> Input {
        Input(Arc::clone(&self.shared))
    }

    /// See [`Input::push`].
    pub fn push(&self, unit: AccessUnit) {
        self.shared.counters.pushed.inc();
        self.shared.note(self.shared.units.push(unit));
    }

    /// See [`Input::gap`].
    pub fn gap(&self) {
        self.shared.note(self.shared.units.gap());
    }

    /// Makes the first frame at or after `pts` that reaches the encoder a keyframe. A later call
    /// replaces an earlier one that has not been reached.
    pub fn keyframe_from(&self, pts: Pts) {
        self.shared.keyframe_from(pts);
    }

    /// Makes the next frame that reaches the encoder a keyframe.
    pub fn request_keyframe(&self) {
        self.shared.request_keyframe();
    }

    /// Hands the stage a change of style, which it takes up between two frames.
    /// [`Event::Applied`] is the answer.
    ///
    /// # Errors
    /// [`Busy`] when some 60 changes have not been answered or read, or the pipeline has stopped.
    pub fn apply(&self, patch: StylePatch) -> Result<(), Busy> {
        self.shared.apply(patch)
    }

    /// Sets the encoder's target in bits per second, from its next frame on.
    pub fn set_bitrate(&self, bits_per_s: u32) {
        self.shared.set_bitrate(bits_per_s);
    }

    /// Drops everything under way and forgets the stream; the stage stays loaded. What is pushed
    /// next must start with a keyframe, and so does what comes out then. A unit that was already
    /// waiting for the reader of events stays there.
    pub fn pause(&self) {
        self.shared.pause();
    }

    /// Since when the stage has been in a call for a frame or a style, if it is: the owner decides
    /// how long is a stall.
    #[must_use]
    pub fn stage_busy_since(&self) -> Option<Instant> {
        self.shared.stage_busy.get()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        self.shared.counters.snapshot()
    }

    /// The counters themselves, which can be read after the pipeline is gone.
    #[must_use]
    pub fn shared_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
        let deadline = Instant::now() + PATIENCE;
        for worker in self.workers.drain(..) {
            let name = worker.name().to_owned();
            // A thread that ended while another was waited for is still seen to have ended.
            let left = deadline.saturating_duration_since(Instant::now());
            if !worker.join_within(left) {
                self.shared.counters.detached.inc();
                warn!(thread = name, "left behind in a call that does not return");
            }
        }
        self.shared.outbox.stopped();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.workers.iter().map(Worker::name).collect();
        f.debug_struct("Handle")
            .field("threads", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

pub(super) fn spawn(config: Config, stage: StageFactory) -> (Handle, mpsc::Receiver<Event>) {
    let (shared, events) = Shared::new(&config);
    let mut handle = Handle {
        shared: Arc::new(shared),
        workers: Vec::with_capacity(3),
    };
    let Config {
        name,
        decode,
        encode,
        max_fps,
        ..
    } = config;
    handle.start(
        "decode",
        &name,
        move || Ok(decode::open(&decode)?),
        move |shared, decoder| decoding::run(shared, decoder, Pace::new(max_fps)),
    );
    handle.start(
        "stage",
        &name,
        move || {
            let mut stage = stage()?;
            stage.warm()?;
            Ok(stage)
        },
        staging::run,
    );
    handle.start(
        "encode",
        &name,
        move || Ok(encode::open(&encode)?),
        encoding::run,
    );
    (handle, events)
}

impl Handle {
    fn start<T>(
        &mut self,
        at: &'static str,
        name: &str,
        build: impl FnOnce() -> Result<T, PipelineError> + Send + 'static,
        drive: impl FnOnce(&Shared, T) -> Result<(), PipelineError> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        let reports = Arc::clone(&self.shared);
        let started: io::Result<Worker> = Worker::spawn(
            format!("{at}:{name}"),
            build,
            move |element| drive(&shared, element),
            move |report| reports.report(at, report),
        );
        match started {
            Ok(worker) => self.workers.push(worker),
            Err(error) => {
                let ending = Ending::Failed(PipelineError::Thread(error));
                self.shared.report(at, Report::Ended(Err(ending)));
            }
        }
    }
}
