//! The decode thread: units from the queue, frames to the place before the stage.

use std::time::Instant;

use tracing::debug;

use super::PipelineError;
use super::shared::{Shared, Work};
use crate::decode::Decoder;
use crate::pace::Pace;
use crate::queue::Popped;

/// Runs until the queue is closed.
pub(super) fn run(
    shared: &Shared,
    mut decoder: Box<dyn Decoder>,
    mut pace: Pace,
) -> Result<(), PipelineError> {
    let counters = &shared.counters;
    let mut frames = Vec::new();
    while let Some(Popped { unit, epoch }) = shared.units.pop() {
        let started = Instant::now();
        let result = decoder.decode(&unit, &mut frames);
        let decode = started.elapsed();
        counters.decode_nanos.time(decode);
        if let Err(error) = result {
            debug!(decoder = decoder.name(), %error, pts = unit.pts.0, "unit dropped");
            counters.decode_errors.inc();
            shared.note(shared.units.broken());
        }
        for frame in frames.drain(..) {
            counters.decoded.inc();
            if !pace.keep(frame.pts) {
                counters.thinned.inc();
                continue;
            }
            let work = Work {
                frame,
                epoch,
                decode,
                stage: std::time::Duration::ZERO,
            };
            counters
                .displaced_before_stage
                .add(u64::from(shared.decoded.put(work)));
        }
    }
    Ok(())
}
