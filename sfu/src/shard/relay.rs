//! From one shard to all others, in order; a full neighbour loses whole groups of pictures, never a packet out of one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use reverie_transcoder::h264::PayloadKind;

use super::Handle;
use crate::engine::ids::{LayerId, StreamId};
use crate::engine::packet::{Kind, Packet};
use crate::engine::{Bus, Command};

/// The way to one neighbour.
pub(super) struct Relay {
    neighbour: Handle,
    /// Layers of streams whose packets are held back until their next keyframe.
    broken: HashSet<(StreamId, LayerId)>,
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

    /// Passes a message on; returned are the layers of which a keyframe is needed now.
    pub(super) fn pass(&mut self, message: &Bus) -> Vec<(StreamId, LayerId)> {
        let stream = message.stream();
        let Bus::Packets(_, packets) = message else {
            self.waiting.push_back(message.clone());
            self.pass_waiting();
            return Vec::new();
        };
        let whole = if self.broken.iter().any(|(broken, _)| *broken == stream) {
            self.mend(stream, packets)
        } else {
            packets.clone()
        };
        if whole.is_empty() {
            return Vec::new();
        }
        // Nothing overtakes a control message.
        let passed = self.waiting.is_empty()
            && self
                .neighbour
                .enqueue(Command::Bus(Bus::Packets(stream, whole)))
                .is_ok();
        self.woken |= passed;
        if passed {
            return Vec::new();
        }
        let lost = packets.iter().filter(|p| p.kind == Kind::Video);
        lost.map(|p| (stream, p.layer))
            .filter(|layer| self.broken.insert(*layer))
            .collect()
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

    /// What of a batch can be passed after a loss: of each layer all from its keyframe on, and all sound.
    fn mend(&mut self, stream: StreamId, packets: &[Arc<Packet>]) -> Vec<Arc<Packet>> {
        let mut whole = Vec::new();
        for packet in packets {
            if packet.part == PayloadKind::ParameterSets {
                self.broken.remove(&(stream, packet.layer));
            }
            let held = self.broken.contains(&(stream, packet.layer));
            if packet.kind == Kind::Audio || !held {
                whole.push(packet.clone());
            }
        }
        whole
    }
}
