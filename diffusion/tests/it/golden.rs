//! The committed models and the tensors that the reference implementations computed with them.

use std::collections::HashMap;
use std::path::PathBuf;

use reverie_diffusion::folder::Folder;
use tch::{Kind, Tensor};

/// Relative to the greatest value: what each module may differ by in 32-bit floats.
pub(crate) const MODULE: f64 = 2e-5;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A model's folder, or one in it.
pub(crate) fn model(name: &str) -> Folder {
    Folder::new(fixtures().join("models").join(name))
}

/// A file of golden values.
pub(crate) fn path(name: &str) -> PathBuf {
    fixtures().join("golden").join(name)
}

/// The tensors of a golden file.
pub(crate) struct Golden {
    name: String,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    /// `name` below the folder of golden files, without extension.
    pub(crate) fn read(name: &str) -> Self {
        let tensors = Tensor::read_safetensors(path(&format!("{name}.safetensors"))).unwrap();
        Self {
            name: name.to_owned(),
            tensors: tensors.into_iter().collect(),
        }
    }

    pub(crate) fn tensor(&self, key: &str) -> &Tensor {
        self.find(key)
            .unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Tensor> {
        self.tensors.get(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Fails unless `found` is the tensor `key` within `tolerance` of its greatest value.
    pub(crate) fn check(&self, key: &str, found: &Tensor, tolerance: f64) {
        let expected = self.tensor(key);
        assert_eq!(found.size(), expected.size(), "{} {key}", self.name);
        let error = relative(found, expected);
        assert!(
            error <= tolerance,
            "{} {key}: {error:.2e} is more than {tolerance:.0e}",
            self.name
        );
    }
}

/// The greatest difference, relative to the greatest value of `expected`; infinite where a value is no number.
pub(crate) fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    let [found, expected] = [found, expected].map(|tensor| tensor.to_kind(Kind::Double));
    let difference = (&found - &expected).abs().max().double_value(&[]);
    let greatest = expected.abs().max().double_value(&[]);
    let error = difference / greatest;
    if error.is_nan() { f64::INFINITY } else { error }
}
