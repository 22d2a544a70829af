//! The folder of a whole pipeline, part by part, and whether the parts go together.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;
use crate::clip::{self, TextEncoder};
use crate::folder::Folder;
use crate::lora;
use crate::params::Family;
use crate::scheduler::Schedule;
use crate::tokenizer::Tokenizer;
use crate::unet::{self, UNet2DCondition};
use crate::vae::Vae;

use super::{Inspection, Kind, Part, Support, autoencoder, distinct, shape};

pub(super) const INDEX: &str = "model_index.json";

/// Pipelines whose parts are those that a stream runs.
const CLASSES: [&str; 8] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionControlNetPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLControlNetPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
];

/// CUDA's own, workspaces, and what is between the layers of one stream.
const BESIDE_WEIGHTS: u64 = 3 << 29;

/// A tokenizer and the text encoder behind it.
#[derive(Default)]
struct Text {
    tokenizer: Option<Tokenizer>,
    encoder: Option<TextEncoder>,
}

impl Text {
    fn config(&self) -> Option<&clip::Config> {
        self.encoder.as_ref().map(TextEncoder::config)
    }

    /// Where tokenizer and encoder are not for each other: keys of the encoder's configuration and what is wrong.
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let (Some(words), Some(config)) = (&self.tokenizer, self.config()) {
            let (tokens, rows) = (words.size(), config.vocab_size);
            if tokens > rows {
                faults.push((
                    "vocab_size",
                    format!("{rows}; the tokenizer has {tokens} tokens"),
                ));
            }
            let (length, most) = (words.length() as i64, config.max_position_embeddings);
            if length > most {
                let reason = format!("{most}; the tokenizer gives {length} tokens");
                faults.push(("max_position_embeddings", reason));
            }
        }
        faults
    }
}

impl Inspection {
    pub(super) fn pipeline(&mut self, folder: &Folder) {
        let class = self.class(folder);
        let turbo = self.scheduler(&folder.sub("scheduler"));
        let first = self.text(folder, ["tokenizer", "text_encoder"]);
        let unet = self.take(UNet2DCondition::check(&folder.sub("unet")));
        let added = |(unet, _): &(UNet2DCondition, _)| unet.config().takes_added();
        let two = folder.sub("text_encoder_2").exists() || unet.as_ref().is_some_and(added);
        let second = two.then(|| self.text(folder, ["tokenizer_2", "text_encoder_2"]));
        let unet = unet.map(|(unet, report)| {
            let summary = format!("UNet2DConditionModel {}", shape(unet.config()));
            self.weighed("unet", summary, report);
            unet
        });
        let vae = self.take(Vae::check(&folder.sub("vae")));
        let vae = vae.map(|(vae, report)| {
            self.weighed("vae", autoencoder(&vae), report);
            vae
        });
        self.kind = Kind::Pipeline {
            class,
            family: Family::of(folder).unwrap_or_default(),
            turbo,
        };
        if let (Some(unet), Some(vae)) = (&unet, &vae) {
            self.together(folder, unet.config(), vae, [Some(&first), second.as_ref()]);
            self.support(folder, unet, vae);
        }
    }

    fn class(&mut self, folder: &Folder) -> Option<String> {
        let index: BTreeMap<String, Value> = self.take(folder.json(INDEX))?;
        let class = index.get("_class_name").and_then(Value::as_str)?;
        if !CLASSES.contains(&class) {
            self.fault(Error::unsupported(
                &folder.path().join(INDEX),
                "_class_name",
                format!("\"{class}\" is not supported, only {}", CLASSES.join(", ")),
            ));
        }
        Some(class.to_owned())
    }

    /// True if it is that of a turbo model.
    fn scheduler(&mut self, folder: &Folder) -> bool {
        const FILE: &str = "scheduler_config.json";
        let schedule = self.take(Schedule::load(folder));
        // Which sampler the model came with; the stream has its own.
        let config: BTreeMap<String, Value> = folder.json(FILE).unwrap_or_default();
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let mut summary = text("_class_name").unwrap_or("no class").to_owned();
        summary += &format!(", {}", text("prediction_type").unwrap_or("epsilon"));
        if let Some(schedule) = schedule {
            summary += &format!(", {} timesteps", schedule.alphas_cumprod().len());
        }
        self.parts.push(Part {
            name: "scheduler",
            summary,
            report: None,
        });
        text("timestep_spacing") == Some("trailing")
    }

    fn text(&mut self, folder: &Folder, [tokenizer, encoder]: [&'static str; 2]) -> Text {
        let mut text = Text::default();
        if let Some(words) = self.take(Tokenizer::load(&folder.sub(tokenizer))) {
            self.parts.push(Part {
                name: tokenizer,
                summary: format!("{} tokens, {} in a prompt", words.size(), words.length()),
                report: None,
            });
            text.tokenizer = Some(words);
        }
        let folder = folder.sub(encoder);
        if let Some((model, report)) = self.take(TextEncoder::check(&folder)) {
            let config = model.config();
            let (width, layers) = (config.hidden_size, config.num_hidden_layers);
            let summary = format!("CLIP of width {width} with {layers} layers");
            self.weighed(encoder, summary, report);
            text.encoder = Some(model);
        }
        text
    }

    /// Faults of parts that are whole but not for each other.
    fn together(
        &mut self,
        folder: &Folder,
        unet: &unet::Config,
        vae: &Vae,
        texts: [Option<&Text>; 2],
    ) {
        let mut refuse = |part: &str, key: &str, reason: String| {
            let path = folder.path().join(part).join("config.json");
            self.fault(Error::unsupported(&path, key, reason));
        };
        for (name, text) in ["text_encoder", "text_encoder_2"].into_iter().zip(texts) {
            for (key, reason) in text.into_iter().flat_map(Text::faults) {
                refuse(name, key, reason);
            }
        }
        let latent = vae.latent_channels();
        for (key, taken) in [
            ("in_channels", unet.in_channels),
            ("out_channels", unet.out_channels),
        ] {
            if taken != latent {
                refuse(
                    "unet",
                    key,
                    format!("{taken}; the autoencoder's latents have {latent}"),
                );
            }
        }
        // Without one that should be there, which is a fault already, there is nothing to compare with.
        let encoders: Option<Vec<_>> = texts.into_iter().flatten().map(Text::config).collect();
        let Some(encoders) = encoders else { return };
        let given: i64 = encoders.iter().map(|config| config.hidden_size).sum();
        for taken in distinct(unet.cross_attention_dim.values()) {
            if taken != given {
                let reason = format!("{taken}; the prompt is encoded in {given}");
                refuse("unet", "cross_attention_dim", reason);
            }
        }
        let given = encoders.get(1).map(|config| config.projection_dim);
        if unet.takes_added() && unet.pooled_dim() != given {
            let (taken, given) = (unet.pooled_dim().unwrap_or(0), given.unwrap_or(0));
            let reason =
                format!("leaves {taken} for the pooled prompt, which is encoded in {given}");
            refuse("unet", "projection_class_embeddings_input_dim", reason);
        }
    }

    fn support(&mut self, folder: &Folder, unet: &UNet2DCondition, vae: &Vae) {
        if !self.is_whole() {
            return;
        }
        let Some(lora_targets) = self.take(lora::targets(folder)) else {
            return;
        };
        let parameters: u64 = self
            .parts
            .iter()
            .filter_map(|part| Some(part.report.as_ref()?.parameters))
            .sum();
        self.support = Some(Support {
            scale: vae.scale(),
            lora_targets,
            widths: unet.config().block_out_channels.clone(),
            context: distinct(unet.config().cross_attention_dim.values()),
            cross_attentions: unet.cross_attentions().len(),
            vram: 2 * parameters + BESIDE_WEIGHTS,
        });
    }
}
