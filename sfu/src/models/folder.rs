//! What is in the folder of models: names, architectures, sizes, and what is missing.

use std::fs;
use std::io;
use std::path::Path;

use reverie_diffusion::folder::Folder;
use serde_json::Value;

/// Parts that every pipeline must have.
const PARTS: [&str; 5] = ["scheduler", "tokenizer", "text_encoder", "unet", "vae"];
/// Parts that some have besides.
const SECOND: [&str; 2] = ["tokenizer_2", "text_encoder_2"];

/// The architecture of weights that belong to no network, such as a LoRA.
pub(crate) const ADAPTER: &str = "adapter";

/// A model in the folder of models.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its folder below that of all models.
    pub(crate) name: String,
    /// The class that diffusers would load it as, and which generation.
    pub(crate) architecture: String,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// What it lacks, one part or file each.
    pub(crate) missing: Vec<String>,
}

/// All models below `models`, by name: its folders, and those one further down.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn list(models: &Path) -> io::Result<Vec<Model>> {
    let mut found = Vec::new();
    for (name, path) in folders(models)? {
        if is_model(&path) {
            found.push(look(name, &path)?);
            continue;
        }
        for (inner, path) in folders(&path)? {
            if is_model(&path) {
                found.push(look(format!("{name}/{inner}"), &path)?);
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The model in one folder, or `None` if there is none in it.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn one(path: &Path) -> io::Result<Option<Model>> {
    fs::read_dir(path)?;
    let name = path.display().to_string();
    is_model(path).then(|| look(name, path)).transpose()
}

/// Folders in a folder, without hidden ones.
fn folders(path: &Path) -> io::Result<Vec<(String, std::path::PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

fn is_model(path: &Path) -> bool {
    let has = |name| path.join(name).is_file();
    has("model_index.json") || has("config.json") || !adapters(path).is_empty()
}

fn look(name: String, path: &Path) -> io::Result<Model> {
    let folder = Folder::new(path);
    let mut missing = Vec::new();
    let architecture = if path.join("model_index.json").is_file() {
        pipeline(&folder, &mut missing)
    } else if path.join("config.json").is_file() {
        network(&folder, "", &mut missing);
        folder.class_name().ok().flatten().unwrap_or_else(unknown)
    } else {
        ADAPTER.to_owned()
    };
    Ok(Model {
        name,
        architecture,
        bytes: bytes(path)?,
        missing,
    })
}

fn pipeline(folder: &Folder, missing: &mut Vec<String>) -> String {
    let index: Value = match folder.json("model_index.json") {
        Ok(index) => index,
        Err(error) => {
            missing.push(error.to_string());
            return unknown();
        }
    };
    let names = |part: &str| {
        index
            .get(part)
            .and_then(|at| at.get(0))
            .is_some_and(|at| !at.is_null())
    };
    for part in PARTS
        .into_iter()
        .chain(SECOND.into_iter().filter(|part| names(part)))
    {
        match part {
            "scheduler" => file(folder, part, "scheduler_config.json", missing),
            "tokenizer" | "tokenizer_2" => {
                file(folder, part, "vocab.json", missing);
                file(folder, part, "merges.txt", missing);
            }
            _ => network(folder, part, missing),
        }
    }
    let class = index.get("_class_name").and_then(Value::as_str);
    let class = class.map_or_else(unknown, str::to_owned);
    match generation(folder) {
        Some(generation) => format!("{class} ({generation})"),
        None => class,
    }
}

/// By the width of the text that the UNet looks at.
fn generation(folder: &Folder) -> Option<&'static str> {
    let config: Value = folder.sub("unet").config().ok()?;
    match config.get("cross_attention_dim")?.as_u64()? {
        768 => Some("SD 1"),
        1024 => Some("SD 2"),
        2048 => Some("SDXL"),
        _ => None,
    }
}

fn network(folder: &Folder, part: &str, missing: &mut Vec<String>) {
    file(folder, part, "config.json", missing);
    let place = if part.is_empty() {
        String::new()
    } else {
        format!("{part}/")
    };
    match folder.sub(part).weights() {
        Err(_) => missing.push(format!("{place}*.safetensors")),
        Ok(files) => {
            let lost = files.iter().filter(|file| !file.is_file());
            let names = lost.filter_map(|file| Some(file.file_name()?.to_string_lossy()));
            missing.extend(names.map(|name| format!("{place}{name}")));
        }
    }
}

fn file(folder: &Folder, part: &str, name: &str, missing: &mut Vec<String>) {
    let path = Path::new(part).join(name);
    if !folder.path().join(&path).is_file() {
        missing.push(path.display().to_string());
    }
}

/// Files of weights that belong to no network, such as a LoRA.
fn adapters(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".safetensors"))
        .collect()
}

fn bytes(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let data = fs::metadata(&path)?;
        sum += if data.is_dir() {
            bytes(&path)?
        } else {
            data.len()
        };
    }
    Ok(sum)
}

fn unknown() -> String {
    "unknown".to_owned()
}
