//! What goes into a channel and what comes out of it.

use std::time::Duration;

use crate::moment::{Moment, MomentId, Run};
use crate::state::State;

/// A request for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// A new id.
    pub id: MomentId,
    /// What to show; white space around it is dropped.
    pub prompt: String,
    /// The pipeline that shows it. The caller knows which exist.
    pub pipeline: String,
    /// For how long; `None` takes the channel's default.
    pub duration: Option<Duration>,
}

/// A fact the channel is told. Facts cannot be refused; those about a run that has been given up are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Somebody publishes the stream.
    PublisherLive,
    /// Nobody publishes it any more.
    PublisherGone,
    /// The first transformed frame of the run has been forwarded.
    FirstFrame(Run),
    /// The pipeline of the run failed.
    PipelineFailed {
        /// The run.
        run: Run,
        /// Why, in the pipeline's words; shown to people.
        reason: String,
        /// Whether another attempt may do better. Means nothing once the moment is seen.
        retry: bool,
    },
    /// The deadline has come.
    Timeout,
}

/// What has changed, or is to be done. In the order it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A moment is new or has changed.
    Changed {
        /// The moment as it is after this change.
        moment: Moment,
        /// The state it left; `None` when it is new.
        from: Option<State>,
        /// Its place in the queue after this change, counted from 1.
        position: Option<usize>,
    },
    /// Warm the pipeline and transform the stream with it; tell the first frame or the failure with this run.
    Start {
        /// To be given back with everything told about it.
        run: Run,
        /// The pipeline.
        pipeline: String,
        /// What to show.
        prompt: String,
    },
    /// Go back to the camera. Follows every start, before the next one.
    Release(Run),
    /// The queue is another one than before this call: comes once, after everything else.
    QueueChanged,
}
