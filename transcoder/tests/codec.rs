//! Encoder and decoder against each other, with moving pictures.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like the tests"
)]

mod common;

use std::time::Instant;

use common::{TICKS, barcode, encoder, frame, picture, size, stream};
use reverie_transcoder::assemble::{Assembled, Assembler, RtpPacketRef};
use reverie_transcoder::color::{Color, Matrix, Range};
use reverie_transcoder::h264::{self, NalKind};
use reverie_transcoder::packetize::{DEFAULT_MTU, Packetizer};
use reverie_transcoder::{AccessUnit, Frame, I420, Picture, Pts, decode};

fn decoder() -> Box<dyn decode::Decoder> {
    decode::open(&decode::Config::default()).unwrap()
}

fn decode_all(units: &[AccessUnit]) -> Vec<Frame> {
    let mut decoder = decoder();
    let mut frames = Vec::new();
    for unit in units {
        decoder.decode(unit, &mut frames).unwrap();
    }
    frames
}

/// Peak signal to noise ratio of luma in decibels.
fn psnr(a: &I420, b: &I420) -> f64 {
    let [a, ..] = a.planes();
    let [b, ..] = b.planes();
    let squares: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / squares.max(1.0)).log10()
}

fn kinds(unit: &AccessUnit) -> Vec<NalKind> {
    h264::nal_units(&unit.data)
        .map(|nal| NalKind::of(nal[0]))
        .collect()
}

#[test]
fn every_picture_comes_back_readable_with_its_time() {
    for size in [size(640, 360), size(1280, 720), size(322, 182)] {
        let units = stream(1..=20, size, |_| false);
        let frames = decode_all(&units);
        assert_eq!(frames.len(), units.len());
        for (unit, decoded) in units.iter().zip(&frames) {
            assert_eq!((decoded.pts, decoded.arrived), (unit.pts, unit.arrived));
            let number = unit.pts.0 / TICKS;
            let code = barcode::read(picture(decoded)).unwrap();
            assert_eq!((u64::from(code.number), code.inverted), (number, false));
            let quality = psnr(picture(decoded), picture(&frame(number, size)));
            assert!(quality > 30.0, "{quality} dB at {size}, frame {number}");
        }
    }
}

#[test]
fn keyframes_come_when_asked_for_and_carry_their_parameter_sets() {
    let units = stream(1..=60, size(640, 360), |number| number % 25 == 0);
    assert_eq!(
        units.len(),
        60,
        "keyframes and a generous bitrate leave nothing to skip"
    );
    for (number, unit) in (1u64..).zip(&units) {
        let wanted = number == 1 || number % 25 == 0;
        assert_eq!(unit.keyframe, wanted, "frame {number}");
        assert_eq!(h264::is_keyframe(&unit.data), wanted);
        let expected: &[NalKind] = if wanted {
            &[NalKind::Sps, NalKind::Pps, NalKind::Idr]
        } else {
            &[NalKind::Slice]
        };
        assert_eq!(kinds(unit), expected);
    }
}

#[test]
fn the_stream_is_constrained_baseline_and_says_its_colour() {
    for (size, color) in [
        (size(640, 360), Color::BT601),
        (size(1280, 720), Color::BT709),
    ] {
        let unit = &stream([1], size, |_| false)[0];
        let sps = h264::sps_of(&unit.data).unwrap();
        assert_eq!((sps.size, sps.color), (size, Some(color)));
        let [profile, constraints, _] = sps.profile_level_id;
        assert_eq!(profile, 0x42);
        assert_eq!(
            constraints & 0x40,
            0x40,
            "constraint_set1: constrained baseline"
        );
    }
}

#[test]
fn a_colour_description_survives_the_round_trip() {
    let size = size(320, 192);
    for color in [
        Color::BT709,
        Color {
            matrix: Matrix::Bt601,
            range: Range::Full,
        },
    ] {
        let grey = I420::black(size, color);
        let frame = Frame {
            pts: Pts(0),
            arrived: Instant::now(),
            picture: Picture::I420(grey),
        };
        let mut units = Vec::new();
        encoder(1_000_000)
            .encode(&frame, false, &mut units)
            .unwrap();
        assert_eq!(picture(&decode_all(&units)[0]).color(), color);
    }
}

#[test]
fn another_picture_size_starts_a_new_stream_with_a_keyframe() {
    let (small, large) = (size(320, 180), size(640, 360));
    let mut encoder = encoder(4_000_000);
    let mut units = Vec::new();
    for number in 1..=12 {
        let size = if (5..9).contains(&number) {
            large
        } else {
            small
        };
        encoder
            .encode(&frame(number, size), false, &mut units)
            .unwrap();
    }
    let keyframes: Vec<u64> = units
        .iter()
        .filter(|unit| unit.keyframe)
        .map(|unit| unit.pts.0 / TICKS)
        .collect();
    assert_eq!(keyframes, [1, 5, 9]);
    for frame in decode_all(&units) {
        let number = frame.pts.0 / TICKS;
        let expected = if (5..9).contains(&number) {
            large
        } else {
            small
        };
        assert_eq!(picture(&frame).size(), expected);
        assert_eq!(
            barcode::read(picture(&frame)).map(|code| u64::from(code.number)),
            Some(number)
        );
    }
}

/// Bits per second of media time from `units`.
fn bitrate(units: &[AccessUnit], frames: u64) -> f64 {
    let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
    bytes as f64 * 8.0 / (frames as f64 / 30.0)
}

#[test]
fn the_bitrate_changes_on_the_fly_without_a_keyframe() {
    let size = size(640, 360);
    let mut encoder = encoder(50_000_000);
    let mut number = 0;
    let mut measure = |bits_per_s: u32| {
        encoder.set_bitrate(bits_per_s).unwrap();
        let mut units = Vec::new();
        for settling in [true, false] {
            units.clear();
            for _ in 0..90 {
                number += 1;
                encoder
                    .encode(&frame(number, size), false, &mut units)
                    .unwrap();
            }
            assert!(
                !units
                    .iter()
                    .any(|unit| unit.keyframe && unit.pts != Pts(TICKS))
            );
            assert!(settling || !units.is_empty());
        }
        bitrate(&units, 90)
    };
    let (low, high, low_again) = (measure(200_000), measure(1_000_000), measure(200_000));
    assert!(high > 2.5 * low, "{low} to {high}");
    assert!(high > 2.5 * low_again, "{high} to {low_again}");
    assert!((100_000.0..300_000.0).contains(&low_again), "{low_again}");
}

#[test]
fn a_starved_encoder_skips_frames_but_never_a_keyframe() {
    let mut encoder = encoder(1_000_000);
    encoder.set_bitrate(100_000).unwrap();
    let mut units = Vec::new();
    for number in 1..=90 {
        encoder
            .encode(&frame(number, size(1280, 720)), number == 60, &mut units)
            .unwrap();
    }
    assert!(units.len() < 90, "nothing was skipped");
    assert!(
        units
            .iter()
            .any(|unit| unit.keyframe && unit.pts.0 / TICKS == 60)
    );
}

#[test]
fn a_flushed_encoder_starts_with_a_keyframe() {
    let mut encoder = encoder(1_000_000);
    let mut units = Vec::new();
    encoder
        .encode(&frame(1, size(320, 180)), false, &mut units)
        .unwrap();
    encoder.flush(&mut units).unwrap();
    encoder
        .encode(&frame(2, size(320, 180)), false, &mut units)
        .unwrap();
    assert!(units.iter().all(|unit| unit.keyframe));
    assert_eq!(units.len(), 2);
}

#[test]
fn a_decoder_recovers_at_the_next_keyframe_after_a_loss() {
    let units = stream(1..=20, size(320, 180), |number| number == 15);
    let mut decoder = decoder();
    let mut frames = Vec::new();
    let mut errors = 0;
    for unit in units.iter().filter(|unit| unit.pts.0 / TICKS != 8) {
        errors += usize::from(decoder.decode(unit, &mut frames).is_err());
    }
    assert!(errors > 0, "a missing reference went unnoticed");
    let last = frames
        .iter()
        .map(|frame| frame.pts.0 / TICKS)
        .collect::<Vec<_>>();
    assert_eq!(last[last.len() - 6..], [15, 16, 17, 18, 19, 20]);
}

#[test]
fn garbage_in_a_unit_is_an_error_or_nothing_and_never_a_crash() {
    let good = &stream([1], size(320, 180), |_| false)[0];
    for seed in 0..200usize {
        let mut data = good.data.to_vec();
        for step in 0..8 {
            let at = (seed * 7919 + step * 104_729) % data.len();
            data[at] = data[at].wrapping_add(1 + (seed % 250) as u8);
        }
        let unit = AccessUnit {
            data: data.into(),
            ..good.clone()
        };
        let mut frames = Vec::new();
        let _ = decoder().decode(&unit, &mut frames);
    }
}

#[test]
fn a_flushed_decoder_waits_for_a_keyframe() {
    let units = stream(1..=3, size(320, 180), |number| number == 3);
    let mut decoder = decoder();
    let mut frames = Vec::new();
    decoder.decode(&units[0], &mut frames).unwrap();
    decoder.flush(&mut frames).unwrap();
    assert!(decoder.decode(&units[1], &mut frames).is_err());
    decoder.decode(&units[2], &mut frames).unwrap();
    assert_eq!(frames.len(), 2);
}

#[test]
fn encoded_units_survive_packets() {
    let units = stream(1..=30, size(640, 360), |number| number == 20);
    let packetizer = Packetizer::default();
    let mut assembler = Assembler::new();
    let mut out = Vec::new();
    let mut seq = 0;
    for unit in &units {
        for payload in packetizer.packetize(unit) {
            assert!(payload.data.len() <= DEFAULT_MTU);
            let packet = RtpPacketRef {
                seq,
                pts: unit.pts,
                marker: payload.marker,
                arrived: unit.arrived,
                payload: &payload.data,
            };
            assembler.push(packet, &mut out);
            seq += 1;
        }
    }
    let nals = |unit: &AccessUnit| -> Vec<Vec<u8>> {
        h264::nal_units(&unit.data).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(out.len(), units.len());
    for (before, after) in units.iter().zip(&out) {
        let Assembled::Unit(after) = after else {
            panic!("a gap without a loss")
        };
        assert_eq!(nals(before), nals(after));
        assert_eq!((before.pts, before.keyframe), (after.pts, after.keyframe));
    }
}
