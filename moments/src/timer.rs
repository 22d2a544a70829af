//! What a channel waits for.

/// A reason to wake up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The active moment has been seen for its duration.
    Ends,
    /// The warming moment's pipeline should have given a frame.
    Warm,
    /// The live moment is given up without its publisher.
    PublisherGone,
    /// The queue expires without a publisher.
    Offline,
    /// The first of the queue has waited too long.
    Waited,
    /// The pause between two moments or attempts is over.
    Pause,
}

impl Timer {
    /// In words, for a log.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Ends => "the moment ends",
            Self::Warm => "the pipeline should be warm",
            Self::PublisherGone => "the publisher is given up",
            Self::Offline => "the queue expires offline",
            Self::Waited => "the first in the queue has waited too long",
            Self::Pause => "the next moment may start",
        }
    }
}
