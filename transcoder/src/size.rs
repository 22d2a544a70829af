//! Picture size in luma samples.

use std::fmt;

use thiserror::Error;

/// Smallest width or height in luma samples: one macroblock.
pub const MIN: u32 = 16;
/// Largest width or height in luma samples.
pub const MAX: u32 = 4096;

/// Width and height of a picture: even (4:2:0 chroma) and within [`MIN`]..=[`MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

/// A width and height that no picture of ours can have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("picture size {width}x{height} is not even within {MIN}..={MAX}")]
pub struct Unsupported {
    /// The refused width.
    pub width: u32,
    /// The refused height.
    pub height: u32,
}

impl Size {
    /// A size, or why it is none.
    ///
    /// # Errors
    /// [`Unsupported`] when a side is odd or out of range.
    pub const fn new(width: u32, height: u32) -> Result<Self, Unsupported> {
        if side_is_valid(width) && side_is_valid(height) {
            Ok(Self { width, height })
        } else {
            Err(Unsupported { width, height })
        }
    }

    /// Width in luma samples.
    #[must_use]
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Height in luma samples.
    #[must_use]
    pub const fn height(self) -> u32 {
        self.height
    }

    /// Luma samples in a picture.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Width and height of each 4:2:0 chroma plane.
    #[must_use]
    pub const fn chroma(self) -> (u32, u32) {
        (self.width / 2, self.height / 2)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

const fn side_is_valid(side: u32) -> bool {
    side >= MIN && side <= MAX && side.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_zero_and_huge_sides_are_refused() {
        for (width, height) in [
            (0, 360),
            (641, 360),
            (640, 14),
            (4098, 360),
            (640, u32::MAX),
        ] {
            assert_eq!(Size::new(width, height), Err(Unsupported { width, height }));
        }
        assert_eq!(Size::new(640, 360).unwrap().to_string(), "640x360");
        assert_eq!(Size::new(MAX, MIN).unwrap().chroma(), (2048, 8));
    }
}
