//! UNets and ControlNets.

use reverie_diffusion::controlnet::{ControlNet, Residuals};
use reverie_diffusion::device::Placement;
use reverie_diffusion::embeddings::Sinusoid;
use reverie_diffusion::unet::{Added, Context, Time, UNet2DCondition};
use tch::Tensor;

use crate::golden::{Golden, MODULE, model, relative};

fn unet(name: &str) -> UNet2DCondition {
    let folder = model(name).sub("unet");
    let (unet, report) = UNet2DCondition::load(&folder, Placement::CPU, None).unwrap();
    assert_eq!(report.unused, [], "{name}");
    unet
}

fn added(golden: &Golden) -> Option<Added> {
    Some(Added {
        text_embeds: golden.find("text_embeds")?.shallow_clone(),
        time_ids: golden.find("time_ids")?.shallow_clone(),
    })
}

fn predict(unet: &UNet2DCondition, golden: &Golden, residuals: Option<&Residuals>) -> Tensor {
    let time = unet.time(golden.tensor("t"), added(golden).as_ref());
    let context = unet.context(golden.tensor("ctx"));
    unet.forward(golden.tensor("x"), &time, &context, residuals)
}

fn control(name: &str, golden: &Golden, scale: f64) -> Residuals {
    let (net, report) = ControlNet::load(&model(name), Placement::CPU).unwrap();
    assert_eq!(report.unused, [], "{name}");
    net.forward(
        golden.tensor("x"),
        &net.time(golden.tensor("t"), added(golden).as_ref()),
        &net.context(golden.tensor("ctx")),
        golden.tensor("img"),
        scale,
    )
}

#[test]
fn unets_of_all_families_predict_the_noise_of_the_original_at_square_and_other_sizes() {
    for (name, sizes) in [
        ("sd15", ["8x8", "8x16", "24x8"]),
        ("sd21", ["8x8", "8x16", "24x8"]),
        ("turbo", ["4x4", "2x6", "6x4"]),
        ("sdxl", ["8x8", "8x16", "24x8"]),
    ] {
        let unet = unet(name);
        for size in sizes {
            let golden = Golden::read(&format!("modules/unet_{name}_{size}"));
            golden.check("y", &predict(&unet, &golden, None), MODULE);
        }
    }
}

#[test]
fn a_controlnet_gives_the_residuals_of_the_original_and_the_unet_follows_them() {
    for (name, net, size) in [
        ("sd15", "controlnet_sd15", "8x8"),
        ("turbo", "controlnet_turbo_a", "4x4"),
        ("sdxl", "controlnet_sdxl", "8x8"),
    ] {
        let golden = Golden::read(&format!("modules/unet_{name}_{size}"));
        let residuals = control(net, &golden, 0.7);
        for (i, residual) in residuals.down.iter().enumerate() {
            golden.check(&format!("cn_down{i}"), residual, MODULE);
        }
        assert!(
            golden
                .find(&format!("cn_down{}", residuals.down.len()))
                .is_none()
        );
        golden.check("cn_mid", &residuals.mid, MODULE);
        let predicted = predict(&unet(name), &golden, Some(&residuals));
        golden.check("y_cn", &predicted, MODULE);
    }
}

#[test]
fn residuals_of_two_controlnets_are_summed() {
    let golden = Golden::read("modules/unet_turbo_4x4");
    let first = control("controlnet_turbo_a", &golden, 0.7);
    let both = first + &control("controlnet_turbo_b", &golden, 0.4);
    let predicted = predict(&unet("turbo"), &golden, Some(&both));
    golden.check("y_cn_sum", &predicted, MODULE);
}

#[test]
fn one_control_picture_serves_all_rows_of_a_batch() {
    let golden = Golden::read("modules/unet_turbo_4x4");
    let (net, _) = ControlNet::load(&model("controlnet_turbo_a"), Placement::CPU).unwrap();
    let time = net.time(golden.tensor("t"), None);
    let context = net.context(golden.tensor("ctx"));
    let one = golden.tensor("img").narrow(0, 0, 1);
    let run = |image: &Tensor| {
        net.forward(golden.tensor("x"), &time, &context, image, 1.0)
            .mid
    };
    assert!(relative(&run(&one), &run(&one.repeat([3, 1, 1, 1]))) < MODULE);
}

#[test]
fn rows_stacked_from_several_channels_give_what_each_gives_alone() {
    let golden = Golden::read("modules/unet_sdxl_8x8");
    let unet = unet("sdxl");
    let added = added(&golden).unwrap();
    let row = |tensor: &Tensor, i| tensor.narrow(0, i, 1);
    let parts: Vec<(Time, Context)> = (0..3)
        .map(|i| {
            let added = Added {
                text_embeds: row(&added.text_embeds, i),
                time_ids: row(&added.time_ids, i),
            };
            let time = unet.time(&row(golden.tensor("t"), i), Some(&added));
            (time, unet.context(&row(golden.tensor("ctx"), i)))
        })
        .collect();
    let time = Time::cat(&parts.iter().map(|part| &part.0).collect::<Vec<_>>());
    let context = Context::cat(&parts.iter().map(|part| &part.1).collect::<Vec<_>>());
    let y = unet.forward(golden.tensor("x"), &time, &context, None);
    golden.check("y", &y, MODULE);
}

#[test]
fn cross_attentions_are_listed_by_their_names_in_the_file() {
    let unet = unet("turbo");
    let paths: Vec<_> = unet
        .cross_attentions()
        .iter()
        .map(|attention| {
            attention
                .path
                .trim_end_matches(".transformer_blocks.0.attn2")
        })
        .collect();
    assert_eq!(
        paths,
        [
            "down_blocks.0.attentions.0",
            "down_blocks.1.attentions.0",
            "mid_block.attentions.0",
            "up_blocks.0.attentions.0",
            "up_blocks.0.attentions.1",
            "up_blocks.1.attentions.0",
            "up_blocks.1.attentions.1",
        ]
    );
}

#[test]
fn timesteps_become_the_waves_of_the_original() {
    let golden = Golden::read("modules/tables");
    for (channels, flip_sin_to_cos, freq_shift) in [
        (8, true, 0),
        (16, true, 0),
        (256, true, 0),
        (320, true, 0),
        (16, false, 1),
    ] {
        let sinusoid = Sinusoid {
            channels,
            flip_sin_to_cos,
            freq_shift: f64::from(freq_shift),
        };
        let order = if flip_sin_to_cos {
            "cos_sin"
        } else {
            "sin_cos"
        };
        let key = format!("time.{channels}.{order}.{freq_shift}");
        golden.check(&key, &sinusoid.forward(golden.tensor("time.t")), 1e-6);
    }
}
