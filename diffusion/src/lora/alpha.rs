//! The alphas that PEFT and diffusers write beside the tensors rather than among them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::folder::Folder;
use crate::weights::Weights;

use super::Component;

/// How the modules of a file are scaled that have no alpha tensor.
pub(super) struct Alphas {
    by_component: BTreeMap<Component, Settings>,
    /// For all others.
    otherwise: Option<Settings>,
}

/// The fields of a LoRA configuration of PEFT that change the result.
#[derive(Deserialize)]
struct Settings {
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    /// By the end of a module's name.
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
}

impl Alphas {
    /// Those of a file: in its header (diffusers), or in `adapter_config.json` beside it (PEFT).
    ///
    /// # Errors
    /// When they are no JSON, or ask for something that is not supported.
    pub(super) fn read(path: &Path, weights: &Weights) -> Result<Self, Error> {
        let mut alphas = Self {
            by_component: BTreeMap::new(),
            otherwise: None,
        };
        if let Some(text) = weights.metadata(IN_HEADER) {
            let all: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| Error::malformed(path, format!("{IN_HEADER}: {error}")))?;
            for component in Component::ALL {
                if let Some(settings) = Settings::below(component, &all)
                    .map_err(|error| Error::malformed(path, format!("{IN_HEADER}: {error}")))?
                {
                    settings.check(path)?;
                    alphas.by_component.insert(component, settings);
                }
            }
        }
        let config = path.with_file_name(CONFIG);
        if path.file_name().is_some_and(|name| name == PEFT_FILE) && config.is_file() {
            let folder = Folder::new(path.parent().map(PathBuf::from).unwrap_or_default());
            let settings: Settings = folder.json(CONFIG)?;
            settings.check(&config)?;
            alphas.otherwise = Some(settings);
        }
        Ok(alphas)
    }

    /// What to multiply the product of a module's factors with.
    pub(super) fn factor(&self, component: Component, module: &str, rank: i64) -> f64 {
        self.by_component
            .get(&component)
            .or(self.otherwise.as_ref())
            .map_or(1.0, |settings| settings.factor(module, rank))
    }
}

/// Where PEFT puts the tensors.
pub(super) const PEFT_FILE: &str = "adapter_model.safetensors";
const CONFIG: &str = "adapter_config.json";
const IN_HEADER: &str = "lora_adapter_metadata";

impl Settings {
    /// The settings under a component's name, such as `unet.lora_alpha`.
    fn below(
        component: Component,
        all: &Map<String, Value>,
    ) -> Result<Option<Self>, serde_json::Error> {
        let own: Map<_, _> = all
            .iter()
            .filter_map(|(key, value)| {
                let key = key.strip_prefix(component.name())?.strip_prefix('.')?;
                Some((key.to_owned(), value.clone()))
            })
            .collect();
        if own.is_empty() {
            return Ok(None);
        }
        serde_json::from_value(Value::Object(own)).map(Some)
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let refuse = |key: &str, reason: &str| Err(Error::unsupported(path, key, reason));
        if self.use_dora {
            return refuse("use_dora", "this is DoRA; only plain LoRA is supported");
        }
        if self.fan_in_fan_out {
            return refuse("fan_in_fan_out", "no layer here is transposed");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        match self
            .alpha_pattern
            .keys()
            .find(|key| !key.chars().all(plain))
        {
            Some(key) => refuse(
                "alpha_pattern",
                &format!("\"{key}\" is an expression; only names are supported"),
            ),
            None => Ok(()),
        }
    }

    fn factor(&self, module: &str, rank: i64) -> f64 {
        let ends_with = |end: &str| {
            module
                .strip_suffix(end)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let alpha = self
            .alpha_pattern
            .iter()
            .find_map(|(end, alpha)| ends_with(end).then_some(*alpha))
            .unwrap_or(self.lora_alpha);
        let rank = rank as f64;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}
