//! Which peer or stream wants to be looked at when. An entry counts only while its owner still expects it at that instant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::ids::{PeerId, StreamId};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A peer's own protocols, or its silence.
    Peer(PeerId),
    /// A stream's keyframe request or replay.
    Stream(StreamId),
}

impl Timer {
    /// For logs and for [`super::Output::Wait`].
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Peer(_) => "peer",
            Self::Stream(_) => "stream",
        }
    }
}

/// Earliest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Deadlines {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// Entries, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest one.
    pub(crate) fn next(&self) -> Option<(Instant, &'static str)> {
        self.heap
            .peek()
            .map(|Reverse((at, timer))| (*at, timer.reason()))
    }

    /// Takes one that is due, with the instant it was set for: its owner ignores it if it has set another since.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
