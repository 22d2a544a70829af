//! Folders of models in the layout of diffusers: which there are, what they lack, and how one comes here from a hub.

mod checksum;
mod download;
pub(crate) mod fetch;
pub(crate) mod folder;
mod hub;
mod pick;
mod problem;

pub(crate) use problem::Problem;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A model's name on a hub, such as `stabilityai/sd-turbo`, and its folder below `models.dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id(String);

impl Id {
    /// Its folder in `models`.
    pub(crate) fn folder(&self, models: &Path) -> PathBuf {
        models.join(&self.0)
    }

    /// One word for it in file names.
    fn word(&self) -> String {
        self.0.replace('/', "--")
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let mut bytes = part.bytes();
            let plain = bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            plain && !part.is_empty() && part.len() <= 96 && !part.starts_with(['.', '-'])
        };
        if text.split('/').count() <= 2 && text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a model is named like stabilityai/sd-turbo".to_owned())
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_way_out_of_the_folder() {
        for good in ["stabilityai/sd-turbo", "gpt2", "a/b.c_d-1"] {
            assert_eq!(good.parse::<Id>().unwrap().to_string(), good);
        }
        for bad in [
            "", "/etc", "a/", "../a", "a/..", "a/.git", "a/b/c", "a b", "-a", "a\\b", "a/é",
        ] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
    }
}
