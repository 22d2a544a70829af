//! Names of peers and streams inside the process.

use std::fmt;

/// A WHIP or WHEP session as the media threads know it; unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// A channel's stream as the media threads know it; unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A simulcast layer as its publisher names it (`a=rid`, RFC 8851); without a name for a picture that has no layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LayerId([u8; Self::LENGTH]);

impl LayerId {
    /// Characters of a name that are told apart.
    const LENGTH: usize = 8;

    /// Cuts a name to what the media engine keeps of it; what is not ASCII names nothing.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; Self::LENGTH];
        if name.is_ascii() {
            let end = name.len().min(Self::LENGTH);
            bytes[..end].copy_from_slice(&name.as_bytes()[..end]);
        }
        Self(bytes)
    }

    /// True for the picture of a publisher without simulcast.
    #[must_use]
    pub fn is_only(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(Self::LENGTH);
        f.write_str(std::str::from_utf8(&self.0[..end]).unwrap_or_default())
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer-{}", self.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream-{}", self.0)
    }
}
