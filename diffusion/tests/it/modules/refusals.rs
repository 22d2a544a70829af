//! Folders that cannot be used: one line that names file and key, never a panic and never a random weight.

use std::fs;
use std::path::Path;

use reverie_diffusion::Error;
use reverie_diffusion::clip::TextEncoder;
use reverie_diffusion::controlnet::ControlNet;
use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::tokenizer::Tokenizer;
use reverie_diffusion::unet::UNet2DCondition;
use reverie_diffusion::vae::Vae;
use serde_json::{Value, json};

use crate::golden::model;

/// A copy of a committed model with other values in its `config.json`.
fn changed(name: &str, changes: Value) -> (tempfile::TempDir, Folder) {
    let target = tempfile::tempdir().unwrap();
    for file in fs::read_dir(model(name).path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), target.path().join(file.file_name())).unwrap();
    }
    let path = target.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(&path, config.to_string()).unwrap();
    let folder = Folder::new(target.path());
    (target, folder)
}

fn load(name: &str, folder: &Folder) -> Result<(), Error> {
    match name.rsplit('/').next().unwrap() {
        "unet" => UNet2DCondition::load(folder, Placement::CPU, None).map(drop),
        "text_encoder" => TextEncoder::load(folder, Placement::CPU, None).map(drop),
        "vae" | "taesd" => Vae::load(folder, Placement::CPU).map(drop),
        _ => ControlNet::load(folder, Placement::CPU).map(drop),
    }
}

/// Asserts that `name` with `value` for `key` is refused by the file and that key.
fn refused(name: &str, key: &str, value: Value) {
    let (_keep, folder) = changed(name, json!({ key: value }));
    let error = load(name, &folder).expect_err(key);
    let message = error.to_string();
    assert!(matches!(error, Error::Unsupported { .. }), "{message}");
    let start = format!("{}: {key}: ", folder.path().join("config.json").display());
    assert!(message.starts_with(&start), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn a_unet_of_an_unknown_architecture_is_refused_by_file_and_key() {
    for (key, value) in [
        ("_class_name", json!("Transformer2DModel")),
        ("class_embed_type", json!("timestep")),
        ("addition_embed_type", json!("text_image")),
        ("time_cond_proj_dim", json!(256)),
        ("mid_block_type", json!("UNetMidBlock2DSimpleCrossAttn")),
        ("only_cross_attention", json!([true, false])),
        (
            "down_block_types",
            json!(["DownBlock2D", "AttnDownBlock2D"]),
        ),
        ("up_block_types", json!(["UpBlock2D"])),
    ] {
        refused("turbo/unet", key, value);
    }
}

#[test]
fn a_unet_of_impossible_sizes_is_refused_by_file_and_key() {
    for (key, value) in [
        ("attention_head_dim", json!([2, 1, 1])),
        ("attention_head_dim", json!(3)),
        ("attention_head_dim", json!(0)),
        ("norm_num_groups", json!(7)),
        ("layers_per_block", json!([1])),
        ("transformer_layers_per_block", json!([1, [1, 2, 3]])),
        ("reverse_transformer_layers_per_block", json!(1 << 20)),
        ("block_out_channels", json!([8, -16])),
        ("block_out_channels", json!([])),
        ("in_channels", json!(1_u64 << 40)),
        ("conv_in_kernel", json!(2)),
    ] {
        refused("turbo/unet", key, value);
    }
    refused("sdxl/unet", "addition_time_embed_dim", json!(null));
    refused(
        "sdxl/unet",
        "projection_class_embeddings_input_dim",
        json!(48),
    );
}

#[test]
fn an_autoencoder_that_is_not_supported_is_refused_by_file_and_key() {
    for (key, value) in [
        ("_class_name", json!("VQModel")),
        ("_class_name", json!(null)),
        ("act_fn", json!("gelu")),
        ("encoder_block_out_channels", json!([8, 8])),
        ("decoder_block_out_channels", json!([12, 12, 12, 8])),
    ] {
        refused("taesd", key, value);
    }
    for (key, value) in [
        ("shift_factor", json!(0.1)),
        ("down_block_types", json!(["DownEncoderBlock2D"])),
        ("up_block_types", json!(["AttnUpDecoderBlock2D"])),
        ("scaling_factor", json!(0.0)),
    ] {
        refused("turbo/vae", key, value);
    }
}

#[test]
fn a_controlnet_that_is_not_supported_is_refused_by_file_and_key() {
    for (key, value) in [
        ("_class_name", json!("UNet2DConditionModel")),
        ("global_pool_conditions", json!(true)),
        ("conditioning_embedding_out_channels", json!([])),
    ] {
        refused("controlnet_turbo_a", key, value);
    }
}

#[test]
fn a_text_encoder_that_is_not_supported_is_refused_by_file_and_key() {
    for (key, value) in [
        ("hidden_act", json!("relu")),
        ("model_type", json!("t5")),
        ("num_attention_heads", json!(3)),
        ("architectures", json!(["T5EncoderModel"])),
    ] {
        refused("turbo/text_encoder", key, value);
    }
}

#[test]
fn a_value_of_another_type_is_refused_by_file_and_key() {
    refused("turbo/unet", "norm_eps", json!("small"));
    refused("turbo/unet", "layers_per_block", json!([1, -1]));
    refused("taesd", "num_encoder_blocks", json!(3));
    refused("turbo/text_encoder", "hidden_size", json!(16.5));
}

#[test]
fn a_model_of_another_depth_is_refused_by_the_keys_it_lacks() {
    let (_keep, folder) = changed("turbo/unet", json!({ "transformer_layers_per_block": 2 }));
    let message = load("unet", &folder).unwrap_err().to_string();
    assert!(message.contains(".safetensors: "), "{message}");
    assert!(message.contains(" is missing (and "), "{message}");
}

#[test]
fn a_model_of_another_width_is_refused_by_key_and_shapes() {
    let (_keep, folder) = changed("turbo/unet", json!({ "cross_attention_dim": 1000 }));
    let message = load("unet", &folder).unwrap_err().to_string();
    let shapes = message.split_once("attn2.to_k.weight is [");
    assert!(
        shapes.is_some_and(|(_, shapes)| shapes.contains("] instead of [8, 1000]")),
        "{message}"
    );
}

#[test]
fn tensors_that_no_layer_takes_are_reported() {
    let (_keep, folder) = changed("turbo/text_encoder", json!({ "num_hidden_layers": 3 }));
    let (_, report) = TextEncoder::load(&folder, Placement::CPU, None).unwrap();
    assert!(!report.unused.is_empty());
    assert!(
        report
            .unused
            .iter()
            .all(|(key, _)| key.starts_with("encoder.layers.3."))
    );
}

#[test]
fn a_tokenizer_without_its_files_or_with_broken_ones_is_refused_by_file() {
    let copy = |file: &str, content: &str| {
        let target = tempfile::tempdir().unwrap();
        for name in ["vocab.json", "merges.txt"] {
            let source = model("turbo/tokenizer").path().join(name);
            fs::copy(source, target.path().join(name)).unwrap();
        }
        fs::write(target.path().join(file), content).unwrap();
        target
    };
    let refusal = |path: &Path| Tokenizer::load(&Folder::new(path)).unwrap_err().to_string();
    for (folder, part) in [
        (tempfile::tempdir().unwrap(), "vocab.json: "),
        (copy("vocab.json", "{}"), "vocab.json: the special token"),
        (
            copy("merges.txt", "#version\na b c\n"),
            "merges.txt: line 2 is no pair",
        ),
        (
            copy("tokenizer_config.json", "{"),
            "tokenizer_config.json: ",
        ),
    ] {
        let message = refusal(folder.path());
        assert!(message.contains(part), "{message}");
    }
}
