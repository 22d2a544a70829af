//! What is told of model folders, whole and broken.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use reverie_diffusion::controlnet::ControlNet;
use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::guard::guard;
use reverie_diffusion::inspect::{Inspection, Kind, inspect};
use reverie_diffusion::lora::Component;
use reverie_diffusion::stream::{Models, Parts};
use reverie_diffusion::unet::UNet2DCondition;
use reverie_diffusion::vae::Vae;
use serde_json::Value;

use crate::golden;

const PIPELINES: [&str; 4] = ["sd15", "sd21", "turbo", "sdxl"];

/// A copy of a fixture that may be broken.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(model: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(golden::model(model).path(), folder.path());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.folder.path())
    }

    fn inspect(&self) -> Inspection {
        inspect(&self.folder())
    }

    /// Changes a JSON file.
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
    }

    fn set(&self, file: &str, key: &str, value: impl Into<Value>) {
        self.edit(file, |config| config[key] = value.into());
    }

    /// The one fault, which names all of `parts`.
    fn fault(&self, parts: &[&str]) {
        let found = self.inspect();
        let faults = messages(&found);
        assert_eq!(faults.len(), 1, "{faults:?}");
        for part in parts {
            assert!(faults[0].contains(part), "{part} in {}", faults[0]);
        }
        assert!(found.support.is_none());
        // What is told beforehand is what loading says.
        let error = Models::load(&self.folder(), Parts::default(), Placement::CPU).map(|_| ());
        if let Err(error) = error {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}

fn messages(found: &Inspection) -> Vec<String> {
    let messages: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    for message in &messages {
        assert!(
            !message.contains('\n') && message.len() < 2000,
            "{message:?}"
        );
    }
    messages
}

/// The file of a component's weights, whatever its name.
fn weights(folder: &Path) -> PathBuf {
    Folder::new(folder).weights().unwrap().remove(0)
}

#[test]
fn whole_models_have_no_fault_and_nothing_unused() {
    for model in PIPELINES {
        let found = inspect(&golden::model(model));
        assert_eq!(messages(&found), [""; 0], "{model}");
        assert!(matches!(found.kind, Kind::Pipeline { .. }));
        for part in &found.parts {
            if let Some(report) = &part.report {
                assert_eq!(report.unused, [], "{model} {}", part.name);
                assert!(report.loaded > 0 && report.parameters > 0 && report.bytes > 0);
            }
        }
        let support = found.support.unwrap();
        let (models, reports) =
            Models::load(&golden::model(model), Parts::default(), Placement::CPU).unwrap();
        assert_eq!(support.scale, models.vae.scale());
        assert_eq!(
            support.cross_attentions,
            models.unet.cross_attentions().len()
        );
        assert_eq!(support.widths, models.unet.config().block_out_channels);
        // The reports are those of loading, in another order.
        let mut told: Vec<_> = found
            .parts
            .into_iter()
            .filter_map(|part| part.report)
            .collect();
        told.sort_by(|a, b| a.path.cmp(&b.path));
        let mut loaded = reports.weights;
        loaded.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(told, loaded);
    }
}

#[test]
fn controlnets_and_autoencoders_stand_alone() {
    for (name, kind) in [
        ("controlnet_sd15", Kind::ControlNet),
        ("controlnet_sdxl", Kind::ControlNet),
        ("taesd", Kind::Autoencoder),
        ("sd15/vae", Kind::Autoencoder),
    ] {
        let found = inspect(&golden::model(name));
        assert_eq!(messages(&found), [""; 0], "{name}");
        assert_eq!(found.kind, kind);
        assert_eq!(found.parts[0].report.as_ref().unwrap().unused, []);
    }
}

#[test]
fn the_text_tells_class_parts_and_use() {
    let text = inspect(&golden::model("sdxl")).to_string();
    for part in [
        "StableDiffusionXLPipeline, of no published family, turbo",
        "\n  scheduler       EulerAncestralDiscreteScheduler, epsilon, 1000 timesteps",
        "\n  tokenizer ",
        "\n  text_encoder_2 ",
        "\n  unet            UNet2DConditionModel of widths ",
        " in F16",
        "\n  vae             AutoencoderKL",
        "\n  LoRA            ",
        " weights of text_encoder_2",
        "\n  IP-Adapters     with ",
        "\n  memory          about 1.5 GiB",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let copy = Copy::of("turbo");
    copy.set("unet/config.json", "norm_num_groups", 3);
    copy.set(
        "scheduler/scheduler_config.json",
        "timestep_spacing",
        "leading",
    );
    assert!(!copy.inspect().to_string().contains(", turbo\n"));
    assert!(copy.inspect().to_string().contains("\n  fault           "));
}

#[test]
fn lora_targets_are_linear_layers_and_convolutions() {
    let support = inspect(&golden::model("turbo")).support.unwrap();
    let (component, text) = support.lora_targets[1];
    assert_eq!(component, Component::TextEncoder);
    let config: Value = golden::model("turbo").sub("text_encoder").config().unwrap();
    let layers = config["num_hidden_layers"].as_u64().unwrap();
    assert_eq!(text as u64, 6 * layers);
}

#[test]
fn each_missing_file_is_named() {
    for file in [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "text_encoder/config.json",
        "text_encoder_2/config.json",
        "tokenizer_2/vocab.json",
        "unet/config.json",
        "vae/config.json",
    ] {
        let copy = Copy::of("sdxl");
        fs::remove_file(copy.path(file)).unwrap();
        copy.fault(&[file, "No such file"]);
    }
    for part in ["text_encoder", "text_encoder_2", "unet", "vae"] {
        let copy = Copy::of("sdxl");
        fs::remove_file(weights(&copy.path(part))).unwrap();
        copy.fault(&[part, "no weights here"]);
    }
    for part in ["tokenizer_2", "text_encoder_2"] {
        let copy = Copy::of("sdxl");
        fs::remove_dir_all(copy.path(part)).unwrap();
        copy.fault(&[part]);
    }
    let none = inspect(&Folder::new("/nowhere/at/all"));
    assert!(messages(&none)[0].contains("/nowhere/at/all: there is no such folder"));
    let empty = inspect(&Folder::new(tempfile::tempdir().unwrap().path()));
    assert_eq!(empty.faults.len(), 1);
}

#[test]
fn each_truncated_file_is_named() {
    for part in ["text_encoder", "unet", "vae"] {
        let copy = Copy::of("sd15");
        let path = weights(&copy.path(part));
        let length = fs::metadata(&path).unwrap().len();
        for length in [length - 1, length / 2, 100, 8, 7, 0] {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length).unwrap();
            copy.fault(&[part, ".safetensors"]);
        }
    }
}

#[test]
fn a_wrong_shape_is_told_with_key_and_shapes() {
    let copy = Copy::of("turbo");
    copy.edit("unet/config.json", |config| {
        let width = config["block_out_channels"][0].as_i64().unwrap();
        config["block_out_channels"][0] = (2 * width).into();
    });
    copy.fault(&[
        "diffusion_pytorch_model.safetensors",
        "conv_in.bias is [",
        "] instead of [",
    ]);
    let found = copy.inspect();
    let unet = found.parts.iter().find(|part| part.name == "unet").unwrap();
    let report = unet.report.as_ref().unwrap();
    assert!(report.misshaped.len() > 10);
    assert!(
        found
            .to_string()
            .contains("\n  wrong shape     unet conv_in.weight [")
    );
}

#[test]
fn missing_and_unused_tensors_are_told() {
    let copy = Copy::of("turbo");
    copy.edit("text_encoder/config.json", |config| {
        let layers = config["num_hidden_layers"].as_i64().unwrap();
        config["num_hidden_layers"] = (layers + 1).into();
    });
    copy.fault(&["model.safetensors", "is missing"]);
    copy.edit("text_encoder/config.json", |config| {
        let layers = config["num_hidden_layers"].as_i64().unwrap();
        config["num_hidden_layers"] = (layers - 2).into();
    });
    let found = copy.inspect();
    assert_eq!(messages(&found), [""; 0]);
    assert!(
        found
            .to_string()
            .contains("\n  unused          text_encoder encoder.layers.")
    );
}

#[test]
fn what_the_stream_does_not_compute_is_refused_by_key() {
    for (file, key, value) in [
        (
            "scheduler/scheduler_config.json",
            "prediction_type",
            "v_prediction",
        ),
        ("model_index.json", "_class_name", "FluxPipeline"),
        ("unet/config.json", "_class_name", "UNet3DConditionModel"),
        ("vae/config.json", "_class_name", "AutoencoderKLWan"),
        ("text_encoder/config.json", "model_type", "t5"),
        ("unet/config.json", "time_embedding_type", "fourier"),
    ] {
        let copy = Copy::of("sd15");
        copy.set(file, key, value);
        copy.fault(&[file, key, value]);
    }
    let copy = Copy::of("taesd");
    copy.set("config.json", "_class_name", "Transformer2DModel");
    let found = copy.inspect();
    assert_eq!(found.kind, Kind::Unknown);
    assert!(messages(&found)[0].contains("config.json: _class_name: \"Transformer2DModel\""));
}

#[test]
fn parts_that_are_whole_but_not_for_each_other_are_refused() {
    let swap = |model: &str, part: &str, other: &str| {
        let copied = Copy::of(model);
        fs::remove_dir_all(copied.path(part)).unwrap();
        copy(&golden::model(other).path().join(part), &copied.path(part));
        copied
    };
    swap("sd15", "text_encoder", "turbo")
        .fault(&["unet/config.json: cross_attention_dim: ", "is encoded in "]);
    let small = Copy::of("sd15");
    small.edit("tokenizer/vocab.json", |words| words["more"] = 5000.into());
    small.fault(&[
        "text_encoder/config.json: vocab_size: ",
        "the tokenizer has 5001 tokens",
    ]);
}

#[test]
fn a_controlnet_fits_its_own_unet_only() {
    for (net, own) in [
        ("controlnet_sd15", "sd15"),
        ("controlnet_turbo_a", "turbo"),
        ("controlnet_sdxl", "sdxl"),
    ] {
        let folder = golden::model(net);
        let (net, report) = ControlNet::check(&folder).unwrap();
        assert_eq!(report.fault(), None);
        for model in PIPELINES {
            let (unet, _) = UNet2DCondition::check(&golden::model(model).sub("unet")).unwrap();
            let result = net.fits(unet.config(), &folder);
            assert_eq!(result.is_ok(), model == own, "{model}: {result:?}");
        }
    }
    let parts = Parts {
        controlnets: &[golden::model("controlnet_sd15")],
        ..Parts::default()
    };
    let error = Models::load(&golden::model("turbo"), parts, Placement::CPU).map(drop);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("controlnet_sd15/config.json: "),
        "{message}"
    );
    assert!(message.contains("; the model has "), "{message}");
}

#[test]
fn a_check_costs_no_memory_whatever_the_configuration_asks_for() {
    let copy = Copy::of("turbo");
    // Two million channels squared do not fit any memory.
    copy.edit("unet/config.json", |config| {
        config["block_out_channels"] = vec![1 << 20; 2].into()
    });
    copy.fault(&["conv_in.bias", "instead of [1048576]"]);
    copy.edit("text_encoder/config.json", |config| {
        config["hidden_size"] = (1 << 20).into();
        config["intermediate_size"] = (1 << 20).into();
    });
    let found = copy.inspect();
    assert!(messages(&found).len() >= 2);
    assert!(Models::load(&copy.folder(), Parts::default(), Placement::CPU).is_err());
}

/// Values that a configuration may hold instead of its own.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            -1_i64,
            0,
            1,
            2,
            3,
            7,
            64,
            1000,
            1 << 20,
            i64::MAX,
            i64::MIN
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![0.5, -1.0, 1e300]).prop_map(Value::from),
        prop::collection::vec(0..70_i64, 0..4).prop_map(Value::from),
        Just(Value::from(vec![1; 70])),
        "[a-zA-Z0-9_]{0,12}".prop_map(Value::from),
        Just(serde_json::json!({"a": [{"b": 1}]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_value_in_a_configuration_makes_a_panic(
        file in prop::sample::select(vec![
            ("turbo", "unet"), ("sdxl", "unet"), ("turbo", "vae"), ("taesd", ""), ("turbo", "text_encoder"),
            ("sdxl", "text_encoder_2"), ("controlnet_sdxl", ""), ("turbo", "scheduler"), ("turbo", "tokenizer"),
        ]),
        which in any::<prop::sample::Index>(),
        value in any_value(),
    ) {
        let (model, part) = file;
        let copied = Copy::of(model);
        let name = match part {
            "scheduler" => "scheduler_config.json",
            "tokenizer" => "tokenizer_config.json",
            _ => "config.json",
        };
        let file = Path::new(part).join(name);
        copied.edit(file.to_str().unwrap(), |config| {
            let fields = config.as_object_mut().unwrap();
            let key = which.get(&fields.keys().cloned().collect::<Vec<_>>()).clone();
            fields[&key] = value;
        });
        let found = copied.inspect();
        messages(&found);
        let folder = copied.folder().sub(part);
        // A fault that was told is an error of loading, and one that was not told is none.
        let loaded = guard(|| match (model, part) {
            ("taesd", _) | (_, "vae") => Vae::load(&folder, Placement::CPU).map(drop),
            ("controlnet_sdxl", _) => ControlNet::load(&folder, Placement::CPU).map(drop),
            _ => Models::load(&copied.folder(), Parts::default(), Placement::CPU).map(drop),
        });
        if let Err(error) = &loaded {
            prop_assert!(!error.to_string().contains("libtorch"), "{}", error);
            prop_assert!(!found.is_whole(), "{}", error);
        }
    }
}
