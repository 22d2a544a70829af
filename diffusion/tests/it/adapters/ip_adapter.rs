//! The picture prompt against diffusers and transformers: preprocessing, image encoder, tokens, and the UNet.

use std::path::Path;

use reverie_diffusion::Error;
use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::ip_adapter::{ImageEncoder, ImageProcessor, IpAdapter, Picture};
use reverie_diffusion::unet::{Added, UNet2DCondition};
use tch::{Kind, Tensor};

use crate::golden::{self, Golden, MODULE, relative};

const PICTURES: [&str; 3] = ["0", "1", "2"];

fn folder() -> Folder {
    Folder::new(golden::path("ip_adapter/image_encoder"))
}

fn encoder() -> ImageEncoder {
    ImageEncoder::load(&folder(), Placement::CPU).unwrap().0
}

fn processor() -> ImageProcessor {
    ImageProcessor::load(&folder(), encoder().config().image_size as usize).unwrap()
}

fn unet(model: &str) -> UNet2DCondition {
    let folder = golden::model(model).sub("unet");
    UNet2DCondition::load(&folder, Placement::CPU, None)
        .unwrap()
        .0
}

fn load(model: &str, file: &str) -> Result<IpAdapter, Error> {
    let path = golden::path(&format!("ip_adapter/{file}.safetensors"));
    IpAdapter::load(&path, &unet(model), Placement::CPU).map(|(adapter, _)| adapter)
}

fn picture(golden: &Golden, name: &str) -> Picture {
    let bytes = golden.tensor(&format!("{name}.picture"));
    let (_, height, width) = bytes.size3().unwrap();
    let flat = bytes.permute([1, 2, 0]).contiguous().view(-1);
    Picture {
        width: width as usize,
        height: height as usize,
        rgb: Vec::try_from(flat).unwrap(),
    }
}

#[test]
fn a_picture_is_resized_cut_and_normalised_as_with_pillow() {
    let golden = Golden::read("ip_adapter/image_encoder");
    for name in PICTURES {
        let pixels = processor().picture(&picture(&golden, name), Placement::CPU);
        // Less than a hundredth of a step of a byte: every byte is the same.
        golden.check(&format!("{name}.pixels"), &pixels, 1e-6);
    }
}

#[test]
fn a_tensor_is_prepared_within_two_steps_of_a_byte() {
    let golden = Golden::read("ip_adapter/image_encoder");
    for name in PICTURES {
        let bytes = golden.tensor(&format!("{name}.picture"));
        let image = bytes.unsqueeze(0).to_kind(Kind::Float) / 255.0;
        let pixels = processor().tensor(&image);
        let difference = pixels - golden.tensor(&format!("{name}.pixels"));
        // The smallest standard deviation makes the most of a step.
        let steps = difference.abs().max().double_value(&[]) * 0.261_302_58 * 255.0;
        assert!(steps <= 2.0, "picture {name}: {steps:.2} steps");
    }
}

#[test]
fn the_image_encoder_sees_what_that_of_transformers_sees() {
    let golden = Golden::read("ip_adapter/image_encoder");
    for name in PICTURES {
        let seen = encoder().forward(golden.tensor(&format!("{name}.pixels")));
        golden.check(&format!("{name}.last"), &seen.last, MODULE);
        golden.check(&format!("{name}.penult"), &seen.penultimate, MODULE);
        golden.check(&format!("{name}.image_embeds"), &seen.projected, MODULE);
    }
}

#[test]
fn a_picture_moves_the_unet_as_in_diffusers() {
    let pictures = Golden::read("ip_adapter/image_encoder");
    for (model, name, tokens) in [
        ("sd15", "sd15", 4),
        ("turbo", "turbo", 4),
        ("sdxl", "sdxl", 4),
        ("turbo", "plus_turbo", 6),
        ("turbo", "full_turbo", 17),
    ] {
        let golden = Golden::read(&format!("ip_adapter/unet_{name}"));
        let adapter = load(model, &format!("adapter_{name}")).unwrap();
        assert_eq!(adapter.tokens(), tokens);
        let tokens = Tensor::cat(
            &[adapter.nothing(), adapter.encode(&picture(&pictures, "0"))],
            0,
        );
        golden.check("tokens", &tokens, MODULE);

        let unet = unet(model);
        let added = golden.find("text_embeds").map(|embeds| Added {
            text_embeds: embeds.shallow_clone(),
            time_ids: golden.tensor("time_ids").shallow_clone(),
        });
        let time = unet.time(golden.tensor("t"), added.as_ref());
        for scale in [1.0, 0.5, 0.0] {
            let mut context = unet.context(golden.tensor("ctx"));
            context.image = adapter.context(golden.tensor("tokens"), scale);
            let y = unet.forward(golden.tensor("x"), &time, &context, None);
            golden.check(&format!("y_{scale:.1}"), &y, MODULE);
        }
    }
}

#[test]
fn scale_0_computes_nothing_and_changes_nothing() {
    let golden = Golden::read("ip_adapter/unet_turbo");
    let adapter = load("turbo", "adapter_turbo").unwrap();
    assert!(adapter.context(golden.tensor("tokens"), 0.0).is_none());
}

#[test]
fn a_tensor_gives_nearly_the_tokens_of_its_bytes() {
    let pictures = Golden::read("ip_adapter/image_encoder");
    let adapter = load("turbo", "adapter_turbo").unwrap();
    for name in PICTURES {
        let bytes = pictures.tensor(&format!("{name}.picture"));
        let image = bytes.unsqueeze(0).to_kind(Kind::Float) / 255.0;
        let tokens = adapter.encode_tensor(&Tensor::cat(&[&image, &image], 0));
        let expected = adapter.encode(&picture(&pictures, name));
        assert_eq!(tokens.size()[0], 2);
        assert!(relative(&tokens.narrow(0, 1, 1), &expected) <= 0.02);
    }
}

#[test]
fn an_adapter_for_another_unet_is_refused_with_file_key_and_shapes() {
    let message = load("turbo", "adapter_sd15").unwrap_err().to_string();
    assert!(message.contains("adapter_sd15.safetensors: "), "{message}");
    assert!(message.contains("instead of ["), "{message}");
    let message = load("turbo", "unet_turbo").unwrap_err().to_string();
    assert!(
        message.contains("unet_turbo.safetensors: image_proj: "),
        "{message}"
    );
}

/// The fixture's adapter for `turbo` and its image encoder in a folder of their own.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let encoder = folder.path().join("image_encoder");
    std::fs::create_dir(&encoder).unwrap();
    for name in [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ] {
        let from = golden::path(&format!("ip_adapter/image_encoder/{name}"));
        std::fs::copy(from, encoder.join(name)).unwrap();
    }
    let from = golden::path("ip_adapter/adapter_turbo.safetensors");
    std::fs::copy(from, folder.path().join("ip-adapter.safetensors")).unwrap();
    folder
}

fn refusal(path: &Path) -> String {
    let message = IpAdapter::load(path, &unet("turbo"), Placement::CPU)
        .unwrap_err()
        .to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn a_folder_with_one_adapter_stands_for_it() {
    let folder = copied();
    let (_, reports) = IpAdapter::load(folder.path(), &unet("turbo"), Placement::CPU).unwrap();
    assert!(reports.iter().all(|report| report.unused.is_empty()));
    let file = folder.path().join("ip-adapter.safetensors");
    std::fs::copy(&file, folder.path().join("other.safetensors")).unwrap();
    assert!(refusal(folder.path()).contains("2 .safetensors files here"));
    // Published folders have adapters beside a folder of image encoders, or one level below it.
    let below = folder.path().join("sdxl");
    std::fs::create_dir(&below).unwrap();
    std::fs::rename(&file, below.join("ip-adapter.safetensors")).unwrap();
    IpAdapter::load(&below, &unet("turbo"), Placement::CPU).unwrap();
}

#[test]
fn an_image_encoder_of_other_weights_is_refused_with_key_and_shapes() {
    let folder = copied();
    let path = folder.path().join("image_encoder/config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("\"projection_dim\": 12", "\"projection_dim\": 13"),
    )
    .unwrap();
    let message = refusal(folder.path());
    assert!(
        message.contains(
            "model.safetensors: visual_projection.weight is [12, 16] instead of [13, 16]"
        ),
        "{message}"
    );
}

#[test]
fn files_that_are_missing_or_ask_for_something_else_are_refused_by_name() {
    let folder = copied();
    let encoder = folder.path().join("image_encoder");
    let change = |file: &str, from: &str, to: &str| {
        let path = encoder.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let message = refusal(folder.path());
        std::fs::write(&path, text).unwrap();
        assert!(message.contains(file), "{message}");
        message
    };
    let steps = "preprocessor_config.json";
    assert!(change(steps, "\"do_resize\": true", "\"do_resize\": false").contains("do_resize"));
    assert!(change(steps, "\"resample\": 3", "\"resample\": 2").contains("resample"));
    assert!(change(steps, "\"height\": 32", "\"height\": 16").contains("crop_size"));
    assert!(change(steps, "\"shortest_edge\": 32", "\"shortest_edge\": 31").contains("size"));
    assert!(
        change("config.json", "\"patch_size\": 8", "\"patch_size\": 33").contains("image_size")
    );
    assert!(
        change(
            "config.json",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"relu\""
        )
        .contains("hidden_act")
    );
    assert!(
        change(
            "config.json",
            "\"num_attention_heads\": 2",
            "\"num_attention_heads\": 3"
        )
        .contains("num_attention_heads")
    );
    std::fs::remove_dir_all(&encoder).unwrap();
    assert!(refusal(folder.path()).contains("image_encoder is not beside it"));
    std::fs::remove_file(folder.path().join("ip-adapter.safetensors")).unwrap();
    assert!(refusal(folder.path()).contains("no .safetensors file"));
    assert!(refusal(&folder.path().join("none.safetensors")).contains("none.safetensors"));
}

#[test]
fn pictures_of_any_shape_are_prepared() {
    let processor = ImageProcessor::new(24);
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (24, 24), (23, 25), (300, 7)] {
        let rgb = (0..width * height * 3).map(|i| (i * 37) as u8).collect();
        let picture = Picture { width, height, rgb };
        let pixels = processor.picture(&picture, Placement::CPU);
        assert_eq!(pixels.size(), [1, 3, 24, 24]);
        assert!(bool::try_from(pixels.isfinite().all()).unwrap());
    }
}
