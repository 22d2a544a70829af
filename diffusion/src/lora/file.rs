//! A LoRA file taken apart: which tensors belong to which module, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::device::Placement;
use crate::weights::Weights;

use super::Component;
use super::alpha::{Alphas, PEFT_FILE};

/// The tensors of a LoRA file, by module.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) weights: Weights,
    pub(super) pairs: Vec<Pair>,
    pub(super) alphas: Alphas,
    /// Keys that belong to no pair.
    pub(super) others: Vec<String>,
}

/// The two factors of a module's change, by key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Which model the module is in.
    pub(super) component: Component,
    /// The module's name without that; separators as in the file.
    pub(super) module: String,
    pub(super) down: String,
    pub(super) up: String,
    pub(super) alpha: Option<String>,
}

impl File {
    /// Reads the names of a file.
    ///
    /// # Errors
    /// When it is no safetensors file, holds something else than LoRA, or half a pair.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = locate(path)?;
        let weights = Weights::open_files(std::slice::from_ref(&path), Placement::CPU)?;
        let mut found: BTreeMap<(Component, String), Roles> = BTreeMap::new();
        let mut others = BTreeSet::new();
        for key in weights.keys() {
            if let Some(method) = foreign(key) {
                return Err(Error::unsupported(
                    &path,
                    key,
                    format!("this is {method}; only plain LoRA is supported"),
                ));
            }
            let Some((name, role)) = split(key) else {
                others.insert(key.to_owned());
                continue;
            };
            let Some((component, module)) = component(name) else {
                others.insert(key.to_owned());
                continue;
            };
            found
                .entry((component, module.to_owned()))
                .or_default()
                .set(role, key)
                .map_err(|known| {
                    Error::malformed(&path, format!("{known} and {key} mean the same"))
                })?;
        }
        let mut pairs = Vec::with_capacity(found.len());
        for ((component, module), roles) in found {
            match roles {
                Roles {
                    down: Some(down),
                    up: Some(up),
                    alpha,
                } => pairs.push(Pair {
                    component,
                    module,
                    down,
                    up,
                    alpha,
                }),
                Roles {
                    down: Some(half), ..
                } => return Err(Error::malformed(&path, format!("{half} has no up weight"))),
                Roles { up: Some(half), .. } => {
                    return Err(Error::malformed(
                        &path,
                        format!("{half} has no down weight"),
                    ));
                }
                Roles { alpha, .. } => others.extend(alpha),
            }
        }
        Ok(Self {
            alphas: Alphas::read(&path, &weights)?,
            path,
            weights,
            pairs,
            others: others.into_iter().collect(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Down,
    Up,
    Alpha,
}

#[derive(Default)]
struct Roles {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
}

impl Roles {
    /// Gives back the key that has the role already.
    fn set(&mut self, role: Role, key: &str) -> Result<(), String> {
        let place = match role {
            Role::Down => &mut self.down,
            Role::Up => &mut self.up,
            Role::Alpha => &mut self.alpha,
        };
        match place.replace(key.to_owned()) {
            None => Ok(()),
            Some(known) => Err(known),
        }
    }
}

/// The file that `path` means: itself, or that of its name in a folder.
fn locate(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    IN_FOLDERS
        .iter()
        .map(|name| path.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Error::malformed(
                path,
                format!("no LoRA here: {} is looked for", IN_FOLDERS.join(" or ")),
            )
        })
}

const IN_FOLDERS: [&str; 2] = ["pytorch_lora_weights.safetensors", PEFT_FILE];

/// The method that a key gives away, if it is not LoRA as it is summed here.
fn foreign(key: &str) -> Option<&'static str> {
    const MARKS: [(&str, &str); 10] = [
        (".dora_scale", "DoRA"),
        (".lora_magnitude_vector", "DoRA"),
        (".hada_w", "LoHa"),
        (".hada_t", "LoHa"),
        (".lokr_", "LoKr"),
        (".lora_mid.", "LoCon with a core tensor"),
        (".oft_", "OFT"),
        (".boft_", "BOFT"),
        (".on_input", "IA3"),
        (".diff", "a full difference"),
    ];
    let found = |mark: &str| {
        key.rfind(mark)
            // `.diff` is a word of its own, as is `.diff_b`.
            .is_some_and(|at| mark != ".diff" || matches!(&key[at + mark.len()..], "" | "_b"))
    };
    MARKS
        .iter()
        .find_map(|(mark, method)| found(mark).then_some(*method))
}

/// A key's module and role.
fn split(key: &str) -> Option<(&str, Role)> {
    if let Some(name) = key.strip_suffix(".alpha") {
        return Some((without_marker(name), Role::Alpha));
    }
    let name = key.strip_suffix(".weight")?;
    for (suffix, role) in [(".lora_down", Role::Down), (".lora_up", Role::Up)] {
        if let Some(name) = name.strip_suffix(suffix) {
            return Some((name, role));
        }
    }
    for (suffix, role) in [(".lora_A", Role::Down), (".lora_B", Role::Up)] {
        // PEFT may name the adapter after it, once.
        if let Some((name, adapter)) = name.rsplit_once(suffix)
            && (adapter.is_empty()
                || adapter
                    .strip_prefix('.')
                    .is_some_and(|adapter| !adapter.contains('.')))
        {
            return Some((name, role));
        }
    }
    for (suffix, role) in [(".down", Role::Down), (".up", Role::Up)] {
        if let Some(name) = name.strip_suffix(suffix) {
            let module = without_marker(name);
            return (module.len() < name.len()).then_some((module, role));
        }
    }
    None
}

/// The name before what older files put between module and `.down`.
fn without_marker(name: &str) -> &str {
    [".lora_linear_layer", ".lora", "_lora"]
        .iter()
        .find_map(|marker| name.strip_suffix(marker))
        .unwrap_or(name)
}

/// Which model a name begins with, and the rest of it.
fn component(name: &str) -> Option<(Component, &str)> {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    for (prefix, component) in PREFIXES {
        if let Some(module) = name.strip_prefix(prefix) {
            return Some((component, module));
        }
    }
    if name.starts_with("lora_") {
        return None;
    }
    // Files of one model only name no model.
    if name.starts_with("text_model.") || name.starts_with("encoder.layers.") {
        return Some((Component::TextEncoder, name));
    }
    Some((Component::Unet, name))
}

const PREFIXES: [(&str, Component); 8] = [
    ("lora_unet_", Component::Unet),
    ("lora_te1_", Component::TextEncoder),
    ("lora_te2_", Component::TextEncoder2),
    ("lora_te_", Component::TextEncoder),
    ("unet.", Component::Unet),
    ("diffusion_model.", Component::Unet),
    ("text_encoder.", Component::TextEncoder),
    ("text_encoder_2.", Component::TextEncoder2),
];
