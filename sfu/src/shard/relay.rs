//! From one shard to all others, in order; a full neighbour loses whole groups of pictures, never a packet out of one.

use std::collections::HashSet;
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
    woken: bool,
}

impl Relay {
    pub(super) fn new(neighbour: Handle) -> Self {
        Self {
            neighbour,
            broken: HashSet::new(),
            woken: false,
        }
    }

    /// Passes a message on; the stream is returned if it now needs a keyframe.
    pub(super) fn pass(&mut self, message: &Bus) -> Option<StreamId> {
        let stream = message.stream();
        let message = match message {
            Bus::Packets(_, packets) if self.broken.contains(&stream) => {
                Bus::Packets(stream, self.mend(stream, packets)?)
            }
            other => other.clone(),
        };
        let media = matches!(message, Bus::Packets(..));
        match self.neighbour.enqueue(Command::Bus(message)) {
            Ok(()) => {
                self.woken = true;
                None
            }
            Err(_) if media => {
                self.broken.insert(stream);
                Some(stream)
            }
            Err(_) => {
                tracing::warn!(%stream, "a shard is so far behind that a control message was lost");
                None
            }
        }
    }

    /// Wakes the neighbour if something was passed.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.woken) {
            self.neighbour.wake();
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
