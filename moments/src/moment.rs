//! One moment: plain data, and the only place where a step is written into it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::now::Now;
use crate::reason::Reason;
use crate::state::State;
use crate::transition::Step;

/// The id of a moment. Made by the caller, who answers for its being unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MomentId(String);

/// One attempt at showing a moment. What is told about an attempt that has been given up is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The moment.
    pub moment: MomentId,
    /// Which attempt, counted from 1.
    pub epoch: u32,
}

/// A moment as it was at some version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its id.
    pub id: MomentId,
    /// What to show: one line, trimmed.
    pub prompt: String,
    /// The pipeline that shows it.
    pub pipeline: String,
    /// For how long it is shown.
    pub duration: Duration,
    /// Where it is in its life.
    pub state: State,
    /// Why it is there, if more is to be said than the state does.
    pub reason: Option<Reason>,
    /// Counts its changes: 1 at first, one more with every change.
    pub version: u64,
    /// How often its pipeline has failed to start.
    pub attempts: u32,
    /// How often it has been started; the epoch of its latest [`Run`].
    pub epoch: u32,
    /// When it was submitted, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was first seen, likewise.
    pub active_ms: Option<u64>,
    /// When it is to end, likewise; known once it is seen.
    pub ends_ms: Option<u64>,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
}

impl MomentId {
    /// Takes the text as an id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Moment {
    /// A moment that begins to wait.
    #[must_use]
    pub fn queued(
        id: MomentId,
        prompt: String,
        pipeline: String,
        duration: Duration,
        now: Now,
    ) -> Self {
        Self {
            id,
            prompt,
            pipeline,
            duration,
            state: State::Queued,
            reason: None,
            version: 1,
            attempts: 0,
            epoch: 0,
            created_ms: now.wall_ms,
            active_ms: None,
            ends_ms: None,
            ended_ms: None,
        }
    }

    /// Takes the step that [`transition::next`](crate::transition::next) found for it, and gives back the state it left.
    pub fn take(&mut self, step: Step, now: Now) -> State {
        debug_assert!(
            self.state.may_become(step.to),
            "{} to {}",
            self.state,
            step.to
        );
        let from = std::mem::replace(&mut self.state, step.to);
        self.version += 1;
        self.reason = step.reason;
        self.attempts = step.attempts;
        match step.to {
            State::Queued => {}
            State::Warming => self.epoch += 1,
            State::Active => {
                self.active_ms = Some(now.wall_ms);
                self.ends_ms = Some(now.wall_ms.saturating_add(millis(self.duration)));
            }
            _ => self.ended_ms = Some(now.wall_ms),
        }
        from
    }

    /// The latest attempt at showing it.
    #[must_use]
    pub fn run(&self) -> Run {
        Run {
            moment: self.id.clone(),
            epoch: self.epoch,
        }
    }
}

impl fmt::Display for MomentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for MomentId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
