//! The noise schedule.

use std::collections::BTreeMap;

use reverie_diffusion::Error;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::scheduler::Schedule;
use serde_json::{Value, json};
use tch::Tensor;

use super::case::relative_error;
use super::fixture;

fn schedule(config: &Value) -> Result<Schedule, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler_config.json");
    std::fs::write(path, config.to_string()).unwrap();
    Schedule::load(&Folder::new(folder.path()))
}

fn usual() -> Schedule {
    Schedule::load(&Folder::new(fixture("models/turbo/scheduler"))).unwrap()
}

#[test]
fn the_timesteps_are_those_of_the_lcm_sampler() {
    let text = std::fs::read_to_string(fixture("golden/modules/lcm_timesteps.json")).unwrap();
    let table: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert!(table.len() > 50, "every number of steps is in it");
    for (steps, theirs) in table {
        let ours = usual().timesteps(steps.parse().unwrap());
        if theirs == "refused" {
            assert!(ours.is_err(), "{steps} steps");
            continue;
        }
        let theirs: Vec<i64> = theirs.split(' ').map(|t| t.parse().unwrap()).collect();
        assert_eq!(ours.unwrap(), theirs, "{steps} steps");
    }
    assert!(usual().timesteps(0).is_err());
}

#[test]
fn the_tables_of_every_beta_schedule_are_those_of_the_reference() {
    let tensors: BTreeMap<_, _> =
        Tensor::read_safetensors(fixture("golden/modules/tables.safetensors"))
            .unwrap()
            .into_iter()
            .collect();
    for (name, config) in [
        ("sd", json!({})),
        (
            "linear",
            json!({"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}),
        ),
        ("cosine", json!({"beta_schedule": "squaredcos_cap_v2"})),
    ] {
        let ours = schedule(&config).unwrap();
        let ours = Tensor::from_slice(ours.alphas_cumprod());
        let error = relative_error(&ours, &tensors[&format!("{name}.alphas_cumprod")]);
        assert!(error <= 1e-6, "{name}: {error:e}");
    }
    let steps = usual()
        .steps(50, &(0..50).rev().collect::<Vec<_>>())
        .unwrap();
    let timesteps: Vec<_> = steps.iter().map(|step| step.timestep).collect();
    assert_eq!(Tensor::from_slice(&timesteps), tensors["t"]);
    for (name, column) in [
        (
            "c_skip",
            steps.iter().map(|step| step.c_skip).collect::<Vec<_>>(),
        ),
        ("c_out", steps.iter().map(|step| step.c_out).collect()),
    ] {
        let error = relative_error(&Tensor::from_slice(&column), &tensors[name]);
        assert!(error <= 1e-6, "{name}: {error:e}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_file_and_key() {
    for (key, value) in [
        ("prediction_type", json!("v_prediction")),
        ("prediction_type", json!("sample")),
        ("beta_schedule", json!("sigmoid")),
        ("rescale_betas_zero_snr", json!(true)),
        ("num_train_timesteps", json!(0)),
        ("original_inference_steps", json!(2000)),
        ("trained_betas", json!([0.1, 0.2])),
        ("beta_end", json!(1.5)),
    ] {
        let error = schedule(&json!({ key: value })).expect_err(key).to_string();
        assert!(error.contains("scheduler_config.json"), "{error}");
        assert!(error.contains(key), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_place_outside_of_the_schedule_is_refused() {
    assert!(usual().steps(50, &[49]).is_ok());
    assert!(usual().steps(50, &[50]).is_err());
    assert!(usual().steps(10, &[3, 10]).is_err());
}
