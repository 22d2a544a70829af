//! Signed tokens that were taken back before they expire: a file with their ids (`jti`), one on a line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

/// The ids as the file last said. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revoked {
    file: Option<PathBuf>,
    ids: Arc<RwLock<HashSet<String>>>,
}

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`auth.revoked` = {}: {error}", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

impl Revoked {
    /// Reads the file of the configuration; without one nothing is revoked. Blocks on the disk.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Unreadable> {
        let revoked = Self {
            file: file.map(Path::to_owned),
            ids: Arc::default(),
        };
        revoked.reload()?;
        Ok(revoked)
    }

    /// True if the configuration names a file.
    pub(crate) fn is_configured(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again; what cannot be read changes nothing. Returns how many ids are in it. Blocks on the disk.
    pub(crate) fn reload(&self) -> Result<usize, Unreadable> {
        let Some(path) = &self.file else {
            return Ok(0);
        };
        let text = fs::read_to_string(path).map_err(|error| Unreadable {
            path: path.clone(),
            error,
        })?;
        let lines = text.lines().map(str::trim);
        let ids: HashSet<String> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        let count = ids.len();
        *self.ids.write().unwrap_or_else(PoisonError::into_inner) = ids;
        Ok(count)
    }

    /// True if the token of this id opens nothing any more.
    pub(crate) fn has(&self, id: &str) -> bool {
        // Nothing is computed under the lock, so a poisoned one is still whole.
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lines_and_a_file_that_is_gone_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("revoked");
        fs::write(&path, "# taken back in May\n  abc \n\ndef\n").expect("written");
        let revoked = Revoked::load(Some(&path)).expect("readable");
        assert!(revoked.has("abc") && revoked.has("def"));
        assert!(!revoked.has("") && !revoked.has("# taken back in May"));
        fs::remove_file(&path).expect("removed");
        let said = revoked.reload().expect_err("gone").to_string();
        assert!(
            said.contains("auth.revoked") && said.contains("revoked"),
            "{said}"
        );
        assert!(revoked.has("abc"), "the old list stays");
        assert!(Revoked::load(Some(&path)).is_err());
        assert!(!Revoked::load(None).expect("nothing to read").has("abc"));
    }
}
