//! What a hub says a file's contents are, and whether they are that.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// A hub names large files by SHA-256, and small ones as git does: by SHA-1 of their length and contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    Sha256(String),
    GitBlob(String),
}

impl Checksum {
    /// From an entity tag, which is one or the other, or of some other kind.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim_start_matches("W/").trim_matches('"');
        let tag = tag.to_ascii_lowercase();
        let hex = tag.bytes().all(|b| b.is_ascii_hexdigit());
        match tag.len() {
            64 if hex => Some(Self::Sha256(tag)),
            40 if hex => Some(Self::GitBlob(tag)),
            _ => None,
        }
    }

    /// `None` if the file has it, otherwise what it has.
    pub(super) fn mismatch(&self, path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let mut context = match self {
            Self::Sha256(_) => Context::new(&SHA256),
            Self::GitBlob(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", file.metadata()?.len()).as_bytes());
                context
            }
        };
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                length => context.update(&piece[..length]),
            }
        }
        let got: String = context
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let got = match self {
            Self::Sha256(_) => Self::Sha256(got),
            Self::GitBlob(_) => Self::GitBlob(got),
        };
        Ok((got != *self).then_some(got))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "SHA-256 {hex}"),
            Self::GitBlob(hex) => write!(f, "git blob {hex}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_hubs_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        for tag in [
            "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"",
            "W/\"ce013625030ba8dba906f756967f9e9ca394464a\"",
        ] {
            let sum = Checksum::of_tag(tag).unwrap();
            assert_eq!(sum.mismatch(&path).unwrap(), None, "{tag}");
            std::fs::write(&path, "hellp\n").unwrap();
            assert!(sum.mismatch(&path).unwrap().is_some(), "{tag}");
            std::fs::write(&path, "hello\n").unwrap();
        }
        assert_eq!(Checksum::of_tag("\"0x8DC\""), None);
    }
}
