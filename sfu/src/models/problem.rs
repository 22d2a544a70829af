//! Why a model is not fetched, in one line that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::Id;

/// Tokens are in none of the messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    /// No connection came about, or none that answered.
    #[error(
        "cannot reach {endpoint}: {reason}; without a network copy the model's folder to {folder} from a machine that has it, or name a mirror with --endpoint or HF_ENDPOINT",
        folder = folder.display()
    )]
    Unreachable {
        endpoint: String,
        reason: String,
        folder: PathBuf,
    },
    /// 401: nobody may see it without a token, or it is not there at all, which hubs do not tell apart.
    #[error("{id}: the hub wants to know who asks (401): {token}; check also the name")]
    Unauthorized { id: Id, token: &'static str },
    /// 403.
    #[error(
        "{id}: the hub refuses (403): accept the model's terms on its page with the account of HF_TOKEN"
    )]
    Forbidden { id: Id },
    /// 404 for the list of files.
    #[error("{id}: the hub has no such model or revision {revision:?} (404)")]
    Unknown { id: Id, revision: String },
    /// 429 or 5xx.
    #[error("{url}: the hub answers {status}; try again later")]
    Busy { url: String, status: u16 },
    /// Another answer than was asked for.
    #[error("{url}: {reason}")]
    Answer { url: String, reason: String },
    /// The connection ended or stood still within a file.
    #[error(
        "{url}: the connection broke off: {reason}; run the same command again to go on where it stopped"
    )]
    Broken { url: String, reason: String },
    /// What came is not what the hub announced.
    #[error(
        "{file}: wrong checksum: the hub says {expected}, but what came has {got}; it was deleted"
    )]
    Checksum {
        file: String,
        expected: String,
        got: String,
    },
    /// There is nothing to take in this form.
    #[error("{id}: {reason}")]
    Files { id: Id, reason: String },
    /// The folder is there and has other contents.
    #[error("{path}: is there already and differs from the hub in {file}; --replace fetches it anew", path = path.display())]
    Differs { path: PathBuf, file: String },
    /// Somebody else is at it.
    #[error("{id}: another fetch of it is running")]
    Running { id: Id },
    /// A file or folder here.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    /// The HTTP client could not be made.
    #[error("cannot start the HTTP client: {0}")]
    Client(String),
}

impl Problem {
    /// For `map_err` on file operations.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
