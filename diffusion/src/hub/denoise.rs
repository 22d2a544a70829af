//! Calls of the UNet for several streams at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use tch::Tensor;

use crate::Error;
use crate::guard::guard;
use crate::stream::{Call, Input, Models, Stream};
use crate::unet::{Context, Time, UNet2DCondition};

/// Puts inputs of the same shape into one call.
#[derive(Default)]
pub(super) struct Denoiser {}

type Streams = BTreeMap<u64, Stream<Rc<Models>>>;

impl Denoiser {
    /// The UNet's answer to each of `calls`, in their order.
    pub(super) fn answers(
        &mut self,
        unet: &UNet2DCondition,
        streams: &Streams,
        calls: &[(u64, &Call)],
    ) -> Vec<Result<Tensor, Error>> {
        let inputs: Vec<_> = calls
            .iter()
            .map(|(stream, call)| streams[stream].input(call))
            .collect();
        let mut answers: Vec<Option<Result<Tensor, Error>>> = Vec::new();
        answers.resize_with(calls.len(), || None);
        for group in groups(&inputs) {
            let members: Vec<_> = group
                .iter()
                .map(|&i| inputs[i].as_ref().expect("a group has inputs"))
                .collect();
            match guard(|| Ok(forward(unet, &members))) {
                Ok(rows) => {
                    for (&i, rows) in group.iter().zip(rows) {
                        answers[i] = Some(Ok(rows));
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

/// One call for all of `inputs`; the rows of each.
fn forward(unet: &UNet2DCondition, inputs: &[&Input<'_>]) -> Vec<Tensor> {
    if let [alone] = inputs {
        let answer = unet.forward(
            &alone.x,
            alone.time,
            alone.context,
            alone.residuals.as_ref(),
        );
        return vec![answer];
    }
    let x: Vec<_> = inputs.iter().map(|input| &input.x).collect();
    let times: Vec<_> = inputs.iter().map(|input| input.time).collect();
    let contexts: Vec<_> = inputs.iter().map(|input| input.context).collect();
    let answer = unet.forward(
        &Tensor::cat(&x, 0),
        &Time::cat(&times),
        &Context::cat(&contexts),
        None,
    );
    let rows: Vec<_> = inputs.iter().map(|input| input.x.size()[0]).collect();
    answer.split_with_sizes(&rows, 0)
}
