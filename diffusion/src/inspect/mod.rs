//! What a folder of models holds, whether it is whole, and what can be done with it. Only configurations and headers are
//! read, so it takes no time, no memory and no device.

mod display;
mod pipeline;

use std::path::PathBuf;

use tch::Kind as Elements;

use crate::Error;
use crate::controlnet::ControlNet;
use crate::folder::Folder;
use crate::lora::Component;
use crate::params::Family;
use crate::unet;
use crate::vae::Vae;
use crate::weights::Report;

/// What was found in a folder. Its text is for people, several lines without a line break at the end.
#[derive(Debug)]
pub struct Inspection {
    /// The folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// What it is made of, in the order in which a picture meets it.
    pub parts: Vec<Part>,
    /// What keeps it from being used, each in one line that names file and key; empty if nothing does.
    pub faults: Vec<Error>,
    /// What a pipeline without faults can be used with.
    pub support: Option<Support>,
}

/// What a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model with all that belongs to it.
    Pipeline {
        /// `_class_name` of `model_index.json`.
        class: Option<String>,
        /// Models that were trained alike, if they are known.
        family: Option<Family>,
        /// True if its scheduler counts timesteps from the last one, as those of SD-Turbo and SDXL-Turbo do: such models
        /// were trained for one to four steps without guidance.
        turbo: bool,
    },
    /// An autoencoder to be used in place of a pipeline's own.
    Autoencoder,
    /// A ControlNet.
    ControlNet,
    /// None of these.
    Unknown,
}

/// One of the things a model is made of.
#[derive(Debug)]
pub struct Part {
    /// The folder's name in the pipeline, such as `unet`; empty for the folder itself.
    pub name: &'static str,
    /// Class and sizes, in words.
    pub summary: String,
    /// What became of its weights, if it has any.
    pub report: Option<Report>,
}

/// What a pipeline can be used with.
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    /// Pixels of a picture along one side of a pixel of its latent; width and height are multiples of it.
    pub scale: i64,
    /// How many weights of each component LoRA can change.
    pub lora_targets: Vec<(Component, usize)>,
    /// Of the UNet, and of every ControlNet for it.
    pub widths: Vec<i64>,
    /// Channels of a token of the prompt, of the UNet and of every ControlNet and IP-Adapter for it.
    pub context: Vec<i64>,
    /// Cross attentions, for each of which an IP-Adapter has keys and values.
    pub cross_attentions: usize,
    /// An estimate of the least memory of a GPU for one stream of 512x512, in bytes.
    pub vram: u64,
}

/// Looks through a folder.
#[must_use]
pub fn inspect(folder: &Folder) -> Inspection {
    let mut found = Inspection {
        path: folder.path().to_owned(),
        kind: Kind::Unknown,
        parts: Vec::new(),
        faults: Vec::new(),
        support: None,
    };
    if !folder.exists() {
        found.fault(Error::malformed(folder.path(), "there is no such folder"));
    } else if folder.path().join(pipeline::INDEX).is_file() || folder.sub("unet").exists() {
        found.pipeline(folder);
    } else {
        found.single(folder);
    }
    found
}

impl Inspection {
    /// True if the folder can be used.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, error: Error) {
        self.faults.push(error);
    }

    /// The value, or nothing and a fault.
    fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.fault(error)).ok()
    }

    /// A part with weights; what does not fit is a fault.
    fn weighed(&mut self, name: &'static str, summary: String, report: Report) {
        if let Some(error) = report.error() {
            self.fault(error);
        }
        self.parts.push(Part {
            name,
            summary,
            report: Some(report),
        });
    }

    /// A folder with one network at its top.
    fn single(&mut self, folder: &Folder) {
        let Some(class) = self.take(folder.class_name()) else {
            return;
        };
        match class.as_deref() {
            Some("ControlNetModel") => {
                self.kind = Kind::ControlNet;
                if let Some((net, report)) = self.take(ControlNet::check(folder)) {
                    let summary = format!("ControlNetModel {}", shape(net.config()));
                    self.weighed("", summary, report);
                }
            }
            Some("AutoencoderTiny" | "AutoencoderKL") => {
                self.kind = Kind::Autoencoder;
                if let Some((vae, report)) = self.take(Vae::check(folder)) {
                    self.weighed("", autoencoder(&vae), report);
                }
            }
            other => {
                let found = other.map_or("none".to_owned(), |name| format!("\"{name}\""));
                self.fault(Error::unsupported(
                    &folder.path().join("config.json"),
                    "_class_name",
                    format!("{found}; AutoencoderTiny, AutoencoderKL, ControlNetModel or a model_index.json beside it are looked for"),
                ));
            }
        }
    }
}

/// Widths and prompts of a UNet or ControlNet, in words.
fn shape(config: &unet::Config) -> String {
    let context = distinct(config.cross_attention_dim.values());
    format!(
        "of widths {} for prompts of {}",
        list(&config.block_out_channels),
        list(&context)
    )
}

fn autoencoder(vae: &Vae) -> String {
    let class = match vae {
        Vae::Tiny(_) => "AutoencoderTiny",
        Vae::KL(_) => "AutoencoderKL",
    };
    let (scale, channels) = (vae.scale(), vae.latent_channels());
    format!("{class} to 1/{scale} of the size in {channels} channels")
}

fn list(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
    numbers.join(" ")
}

fn distinct<'a>(numbers: impl Iterator<Item = &'a i64>) -> Vec<i64> {
    let mut numbers: Vec<_> = numbers.copied().collect();
    numbers.dedup();
    numbers
}

/// The name that safetensors has for elements.
fn elements(kind: Elements) -> &'static str {
    match kind {
        Elements::Half => "F16",
        Elements::BFloat16 => "BF16",
        Elements::Float => "F32",
        Elements::Double => "F64",
        _ => "whole numbers",
    }
}
