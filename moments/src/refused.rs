//! What is answered to a request that cannot be granted: what was wrong, and what is accepted.

use std::time::Duration;

use crate::moment::MomentId;
use crate::state::State;

/// Why a request was refused. Nothing has changed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The prompt has nothing but white space.
    #[error("the prompt is empty; 1 to {max} characters are accepted")]
    EmptyPrompt {
        /// The most characters accepted.
        max: usize,
    },
    /// The prompt is too long.
    #[error("the prompt has {chars} characters; at most {max} are accepted")]
    LongPrompt {
        /// How many it has once trimmed.
        chars: usize,
        /// The most characters accepted.
        max: usize,
    },
    /// The prompt has a character that cannot be seen.
    #[error("the prompt has the control character U+{:04X} at place {place}; only text on one line is accepted", u32::from(*.found))]
    ControlCharacter {
        /// The character.
        found: char,
        /// Which one it is in the trimmed prompt, counted from 1.
        place: usize,
    },
    /// The duration is outside the range.
    #[error("the duration is {} s; {} to {} s are accepted", .asked.as_secs_f64(), .min.as_secs_f64(), .max.as_secs_f64())]
    Duration {
        /// What was asked for.
        asked: Duration,
        /// The shortest accepted.
        min: Duration,
        /// The longest accepted.
        max: Duration,
    },
    /// Another moment of the channel has this id.
    #[error("the id {id} is in use; a new one is needed")]
    IdInUse {
        /// The id.
        id: MomentId,
    },
    /// Nobody publishes.
    #[error("the channel is offline; moments are accepted while it is live")]
    Offline,
    /// As many as may are waiting.
    #[error("the queue is full; at most {limit} moments may wait")]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
    /// The channel has no moment of this id, or forgot it.
    #[error("there is no moment {id} in this channel")]
    Unknown {
        /// The id.
        id: MomentId,
    },
    /// The moment has ended already.
    #[error("the moment {id} is {state}; only one that waits or is live can be stopped")]
    Ended {
        /// The id.
        id: MomentId,
        /// How it ended.
        state: State,
    },
}
