//! What parameters must hold together.

use super::Params;
use super::problem::{Found, Pointer, Problems};

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
    for (index, spec) in params.processors.iter().enumerate() {
        if params.skip_diffusion && spec.enabled && spec.on_latent() {
            let detail = "latent_feedback has no latent while skip_diffusion is true";
            found.add(&list.index(index), detail);
        }
    }
    let list = root.key("controlnets");
    for (index, net) in params.controlnets.iter().enumerate() {
        if net.preprocessor.on_latent() {
            let at = list.index(index);
            let detail = "latent_feedback makes no picture for a ControlNet";
            found.add(&at.key("preprocessor"), detail);
        }
    }
}
