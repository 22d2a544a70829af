//! The tensors of safetensors files by name, and the report of what did not fit.
//!
//! A model asks for each tensor by key and shape while it is built. What is missing or has another shape is noted and
//! stands in as zeros until [`Weights::finish`], which refuses the model and names all of it: one run tells everything,
//! and no model is ever used with a tensor that was not in the file.

mod header;
mod report;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tch::{Kind, Tensor};

use crate::Error;
use crate::device::Placement;
use crate::folder::Folder;

use self::header::Header;
pub use self::report::{Misshaped, Missing, Mistyped, Report};

/// Changes a tensor on its way in, given its key; it comes as 32-bit floats on the processor.
pub type Adapter = Rc<dyn Fn(&str, Tensor) -> Tensor>;

/// The tensors of one model below a prefix; cheap to clone.
#[derive(Clone)]
pub struct Weights {
    store: Rc<Store>,
    prefix: String,
}

struct Store {
    path: PathBuf,
    files: RefCell<Vec<File>>,
    entries: BTreeMap<String, Entry>,
    metadata: HashMap<String, String>,
    placement: Placement,
    adapter: Option<Adapter>,
    headers_only: bool,
    notes: RefCell<Notes>,
}

struct Entry {
    file: usize,
    tensor: header::Tensor,
}

#[derive(Default)]
struct Notes {
    used: BTreeSet<String>,
    loaded: BTreeSet<String>,
    missing: Vec<Missing>,
    misshaped: Vec<Misshaped>,
    mistyped: Vec<Mistyped>,
}

impl Weights {
    /// The weights of a component's folder.
    ///
    /// # Errors
    /// When there is no file, or one is not whole.
    pub fn open(folder: &Folder, placement: Placement) -> Result<Self, Error> {
        Self::open_files(&folder.weights()?, placement)
    }

    /// As [`Weights::open`] for a check of names, shapes and elements: no tensor is read, zeros stand in for all.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn headers(folder: &Folder) -> Result<Self, Error> {
        let mut weights = Self::open(folder, Placement::CPU)?;
        let store = Rc::get_mut(&mut weights.store).expect("nobody else has it yet");
        store.headers_only = true;
        Ok(weights)
    }

    /// The tensors of these files together. Headers are read now, tensors when they are asked for.
    ///
    /// # Errors
    /// When a file cannot be read, is no safetensors file, is cut short, or holds elements that are not supported.
    pub fn open_files(paths: &[PathBuf], placement: Placement) -> Result<Self, Error> {
        let mut files = Vec::with_capacity(paths.len());
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut metadata = HashMap::new();
        for (index, path) in paths.iter().enumerate() {
            let (header, file) = Header::open(path)?;
            for (key, tensor) in header.tensors {
                if let Some(other) = entries.get(&key) {
                    let other = paths[other.file].display();
                    return Err(Error::malformed(path, format!("{key} is in {other}, too")));
                }
                entries.insert(
                    key,
                    Entry {
                        file: index,
                        tensor,
                    },
                );
            }
            metadata.extend(header.metadata);
            files.push(file);
        }
        let path = match paths {
            [one] => one.clone(),
            _ => paths
                .first()
                .and_then(|path| path.parent())
                .map(Path::to_owned)
                .unwrap_or_default(),
        };
        let store = Store {
            path,
            files: RefCell::new(files),
            entries,
            metadata,
            placement,
            adapter: None,
            headers_only: false,
            notes: RefCell::default(),
        };
        Ok(Self {
            store: Rc::new(store),
            prefix: String::new(),
        })
    }

    /// The same weights with `adapter` between file and model. To be called before anything was taken.
    #[must_use]
    pub fn adapted(self, adapter: Adapter) -> Self {
        let store =
            Rc::into_inner(self.store).expect("an adapter is set before the weights are shared");
        Self {
            store: Rc::new(Store {
                adapter: Some(adapter),
                ..store
            }),
            prefix: self.prefix,
        }
    }

    /// What is below `name`: `weights.at("resnets").at(0)` is `resnets.0`.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        Self {
            store: Rc::clone(&self.store),
            prefix: format!("{}{name}.", self.prefix),
        }
    }

    /// Where the tensors go.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.store.placement
    }

    /// Where they come from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.store.path
    }

    /// The full name of `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// True if there is a tensor of that name, or any below it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let key = self.key(name);
        let below = format!("{key}.");
        self.store.entries.contains_key(&key)
            || self
                .store
                .entries
                .range(below.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&below))
    }

    /// The shape of a tensor as it is in the file.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.store
            .entries
            .get(&self.key(name))
            .map(|entry| entry.tensor.shape.as_slice())
    }

    /// What the file's writer noted under `name`, beside the tensors.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.store.metadata.get(name).map(String::as_str)
    }

    /// All full names, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.store.entries.keys().map(String::as_str)
    }

    /// A tensor of floats of this shape; zeros if there is none, which [`Weights::finish`] then reports.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Tensor {
        let key = self.key(name);
        let found = self.find(key, shape);
        let Placement { device, kind } = self.store.placement;
        // One number under every index: it is never looked at.
        found.unwrap_or_else(|| Tensor::zeros([0_i64; 0], (kind, device)).expand(shape, false))
    }

    /// Notes what becomes of the tensor, and reads it if it is as it should be.
    fn find(&self, key: String, shape: &[i64]) -> Option<Tensor> {
        let mut notes = self.store.notes.borrow_mut();
        let missing = |key: String| Missing {
            key,
            shape: shape.to_vec(),
        };
        let Some(entry) = self.store.entries.get(&key) else {
            notes.missing.push(missing(key));
            return None;
        };
        notes.used.insert(key.clone());
        if entry.tensor.shape != shape {
            notes.misshaped.push(Misshaped {
                key,
                expected: shape.to_vec(),
                found: entry.tensor.shape.clone(),
            });
            return None;
        }
        if !is_floating(entry.tensor.kind) {
            notes.mistyped.push(Mistyped {
                key,
                found: entry.tensor.kind,
            });
            return None;
        }
        if self.store.headers_only {
            notes.loaded.insert(key);
            return None;
        }
        // A file that was whole when it was opened and cannot be read now is gone as a tensor, too.
        let read = self.store.read(&key, entry).ok();
        if read.is_some() {
            notes.loaded.insert(key);
        } else {
            notes.missing.push(missing(key));
        }
        read
    }

    /// As [`Weights::tensor`], if there is one of that name.
    #[must_use]
    pub fn optional(&self, name: &str, shape: &[i64]) -> Option<Tensor> {
        self.store
            .entries
            .contains_key(&self.key(name))
            .then(|| self.tensor(name, shape))
    }

    /// Takes note that everything of that name, or below it, is left out on purpose.
    pub fn ignore(&self, name: &str) {
        let key = self.key(name);
        let below = format!("{key}.");
        let mut notes = self.store.notes.borrow_mut();
        for found in self.store.entries.keys() {
            if *found == key || found.starts_with(&below) {
                notes.used.insert(found.clone());
            }
        }
    }

    /// What became of all tensors so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let notes = self.store.notes.borrow();
        let tensors = || self.store.entries.values().map(|entry| &entry.tensor);
        let of_kind = |kind: Kind| tensors().filter(|tensor| tensor.kind == kind).count();
        Report {
            path: self.store.path.clone(),
            loaded: notes.loaded.len(),
            parameters: tensors().map(header::Tensor::numbers).sum(),
            bytes: tensors().map(|tensor| tensor.bytes as u64).sum(),
            kind: tensors()
                .map(|tensor| tensor.kind)
                .max_by_key(|&kind| of_kind(kind)),
            missing: notes.missing.clone(),
            misshaped: notes.misshaped.clone(),
            mistyped: notes.mistyped.clone(),
            unused: self
                .store
                .entries
                .iter()
                .filter(|(key, _)| !notes.used.contains(*key))
                .map(|(key, entry)| (key.clone(), entry.tensor.shape.clone()))
                .collect(),
        }
    }

    /// The report of a model that is built.
    ///
    /// # Errors
    /// [`Error::Weights`] when a tensor was missing or had another shape.
    pub fn finish(&self) -> Result<Report, Error> {
        let report = self.report();
        match report.error() {
            None => Ok(report),
            Some(error) => Err(error),
        }
    }
}

impl Store {
    fn read(&self, key: &str, entry: &Entry) -> Result<Tensor, std::io::Error> {
        let header::Tensor {
            kind,
            shape,
            at,
            bytes,
        } = &entry.tensor;
        let mut data = vec![0; *bytes];
        let mut files = self.files.borrow_mut();
        let file = &mut files[entry.file];
        file.seek(SeekFrom::Start(*at))?;
        file.read_exact(&mut data)?;
        let mut tensor = Tensor::from_data_size(&data, shape, *kind);
        if let Some(adapter) = &self.adapter {
            tensor = adapter(key, tensor.to_kind(Kind::Float));
        }
        Ok(tensor
            .to_device(self.placement.device)
            .to_kind(self.placement.kind))
    }
}

const fn is_floating(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Float | Kind::Half | Kind::BFloat16 | Kind::Double
    )
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("path", &self.store.path)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
