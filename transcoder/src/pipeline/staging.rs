//! The stage thread: the newest decoded frame through the stage to the place before the encoder.

use super::PipelineError;
use super::shared::{Shared, Work};
use crate::latest::Taken;
use crate::stage::Stage;

/// Runs until the place before the stage is closed, or the stage fails.
pub(super) fn run(shared: &Shared, mut stage: Box<dyn Stage>) -> Result<(), PipelineError> {
    let mut given = 0;
    loop {
        match shared.decoded.take() {
            Taken::Closed => return Ok(()),
            Taken::Nudged => apply(shared, &mut *stage, given),
            Taken::Value(work) if shared.is_stale(work.epoch) => shared.counters.stale.inc(),
            Taken::Value(work) => {
                given += 1;
                process(shared, &mut *stage, work)?;
            }
        }
    }
}

fn apply(shared: &Shared, stage: &mut dyn Stage, given: u64) {
    while let Some(patch) = shared.next_patch() {
        let (result, _) = shared.stage_busy.during(|| stage.apply(&patch));
        if result.is_err() {
            shared.counters.refused_styles.inc();
        }
        shared.outbox.applied(result, given);
    }
}

fn process(shared: &Shared, stage: &mut dyn Stage, work: Work) -> Result<(), PipelineError> {
    let counters = &shared.counters;
    let (result, spent) = shared.stage_busy.during(|| stage.process(work.frame));
    counters.stage_nanos.time(spent);
    match result? {
        None => counters.withheld.inc(),
        Some(frame) => {
            counters.staged.inc();
            let work = Work {
                frame,
                stage: spent,
                ..work
            };
            counters
                .displaced_after_stage
                .add(u64::from(shared.staged.put(work)));
        }
    }
    Ok(())
}
