//! Parameters for a while: what a moment lays over its channel's own.

use serde_json::{Map, Value};

use super::Params;
use super::problem::{Found, Pointer, Problems};

/// What the prompt of a moment stands for, and so what no overlay says.
const OF_THE_PROMPT: [&str; 2] = ["prompt", "transition"];

impl Params {
    /// These parameters with `overlay` merged over them, if that holds from the next frame on: an overlay comes and goes
    /// with a moment, which neither loads a model nor reads a file, and brings its prompt beside it.
    ///
    /// # Errors
    /// As [`Self::merge`]; and every field that would load something or stand for the prompt.
    pub fn overlaid(&self, overlay: &Map<String, Value>) -> Result<Self, Problems> {
        let (root, mut found) = (Pointer::Root, Found::default());
        for name in OF_THE_PROMPT {
            if overlay.contains_key(name) {
                found.add(&root.key(name), "is the moment's own prompt");
            }
        }
        found.result()?;
        let whole = self.merge(&Value::Object(overlay.clone()))?;
        let (plan, mut found) = (self.plan(&whole), Found::default());
        for field in plan.reload.iter().map(|name| top(name)) {
            let told = "loads a model, which goes on beyond a moment; accepted is what changes from one frame to the next";
            found.add(&root.key(field), told);
        }
        if plan.reload.is_empty() && plan.names_files() {
            found.add(&root.key("ip_adapter"), "reads a file");
        }
        found.result()?;
        Ok(whole)
    }
}

/// The field of `controlnets[0].scale`.
fn top(name: &str) -> &str {
    name.split(['.', '[']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(overlay: Value) -> Result<Params, Vec<String>> {
        let overlay = overlay.as_object().cloned().unwrap_or_default();
        let pointers = |problems: Problems| problems.told.into_iter().map(|p| p.pointer).collect();
        Params::default().overlaid(&overlay).map_err(pointers)
    }

    #[test]
    fn what_holds_from_the_next_frame_on_is_laid_over() {
        let whole = over(json!({ "seed": 5, "guidance_scale": 1.5 })).unwrap();
        let expected = json!({ "seed": 5, "guidance_scale": 1.5 });
        assert_eq!(Params::default().merge(&expected), Ok(whole));
        assert_eq!(over(json!({})), Ok(Params::default()));
    }

    #[test]
    fn what_loads_something_is_not_a_moments() {
        for (overlay, pointer) in [
            (json!({ "model_id": "other/model" }), "/model_id"),
            (json!({ "width": 256 }), "/width"),
            (json!({ "lora_dict": { "a.safetensors": 1 } }), "/lora_dict"),
        ] {
            assert_eq!(over(overlay), Err(vec![pointer.to_owned()]));
        }
    }

    #[test]
    fn the_prompt_is_a_moments_own() {
        let both = json!({ "prompt": "rain", "transition": { "target": "snow", "num_steps": 3 } });
        let told = vec!["/prompt".to_owned(), "/transition".to_owned()];
        assert_eq!(over(both), Err(told));
    }

    #[test]
    fn what_no_parameters_accept_is_told_as_of_a_patch() {
        let told = over(json!({ "seed": -1, "colour": "red" })).unwrap_err();
        assert_eq!(told, ["/colour", "/seed"]);
    }
}
