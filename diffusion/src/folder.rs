//! A folder of a model in the layout of diffusers: one `config.json` and one set of safetensors per component.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// A folder with a `config.json` and weights, such as `unet/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A folder in this one.
    #[must_use]
    pub fn sub(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// True if the folder is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// A JSON file of the folder.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON, or lacks or mistypes a field of `T`; the message names file and field.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let path = self.0.join(name);
        let text = fs::read(&path).map_err(Error::file(&path))?;
        serde_json::from_slice(&text).map_err(|error| Error::malformed(&path, error))
    }

    /// The component's `config.json`.
    ///
    /// # Errors
    /// As [`Folder::json`].
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.json("config.json")
    }

    /// The field `_class_name` of `config.json`: which architecture the weights are of.
    ///
    /// # Errors
    /// As [`Folder::json`].
    pub fn class_name(&self) -> Result<Option<String>, Error> {
        let config: Value = self.config()?;
        Ok(config
            .get("_class_name")
            .and_then(Value::as_str)
            .map(str::to_owned))
    }

    /// The files that hold the component's weights: one, or the shards that an index lists.
    ///
    /// A file of full precision is taken before one of the variant `fp16`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is none; the message says which names were looked for.
    pub fn weights(&self) -> Result<Vec<PathBuf>, Error> {
        for stem in STEMS {
            for variant in ["", ".fp16"] {
                let whole = self.0.join(format!("{stem}{variant}.safetensors"));
                if whole.is_file() {
                    return Ok(vec![whole]);
                }
                let index = format!("{stem}.safetensors.index{variant}.json");
                if self.0.join(&index).is_file() {
                    return self.shards(&index);
                }
            }
        }
        Err(Error::malformed(
            &self.0,
            "no weights here: model.safetensors or diffusion_pytorch_model.safetensors is looked for, also with .fp16",
        ))
    }

    fn shards(&self, index: &str) -> Result<Vec<PathBuf>, Error> {
        let value: Value = self.json(index)?;
        let path = self.0.join(index);
        let map = value
            .get("weight_map")
            .and_then(Value::as_object)
            .ok_or_else(|| Error::malformed(&path, "weight_map is missing"))?;
        let mut files: Vec<_> = map
            .values()
            .filter_map(Value::as_str)
            // A name, not a way out of the folder.
            .filter(|name| !name.contains(['/', '\\']))
            .map(|name| self.0.join(name))
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];
