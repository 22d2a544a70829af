//! The encode thread: the newest staged frame to a unit for the reader of events.

use std::time::Instant;

use super::PipelineError;
use super::event::Timing;
use super::shared::{Shared, Work};
use crate::encode::Encoder;
use crate::latest::Taken;
use crate::unit::AccessUnit;

/// Runs until the place before the encoder is closed, or the encoder fails.
pub(super) fn run(shared: &Shared, encoder: Box<dyn Encoder>) -> Result<(), PipelineError> {
    let mut encoding = Encoding {
        encoder,
        keyframe_due: false,
        epoch: 0,
        units: Vec::new(),
    };
    loop {
        match shared.staged.take() {
            Taken::Closed => return Ok(()),
            Taken::Nudged => {}
            Taken::Value(work) if shared.is_stale(work.epoch) => shared.counters.stale.inc(),
            Taken::Value(work) => encoding.encode(shared, &work)?,
        }
    }
}

struct Encoding {
    encoder: Box<dyn Encoder>,
    /// Whoever gets the next unit cannot use it unless it is a keyframe.
    keyframe_due: bool,
    epoch: u64,
    units: Vec<AccessUnit>,
}

impl Encoding {
    fn encode(&mut self, shared: &Shared, work: &Work) -> Result<(), PipelineError> {
        if let Some(bitrate) = shared.take_bitrate() {
            self.encoder.set_bitrate(bitrate)?;
        }
        let asked = shared.take_keyframe_request(work.frame.pts);
        let resumed = std::mem::replace(&mut self.epoch, work.epoch) != work.epoch;
        self.keyframe_due |= asked || resumed;

        let started = Instant::now();
        self.encoder
            .encode(&work.frame, self.keyframe_due, &mut self.units)?;
        let encode = started.elapsed();
        shared.counters.encode_nanos.time(encode);
        if self.units.is_empty() {
            shared.counters.skipped.inc();
        }
        for unit in std::mem::take(&mut self.units) {
            self.deliver(shared, work, unit, encode);
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        shared: &Shared,
        work: &Work,
        unit: AccessUnit,
        encode: std::time::Duration,
    ) {
        let counters = &shared.counters;
        counters.encoded.inc();
        counters.keyframes.add(u64::from(unit.keyframe));
        if shared.is_stale(work.epoch) {
            counters.stale.inc();
            self.keyframe_due = true;
            return;
        }
        let keyframe = unit.keyframe;
        let total = unit.arrived.elapsed();
        let timing = Timing {
            decode: work.decode,
            stage: work.stage,
            encode,
            total,
        };
        if shared.outbox.unit(unit, timing) {
            self.keyframe_due &= !keyframe;
        } else {
            counters.dropped_output.inc();
            self.keyframe_due = true;
        }
    }
}
