//! The states of a moment and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a moment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Its pipeline is being made ready; nothing of it is seen yet.
    Warming,
    /// It is seen; its time runs.
    Active,
    /// It was seen to its end, or for most of it.
    Completed,
    /// It ended too early, or its pipeline could not show it.
    Failed,
    /// It was stopped before anything of it was seen.
    Cancelled,
    /// It waited too long, or the stream went offline.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Warming,
        Self::Active,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The name in the API: lower case, as in `queued`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Warming => "warming",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether it holds the channel's one live place: warming or active.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Warming | Self::Active)
    }

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Warming | Self::Active)
    }

    /// Whether a moment may go from this state to the next one.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Warming | Self::Cancelled | Self::Expired),
            Self::Warming => matches!(
                next,
                Self::Active | Self::Queued | Self::Failed | Self::Cancelled
            ),
            Self::Active => matches!(next, Self::Completed | Self::Failed),
            _ => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_called_the_same_everywhere() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
        }
    }

    #[test]
    fn nothing_follows_an_ended_state_and_something_follows_the_others() {
        for state in State::ALL {
            let followed = State::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(followed, !state.is_ended(), "{state}");
        }
    }
}
