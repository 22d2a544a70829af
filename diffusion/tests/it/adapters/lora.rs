//! Weights with LoRA against what diffusers and PEFT make of them, and what is refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use reverie_diffusion::Error;
use reverie_diffusion::device::Placement;
use reverie_diffusion::lora::{Component, Loras, Report};
use reverie_diffusion::weights::{Adapter, Weights};
use safetensors::tensor::{Dtype, TensorView};
use tch::{Kind, Tensor};

use crate::golden::{self, Golden, relative};

/// Sums and products of 32-bit floats in another order.
const ROUNDING: f64 = 1e-6;
const COMPONENTS: [Component; 3] = [
    Component::Unet,
    Component::TextEncoder,
    Component::TextEncoder2,
];

/// Every weight of a component, by key.
fn weights(model: &str, component: Component, adapter: Option<Adapter>) -> HashMap<String, Tensor> {
    let folder = golden::model(model).sub(component.name());
    if !folder.exists() {
        return HashMap::new();
    }
    let mut weights = Weights::open(&folder, Placement::CPU).unwrap();
    if let Some(adapter) = adapter {
        weights = weights.adapted(adapter);
    }
    weights.ignore("text_model.embeddings.position_ids");
    let keys: Vec<_> = weights.report().unused;
    let tensors = keys
        .iter()
        .map(|(key, shape)| (key.clone(), weights.tensor(key, shape)))
        .collect();
    weights.finish().unwrap();
    tensors
}

fn open(model: &str, files: &[(&str, f64)]) -> Result<Loras, Error> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, scale)| (golden::path(name), *scale))
        .collect();
    Loras::open(&golden::model(model), &files)
}

/// The weights that golden values have are those; all others of `exact` components are as without LoRA, bit by bit.
fn check(model: &str, file: &str, scale: f64, golden: &str, exact: &[Component]) {
    let golden = Golden::read(golden);
    let loras = open(model, &[(file, scale)]).unwrap();
    for &component in exact {
        let plain = weights(model, component, None);
        let adapted = weights(model, component, loras.adapter(component));
        for (key, weight) in &adapted {
            // The reference has one name for it, where the file may have another.
            let name = key.strip_prefix("text_model.").unwrap_or(key);
            let names = [name.to_owned(), format!("text_model.{name}")];
            let names = names.map(|name| format!("{}.{name}", component.name()));
            match names.iter().find(|name| golden.find(name).is_some()) {
                Some(name) => golden.check(name, weight, ROUNDING),
                None => assert_eq!(*weight, plain[key], "{key}"),
            }
        }
    }
    let [report] = loras.reports() else {
        panic!("one report for one file");
    };
    assert_eq!(report.unmatched, []);
    assert_eq!(report.misshaped, []);
    for component in exact {
        let applied = report
            .applied
            .iter()
            .filter(|one| one.component == *component);
        let prefix = format!("{}.", component.name());
        let changed = golden.keys().filter(|key| key.starts_with(&prefix)).count();
        assert_eq!(applied.count(), changed, "{file} {component:?}");
    }
}

#[test]
fn the_spelling_of_kohya_gives_the_weights_of_diffusers() {
    check(
        "sd15",
        "lora/kohya.safetensors",
        0.8,
        "lora/kohya_fused",
        &COMPONENTS,
    );
}

#[test]
fn the_spelling_of_peft_gives_the_weights_of_diffusers() {
    check(
        "sd15",
        "lora/peft.safetensors",
        0.8,
        "lora/peft_fused",
        &COMPONENTS,
    );
}

#[test]
fn the_spelling_of_old_diffusers_gives_the_weights_of_diffusers() {
    check(
        "sd15",
        "lora/old.safetensors",
        0.8,
        "lora/old_fused",
        &COMPONENTS,
    );
}

#[test]
fn half_precision_ranks_that_differ_and_outer_layers_follow_the_formula() {
    for name in ["kohya_more", "peft_more"] {
        let file = format!("lora/{name}.safetensors");
        check(
            "sd15",
            &file,
            0.8,
            &format!("lora/{name}_fused"),
            &COMPONENTS,
        );
    }
}

#[test]
fn sdxl_in_the_spelling_of_kohya_gives_the_weights_of_diffusers() {
    let file = "lora/kohya_sdxl.safetensors";
    check(
        "sdxl",
        file,
        0.8,
        "lora/kohya_sdxl_fused",
        &[Component::Unet],
    );
}

#[test]
fn block_names_of_the_original_code_give_the_weights_of_diffusers() {
    let file = "lora_names/original_sdxl.safetensors";
    check(
        "sdxl",
        file,
        0.8,
        "lora_names/original_sdxl_fused",
        &COMPONENTS,
    );
}

#[test]
fn a_folder_saved_by_peft_gives_the_weights_that_peft_merges() {
    for name in ["peft_folder", "peft_folder_rs"] {
        let folder = format!("lora_names/{name}");
        check(
            "turbo",
            &folder,
            1.0,
            &format!("{folder}_fused"),
            &COMPONENTS,
        );
    }
}

#[test]
fn without_a_file_or_with_scale_0_no_weight_is_touched() {
    let none = open("sd15", &[]).unwrap();
    let zero = open("sd15", &[("lora/kohya.safetensors", 0.0)]).unwrap();
    for component in COMPONENTS {
        assert!(none.adapter(component).is_none());
        assert!(zero.adapter(component).is_none());
    }
    assert!(!zero.reports()[0].applied.is_empty());
}

#[test]
fn several_files_add_up_each_with_its_scale() {
    let files = [
        ("lora/kohya.safetensors", 0.8),
        ("lora/old.safetensors", -0.3),
    ];
    let both = open("sd15", &files).unwrap();
    let alone = files.map(|file| open("sd15", &[file]).unwrap());
    for component in [Component::Unet, Component::TextEncoder] {
        let plain = weights("sd15", component, None);
        let both = weights("sd15", component, both.adapter(component));
        let alone = alone
            .each_ref()
            .map(|one| weights("sd15", component, one.adapter(component)));
        for (key, plain) in &plain {
            let expected = &alone[0][key] + &alone[1][key] - plain;
            assert!(relative(&both[key], &expected) <= ROUNDING, "{key}");
        }
    }
}

#[test]
fn a_file_for_another_model_is_refused_with_file_key_and_shapes() {
    let message = open("sd21", &[("lora/kohya.safetensors", 1.0)])
        .unwrap_err()
        .to_string();
    for part in [
        "lora/kohya.safetensors: lora_",
        ".lora_down.weight [4, ",
        "does not fit the model's [",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

/// A LoRA file of these tensors, filled with ones.
struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    fn new(tensors: &[(&str, &[usize])], metadata: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape)| 1_f32.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = tensors.iter().zip(&data).map(|((key, shape), data)| {
            (
                *key,
                TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap(),
            )
        });
        let metadata = metadata
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        let metadata = metadata.chain([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata.collect())).unwrap();
        std::fs::write(
            folder.path().join("pytorch_lora_weights.safetensors"),
            bytes,
        )
        .unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self, model: &str, scale: f64) -> Result<Loras, Error> {
        Loras::open(&golden::model(model), &[(self.path().to_owned(), scale)])
    }

    fn report(&self, model: &str) -> Report {
        self.open(model, 1.0).unwrap().reports()[0].clone()
    }

    /// The message, which is one line and names the file.
    fn refusal(&self, model: &str) -> String {
        let message = self.open(model, 1.0).unwrap_err().to_string();
        assert!(
            message.contains("pytorch_lora_weights.safetensors"),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
        message
    }
}

/// Channels of the first level and of the prompt of the fixture `turbo`.
fn turbo() -> (usize, usize) {
    let plain = weights("turbo", Component::Unet, None);
    let size = plain["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"].size();
    (size[0] as usize, size[1] as usize)
}

const QUERY: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";

#[test]
fn a_module_is_found_under_every_name_in_use() {
    let (width, _) = turbo();
    let flat = QUERY.replace('.', "_");
    let original = "input_blocks_1_1_transformer_blocks_0_attn1_to_q";
    let names = [
        [
            format!("lora_unet_{flat}.lora_down.weight"),
            format!("lora_unet_{flat}.lora_up.weight"),
        ],
        [
            format!("lora_unet_{flat}.lora_A.weight"),
            format!("lora_unet_{flat}.lora_B.weight"),
        ],
        [
            format!("lora_unet_{original}.lora_down.weight"),
            format!("lora_unet_{original}.lora_up.weight"),
        ],
        [
            format!("diffusion_model.{original}.lora_A.weight"),
            format!("diffusion_model.{original}.lora_B.weight"),
        ],
        [
            format!("unet.{QUERY}.lora_A.weight"),
            format!("unet.{QUERY}.lora_B.weight"),
        ],
        [
            format!("unet.{QUERY}.lora_A.default.weight"),
            format!("unet.{QUERY}.lora_B.default.weight"),
        ],
        [
            format!("base_model.model.{QUERY}.lora_A.weight"),
            format!("base_model.model.{QUERY}.lora_B.weight"),
        ],
        [
            format!("base_model.model.unet.{QUERY}.lora_A.weight"),
            format!("base_model.model.unet.{QUERY}.lora_B.weight"),
        ],
        [
            format!("unet.{QUERY}.lora.down.weight"),
            format!("unet.{QUERY}.lora.up.weight"),
        ],
        [
            format!("{QUERY}_lora.down.weight"),
            format!("{QUERY}_lora.up.weight"),
        ],
    ];
    for [down, up] in &names {
        let written = Written::new(&[(down, &[2, width]), (up, &[width, 2])], &[]);
        let report = written.report("turbo");
        let applied: Vec<_> = report.applied.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(applied, [format!("{QUERY}.weight")], "{down}");
        assert_eq!((report.applied[0].rank, report.applied[0].factor), (2, 1.0));
    }
}

#[test]
fn a_text_encoder_is_found_with_and_without_text_model_in_front() {
    let plain = weights("turbo", Component::TextEncoder, None);
    let key = "encoder.layers.0.self_attn.v_proj.weight";
    let width = plain[key].size()[0] as usize;
    for name in [
        "lora_te_text_model_encoder_layers_0_self_attn_v_proj.lora_down.weight",
        "lora_te1_text_model_encoder_layers_0_self_attn_v_proj.lora_down.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.v_proj.lora_A.weight",
        "text_encoder.encoder.layers.0.self_attn.v_proj.lora_A.weight",
        "base_model.model.text_model.encoder.layers.0.self_attn.v_proj.lora_A.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.to_v_lora.down.weight",
        "text_encoder.text_model.encoder.layers.0.self_attn.v_proj.lora_linear_layer.down.weight",
    ] {
        let up = name.replace("down", "up").replace("lora_A", "lora_B");
        let written = Written::new(&[(name, &[1, width]), (&up, &[width, 1])], &[]);
        let report = written.report("turbo");
        let applied: Vec<_> = report
            .applied
            .iter()
            .map(|one| (one.component, one.key.as_str()))
            .collect();
        assert_eq!(applied, [(Component::TextEncoder, key)], "{name}");
    }
}

#[test]
fn alphas_in_the_header_are_those_of_their_component() {
    let (width, _) = turbo();
    let names = [
        format!("unet.{QUERY}.lora_A.weight"),
        format!("unet.{QUERY}.lora_B.weight"),
    ];
    let tensors: [(&str, &[usize]); 2] = [(&names[0], &[2, width]), (&names[1], &[width, 2])];
    let factor = |settings: &str| {
        Written::new(&tensors, &[("lora_adapter_metadata", settings)])
            .report("turbo")
            .applied[0]
            .factor
    };
    assert_eq!(
        factor(r#"{"unet.r": 2, "unet.lora_alpha": 5, "text_encoder.lora_alpha": 1}"#),
        2.5
    );
    assert_eq!(factor(r#"{"text_encoder.lora_alpha": 1}"#), 1.0);
    assert_eq!(
        factor(r#"{"unet.lora_alpha": 5, "unet.alpha_pattern": {"attn1.to_q": 3, "o_q": 9}}"#),
        1.5
    );
    let refuse = |settings: &str| {
        Written::new(&tensors, &[("lora_adapter_metadata", settings)]).refusal("turbo")
    };
    assert!(refuse("{").contains("lora_adapter_metadata"));
    assert!(refuse(r#"{"unet.r": 2}"#).contains("lora_alpha"));
    assert!(refuse(r#"{"unet.lora_alpha": 5, "unet.use_dora": true}"#).contains("DoRA"));
    assert!(refuse(r#"{"unet.lora_alpha": 5, "unet.alpha_pattern": {"^a": 1}}"#).contains("^a"));
}

#[test]
fn tensors_without_a_place_in_the_model_are_reported_with_shapes() {
    let (width, _) = turbo();
    let query = format!("unet.{QUERY}");
    let [down, up] = ["lora_A", "lora_B"].map(|side| format!("{query}.{side}.weight"));
    let written = Written::new(
        &[
            (&down, &[2, width]),
            (&up, &[width, 2]),
            ("unet.nowhere.lora_A.weight", &[2, 3]),
            ("unet.nowhere.lora_B.weight", &[5, 2]),
            ("lora_prior_x.lora_up.weight", &[7]),
            ("something", &[1]),
        ],
        &[],
    );
    let report = written.report("turbo");
    assert_eq!(report.applied.len(), 1);
    let expected = [
        ("unet.nowhere.lora_A.weight", vec![2, 3]),
        ("unet.nowhere.lora_B.weight", vec![5, 2]),
        ("lora_prior_x.lora_up.weight", vec![7]),
        ("something", vec![1]),
    ];
    assert_eq!(
        report.unmatched,
        expected.map(|(key, shape)| (key.to_owned(), shape))
    );
}

#[test]
fn a_file_without_anything_for_the_model_is_refused() {
    let written = Written::new(
        &[
            ("unet.x.lora_A.weight", &[2, 3]),
            ("unet.x.lora_B.weight", &[5, 2]),
        ],
        &[],
    );
    let message = written.refusal("turbo");
    assert!(message.contains("none of its 2 tensors"), "{message}");
    assert!(message.contains("unet.x.lora_A.weight [2, 3]"), "{message}");
    let empty = Written::new(&[], &[]).refusal("turbo");
    assert!(empty.contains("holds no LoRA"), "{empty}");
}

#[test]
fn other_methods_are_refused_by_name_and_key() {
    for (end, method) in [
        ("dora_scale", "DoRA"),
        ("lora_magnitude_vector.weight", "DoRA"),
        ("hada_w1_a", "LoHa"),
        ("lokr_w1", "LoKr"),
        ("lora_mid.weight", "LoCon"),
        ("oft_blocks", "OFT"),
        ("diff", "full difference"),
        ("diff_b", "full difference"),
    ] {
        let key = format!("lora_unet_x.{end}");
        let message = Written::new(&[(&key, &[1])], &[]).refusal("turbo");
        assert!(
            message.contains(method) && message.contains(&key),
            "{message}"
        );
    }
}

#[test]
fn pairs_that_are_not_whole_or_not_one_are_refused() {
    let (width, _) = turbo();
    let [down, up] = ["lora_A", "lora_B"].map(|side| format!("unet.{QUERY}.{side}.weight"));
    let other = format!("unet.{QUERY}.lora.down.weight");
    let alpha = format!("unet.{QUERY}.alpha");
    let half = Written::new(&[(&down, &[2, width])], &[]).refusal("turbo");
    assert!(half.contains(&format!("{down} has no up weight")), "{half}");
    let half = Written::new(&[(&up, &[width, 2])], &[]).refusal("turbo");
    assert!(half.contains(&format!("{up} has no down weight")), "{half}");
    let pair: [(&str, &[usize]); 2] = [(&down, &[2, width]), (&up, &[width, 2])];
    let twice = Written::new(&[pair[0], pair[1], (&other, &[2, width])], &[]).refusal("turbo");
    assert!(twice.contains("mean the same"), "{twice}");
    let wide = Written::new(&[pair[0], pair[1], (&alpha, &[2])], &[]).refusal("turbo");
    assert!(
        wide.contains(&format!("{alpha} is [2] instead of one number")),
        "{wide}"
    );
    for shapes in [
        [[2, width + 1], [width, 2]],
        [[3, width], [width, 2]],
        [[2, width], [width + 1, 2]],
        [[0, width], [width, 0]],
    ] {
        let misfit = Written::new(&[(&down, &shapes[0]), (&up, &shapes[1])], &[]).refusal("turbo");
        assert!(misfit.contains("does not fit"), "{misfit}");
    }
}

#[test]
fn a_scale_that_is_no_number_and_a_file_that_is_not_there_are_refused() {
    let message = open("sd15", &[("lora/kohya.safetensors", f64::NAN)])
        .unwrap_err()
        .to_string();
    assert!(message.contains("lora/kohya.safetensors"), "{message}");
    let message = open("sd15", &[("lora/none.safetensors", 1.0)])
        .unwrap_err()
        .to_string();
    assert!(message.contains("lora/none.safetensors"), "{message}");
    let folder: PathBuf = tempfile::tempdir().unwrap().keep();
    let error = Loras::open(&golden::model("sd15"), &[(folder.clone(), 1.0)]).unwrap_err();
    assert!(error.to_string().contains("no LoRA here"), "{error}");
    std::fs::remove_dir(folder).unwrap();
}

#[test]
fn a_linear_pair_fits_a_convolution_of_one_pixel() {
    let plain = weights("sd15", Component::Unet, None);
    let key = "down_blocks.0.attentions.0.proj_in";
    let weight = &plain[&format!("{key}.weight")];
    let size = weight.size();
    let (out, inner) = (size[0] as usize, size[1] as usize);
    let [down, up] = ["lora_A", "lora_B"].map(|side| format!("unet.{key}.{side}.weight"));
    let written = Written::new(&[(&down, &[3, inner]), (&up, &[out, 3])], &[]);
    let adapter = written.open("sd15", 1.0).unwrap().adapter(Component::Unet);
    let changed = &weights("sd15", Component::Unet, adapter)[&format!("{key}.weight")];
    // Ones times ones over a rank of 3.
    assert_eq!(
        *changed,
        weight + Tensor::full(&size, 3.0, (Kind::Float, tch::Device::Cpu))
    );
}
