//! How parameters change: a JSON merge patch (RFC 7396), checked as a whole.

use serde_json::Value;

use super::Params;
use super::check;
use super::problem::{Found, Pointer, Problems};
use super::rules;
use super::table::{ALL, Effect, Field, Kind};

/// What a change of parameters takes; names of fields as `prompt` or `controlnets[0].model_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// These hold from the next frame on.
    pub hot: Vec<String>,
    /// These hold once the model is loaded anew.
    pub reload: Vec<String>,
}

impl Plan {
    /// True if nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty() && self.reload.is_empty()
    }

    /// True if other files are named than before.
    #[must_use]
    pub fn names_files(&self) -> bool {
        let picture = |field: &String| field.starts_with("ip_adapter");
        !self.reload.is_empty() || self.hot.iter().any(picture)
    }

    fn add(&mut self, field: &Field, old: &Value, new: &Value) {
        let mut tell = |effect, name| match effect {
            Effect::Hot => self.hot.push(name),
            Effect::Reload => self.reload.push(name),
        };
        check::differ(field, old, new, field.name, &mut tell);
    }

    /// All names.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.hot.iter().chain(&self.reload).map(String::as_str)
    }
}

impl Params {
    /// These parameters with `patch` merged into them; what the patch sets to null has its default again.
    ///
    /// # Errors
    /// Everything that is wrong with the result, or with the keys of the patch.
    pub fn merge(&self, patch: &Value) -> Result<Self, Problems> {
        self.merge_over(&Self::default(), patch)
    }

    /// As [`Self::merge`], with defaults of one's own.
    ///
    /// # Errors
    /// Likewise.
    pub fn merge_over(&self, defaults: &Self, patch: &Value) -> Result<Self, Problems> {
        let root = Pointer::Root;
        let mut found = Found::default();
        if !patch.is_object() {
            found.add(&root, "expected an object");
        }
        let all = Kind::Object(&ALL);
        check::unknown_nulls(&all, patch, &root, &mut found);
        let mut whole = self.to_json();
        merge(&mut whole, patch);
        if let (Some(whole), Value::Object(defaults)) = (whole.as_object_mut(), defaults.to_json())
        {
            for (key, value) in defaults {
                whole.entry(key).or_insert(value);
            }
        }
        check::check(&all, &mut whole, &root, &mut found);
        found.result()?;
        let params: Self = serde_json::from_value(whole)
            .map_err(|error| Problems::one(&root, error.to_string()))?;
        rules::check(&params)?;
        Ok(params)
    }

    /// As [`Self::merge`], of text.
    ///
    /// # Errors
    /// Likewise, and if it is not JSON.
    pub fn merge_text(&self, patch: &str) -> Result<Self, Problems> {
        match serde_json::from_str(patch) {
            Ok(patch) => self.merge(&patch),
            Err(error) => Err(Problems::one(&Pointer::Root, error.to_string())),
        }
    }

    /// All of them as JSON, those that have their default too.
    ///
    /// # Panics
    /// Never: there are only string keys, and numbers that were checked are finite.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("parameters have string keys only")
    }

    /// What becoming `new` takes.
    #[must_use]
    pub fn plan(&self, new: &Self) -> Plan {
        let (old, new) = (self.to_json(), new.to_json());
        let mut plan = Plan::default();
        for field in ALL.fields {
            plan.add(field, &old[field.name], &new[field.name]);
        }
        plan
    }

    /// These with everything that loads the model as in `loaded`: what is in force when a reload failed.
    #[must_use]
    pub fn fall_back(&self, loaded: &Self) -> Self {
        let (mut whole, old) = (self.to_json(), loaded.to_json());
        for field in ALL.fields {
            let (new, old) = (&mut whole[field.name], &old[field.name]);
            let mut plan = Plan::default();
            plan.add(field, old, new);
            if !plan.reload.is_empty() {
                *new = old.clone();
            }
        }
        serde_json::from_value(whole).unwrap_or_else(|_| loaded.clone())
    }

    /// A number that is the same for the same parameters, also in another process (FNV-1a of the JSON text).
    ///
    /// # Panics
    /// Never, as [`Self::to_json`].
    #[must_use]
    pub fn hash(&self) -> u64 {
        const START: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let text = serde_json::to_vec(self).expect("parameters have string keys only");
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        text.iter().fold(START, step)
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merging_follows_the_examples_of_the_rfc() {
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, expected, "{target} with {patch}");
        }
    }
}
