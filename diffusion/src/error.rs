//! Why a model was not loaded or a frame not made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Each message is one line that names the file and, where there is one, the key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration holds a value that is not supported.
    #[error("{path}: {key}: {reason}", path = path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// The key in it.
        key: String,
        /// The value, and what is supported.
        reason: String,
    },
    /// Tensors are missing or have other shapes than the model's configuration asks for.
    #[error("{path}: {reason}", path = path.display())]
    Weights {
        /// Which file.
        path: PathBuf,
        /// The first culprit, and how many more there are.
        reason: String,
        /// Key and shape of all tensors that are missing.
        missing: Vec<(String, Vec<i64>)>,
    },
    /// A model that several channels wait for was not loaded; the message is that of the first of them.
    #[error("{0}")]
    Model(String),
    /// A parameter cannot be followed.
    #[error("{0}")]
    Parameter(String),
    /// No such device, or it cannot be used.
    #[error("device {device}: {reason}")]
    Device {
        /// As it was asked for.
        device: String,
        /// Why not.
        reason: String,
    },
    /// libtorch refused an operation; out of memory is the usual cause.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The model gave a picture with values that are no numbers.
    #[error("the model gave a picture that is not finite")]
    NotFinite,
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    #[cfg(feature = "torch")]
    pub(crate) fn unsupported(
        path: &Path,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            key: key.into(),
            reason: reason.into(),
        }
    }
}
