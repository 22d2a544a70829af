//! The parameters of one channel: what is asked for, what is in force, and what the stage has yet to answer. Pure.

use std::collections::{BTreeSet, VecDeque};

use reverie_diffusion::params::{Family, Params, Plan, Problems};
use serde_json::{Map, Value};

/// A change that was handed to the stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// What holds at once.
    pub(super) hot: Vec<String>,
    /// What holds once it is loaded.
    pub(super) reload: Vec<String>,
    /// Everything as it is then; `None` for what a moment shows, which is not kept.
    params: Option<Params>,
}

/// A patch that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// Everything as it shall be, with a transition that is to begin.
    params: Params,
    /// These are the patch's from now on, whatever a moment shows.
    taken: Vec<String>,
    hot: Vec<String>,
    reload: Vec<String>,
}

/// How a moment is to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Showing {
    /// The fields that are the moment's, its prompt among them.
    fields: BTreeSet<String>,
    /// The parameters as they are meanwhile, but its prompt; `None` where the stage has them already.
    whole: Option<Value>,
}

/// See the module. Lives as long as its channel, over all its pipelines.
#[derive(Debug)]
pub(super) struct Style {
    defaults: Params,
    /// What is asked for; a new pipeline begins with it.
    params: Params,
    /// What the stage said yes to last.
    in_force: Params,
    /// The fields that the stage has from a moment, the last one if none is shown.
    moments: BTreeSet<String>,
    asked: VecDeque<Asked>,
}

impl Style {
    pub(super) fn new(defaults: Params) -> Self {
        Self {
            params: defaults.clone(),
            in_force: defaults.clone(),
            defaults,
            moments: BTreeSet::new(),
            asked: VecDeque::new(),
        }
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// A pipeline begins, with what this returns.
    pub(super) fn begin(&mut self) -> Params {
        self.asked.clear();
        self.moments.clear();
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
        let takes = |field: &&String| names(field) || (*field == PROMPT && names("transition"));
        let taken: Vec<String> = self.moments.iter().filter(takes).cloned().collect();
        for field in taken.iter().filter(|field| names(field)) {
            let is_told = |told: &String| told.split(['.', '[']).next() == Some(field);
            if !hot.iter().chain(&reload).any(is_told) {
                hot.push(field.clone());
            }
        }
        let change = Change {
            params,
            taken,
            hot,
            reload,
        };
        Ok((!change.is_empty()).then_some(change))
    }

    /// A change for the stage: all parameters as a merge patch, so that one that was refused or lost is made up for.
    pub(super) fn text(&self, change: &Change) -> String {
        let mut whole = self.whole(&change.params);
        let kept = |field: &&String| !change.taken.contains(field);
        for field in self.moments.iter().filter(kept) {
            leave_out(&mut whole, field);
        }
        whole.to_string()
    }

    /// Parameters as a merge patch over any that the stage may have.
    fn whole(&self, params: &Params) -> Value {
        let mut whole = params.to_json();
        // A merge patch removes only what it sets to null.
        for known in [&self.params, &self.in_force] {
            for path in known.lora_dict.keys() {
                if !params.lora_dict.contains_key(path) {
                    whole["lora_dict"][path] = Value::Null;
                }
            }
        }
        whole
    }

    /// The change is made; the stage has it, if there is one.
    pub(super) fn make(&mut self, change: Change, has_stage: bool) {
        let params = change.params.settled();
        self.params = params.clone();
        if has_stage {
            for field in &change.taken {
                self.moments.remove(field);
            }
            self.asked.push_back(Asked {
                hot: change.hot,
                reload: change.reload,
                params: Some(params),
            });
        } else {
            self.in_force = params;
        }
    }

    /// What a moment comes to that lays `overlay` over the parameters.
    ///
    /// # Errors
    /// If they do not take it.
    pub(super) fn showing(&self, overlay: &Map<String, Value>) -> Result<Showing, Problems> {
        let params = self.params.overlaid(overlay)?;
        let mut fields: BTreeSet<String> = overlay.keys().cloned().collect();
        // What an earlier moment laid over is to be gone.
        let strayed = self.moments.iter().any(|field| field != PROMPT);
        let whole = (strayed || !fields.is_empty()).then(|| {
            let mut whole = self.whole(&params);
            leave_out(&mut whole, PROMPT);
            whole
        });
        fields.insert(PROMPT.to_owned());
        Ok(Showing { fields, whole })
    }

    /// The stage was handed what a moment shows.
    pub(super) fn show(&mut self, showing: Showing) {
        self.moments = showing.fields;
        self.asked.push_back(Asked {
            hot: self.moments.iter().cloned().collect(),
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

impl Showing {
    /// What the stage is given beside the prompt.
    pub(super) fn text(&self) -> Option<String> {
        self.whole.as_ref().map(Value::to_string)
    }
}

/// The field that each moment brings.
const PROMPT: &str = "prompt";

fn leave_out(whole: &mut Value, field: &str) {
    if let Some(fields) = whole.as_object_mut() {
        fields.remove(field);
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
