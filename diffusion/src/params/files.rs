//! Which of the files that parameters name are not there.

use std::path::Path;

use super::Params;
use super::problem::{Pointer, Problem};
#[cfg(feature = "torch")]
use crate::folder::Folder;
use crate::still::Still;

/// Everything that `params` name below the directory of models and that is not there, and a picture that is none.
/// Whether other files are what their names say shows when they are loaded. Reads the file system.
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
        look.picture(&at.key("image"), adapter.image.as_deref());
    }
    look.problems
}

/// What keeps the models that `next` names and `now` does not from being loaded: the first fault of each, in one line
/// that names file and key. Only configurations and headers are read.
#[cfg(feature = "torch")]
#[must_use]
pub fn broken(models: &Path, now: &Params, next: &Params) -> Vec<Problem> {
    // The other half of libtorch has to be there before its first tensor.
    let _ = crate::device::cuda();
    let root = Pointer::Root;
    let nets = root.key("controlnets");
    let mut problems = Vec::new();
    let mut inspect = |at: &Pointer<'_>, id: &str| {
        let found = crate::inspect::inspect(&Folder::new(models.join(id)));
        problems.extend(found.faults.first().map(|fault| Problem {
            pointer: at.to_string(),
            detail: fault.to_string(),
        }));
    };
    if next.model_id != now.model_id {
        inspect(&root.key("model_id"), &next.model_id);
    }
    if let Some(id) = next.vae_id.as_deref().filter(|_| next.vae_id != now.vae_id) {
        inspect(&root.key("vae_id"), id);
    }
    for (index, net) in next.controlnets.iter().enumerate() {
        let known = now
            .controlnets
            .iter()
            .any(|old| old.model_id == net.model_id);
        if !known {
            inspect(&nets.index(index).key("model_id"), &net.model_id);
        }
    }
    problems
}

/// Without libtorch no model is loaded, and none looked at.
#[cfg(not(feature = "torch"))]
#[must_use]
pub fn broken(_models: &Path, _now: &Params, _next: &Params) -> Vec<Problem> {
    Vec::new()
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

    fn picture(&mut self, at: &Pointer<'_>, image: Option<&str>) {
        let Some(image) = image else { return };
        if let Err(error) = Still::read(self.models, image) {
            self.problems.push(Problem {
                pointer: at.to_string(),
                detail: error.to_string(),
            });
        }
    }

    fn maybe(&mut self, at: &Pointer<'_>, path: Option<&str>) {
        if let Some(path) = path {
            self.at(at, path);
        }
    }
}
