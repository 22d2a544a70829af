//! Which files of a model on a hub are needed here.

use super::hub::Remote;

/// Parts of a pipeline that have weights.
const NETWORKS: [&str; 5] = [
    "unet",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "image_encoder",
];
/// Parts of a pipeline that have none.
const OTHERS: [&str; 3] = ["scheduler", "tokenizer", "tokenizer_2"];
/// How files of weights begin.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// Which of several forms of the same weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// As they were published, usually in full precision.
    Full,
    /// In half precision where there is such a file.
    Fp16,
}

/// The files that are needed: configurations, vocabularies, and one form of the weights of each part.
pub(super) fn files(all: &[Remote], variant: Variant) -> Result<Vec<Remote>, String> {
    let has = |name: &str| all.iter().any(|file| file.name == name);
    if has("model_index.json") {
        pipeline(all, variant)
    } else if has("config.json") {
        network(all, "", variant)
    } else {
        adapter(all)
    }
}

/// Exactly the named files.
pub(super) fn named(all: &[Remote], names: &[String]) -> Result<Vec<Remote>, String> {
    let find = |name: &String| {
        let found = all.iter().find(|file| file.name == *name);
        found
            .cloned()
            .ok_or_else(|| format!("the hub has no file {name} of it"))
    };
    names.iter().map(find).collect()
}

fn pipeline(all: &[Remote], variant: Variant) -> Result<Vec<Remote>, String> {
    let mut picked = matching(all, "", |name| name == "model_index.json");
    for part in OTHERS {
        picked.extend(matching(all, part, is_text));
    }
    for part in NETWORKS {
        if !matching(all, part, |name| name == "config.json").is_empty() {
            picked.extend(network(all, part, variant)?);
        }
    }
    Ok(picked)
}

/// The configuration and the weights in `folder`.
fn network(all: &[Remote], folder: &str, variant: Variant) -> Result<Vec<Remote>, String> {
    let forms = match variant {
        Variant::Full => ["", ".fp16"],
        Variant::Fp16 => [".fp16", ""],
    };
    let mut picked = matching(all, folder, |name| {
        is_text(name) && !name.contains(".index.")
    });
    for form in forms {
        for stem in STEMS {
            let weights = matching(all, folder, |name| is_weights(name, stem, form));
            if !weights.is_empty() {
                picked.extend(weights);
                return Ok(picked);
            }
        }
    }
    let place = if folder.is_empty() { "it" } else { folder };
    Err(format!(
        "{place} has no weights as safetensors, and no other kind is read here"
    ))
}

/// A LoRA or the like: the one file of weights there is.
fn adapter(all: &[Remote]) -> Result<Vec<Remote>, String> {
    let usual = matching(all, "", |name| name == "pytorch_lora_weights.safetensors");
    let weights = matching(all, "", |name| name.ends_with(".safetensors"));
    match (&usual[..], &weights[..]) {
        ([_], _) => Ok(usual),
        (_, [_]) => Ok(weights),
        (_, []) => Err("has neither model_index.json nor config.json nor weights at its top; --file names what to take".to_owned()),
        (_, several) => {
            let names: Vec<_> = several.iter().map(|file| file.name.as_str()).collect();
            Err(format!("has several files of weights; --file takes one of {}", names.join(", ")))
        }
    }
}

/// The files right in `folder` whose name is right.
fn matching(all: &[Remote], folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<Remote> {
    let inside = |file: &&Remote| {
        let (place, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        place == folder && wanted(name)
    };
    all.iter().filter(inside).cloned().collect()
}

fn is_text(name: &str) -> bool {
    name.ends_with(".json") || name.ends_with(".txt")
}

/// One file, or the shards of one and their index; `form` is where `.fp16` stands.
fn is_weights(name: &str, stem: &str, form: &str) -> bool {
    let Some(rest) = name.strip_prefix(stem) else {
        return false;
    };
    let whole = rest == format!("{form}.safetensors");
    let index = rest == format!(".safetensors.index{form}.json");
    whole || index || is_shard(rest, form)
}

/// `-00001-of-00002` before or after the form.
fn is_shard(rest: &str, form: &str) -> bool {
    let Some(rest) = rest.strip_suffix(".safetensors") else {
        return false;
    };
    let numbers = rest.strip_prefix(form).filter(|rest| rest.starts_with('-'));
    let numbers = numbers.or_else(|| rest.strip_suffix(form));
    numbers
        .and_then(|numbers| numbers.strip_prefix('-')?.split_once("-of-"))
        .is_some_and(|(at, of)| {
            let number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
            number(at) && number(of)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(names: &[&str]) -> Vec<Remote> {
        let remote = |name: &&str| Remote {
            name: (*name).to_owned(),
            size: None,
            checksum: None,
        };
        names.iter().map(remote).collect()
    }

    fn picked(names: &[&str], variant: Variant) -> Result<Vec<String>, String> {
        let mut names: Vec<_> = files(&remote(names), variant)?
            .into_iter()
            .map(|f| f.name)
            .collect();
        names.sort();
        Ok(names)
    }

    const TURBO: [&str; 21] = [
        ".gitattributes",
        "README.md",
        "model_index.json",
        "sd_turbo.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    #[test]
    fn of_a_pipeline_one_form_of_each_part_is_taken_and_nothing_else() {
        let full = picked(&TURBO, Variant::Full).unwrap();
        assert_eq!(full.len(), 12);
        assert!(full.contains(&"unet/diffusion_pytorch_model.safetensors".to_owned()));
        for left in ["sd_turbo", "fp16", "non_ema", ".bin", "safety", "README"] {
            assert!(
                full.iter().all(|name| !name.contains(left)),
                "{left} in {full:?}"
            );
        }
        let half = picked(&TURBO, Variant::Fp16).unwrap();
        assert_eq!(
            half.iter().filter(|name| name.contains(".fp16.")).count(),
            2
        );
        // A part without that form comes in the other one.
        assert!(half.contains(&"vae/diffusion_pytorch_model.safetensors".to_owned()));
    }

    #[test]
    fn shards_come_with_their_index_and_without_those_of_the_other_form() {
        let names = [
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        ];
        let full = picked(&names, Variant::Full).unwrap();
        assert_eq!(
            (full.len(), full.iter().any(|name| name.contains("fp16"))),
            (5, false)
        );
        let half = picked(&names, Variant::Fp16).unwrap();
        assert_eq!(half.len(), 4);
    }

    #[test]
    fn a_single_network_and_a_lora_have_their_files_at_the_top() {
        let taesd = [
            "config.json",
            "diffusion_pytorch_model.safetensors",
            "taesd_decoder.safetensors",
            "x.onnx",
        ];
        assert_eq!(picked(&taesd, Variant::Full).unwrap(), taesd[..2]);
        let lora = [
            "README.md",
            "a.safetensors",
            "pytorch_lora_weights.safetensors",
        ];
        assert_eq!(picked(&lora, Variant::Full).unwrap(), lora[2..]);
    }

    #[test]
    fn what_cannot_be_taken_is_told() {
        let only_bin = ["config.json", "diffusion_pytorch_model.bin"];
        assert!(
            picked(&only_bin, Variant::Full)
                .unwrap_err()
                .contains("safetensors")
        );
        let several = ["a.safetensors", "b.safetensors"];
        assert!(
            picked(&several, Variant::Full)
                .unwrap_err()
                .contains("a.safetensors, b.safetensors")
        );
        assert!(
            picked(&["models/a.safetensors"], Variant::Full)
                .unwrap_err()
                .contains("--file")
        );
    }
}
