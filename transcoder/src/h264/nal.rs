//! NAL units in an Annex B byte stream.

/// NAL unit types that are told apart (ITU-T H.264 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// Coded slice of a picture that needs earlier ones (types 1 to 4).
    Slice,
    /// Coded slice of an IDR picture (type 5).
    Idr,
    /// Supplemental enhancement information (type 6).
    Sei,
    /// Sequence parameter set (type 7).
    Sps,
    /// Picture parameter set (type 8).
    Pps,
    /// Access unit delimiter (type 9).
    Delimiter,
    /// Anything else.
    Other,
}

impl NalKind {
    /// Kind by the first byte of a NAL unit.
    #[must_use]
    pub const fn of(header: u8) -> Self {
        match header & 0x1f {
            1..=4 => Self::Slice,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            _ => Self::Other,
        }
    }

    /// Whether it carries picture data.
    #[must_use]
    pub const fn is_slice(self) -> bool {
        matches!(self, Self::Slice | Self::Idr)
    }
}

/// NAL units of an Annex B byte stream, without start codes and trailing zero bytes; empty ones and
/// what stands before the first start code are passed over.
#[must_use]
pub fn nal_units(stream: &[u8]) -> NalUnits<'_> {
    NalUnits {
        rest: after_start_code(stream),
    }
}

/// Iterator of [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest?;
            let end = start_code(rest).unwrap_or(rest.len());
            self.rest = after_start_code(rest);
            let unit = trim_zeros(&rest[..end]);
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    }
}

/// Whether the picture in an Annex B byte stream is an IDR picture. Looks no further than the
/// header of the first slice.
#[must_use]
pub fn is_keyframe(stream: &[u8]) -> bool {
    let mut rest = after_start_code(stream);
    while let Some(unit) = rest {
        match unit.first().map(|&header| NalKind::of(header)) {
            Some(NalKind::Idr) => return true,
            Some(NalKind::Slice) => return false,
            _ => rest = after_start_code(unit),
        }
    }
    false
}

/// Offset of the first three-byte start code.
fn start_code(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Byte 2 of a start code is 1: anything above lets the window move by three.
    while at + 2 < stream.len() {
        match stream[at + 2] {
            0 => at += 1,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    start_code(stream).map(|at| &stream[at + 3..])
}

fn trim_zeros(unit: &[u8]) -> &[u8] {
    let end = unit
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    &unit[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_come_without_start_codes_and_padding() {
        let stream = [
            9, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 1, 0, 0, 1, 0x65, 7, 0, 0,
        ];
        let units: Vec<_> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68], &[0x65, 7]]);
        assert!(is_keyframe(&stream));
    }

    #[test]
    fn the_first_slice_decides_about_the_keyframe() {
        assert!(!is_keyframe(&[0, 0, 1, 0x67, 0, 0, 1, 0x41, 0, 0, 1, 0x65]));
        assert!(!is_keyframe(&[0, 0, 1]));
        assert!(!is_keyframe(&[]));
    }

    proptest! {
        #[test]
        fn units_joined_by_start_codes_come_back(
            units in prop::collection::vec(prop::collection::vec(2u8..=255, 1..40), 0..8),
        ) {
            let stream: Vec<u8> =
                units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect();
            let parsed: Vec<Vec<u8>> = nal_units(&stream).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(parsed, units);
        }

        #[test]
        fn any_bytes_are_survived(stream in prop::collection::vec(0u8..3, 0..200)) {
            let naive = stream.windows(3).position(|window| window == [0, 0, 1]);
            prop_assert_eq!(start_code(&stream), naive);
            prop_assert!(nal_units(&stream).all(|unit| !unit.is_empty()));
        }
    }
}
