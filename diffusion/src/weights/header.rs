//! The header of a safetensors file: names, elements, shapes and places, all checked before anything else is read.
//!
//! Stricter than most readers, as the official one is: the tensors fill the file without gap or overlap, so a header
//! cannot promise more than is there, and a name stands for one tensor.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use tch::Kind;

use crate::Error;

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) tensors: Vec<(String, Tensor)>,
    /// What the writer noted beside them.
    pub(super) metadata: HashMap<String, String>,
}

/// One tensor of a file.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) kind: Kind,
    pub(super) shape: Vec<i64>,
    /// Its first byte in the file.
    pub(super) at: u64,
    pub(super) bytes: usize,
}

impl Tensor {
    /// How many numbers it holds.
    pub(super) fn numbers(&self) -> u64 {
        self.shape.iter().map(|&n| n.unsigned_abs()).product()
    }
}

impl Header {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, is cut short, contradicts itself or holds elements that are not
    /// supported. Never panics and never allocates more than a few times the size of the header, whatever is in it.
    pub(super) fn open(path: &Path) -> Result<(Self, File), Error> {
        let refuse = |reason: String| Error::malformed(path, reason);
        // Before it is opened, which waits for a writer if it is a pipe.
        if !path.metadata().map_err(Error::file(path))?.is_file() {
            return Err(refuse("is no file".to_owned()));
        }
        let mut file = File::open(path).map_err(Error::file(path))?;
        let length = file.metadata().map_err(Error::file(path))?.len();
        if length < 8 {
            return Err(refuse("is too short to be a safetensors file".to_owned()));
        }
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(Error::file(path))?;
        let size = u64::from_le_bytes(size);
        if size > LONGEST || size > length - 8 {
            return Err(refuse("is cut short or no safetensors file".to_owned()));
        }
        let mut json = vec![0; usize::try_from(size).expect("64 MiB fit an address")];
        file.read_exact(&mut json).map_err(Error::file(path))?;
        let raw: Raw = serde_json::from_slice(&json)
            .map_err(|error| refuse(format!("header: {}", line(&error.to_string()))))?;
        Ok((raw.check(8 + size, length).map_err(refuse)?, file))
    }
}

/// More than the header of any model takes.
const LONGEST: u64 = 64 << 20;
/// More than any name has, in bytes.
const LONGEST_NAME: usize = 1000;

/// A header as it is written.
struct Raw {
    tensors: BTreeMap<String, RawTensor>,
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Raw {
    /// `data` is where the tensors begin and `length` where the file ends; the error is a reason.
    fn check(self, data: u64, length: u64) -> Result<Header, String> {
        let mut tensors: Vec<_> = self.tensors.into_iter().collect();
        tensors.sort_by_key(|(_, raw)| raw.data_offsets);
        let mut end = data;
        let mut checked = Vec::with_capacity(tensors.len());
        for (name, raw) in tensors {
            let tensor = raw
                .check(data, end, length)
                .map_err(|reason| format!("{name} {reason}"))?;
            end = tensor.at + tensor.bytes as u64;
            checked.push((name, tensor));
        }
        if end != length {
            let over = length - end;
            return Err(format!("has {over} bytes after its last tensor"));
        }
        Ok(Header {
            tensors: checked,
            metadata: self.metadata,
        })
    }
}

impl RawTensor {
    fn check(self, data: u64, expected: u64, length: u64) -> Result<Tensor, String> {
        let dtype = line(&self.dtype);
        let (kind, width) = kind(&dtype).ok_or_else(|| format!("has elements of {dtype}"))?;
        let shape = self.shape;
        let [from, to] = self.data_offsets;
        let bytes = to.checked_sub(from);
        if bytes.is_none() || volume(&shape).and_then(|count| count.checked_mul(width)) != bytes {
            let shape: Vec<_> = shape.iter().take(8).collect();
            return Err(format!(
                "is {shape:?} of {dtype}, which is not bytes {from} to {to}"
            ));
        }
        let (Some(from), Some(to)) = (data.checked_add(from), data.checked_add(to)) else {
            return Err("ends beyond any file".to_owned());
        };
        if to > length {
            return Err(format!(
                "ends at byte {to}, the file at {length}: it is cut short"
            ));
        }
        if from != expected {
            return Err(format!(
                "begins at byte {from} instead of {expected}, where the one before ends"
            ));
        }
        Ok(Tensor {
            kind,
            shape: shape.iter().map(|&n| n as i64).collect(),
            at: from,
            bytes: usize::try_from(to - from).map_err(|_| "is too large".to_owned())?,
        })
    }
}

/// The number of elements; `None` if the dimensions that are not 0 have too large a product to be computed with.
fn volume(shape: &[u64]) -> Option<u64> {
    let dense = shape
        .iter()
        .filter(|&&n| n > 0)
        .try_fold(1_u64, |product, &n| product.checked_mul(n))?;
    if dense > i64::MAX as u64 {
        return None;
    }
    Some(if shape.contains(&0) { 0 } else { dense })
}

fn kind(dtype: &str) -> Option<(Kind, u64)> {
    Some(match dtype {
        "F64" => (Kind::Double, 8),
        "F32" => (Kind::Float, 4),
        "F16" => (Kind::Half, 2),
        "BF16" => (Kind::BFloat16, 2),
        "I64" => (Kind::Int64, 8),
        "I32" => (Kind::Int, 4),
        "I16" => (Kind::Int16, 2),
        "I8" => (Kind::Int8, 1),
        "U8" => (Kind::Uint8, 1),
        "BOOL" => (Kind::Bool, 1),
        _ => return None,
    })
}

/// `text` from a file as part of a message of one line.
fn line(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() < text.len() {
        line.push_str("...");
    }
    line
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// Reads the entries one by one, because a map would take the last of two with one name.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut tensors = BTreeMap::new();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            let at = |error| A::Error::custom(format!("{}: {error}", line(&name)));
            if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
                return Err(at(A::Error::custom("is no name for a tensor")));
            }
            let twice = if name == "__metadata__" {
                let value = map.next_value().map_err(at)?;
                metadata.replace(value).is_some()
            } else {
                let value = map.next_value().map_err(at)?;
                tensors.insert(name.clone(), value).is_some()
            };
            if twice {
                return Err(A::Error::custom(format!("{name} is there twice")));
            }
        }
        Ok(Raw {
            tensors,
            metadata: metadata.unwrap_or_default(),
        })
    }
}
