//! The states of a paid moment and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a moment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Asked for, not yet paid.
    Submitted,
    /// Paid; a moderator has to look at it.
    PendingApproval,
    /// Waits for its turn.
    Queued,
    /// Its pipeline is being made ready; nothing of it is seen yet.
    Warming,
    /// It is seen; its time runs.
    Active,
    /// It was seen to its end, or for most of it.
    Completed,
    /// A moderator did not want it.
    Rejected,
    /// Nobody paid, looked at it or showed it in time.
    Expired,
    /// It ended too early, or its pipeline could not show it.
    Failed,
    /// It was withdrawn, or taken away from everybody's eyes.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Submitted,
        Self::PendingApproval,
        Self::Queued,
        Self::Warming,
        Self::Active,
        Self::Completed,
        Self::Rejected,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in the API and in the store, as in `pending_approval`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::PendingApproval => "pending_approval",
            Self::Queued => "queued",
            Self::Warming => "warming",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// What the event of entering it is called.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Submitted => "moment.submitted",
            Self::PendingApproval => "moment.pending",
            Self::Queued => "moment.queued",
            Self::Warming => "moment.warming",
            Self::Active => "moment.active",
            Self::Completed => "moment.completed",
            Self::Rejected => "moment.rejected",
            Self::Expired => "moment.expired",
            Self::Failed => "moment.failed",
            Self::Cancelled => "moment.cancelled",
        }
    }

    /// Whether it holds the channel's one live place: warming or active.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Warming | Self::Active)
    }

    /// Whether its life is over. One that expired unpaid can still be revived by a late receipt.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Rejected | Self::Expired | Self::Failed | Self::Cancelled
        )
    }

    /// Whether a moment may go from this state to the next one.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Submitted => {
                matches!(next, Self::PendingApproval | Self::Queued | Self::Expired)
            }
            Self::PendingApproval => matches!(next, Self::Queued | Self::Rejected | Self::Expired),
            Self::Queued => matches!(
                next,
                Self::Queued | Self::Warming | Self::Cancelled | Self::Expired
            ),
            Self::Warming => matches!(
                next,
                Self::Active | Self::Queued | Self::Failed | Self::Cancelled
            ),
            Self::Active => matches!(next, Self::Completed | Self::Failed | Self::Cancelled),
            Self::Expired => matches!(next, Self::PendingApproval | Self::Queued),
            _ => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
