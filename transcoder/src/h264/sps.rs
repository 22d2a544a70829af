//! Picture size and colour out of a sequence parameter set (ITU-T H.264 section 7.3.2.1.1).

use super::nal::{NalKind, nal_units};
use crate::color::{Color, Matrix, Range};
use crate::size::Size;

/// What a sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// profile_idc, constraint flags and level_idc, as in an SDP `profile-level-id`.
    pub profile_level_id: [u8; 3],
    /// Picture size after cropping.
    pub size: Size,
    /// Colour description, if there is one that we can follow.
    pub color: Option<Color>,
}

/// The first readable sequence parameter set of an Annex B byte stream.
#[must_use]
pub fn sps_of(stream: &[u8]) -> Option<Sps> {
    nal_units(stream)
        .filter(|unit| NalKind::of(unit[0]) == NalKind::Sps)
        .find_map(parse)
}

fn parse(unit: &[u8]) -> Option<Sps> {
    let rbsp = without_emulation_prevention(&unit[1..]);
    let profile_level_id = *rbsp.first_chunk::<3>()?;
    let mut bits = Bits {
        bytes: &rbsp,
        at: 24,
    };
    bits.ue()?; // seq_parameter_set_id
    let chroma_format = chroma_format(&mut bits, profile_level_id[0])?;
    bits.ue()?; // log2_max_frame_num_minus4
    skip_picture_order(&mut bits)?;
    bits.ue()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let size = picture_size(&mut bits, chroma_format)?;
    Some(Sps {
        profile_level_id,
        size,
        color: color(&mut bits),
    })
}

/// chroma_format_idc, which only the high profiles carry, and the fields after it.
fn chroma_format(bits: &mut Bits<'_>, profile: u8) -> Option<u32> {
    if !matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        return Some(1);
    }
    let format = bits.ue()?;
    if format == 3 {
        bits.skip(1)?; // separate_colour_plane_flag
    }
    bits.ue()?; // bit_depth_luma_minus8
    bits.ue()?; // bit_depth_chroma_minus8
    bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
    if bits.flag()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(format)
}

fn skip_scaling_list(bits: &mut Bits<'_>, length: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..length {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.ue()? {
        0 => {
            bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.se()?; // offset_for_non_ref_pic
            bits.se()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.ue()?.min(255) {
                bits.se()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    Some(())
}

fn picture_size(bits: &mut Bits<'_>, chroma_format: u32) -> Option<Size> {
    let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.ue()?.checked_add(1)?;
    let frames_only = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let height = map_units.checked_mul(16 * fields)?;
    if !bits.flag()? {
        return Size::new(width, height).ok();
    }
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let mut crop = |unit: u32| bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit);
    let (x, y) = (crop(unit_x)?, crop(unit_y * fields)?);
    Size::new(width.checked_sub(x)?, height.checked_sub(y)?).ok()
}

/// Colour description of the VUI (annex E.1.1).
fn color(bits: &mut Bits<'_>) -> Option<Color> {
    if !bits.flag()? {
        return None;
    }
    if bits.flag()? && bits.read(8)? == 255 {
        bits.skip(32)?; // sar_width, sar_height
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if !bits.flag()? {
        return None;
    }
    bits.skip(3)?; // video_format
    let range = if bits.flag()? {
        Range::Full
    } else {
        Range::Limited
    };
    if !bits.flag()? {
        return None;
    }
    bits.skip(16)?; // colour_primaries, transfer_characteristics
    match bits.read(8)? {
        1 => Some(Color {
            matrix: Matrix::Bt709,
            range,
        }),
        5 | 6 => Some(Color {
            matrix: Matrix::Bt601,
            range,
        }),
        _ => None,
    }
}

fn without_emulation_prevention(unit: &[u8]) -> Vec<u8> {
    let mut rbsp = Vec::with_capacity(unit.len());
    for &byte in unit {
        if byte != 3 || !rbsp.ends_with(&[0, 0]) {
            rbsp.push(byte);
        }
    }
    rbsp
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// Unsigned Exp-Golomb code (section 9.1).
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.read(zeros)?;
        Some((1u32 << zeros) - 1 + suffix)
    }

    /// Signed Exp-Golomb code (section 9.1.1).
    fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 0 {
            -code / 2
        } else {
            code / 2 + 1
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `ffmpeg -f lavfi -i testsrc=s=640x360 -c:v libx264 -profile:v high -colorspace bt709 ...`
    /// and the same with `-profile:v baseline -s 1280x720` and no colour description.
    const HIGH_640X360_BT709: &str = include_str!("../../tests/golden/sps_high_640x360_bt709.hex");
    const BASELINE_1280X720: &str = include_str!("../../tests/golden/sps_baseline_1280x720.hex");

    fn stream(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.trim().bytes().collect();
        let bytes = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        [0, 0, 1].into_iter().chain(bytes).collect()
    }

    #[test]
    fn size_and_colour_of_x264_streams_are_read() {
        let high = sps_of(&stream(HIGH_640X360_BT709)).unwrap();
        assert_eq!(high.size, Size::new(640, 360).unwrap());
        assert_eq!(high.color, Some(Color::BT709));
        assert_eq!(high.profile_level_id[0], 100);
        let baseline = sps_of(&stream(BASELINE_1280X720)).unwrap();
        assert_eq!(baseline.size, Size::new(1280, 720).unwrap());
        assert_eq!(baseline.color, None);
        assert_eq!(baseline.profile_level_id[..2], [0x42, 0xc0]);
    }

    #[test]
    fn a_cut_off_parameter_set_is_no_parameter_set() {
        let whole = stream(HIGH_640X360_BT709);
        for length in 0..10 {
            assert_eq!(sps_of(&whole[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = sps_of(&[&[0, 0, 1, 0x67][..], &body].concat());
        }
    }
}
