//! Which of the files that parameters name are not there.

use std::path::Path;

use super::Params;
use super::problem::{Pointer, Problem};

/// Everything that `params` name below the directory of models and that is not there. Whether it is what its name
/// says shows when it is loaded. Looks at the file system.
#[must_use]
pub fn missing(models: &Path, params: &Params) -> Vec<Problem> {
    let root = Pointer::Root;
    let mut look = Look {
        models,
        problems: Vec::new(),
    };
    look.at(&root.key("model_id"), &params.model_id);
    look.maybe(&root.key("vae_id"), params.vae_id.as_deref());
    for path in params.lora_dict.keys() {
        look.at(&root.key("lora_dict").key(path), path);
    }
    let nets = root.key("controlnets");
    for (index, net) in params.controlnets.iter().enumerate() {
        let at = nets.index(index);
        look.at(&at.key("model_id"), &net.model_id);
    }
    if let Some(adapter) = &params.ip_adapter {
        let at = root.key("ip_adapter");
        look.at(&at.key("model_id"), &adapter.model_id);
        look.maybe(&at.key("image"), adapter.image.as_deref());
    }
    look.problems
}

struct Look<'a> {
    models: &'a Path,
    problems: Vec<Problem>,
}

impl Look<'_> {
    fn at(&mut self, at: &Pointer<'_>, path: &str) {
        if self.models.join(path).exists() {
            return;
        }
        self.problems.push(Problem {
            pointer: at.to_string(),
            detail: format!("{path} is not in {}", self.models.display()),
        });
    }

    fn maybe(&mut self, at: &Pointer<'_>, path: Option<&str>) {
        if let Some(path) = path {
            self.at(at, path);
        }
    }
}
