//! From one shard to all others, in order; a full neighbour loses whole groups of pictures, never a packet out of one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use reverie_transcoder::h264::PayloadKind;

use super::Handle;
use crate::engine::ids::StreamId;
use crate::engine::packet::{Kind, Packet};
use crate::engine::{Bus, Command};

/// The way to one neighbour.
pub(super) struct Relay {
    neighbour: Handle,
    /// Streams whose packets are held back until their next keyframe.
    broken: HashSet<StreamId>,
    /// Control messages that found the queue full: few, and never lost.
    waiting: VecDeque<Bus>,
    woken: bool,
}

impl Relay {
    pub(super) fn new(neighbour: Handle) -> Self {
        Self {
            neighbour,
            broken: HashSet::new(),
            waiting: VecDeque::new(),
            woken: false,
        }
    }

    /// Passes a message on; the stream is returned if it now needs a keyframe.
    pub(super) fn pass(&mut self, message: &Bus) -> Option<StreamId> {
        let stream = message.stream();
        let Bus::Packets(_, packets) = message else {
            self.waiting.push_back(message.clone());
            self.pass_waiting();
            return None;
        };
        let whole = if self.broken.contains(&stream) {
            self.mend(stream, packets)?
        } else {
            packets.clone()
        };
        // Nothing overtakes a control message.
        let passed = self.waiting.is_empty()
            && self
                .neighbour
                .enqueue(Command::Bus(Bus::Packets(stream, whole)))
                .is_ok();
        self.woken |= passed;
        if passed {
            return None;
        }
        self.broken.insert(stream).then_some(stream)
    }

    /// Passes what waited, and wakes the neighbour if anything was passed.
    pub(super) fn flush(&mut self) {
        self.pass_waiting();
        if std::mem::take(&mut self.woken) {
            self.neighbour.wake();
        }
    }

    /// True while control messages wait for room.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() && self.neighbour.is_alive()
    }

    fn pass_waiting(&mut self) {
        while let Some(message) = self.waiting.front() {
            if self
                .neighbour
                .enqueue(Command::Bus(message.clone()))
                .is_err()
            {
                return;
            }
            self.woken = true;
            self.waiting.pop_front();
        }
    }

    /// What of a batch can be passed after a loss: from its keyframe on, and all sound.
    fn mend(&mut self, stream: StreamId, packets: &[Arc<Packet>]) -> Option<Vec<Arc<Packet>>> {
        let keyframe = packets
            .iter()
            .position(|p| p.part == PayloadKind::ParameterSets);
        if keyframe.is_some() {
            self.broken.remove(&stream);
        }
        let from = keyframe.unwrap_or(packets.len());
        let whole: Vec<_> = packets
            .iter()
            .enumerate()
            .filter(|(i, p)| *i >= from || p.kind == Kind::Audio)
            .map(|(_, p)| p.clone())
            .collect();
        (!whole.is_empty()).then_some(whole)
    }
}
