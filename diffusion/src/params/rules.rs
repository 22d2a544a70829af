//! What parameters must hold together.

use super::problem::{Found, Pointer, Problems};
use super::{Params, Spec};

pub(super) fn check(params: &Params) -> Result<(), Problems> {
    let mut found = Found::default();
    steps(params, &mut found);
    processors(params, &mut found);
    found.result()
}

fn steps(params: &Params, found: &mut Found) {
    let list = &params.t_index_list;
    let root = Pointer::Root;
    let at_list = root.key("t_index_list");
    for (index, step) in list.iter().enumerate() {
        let at = at_list.index(index);
        if *step >= params.num_inference_steps {
            let n = params.num_inference_steps;
            found.add(
                &at,
                format!("expected less than num_inference_steps, which is {n}, got {step}"),
            );
        }
        if index > 0 && list[index - 1] >= *step {
            let before = list[index - 1];
            found.add(
                &at,
                format!("expected more than the one before, which is {before}, got {step}"),
            );
        }
    }
}

fn processors(params: &Params, found: &mut Found) {
    let root = Pointer::Root;
    let list = root.key("processors");
    for (index, processor) in params.processors.iter().enumerate() {
        let at = list.index(index);
        numbers(&processor.spec, &at, found);
        if params.skip_diffusion && matches!(processor.spec, Spec::LatentFeedback(_)) {
            found.add(
                &at,
                "latent_feedback has no latent while skip_diffusion is true",
            );
        }
    }
    let list = root.key("controlnets");
    for (index, net) in params.controlnets.iter().enumerate() {
        let at = list.index(index);
        let at = at.key("preprocessor");
        numbers(&net.preprocessor, &at, found);
        if matches!(net.preprocessor, Spec::LatentFeedback(_)) {
            found.add(&at, "latent_feedback makes no picture for a ControlNet");
        }
    }
}

fn numbers(spec: &Spec, at: &Pointer<'_>, found: &mut Found) {
    if let Spec::Canny(canny) = spec
        && canny.low_threshold > canny.high_threshold
    {
        let high = canny.high_threshold;
        let detail = format!("expected at most high_threshold, which is {high}");
        found.add(&at.key("low_threshold"), detail);
    }
}
