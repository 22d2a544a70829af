//! `reverie model check` of models that cannot be used: one line for each fault, with file and key.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{done, reverie, text};

const MODELS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../diffusion/tests/fixtures/models"
);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let text = fs::read(path).expect("a file");
    let mut value = serde_json::from_slice(&text).expect("JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("written");
}

#[test]
fn every_fault_of_a_model_is_one_line_with_file_and_key_and_the_exit_code_is_1() {
    type Break = fn(&Path);
    let cases: [(Break, &[&str]); 5] = [
        (
            |model| fs::remove_file(model.join("tokenizer/merges.txt")).expect("removed"),
            &["tokenizer/merges.txt", "missing"],
        ),
        (
            |model| {
                let path = model.join("unet/diffusion_pytorch_model.safetensors");
                let file = fs::OpenOptions::new().write(true).open(path);
                let file = file.expect("a file");
                let length = file.metadata().expect("a length").len();
                file.set_len(length / 2).expect("cut");
            },
            &["unet/diffusion_pytorch_model.safetensors"],
        ),
        (
            |model| {
                edit(&model.join("vae/config.json"), |config| {
                    config["latent_channels"] = 8.into();
                });
            },
            &[
                "vae/diffusion_pytorch_model.safetensors",
                "conv",
                "instead of [",
            ],
        ),
        (
            |model| {
                edit(&model.join("scheduler/scheduler_config.json"), |config| {
                    config["prediction_type"] = "v_prediction".into();
                });
            },
            &[
                "scheduler/scheduler_config.json",
                "prediction_type",
                "v_prediction",
            ],
        ),
        (
            |model| {
                edit(&model.join("unet/config.json"), |config| {
                    config["_class_name"] = "UNetSpatioTemporalConditionModel".into();
                });
            },
            &["unet/config.json", "_class_name", "UNetSpatioTemporal"],
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().to_str().expect("text");
    for (number, (spoil, says)) in cases.into_iter().enumerate() {
        let name = format!("owner/model{number}");
        let model = folder.path().join(&name);
        copy(&Path::new(MODELS).join("sd15"), &model);
        let check = || {
            let output = reverie(&["model", "check", &name, "--dir", models], &[]).output();
            output.expect("the binary runs")
        };
        done(&check());
        spoil(&model);
        let output = check();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{says:?}: {said}");
        let line = said
            .lines()
            .find(|line| says.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{says:?}: {said}");
        let named = |line: &str| line.contains(&name);
        assert!(said.lines().all(named), "every line names its file: {said}");
    }
}
