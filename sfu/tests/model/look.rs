//! `reverie model list` and `check`.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{done, refused, reverie};

/// The files of a pipeline, as far as their names go.
fn pipeline(folder: &Path) {
    let index = json!({
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder_2": [null, null],
    });
    for (name, text) in [
        ("model_index.json", index.to_string()),
        ("scheduler/scheduler_config.json", "{}".to_owned()),
        ("tokenizer/vocab.json", "{}".to_owned()),
        ("tokenizer/merges.txt", String::new()),
        ("text_encoder/config.json", "{}".to_owned()),
        ("text_encoder/model.safetensors", "x".repeat(5_000)),
        (
            "unet/config.json",
            json!({ "cross_attention_dim": 1024 }).to_string(),
        ),
        (
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "x".repeat(9_000),
        ),
        ("vae/config.json", "{}".to_owned()),
        ("vae/diffusion_pytorch_model.safetensors", String::new()),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

fn listed(models: &Path) -> Vec<String> {
    let models = models.to_str().expect("text");
    let output = reverie(&["model", "list", "--dir", models], &[]).output();
    done(&output.expect("the binary runs"))
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_list_tells_architecture_size_and_what_is_missing() {
    let models = tempfile::tempdir().expect("a folder");
    let turbo = models.path().join("stabilityai/sd-turbo");
    pipeline(&turbo);
    let taesd = models.path().join("taesd");
    fs::create_dir(&taesd).expect("a folder");
    fs::write(
        taesd.join("config.json"),
        json!({ "_class_name": "AutoencoderTiny" }).to_string(),
    )
    .expect("a file");
    let lora = models.path().join("me/lora");
    fs::create_dir_all(&lora).expect("a folder");
    fs::write(lora.join("style.safetensors"), "x").expect("a file");
    fs::create_dir_all(models.path().join(".fetch/owner--model")).expect("a folder");
    fs::write(models.path().join(".fetch/config.json"), "{}").expect("a file");

    let lines = listed(models.path());
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("me/lora") && lines[0].ends_with("complete"),
        "{}",
        lines[0]
    );
    let words = lines[1].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        words,
        "stabilityai/sd-turbo StableDiffusionPipeline (SD 2) 14.2 kB complete"
    );
    assert!(
        lines[2].contains("AutoencoderTiny") && lines[2].ends_with("missing: *.safetensors"),
        "{}",
        lines[2]
    );

    fs::remove_file(turbo.join("tokenizer/merges.txt")).expect("removed");
    fs::remove_file(turbo.join("unet/diffusion_pytorch_model.fp16.safetensors")).expect("removed");
    let line = &listed(models.path())[1];
    assert!(
        line.ends_with("missing: tokenizer/merges.txt, unet/*.safetensors"),
        "{line}"
    );
}

#[test]
fn shards_that_the_index_names_must_be_there() {
    let models = tempfile::tempdir().expect("a folder");
    let turbo = models.path().join("sharded");
    pipeline(&turbo);
    let unet = turbo.join("unet");
    fs::remove_file(unet.join("diffusion_pytorch_model.fp16.safetensors")).expect("removed");
    let shard = |at| format!("diffusion_pytorch_model-0000{at}-of-00002.safetensors");
    let index = json!({ "weight_map": { "a": shard(1), "b": shard(2) } }).to_string();
    fs::write(
        unet.join("diffusion_pytorch_model.safetensors.index.json"),
        index,
    )
    .expect("a file");
    fs::write(unet.join(shard(1)), "x").expect("a file");
    let line = &listed(models.path())[0];
    assert!(
        line.ends_with(&format!("missing: unet/{}", shard(2))),
        "{line}"
    );
}

#[test]
fn a_folder_without_models_or_none_at_all_is_told_from_one_with() {
    let models = tempfile::tempdir().expect("a folder");
    let path = models.path().to_str().expect("text");
    let empty = reverie(&["model", "list", "--dir", path], &[])
        .output()
        .expect("the binary runs");
    assert!(done(&empty).is_empty());
    let none = format!("{path}/none");
    let none = reverie(&["model", "list", "--dir", &none], &[])
        .output()
        .expect("the binary runs");
    assert!(refused(&none).contains("/none: "));
}

#[test]
fn what_is_missing_is_named_by_check_line_by_line() {
    let models = tempfile::tempdir().expect("a folder");
    let turbo = models.path().join("owner/model");
    pipeline(&turbo);
    fs::remove_file(turbo.join("vae/config.json")).expect("removed");
    fs::remove_file(turbo.join("scheduler/scheduler_config.json")).expect("removed");
    let path = models.path().to_str().expect("text");
    let output = reverie(&["model", "check", "owner/model", "--dir", path], &[]).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let said = super::text(&output.stderr);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].ends_with("owner/model/scheduler/scheduler_config.json: is missing"),
        "{said}"
    );
    assert!(
        lines[1].ends_with("owner/model/vae/config.json: is missing"),
        "{said}"
    );
}
