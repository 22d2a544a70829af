//! Tokenizers and text encoders.

use std::collections::HashMap;

use reverie_diffusion::clip::TextEncoder;
use reverie_diffusion::device::Placement;
use reverie_diffusion::tokenizer::Tokenizer;
use serde::Deserialize;
use tch::Tensor;

use crate::golden::{self, Golden, MODULE, model};

#[derive(Deserialize)]
struct Tokens {
    prompts: Vec<String>,
    ids: HashMap<String, Vec<String>>,
}

#[test]
fn awkward_prompts_become_the_tokens_of_the_original() {
    let text = std::fs::read(golden::path("modules/tokens.json")).unwrap();
    let tokens: Tokens = serde_json::from_slice(&text).unwrap();
    assert!(tokens.ids.len() >= 5 && tokens.prompts.len() >= 20);
    for (folder, rows) in tokens.ids {
        let tokenizer = Tokenizer::load(&model(&folder)).unwrap();
        for (prompt, row) in tokens.prompts.iter().zip(rows) {
            let expected: Vec<i64> = row.split(' ').map(|id| id.parse().unwrap()).collect();
            assert_eq!(tokenizer.encode(prompt), expected, "{folder}: {prompt:?}");
        }
    }
}

#[test]
fn text_encoders_give_the_hidden_states_of_the_original() {
    for (golden, folder) in [
        ("clip_sd15", "sd15/text_encoder"),
        ("clip_sd21", "sd21/text_encoder"),
        ("clip_turbo", "turbo/text_encoder"),
        ("clip_sdxl", "sdxl/text_encoder"),
        ("clip_sdxl_2", "sdxl/text_encoder_2"),
    ] {
        let golden = Golden::read(&format!("modules/{golden}"));
        let (encoder, report) = TextEncoder::load(&model(folder), Placement::CPU, None).unwrap();
        assert_eq!(report.unused, [], "{folder}");
        let output = encoder.forward(golden.tensor("ids"));
        golden.check("last", &output.last, MODULE);
        golden.check("penult", &output.penultimate, MODULE);
        match output.projected {
            Some(projected) => golden.check("text_embeds", &projected, MODULE),
            None => golden.check("pooled", &output.pooled, MODULE),
        }
    }
}

#[test]
fn both_encoders_of_sdxl_together_give_the_prompts_of_its_pipeline() {
    let golden = Golden::read("modules/sdxl_prompt");
    let pairs = ["", "_2"].map(|which| {
        let tokenizer = Tokenizer::load(&model(&format!("sdxl/tokenizer{which}"))).unwrap();
        let folder = model(&format!("sdxl/text_encoder{which}"));
        let (encoder, _) = TextEncoder::load(&folder, Placement::CPU, None).unwrap();
        (tokenizer, encoder)
    });
    for (prompt, tokens, pooled) in [
        ("a cat, neon flowers", "0.pos", "0.pool"),
        ("the dog", "0.neg", "0.negpool"),
        ("café", "1.pos", "1.pool"),
    ] {
        let [first, second] = pairs.each_ref().map(|(tokenizer, encoder)| {
            encoder.forward(&Tensor::from_slice(&tokenizer.encode(prompt)).unsqueeze(0))
        });
        let both = Tensor::cat(&[first.penultimate, second.penultimate], -1);
        golden.check(tokens, &both, MODULE);
        golden.check(pooled, &second.projected.unwrap(), MODULE);
    }
}
