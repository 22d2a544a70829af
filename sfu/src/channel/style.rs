//! The parameters of one channel: what is asked for, what is in force, and what the stage has yet to answer. Pure.

use std::collections::VecDeque;

use reverie_diffusion::params::{Family, Params, Plan, Problems};
use serde_json::Value;

/// A change that was handed to the stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// What holds at once.
    pub(super) hot: Vec<String>,
    /// What holds once it is loaded.
    pub(super) reload: Vec<String>,
    /// Everything as it is then; `None` for a moment's prompt, which is not kept.
    params: Option<Params>,
}

/// A patch that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// Everything as it shall be, with a transition that is to begin.
    params: Params,
    /// The prompt is the patch's from now on, whatever a moment shows.
    takes_prompt: bool,
    hot: Vec<String>,
    reload: Vec<String>,
}

/// See the module. Lives as long as its channel, over all its pipelines.
#[derive(Debug)]
pub(super) struct Style {
    defaults: Params,
    /// What is asked for; a new pipeline begins with it.
    params: Params,
    /// What the stage said yes to last.
    in_force: Params,
    /// The prompt shown is a moment's.
    is_moments: bool,
    asked: VecDeque<Asked>,
}

impl Style {
    pub(super) fn new(defaults: Params) -> Self {
        Self {
            params: defaults.clone(),
            in_force: defaults.clone(),
            defaults,
            is_moments: false,
            asked: VecDeque::new(),
        }
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// A pipeline begins, with what this returns.
    pub(super) fn begin(&mut self) -> Params {
        self.asked.clear();
        self.is_moments = false;
        self.in_force = self.params.clone();
        self.params.clone()
    }

    /// What a patch comes to. `family` is that of the model that the patch names, if it is known.
    pub(super) fn change(
        &self,
        patch: &Value,
        family: Option<Family>,
    ) -> Result<Option<Change>, Problems> {
        let mut params = self.params.merge_over(&self.defaults, patch)?;
        let names = |key: &str| patch.get(key).is_some();
        if let Some(family) = family.filter(|_| !names("t_index_list")) {
            params = params.suited(family);
        }
        let Plan { mut hot, reload } = self.params.plan(&params);
        let takes_prompt = self.is_moments && (names("prompt") || names("transition"));
        if takes_prompt && names("prompt") && !hot.iter().any(|name| name == "prompt") {
            hot.push("prompt".to_owned());
        }
        let change = Change {
            params,
            takes_prompt,
            hot,
            reload,
        };
        Ok((!change.is_empty()).then_some(change))
    }

    /// A change for the stage: all parameters as a merge patch, so that one that was refused or lost is made up for.
    pub(super) fn text(&self, change: &Change) -> String {
        let mut whole = change.params.to_json();
        // A merge patch removes only what it sets to null.
        for known in [&self.params, &self.in_force] {
            for path in known.lora_dict.keys() {
                if !change.params.lora_dict.contains_key(path) {
                    whole["lora_dict"][path] = Value::Null;
                }
            }
        }
        if self.is_moments
            && !change.takes_prompt
            && let Some(fields) = whole.as_object_mut()
        {
            fields.remove("prompt");
        }
        whole.to_string()
    }

    /// The change is made; the stage has it, if there is one.
    pub(super) fn make(&mut self, change: Change, has_stage: bool) {
        let params = change.params.settled();
        self.params = params.clone();
        if has_stage {
            self.is_moments &= !change.takes_prompt;
            self.asked.push_back(Asked {
                hot: change.hot,
                reload: change.reload,
                params: Some(params),
            });
        } else {
            self.in_force = params;
        }
    }

    /// The stage was handed a moment's prompt.
    pub(super) fn moment(&mut self) {
        self.is_moments = true;
        self.asked.push_back(Asked {
            hot: vec!["prompt".to_owned()],
            reload: Vec::new(),
            params: None,
        });
    }

    /// The stage answered the oldest change. What it refused is taken back unless more was asked since, which says it again.
    pub(super) fn answered(&mut self, followed: bool) -> Option<Asked> {
        let asked = self.asked.pop_front()?;
        if followed {
            if let Some(params) = &asked.params {
                self.in_force = params.clone();
            }
        } else if self.asked.iter().all(|later| later.params.is_none()) {
            self.params = self.in_force.clone();
        }
        Some(asked)
    }

    /// The stage goes on with the model that `running` names.
    pub(super) fn fell_back(&mut self, running: &Params) {
        self.params = self.params.fall_back(running);
        self.in_force = self.in_force.fall_back(running);
    }
}

impl Change {
    fn is_empty(&self) -> bool {
        self.hot.is_empty() && self.reload.is_empty()
    }

    /// All names.
    pub(super) fn fields(&self) -> Vec<String> {
        self.hot.iter().chain(&self.reload).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
