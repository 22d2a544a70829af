//! A component's `config.json`, and the check that it asks for nothing this crate does not compute.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Error;
use crate::folder::Folder;

/// The file with its path, for messages that name both.
pub(crate) struct ConfigFile {
    path: PathBuf,
    value: Value,
}

impl ConfigFile {
    /// Reads `config.json` of `folder`.
    pub(crate) fn read(folder: &Folder) -> Result<Self, Error> {
        Self::named(folder, "config.json")
    }

    /// Reads another JSON file of `folder`.
    pub(crate) fn named(folder: &Folder, name: &str) -> Result<Self, Error> {
        Ok(Self {
            path: folder.path().join(name),
            value: folder.json(name)?,
        })
    }

    /// The fields of `T`; others are passed over.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.value).map_err(|error| match self.culprit::<T>() {
            Some(key) => self.unsupported(key, error.to_string()),
            None => Error::malformed(&self.path, error),
        })
    }

    /// The key that cannot be parsed: every other one can alone, because all fields have a default.
    fn culprit<T: DeserializeOwned>(&self) -> Option<&str> {
        let fields = self.value.as_object()?.iter();
        fields
            .map(|(key, value)| (key, json!({ key: value })))
            .find(|(_, alone)| T::deserialize(alone).is_err())
            .map(|(key, _)| key.as_str())
    }

    /// Refuses another value of `key` than one of `allowed`, which are written as in JSON. An absent key stands for its
    /// default, which is allowed.
    pub(crate) fn only(&self, key: &str, allowed: &[&str]) -> Result<(), Error> {
        match self.value.get(key) {
            Some(value) if !allowed.contains(&value.to_string().as_str()) => Err(self.unsupported(
                key,
                format!("{value} is not supported, only {}", allowed.join(" or ")),
            )),
            _ => Ok(()),
        }
    }

    /// [`ConfigFile::only`] for each of `rules`.
    pub(crate) fn only_all(&self, rules: &[(&str, &[&str])]) -> Result<(), Error> {
        rules
            .iter()
            .try_for_each(|(key, allowed)| self.only(key, allowed))
    }

    /// Refuses a model of another class than `name`, if the file says which it is of.
    pub(crate) fn class(&self, name: &str) -> Result<(), Error> {
        self.only("_class_name", &[&format!("\"{name}\"")])
    }

    /// An error about `key` of this file.
    pub(crate) fn unsupported(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::unsupported(&self.path, key, reason)
    }

    /// Refuses sizes that no tensor can have. The upper bound is far above any model's and keeps a mistyped number from
    /// asking for more memory than there is.
    pub(crate) fn sizes<'a>(
        &self,
        key: &str,
        sizes: impl IntoIterator<Item = &'a i64>,
    ) -> Result<(), Error> {
        match sizes
            .into_iter()
            .find(|size| !(1..=1 << 20).contains(*size))
        {
            Some(size) => Err(self.unsupported(key, format!("{size} is no size"))),
            None => Ok(()),
        }
    }

    /// Refuses `whole` that is not a multiple of `parts`.
    pub(crate) fn divides(&self, key: &str, parts: i64, whole: i64) -> Result<(), Error> {
        if parts > 0 && whole % parts == 0 {
            return Ok(());
        }
        Err(self.unsupported(key, format!("{parts} does not divide {whole} channels")))
    }
}

/// One value for all blocks of a model, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PerBlock<T> {
    // This one is tried first: where `T` may be a list itself, a list is one of blocks.
    /// In the order of the down blocks.
    Each(Vec<T>),
    /// The same for all.
    All(T),
}

impl<T> PerBlock<T> {
    /// That of block `index`, which [`PerBlock::fits`] the model.
    #[must_use]
    pub fn at(&self, index: usize) -> &T {
        match self {
            Self::All(one) => one,
            Self::Each(each) => &each[index],
        }
    }

    /// True if there is one for each of `blocks`.
    #[must_use]
    pub fn fits(&self, blocks: usize) -> bool {
        match self {
            Self::All(_) => true,
            Self::Each(each) => each.len() == blocks,
        }
    }

    /// All values that are written down.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        match self {
            Self::All(one) => std::slice::from_ref(one),
            Self::Each(each) => each,
        }
        .iter()
    }
}
