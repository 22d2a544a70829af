use reverie_diffusion::params::Blend;
use serde_json::json;

use super::*;

fn style() -> Style {
    let mut style = Style::new(Params::default());
    style.begin();
    style
}

/// Patches, and returns what the stage is given.
fn patch(style: &mut Style, patch: Value) -> Value {
    let change = style.change(&patch, None).unwrap().expect("a change");
    let text = style.text(&change);
    style.make(change, true);
    serde_json::from_str(&text).unwrap()
}

/// Shows a moment, and returns what the stage is given beside its prompt.
fn moment(style: &mut Style, overlay: Value) -> Value {
    let showing = style.showing(overlay.as_object().unwrap()).unwrap();
    let text = showing.text();
    style.show(showing);
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

fn prompt(style: &Style) -> Value {
    style.params().to_json()["prompt"].clone()
}

#[test]
fn a_moments_prompt_is_shown_and_not_kept() {
    let mut style = style();
    moment(&mut style, json!({}));
    let text = patch(&mut style, json!({ "seed": 5 }));
    assert_eq!(text.get("prompt"), None, "the stage keeps the moment's");
    assert_eq!(text["seed"], 5);
    assert_eq!(prompt(&style), "flowers");
    assert_eq!(style.begin().prompt, Blend::One("flowers".to_owned()));
}

#[test]
fn a_prompt_that_is_patched_during_a_moment_is_shown_and_kept() {
    let mut style = style();
    moment(&mut style, json!({}));
    let text = patch(&mut style, json!({ "prompt": "winter" }));
    assert_eq!(text["prompt"], "winter");
    let text = patch(&mut style, json!({ "seed": 5 }));
    assert_eq!(text["prompt"], "winter");
    assert_eq!(style.begin().prompt, Blend::One("winter".to_owned()));
}

#[test]
fn the_channels_own_prompt_can_be_asked_for_during_a_moment() {
    let mut style = style();
    assert_eq!(
        style.change(&json!({ "prompt": "flowers" }), None),
        Ok(None)
    );
    moment(&mut style, json!({}));
    let change = style.change(&json!({ "prompt": "flowers" }), None).unwrap();
    assert_eq!(change.map(|c| c.hot), Some(vec!["prompt".to_owned()]));
}

#[test]
fn a_moment_lays_its_parameters_over_the_channels_until_the_next_one() {
    let mut style = style();
    assert_eq!(moment(&mut style, json!({})), Value::Null, "only a prompt");
    let text = moment(&mut style, json!({ "seed": 5 }));
    assert_eq!((&text["seed"], text.get("prompt")), (&json!(5), None));
    let text = patch(&mut style, json!({ "delta": 0.5 }));
    assert_eq!(
        text.get("seed"),
        None,
        "a patch leaves the moment its fields"
    );
    assert_eq!(style.params().seed, Blend::One(789));
    let text = moment(&mut style, json!({ "delta": 0.9 }));
    assert_eq!((&text["seed"], &text["delta"]), (&json!(789), &json!(0.9)));
    let text = moment(&mut style, json!({}));
    assert_eq!(text["delta"], 0.5, "the channel's own are back");
    assert_eq!(moment(&mut style, json!({})), Value::Null);
}

#[test]
fn a_patch_takes_a_field_from_the_moment() {
    let mut style = style();
    moment(&mut style, json!({ "seed": 5 }));
    let same = style.change(&json!({ "seed": 789 }), None).unwrap();
    assert_eq!(same.map(|change| change.hot), Some(vec!["seed".to_owned()]));
    assert_eq!(patch(&mut style, json!({ "seed": 6 }))["seed"], 6);
    assert_eq!(patch(&mut style, json!({ "delta": 0.5 }))["seed"], 6);
}

#[test]
fn a_moment_that_would_load_a_model_is_not_shown_so() {
    let overlay = json!({ "model_id": "other/model" });
    let showing = style().showing(overlay.as_object().unwrap());
    assert!(showing.is_err_and(|problems| problems.to_string().contains("/model_id")));
}

#[test]
fn a_transition_is_told_once_and_its_target_is_kept() {
    let mut style = style();
    let way = json!({ "transition": { "target": "winter", "num_steps": 9 } });
    assert_eq!(patch(&mut style, way)["transition"]["target"], "winter");
    assert_eq!(prompt(&style), "winter");
    assert_eq!(
        patch(&mut style, json!({ "seed": 5 }))["transition"],
        Value::Null
    );
}

#[test]
fn what_the_stage_refuses_is_taken_back() {
    let mut style = style();
    patch(&mut style, json!({ "seed": 5 }));
    assert!(style.answered(true).is_some());
    patch(&mut style, json!({ "delta": 0.5 }));
    assert_eq!(
        style.answered(false).map(|a| a.hot),
        Some(vec!["delta".to_owned()])
    );
    assert_eq!(style.params().delta, 0.7);
    assert_eq!(style.params().seed, Blend::One(5));
    assert_eq!(style.answered(true), None);
}

#[test]
fn a_refusal_waits_for_what_was_asked_since() {
    let mut style = style();
    patch(&mut style, json!({ "delta": 0.5 }));
    patch(&mut style, json!({ "seed": 5 }));
    style.answered(false);
    assert_eq!(style.params().delta, 0.5, "the second one says it again");
    style.answered(true);
    assert_eq!(
        (style.params().delta, &style.params().seed),
        (0.5, &Blend::One(5))
    );
}

#[test]
fn a_failed_reload_takes_back_the_model_and_keeps_the_rest() {
    let mut style = style();
    let running = style.params().clone();
    patch(&mut style, json!({ "model_id": "other/model", "seed": 5 }));
    style.answered(true);
    style.fell_back(&running);
    assert_eq!(style.params().model_id, running.model_id);
    assert_eq!(style.params().seed, Blend::One(5));
}

#[test]
fn a_model_of_another_family_brings_its_steps_unless_the_patch_does() {
    let style = style();
    let steps = |patch: Value| {
        let change = style.change(&patch, Some(Family::Sdxl)).unwrap();
        change.expect("a change").params.t_index_list
    };
    assert_eq!(steps(json!({ "model_id": "x" })), [36]);
    assert_eq!(steps(json!({ "model_id": "x", "t_index_list": [7] })), [7]);
}

#[test]
fn null_brings_back_the_servers_own_defaults() {
    let own = Params::default()
        .merge(&json!({ "model_id": "own/model" }))
        .unwrap();
    let mut style = Style::new(own);
    patch(&mut style, json!({ "model_id": "other" }));
    patch(&mut style, json!({ "model_id": null }));
    assert_eq!(style.params().model_id, "own/model");
}

#[test]
fn a_lora_that_is_gone_is_gone_in_the_stage_too() {
    let mut style = style();
    let mut stage = style.params().clone();
    for patched in [
        json!({ "lora_dict": { "a": 1, "b": 1 } }),
        json!({ "lora_dict": { "a": null, "c": 0.5 } }),
        json!({ "lora_dict": null }),
    ] {
        let text = patch(&mut style, patched);
        stage = stage.merge(&text).unwrap();
        assert_eq!(&stage, style.params(), "{text}");
    }
}
