//! Calls of the UNet for several streams at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use tch::Tensor;

use super::joined::Joined;
use super::recorded::{Recorded, Way};
use crate::Error;
use crate::guard::guard;
use crate::params::Acceleration;
use crate::stream::{Call, Input, Models, Stream};
use crate::unet::{Given, UNet2DCondition};

/// Puts inputs of the same shape into one call.
pub(super) struct Denoiser {
    joined: Joined,
    recorded: Recorded,
}

type Streams = BTreeMap<u64, Stream<Rc<Models>>>;

impl Denoiser {
    pub(super) fn new(device: tch::Device, acceleration: Acceleration) -> Self {
        Self {
            joined: Joined::default(),
            recorded: Recorded::new(device, acceleration),
        }
    }

    /// The UNet's answer to each of `calls`, in their order, and how it was called.
    pub(super) fn answers(
        &mut self,
        unet: &UNet2DCondition,
        streams: &Streams,
        calls: &[(u64, &Call)],
    ) -> Vec<Result<(Tensor, Way), Error>> {
        let inputs: Vec<_> = calls
            .iter()
            .map(|(stream, call)| streams[stream].input(call))
            .collect();
        let mut answers: Vec<Option<Result<(Tensor, Way), Error>>> = Vec::new();
        answers.resize_with(calls.len(), || None);
        for group in groups(&inputs) {
            let members: Vec<_> = group
                .iter()
                .map(|&i| inputs[i].as_ref().expect("a group has inputs"))
                .collect();
            match guard(|| Ok(self.forward(unet, &members))) {
                Ok((rows, way)) => {
                    for (&i, rows) in group.iter().zip(rows) {
                        answers[i] = Some(Ok((rows, way)));
                    }
                }
                Err(error) => {
                    for &i in &group {
                        answers[i] = Some(Err(Error::Torch(error.to_string())));
                    }
                }
            }
        }
        answers
            .into_iter()
            .zip(inputs)
            .map(|(answer, input)| match (answer, input) {
                (_, Err(error)) => Err(error),
                (answer, Ok(_)) => answer.expect("an input is in one group"),
            })
            .collect()
    }

    /// One call for all of `inputs`; the rows of each.
    fn forward(&mut self, unet: &UNet2DCondition, inputs: &[&Input<'_>]) -> (Vec<Tensor>, Way) {
        if let [alone] = inputs {
            let given = Given {
                x: &alone.x,
                time: alone.time,
                context: alone.context,
                residuals: alone.residuals.as_ref(),
            };
            let (answer, way) = self.recorded.call(unet, &given);
            return (vec![answer], way);
        }
        let x: Vec<_> = inputs.iter().map(|input| &input.x).collect();
        let told: Vec<_> = inputs
            .iter()
            .map(|input| (input.time, input.context))
            .collect();
        let (time, context) = self.joined.of(&told);
        let given = Given {
            x: &Tensor::cat(&x, 0),
            time,
            context,
            residuals: None,
        };
        let (answer, way) = self.recorded.call(unet, &given);
        let rows: Vec<_> = inputs.iter().map(|input| input.x.size()[0]).collect();
        (answer.split_with_sizes(&rows, 0), way)
    }
}

/// Which inputs go together: those of the same picture size, and with an IP-Adapter of the same scale. ControlNets'
/// residuals go alone.
fn groups(inputs: &[Result<Input<'_>, Error>]) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let Ok(input) = input else { continue };
        let beside = input.context.image.as_ref().map(|image| image.scale);
        let shape = (input.x.size()[1..].to_vec(), beside);
        let alone = input.residuals.is_some();
        let fitting = groups
            .iter_mut()
            .find(|(other, members): &&mut (_, Vec<usize>)| {
                !alone
                    && *other == shape
                    && members
                        .iter()
                        .all(|&m| matches!(&inputs[m], Ok(m) if m.residuals.is_none()))
            });
        match fitting {
            Some((_, members)) => members.push(i),
            None => groups.push((shape, vec![i])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}
