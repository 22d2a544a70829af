//! Whole streams of the committed models against recordings of the reference implementation.

use super::case::Recording;
use super::{fixture, recordings, run};

/// Compares the recordings of these names.
fn meets(names: &[&str]) {
    for name in names {
        let path = fixture(&format!("golden/streams/{name}.safetensors"));
        let recording = Recording::read(&path).unwrap();
        let comparison = run::compare(&fixture("models"), &recording).unwrap();
        assert!(comparison.is_met(), "{name}: {comparison:#?}");
    }
}

const WITHOUT_GUIDANCE: [&str; 5] = [
    "turbo_1_none",
    "turbo_1_none_first",
    "turbo_2_none",
    "turbo_2_none_4steps",
    "turbo_4_none",
];
const RESIDUAL: [&str; 5] = [
    "turbo_1_self",
    "turbo_2_self",
    "turbo_2_self_gs1",
    "turbo_2_self_prime",
    "turbo_4_self",
];
const INITIALIZE: [&str; 3] = ["turbo_1_init", "turbo_2_init", "turbo_4_init"];
const FULL: [&str; 3] = ["turbo_1_full", "turbo_2_full", "turbo_4_full"];
const WITHOUT_NOISE: [&str; 2] = ["turbo_2_none_nonoise", "turbo_2_none_nonoise_seq"];
const FRAME_BUFFER: [&str; 6] = [
    "turbo_1_none_fb2",
    "turbo_1_self_fb2",
    "turbo_1_full_fb2",
    "turbo_2_none_fb2",
    "turbo_2_self_fb2",
    "turbo_3_init_fb2",
];
const AUTOENCODER_KL: [&str; 4] = [
    "sd15_3_none_klmean",
    "turbo_1_none_klmean",
    "turbo_2_self_kl",
    "sdxl_2_full_klmean",
];
const OTHER_MODELS: [&str; 6] = [
    "sd15_2_self",
    "sd21_2_self",
    "sdxl_1_none",
    "sdxl_2_self",
    "sdxl_2_init_upd",
    "turbo_2_self_tall",
];
const CONTROLNETS: [&str; 5] = [
    "sd15_1_none_cn",
    "sdxl_2_init_cn",
    "turbo_2_full_cn2",
    "turbo_2_self_cn",
    "turbo_2_self_live_cn",
];
const LIVE_PROMPTS: [&str; 4] = [
    "turbo_2_full_live_negative",
    "turbo_2_full_upd",
    "turbo_2_init_upd",
    "turbo_3_none_upd",
];
const LIVE_STEPS: [&str; 5] = [
    "sdxl_2_init_live_s1",
    "turbo_2_self_live_s4",
    "turbo_2_self_live_steps",
    "turbo_3_none_live_t",
    "turbo_4_init_live_s1",
];
const LIVE_GUIDANCE: [&str; 4] = [
    "turbo_2_full_live_guidance",
    "turbo_2_init_live_guidance",
    "turbo_2_live_cfg",
    "turbo_2_self_live_guidance",
];
const LIVE_SEEDS: [&str; 2] = ["turbo_2_self_live_seed", "turbo_2_self_seeds"];
const FEEDBACK: [&str; 1] = ["turbo_2_self_feedback"];
const IP_ADAPTER: [&str; 3] = [
    "turbo_2_full_ip_cn",
    "turbo_2_self_ip",
    "turbo_2_self_live_ip",
];
const BLENDING: [&str; 4] = [
    "sdxl_1_full_transition",
    "turbo_1_none_blend",
    "turbo_2_init_live_many",
    "turbo_2_none_transition",
];

#[test]
fn one_two_and_four_steps_without_guidance_are_those_of_the_original() {
    meets(&WITHOUT_GUIDANCE);
}

#[test]
fn residual_guidance_is_that_of_the_original() {
    meets(&RESIDUAL);
}

#[test]
fn guidance_that_is_initialized_by_the_negative_prompt_is_that_of_the_original() {
    meets(&INITIALIZE);
}

#[test]
fn full_guidance_is_that_of_the_original() {
    meets(&FULL);
}

#[test]
fn without_added_noise_the_stream_and_the_single_steps_are_those_of_the_original() {
    meets(&WITHOUT_NOISE);
}

#[test]
fn several_frames_at_once_are_done_like_single_ones() {
    meets(&FRAME_BUFFER);
}

#[test]
fn the_model_s_own_autoencoder_serves_too() {
    meets(&AUTOENCODER_KL);
}

#[test]
fn other_architectures_and_sizes_are_met() {
    meets(&OTHER_MODELS);
}

#[test]
fn controlnets_are_summed_and_can_be_switched_off_and_on() {
    meets(&CONTROLNETS);
}

#[test]
fn a_prompt_changes_in_the_running_stream() {
    meets(&LIVE_PROMPTS);
}

#[test]
fn the_steps_change_in_the_running_stream() {
    meets(&LIVE_STEPS);
}

#[test]
fn guidance_changes_in_the_running_stream() {
    meets(&LIVE_GUIDANCE);
}

#[test]
fn seeds_change_and_blend_in_the_running_stream() {
    meets(&LIVE_SEEDS);
}

#[test]
fn prompts_blend_and_change_over_several_frames() {
    meets(&BLENDING);
}

#[test]
fn former_latents_are_mixed_in() {
    meets(&FEEDBACK);
}

#[test]
fn a_picture_stands_beside_the_prompt_as_strong_as_wanted() {
    meets(&IP_ADAPTER);
}

#[test]
fn no_recording_is_left_out() {
    let compared = [
        &WITHOUT_GUIDANCE[..],
        &RESIDUAL,
        &INITIALIZE,
        &FULL,
        &WITHOUT_NOISE,
        &FRAME_BUFFER,
        &AUTOENCODER_KL,
        &OTHER_MODELS,
        &CONTROLNETS,
        &LIVE_PROMPTS,
        &LIVE_STEPS,
        &LIVE_GUIDANCE,
        &LIVE_SEEDS,
        &FEEDBACK,
        &IP_ADAPTER,
        &BLENDING,
    ]
    .concat();
    for (name, _) in recordings() {
        assert!(compared.contains(&name.as_str()), "{name} is not compared");
    }
}
