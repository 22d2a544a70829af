//! What can happen to a moment.

use super::Policy;

/// Something that happens to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It is paid, or need not be; the policy is the channel's at this time.
    Accepted(Policy),
    /// A moderator wants it.
    Approved,
    /// A moderator does not want it, in the moderator's words.
    Rejected(String),
    /// Its viewer, the streamer or a moderator takes it out of the queue.
    Cancelled,
    /// A moderator lets others go first: it goes to the end of the queue.
    Requeued,
    /// A node takes it.
    Claimed,
    /// Its first transformed frame has been forwarded, and the bridge, where it drives, said start.
    FirstFrame,
    /// Its pipeline failed, in the pipeline's words.
    PipelineFailed {
        /// Why.
        words: String,
        /// Whether another attempt may do better.
        retry: bool,
    },
    /// The publisher is gone for longer than a live moment waits.
    PublisherGone,
    /// It has been seen for its whole duration.
    DurationReached,
    /// The bridge or a moderator stops it.
    Stopped,
    /// A moderator stops it and hides it.
    Hidden,
    /// Its node has not been heard for longer than its lease.
    LeaseLost,
    /// The deadline of its state has come.
    Deadline,
    /// Its stream has been offline for longer than a queue is kept.
    StreamOffline,
}

impl Trigger {
    /// In words, for a refusal.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "paid",
            Self::Approved => "approved",
            Self::Rejected(_) => "rejected",
            Self::Cancelled => "cancelled",
            Self::Requeued => "put back",
            Self::Claimed => "claimed",
            Self::FirstFrame => "started",
            Self::PipelineFailed { .. } => "failed",
            Self::PublisherGone => "given up without its publisher",
            Self::DurationReached => "completed",
            Self::Stopped => "stopped",
            Self::Hidden => "hidden",
            Self::LeaseLost => "taken from its node",
            Self::Deadline => "ended at its deadline",
            Self::StreamOffline => "given up without its stream",
        }
    }
}
