//! A model folder of real size with random weights.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use reverie_diffusion::Error;
use reverie_diffusion::clip::TextEncoder;
use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::unet::UNet2DCondition;
use reverie_diffusion::vae::Vae;
use serde_json::{Value, json};

use super::Result;

/// A file of `benches/shapes/`.
pub(super) struct Shape {
    pub(super) name: String,
    value: Value,
}

impl Shape {
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.json"));
        let text = fs::read(&path)
            .map_err(|error| format!("MODEL={name}: {}: {error}", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            value: serde_json::from_slice(&text)?,
        })
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        let side = |key: &str| self.value[key].as_u64().map_or(0, |n| n as u32);
        (side("width"), side("height"))
    }

    /// Floating-point operations of a part for one row, in 10^9.
    pub(super) fn gflop(&self, part: &str) -> f64 {
        self.value["gflop"][part].as_f64().unwrap_or_default()
    }

    fn encoders(&self) -> Vec<u64> {
        let list = self.value["text_encoders"].as_array();
        list.into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect()
    }
}

/// Writes the folder below `cache`, unless it is there. Its parent is the directory of models.
pub(super) fn write(cache: &Path, shape: &Shape) -> Result<PathBuf> {
    let root = cache.join(&shape.name);
    let complete = root.join("complete");
    if complete.exists() {
        return Ok(cache.to_owned());
    }
    eprintln!(
        "writing random weights of {} to {}",
        shape.name,
        root.display()
    );
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/turbo");
    copy(&fixtures.join("scheduler"), &root.join("scheduler"))?;
    component(&root.join("unet"), &shape.value["unet"], |folder| {
        UNet2DCondition::load(folder, Placement::CPU, None).map(drop)
    })?;
    component(&root.join("vae"), &shape.value["vae"], |folder| {
        Vae::load(folder, Placement::CPU).map(drop)
    })?;
    let encoders = shape.encoders();
    for (suffix, &features) in ["", "_2"].iter().zip(&encoders) {
        copy(
            &fixtures.join("tokenizer"),
            &root.join(format!("tokenizer{suffix}")),
        )?;
        let projected = encoders.len() == 2 && *suffix == "_2";
        let config = text_config(&fixtures.join("text_encoder"), features, projected)?;
        component(
            &root.join(format!("text_encoder{suffix}")),
            &config,
            |folder| TextEncoder::load(folder, Placement::CPU, None).map(drop),
        )?;
    }
    fs::write(complete, "")?;
    Ok(cache.to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// One layer: prompts are encoded once, and their speed is not measured.
fn text_config(like: &Path, features: u64, projected: bool) -> Result<Value> {
    let mut config: Value = serde_json::from_slice(&fs::read(like.join("config.json"))?)?;
    config["hidden_size"] = json!(features);
    config["intermediate_size"] = json!(features);
    config["projection_dim"] = json!(features);
    config["num_attention_heads"] = json!(1);
    config["num_hidden_layers"] = json!(1);
    config["architectures"] = json!([if projected {
        "CLIPTextModelWithProjection"
    } else {
        "CLIPTextModel"
    }]);
    Ok(config)
}

/// Asks the model itself which tensors it wants: loads it from a file without any.
fn component(
    folder: &Path,
    config: &Value,
    load: impl Fn(&Folder) -> std::result::Result<(), Error>,
) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("config.json"),
        serde_json::to_vec_pretty(config)?,
    )?;
    let path = folder.join("model.safetensors");
    tensors(&path, &[])?;
    match load(&Folder::new(folder)) {
        Err(Error::Weights { missing, .. }) => tensors(&path, &missing),
        Err(error) => Err(error.into()),
        Ok(()) => Err("a model without tensors was loaded".into()),
    }
}

/// Writes tensors of 16-bit floats, small and different, as a trained model's are.
fn tensors(path: &Path, wanted: &[(String, Vec<i64>)]) -> Result<()> {
    let mut header = serde_json::Map::new();
    let mut at = 0;
    for (key, shape) in wanted {
        let bytes = 2 * shape.iter().product::<i64>();
        header.insert(
            key.clone(),
            json!({ "dtype": "F16", "shape": shape, "data_offsets": [at, at + bytes] }),
        );
        at += bytes;
    }
    let header = serde_json::to_vec(&header)?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut noise = Noise(1);
    for (key, shape) in wanted {
        let scale = key.ends_with("weight") && shape.len() == 1;
        let inputs: i64 = shape[1..].iter().product();
        for _ in 0..shape.iter().product::<i64>() {
            let value = noise.next(if scale {
                0.1
            } else {
                (3.0 / inputs.max(1) as f32).sqrt()
            });
            let value = if scale { 1.0 + value } else { value };
            file.write_all(&half(value).to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

/// Numbers that look random (Marsaglia's xorshift).
struct Noise(u32);

impl Noise {
    /// In -limit..limit.
    fn next(&mut self, limit: f32) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        limit * (self.0 as f32 / u32::MAX as f32 * 2.0 - 1.0)
    }
}

/// The 16-bit float next to zero from `value`; what is too small for a normal one is zero.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
    match exponent {
        ..=0 => sign,
        1..=30 => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x3ff,
        _ => sign | 0x7bff,
    }
}
