//! Calls of the UNet that are recorded once and then replayed, where the device can do that.

use tch::Tensor;

use crate::Error;
use crate::graph::inputs::Inputs;
use crate::graph::{self, Graph};
use crate::guard::guard;
use crate::params::Acceleration;
use crate::unet::{Given, UNet2DCondition};

/// So often a call of one shape is made before it is recorded: what comes once, as while a stream is filled, is not
/// worth it.
const BEFORE: u32 = 3;
/// Recordings keep memory of the device; so many shapes are known at most.
const SHAPES: usize = 8;
/// A shape that did not come for so many calls is forgotten.
const IDLE: u64 = 2000;

/// The work that is recorded: from copies of its inputs to its result.
pub(super) type Work<'a> = dyn Fn(&[Tensor]) -> Tensor + 'a;

/// What can record.
pub(super) trait Recorder {
    /// Records `work` on these inputs.
    fn record(&self, inputs: Inputs, work: &Work<'_>) -> Result<Box<dyn Recording>, Error>;
}

/// What was recorded.
pub(super) trait Recording {
    fn inputs(&mut self) -> &mut Inputs;

    /// The result for the inputs as they are; the next call overwrites it. `work` is what was recorded.
    fn replay(&mut self, work: &Work<'_>) -> Result<Tensor, Error>;
}

/// How a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Operation by operation, as it should be here.
    Eager,
    /// From a recording.
    Replayed,
    /// Operation by operation, because recording is wanted and failed, or cannot be had.
    FellBack,
}

/// The recordings of one engine.
#[derive(Default)]
pub(super) struct Recorded {
    recorder: Option<Box<dyn Recorder>>,
    /// It should record and there is nothing to record with.
    lacking: bool,
    known: Vec<Known>,
    calls: u64,
}

struct Known {
    shape: Vec<i64>,
    last: u64,
    state: State,
}

enum State {
    /// So often.
    Seen(u32),
    Kept(Box<dyn Recording>),
    Refused,
}

/// CUDA graphs on the device of this number.
struct Graphs(usize);

impl Recorder for Graphs {
    fn record(&self, inputs: Inputs, work: &Work<'_>) -> Result<Box<dyn Recording>, Error> {
        Ok(Box::new(Graph::record(self.0, inputs, work)?))
    }
}

impl Recording for Graph {
    fn inputs(&mut self) -> &mut Inputs {
        Self::inputs(self)
    }

    fn replay(&mut self, _: &Work<'_>) -> Result<Tensor, Error> {
        Self::replay(self)
    }
}

impl Recorded {
    /// Records where `device` can and the parameters allow it.
    pub(super) fn new(device: tch::Device, acceleration: Acceleration) -> Self {
        let wanted = matches!(acceleration, Acceleration::Auto | Acceleration::Graphs);
        let tch::Device::Cuda(index) = device else {
            return Self::default();
        };
        if !wanted {
            return Self::default();
        }
        match graph::available() {
            Ok(()) => Self::with(Box::new(Graphs(index))),
            Err(reason) => {
                tracing::warn!(reason, "the UNet is called without CUDA graphs");
                Self {
                    lacking: true,
                    ..Self::default()
                }
            }
        }
    }

    pub(super) fn with(recorder: Box<dyn Recorder>) -> Self {
        Self {
            recorder: Some(recorder),
            ..Self::default()
        }
    }

    /// The UNet's answer. It is of the caller: no later call overwrites it.
    pub(super) fn call(&mut self, unet: &UNet2DCondition, given: &Given<'_>) -> (Tensor, Way) {
        let Some(recorder) = &self.recorder else {
            let way = if self.lacking {
                Way::FellBack
            } else {
                Way::Eager
            };
            return (given.call(unet), way);
        };
        let work = |tensors: &[Tensor]| given.call_with(unet, tensors);
        let known = known(&mut self.known, &mut self.calls, given.shape());
        let answer = match &mut known.state {
            State::Refused => None,
            State::Seen(times) if *times < BEFORE => {
                *times += 1;
                return (given.call(unet), Way::Eager);
            }
            State::Seen(_) => Some(known.record(recorder.as_ref(), given, &work)),
            State::Kept(recording) => Some(guard(|| {
                recording.inputs().fill(&given.fresh(), &given.steady());
                recording.replay(&work)
            })),
        };
        match answer {
            Some(Ok(answer)) => (answer.copy(), Way::Replayed),
            Some(Err(error)) => {
                tracing::warn!(%error, "the UNet is called without a recording from now on");
                known.state = State::Refused;
                (given.call(unet), Way::FellBack)
            }
            None => (given.call(unet), Way::FellBack),
        }
    }
}

impl Known {
    /// The answer comes of the recording: while it was made nothing was computed that counts.
    fn record(
        &mut self,
        recorder: &dyn Recorder,
        given: &Given<'_>,
        work: &Work<'_>,
    ) -> Result<Tensor, Error> {
        guard(|| {
            let inputs = Inputs::new(&given.fresh(), &given.steady());
            let mut recording = recorder.record(inputs, work)?;
            let answer = recording.replay(work)?;
            self.state = State::Kept(recording);
            Ok(answer)
        })
    }
}

/// The shape's entry, last in the list; what did not come for long is dropped.
fn known<'a>(all: &'a mut Vec<Known>, calls: &mut u64, shape: Vec<i64>) -> &'a mut Known {
    *calls += 1;
    let now = *calls;
    all.retain(|known| known.last + IDLE > now);
    match all.iter().position(|known| known.shape == shape) {
        Some(place) => all[place..].rotate_left(1),
        None => {
            if all.len() == SHAPES {
                all.remove(0);
            }
            all.push(Known {
                shape,
                last: now,
                state: State::Seen(0),
            });
        }
    }
    let known = all.last_mut().expect("it was just put there");
    known.last = now;
    known
}

#[cfg(test)]
mod tests;
