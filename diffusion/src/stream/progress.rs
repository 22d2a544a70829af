//! How far loading is, by the bytes of the files.

use std::path::Path;

use super::models::Parts;
use crate::folder::Folder;

/// Tells of each network when it is begun.
pub(super) struct Progress<'a> {
    /// Bytes of those that are left, in the order in which they are loaded.
    left: std::vec::IntoIter<u64>,
    done: u64,
    /// Of the one that is being loaded.
    current: u64,
    all: u64,
    told: &'a mut dyn FnMut(&str, f64),
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        folder: &Folder,
        parts: Parts<'_>,
        told: &'a mut dyn FnMut(&str, f64),
    ) -> Self {
        let own = folder.sub("vae");
        let texts = ["text_encoder", "text_encoder_2"].map(|name| bytes(&folder.sub(name)));
        let mut left = vec![
            bytes(&folder.sub("unet")),
            bytes(parts.vae.unwrap_or(&own)),
            texts.iter().sum(),
        ];
        left.extend(parts.controlnets.iter().map(bytes));
        left.extend(parts.ip_adapter.map(below));
        Self {
            all: left.iter().sum::<u64>().max(1),
            left: left.into_iter(),
            done: 0,
            current: 0,
            told,
        }
    }

    /// The one before is loaded, and this one is begun.
    pub(super) fn begin(&mut self, part: &str) {
        self.done += self.current;
        self.current = self.left.next().unwrap_or_default();
        (self.told)(part, self.done as f64 / self.all as f64);
    }
}

/// Of the weights that would be read; what is missing is told when it is to be read.
fn bytes(folder: &Folder) -> u64 {
    let files = folder.weights().unwrap_or_default();
    let lengths = files.iter().filter_map(|file| file.metadata().ok());
    lengths.map(|file| file.len()).sum()
}

/// Of an IP-Adapter and its image encoder, which is the larger part.
fn below(path: &Path) -> u64 {
    let length = path.metadata().map_or(0, |file| file.len());
    let folders = [Some(path), path.parent()];
    let encoder = folders
        .into_iter()
        .flatten()
        .map(|folder| bytes(&Folder::new(folder.join("image_encoder"))))
        .find(|&bytes| bytes > 0);
    length + encoder.unwrap_or_default()
}
