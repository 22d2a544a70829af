//! What the numbers in a picture mean as colour.

use crate::size::Size;

/// Luma at black in limited range (ITU-R BT.601 and BT.709).
pub const LUMA_BLACK: u8 = 16;
/// Luma at white in limited range.
pub const LUMA_WHITE: u8 = 235;
/// Chroma of every grey.
pub const CHROMA_GREY: u8 = 128;

/// Weights of red, green and blue in luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// Which part of 0..=255 carries signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240: what video cameras and browsers send.
    Limited,
    /// Luma and chroma 0..=255.
    Full,
}

/// Colour description of a picture, the part of an H.264 VUI (annex E) that changes the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// Luma weights.
    pub matrix: Matrix,
    /// Signal range.
    pub range: Range,
}

impl Color {
    /// BT.601 limited.
    pub const BT601: Self = Self {
        matrix: Matrix::Bt601,
        range: Range::Limited,
    };
    /// BT.709 limited.
    pub const BT709: Self = Self {
        matrix: Matrix::Bt709,
        range: Range::Limited,
    };

    /// What a stream that does not say is taken for: BT.709 from 720 lines up, BT.601 below.
    #[must_use]
    pub const fn assumed(size: Size) -> Self {
        if size.height() >= 720 {
            Self::BT709
        } else {
            Self::BT601
        }
    }
}
