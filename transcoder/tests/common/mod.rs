//! Moving pictures with a bar code, and streams of them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses its own part of this"
)]

pub mod barcode;

use std::time::Instant;

use reverie_transcoder::color::Color;
use reverie_transcoder::encode::{self, Encoder};
use reverie_transcoder::{AccessUnit, Frame, I420, Picture, Pts, Size};

/// Ticks of a frame at 30 Hz.
pub const TICKS: u64 = 3000;

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

/// Frame `number` (from 1) of the test picture at 30 Hz.
pub fn frame(number: u64, size: Size) -> Frame {
    let mut picture = I420::black(size, Color::assumed(size));
    barcode::paint(&mut picture, number as u32, (number * 33) as u32);
    Frame {
        pts: Pts(number * TICKS),
        arrived: Instant::now(),
        picture: Picture::I420(picture),
    }
}

pub fn picture(frame: &Frame) -> &I420 {
    let Picture::I420(picture) = &frame.picture else {
        panic!("not in main memory");
    };
    picture
}

pub fn encoder(bitrate: u32) -> Box<dyn Encoder> {
    encode::open(&encode::Config {
        bitrate,
        ..encode::Config::default()
    })
    .unwrap()
}

/// Units of the test picture; those whose number `is_keyframe` accepts are keyframes, and the first.
pub fn stream(
    numbers: impl IntoIterator<Item = u64>,
    size: Size,
    is_keyframe: impl Fn(u64) -> bool,
) -> Vec<AccessUnit> {
    let mut encoder = encoder(50_000_000);
    encoder.set_bitrate(4_000_000).unwrap();
    let mut units = Vec::new();
    for number in numbers {
        encoder
            .encode(&frame(number, size), is_keyframe(number), &mut units)
            .unwrap();
    }
    units
}
