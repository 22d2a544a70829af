//! The stage of processors on frames of video.

use std::time::Instant;

use reverie_diffusion::processors::{Spec, Stage, Textures};
use reverie_transcoder::color::{Color, Matrix, Range};
use reverie_transcoder::frame::{Frame, I420, Picture};
use reverie_transcoder::stage::Stage as _;
use reverie_transcoder::{Pts, Size};
use serde_json::{Value, json};

fn specs(values: &[Value]) -> Vec<Spec> {
    let parse = |value| Spec::parse(value).expect("settings");
    values.iter().map(parse).collect()
}

fn stage(values: &[Value]) -> Stage {
    Stage::new(&specs(values), Textures::default()).expect("a stage")
}

/// A frame with the left half at one luma and the right half at another.
fn halves(color: Color, left: u8, right: u8) -> Frame {
    let size = Size::new(64, 48).expect("a size");
    let mut picture = I420::black(size, color);
    let [luma, ..] = picture.planes_mut();
    for row in luma.chunks_exact_mut(64) {
        row[..32].fill(left);
        row[32..].fill(right);
    }
    Frame {
        pts: Pts(4711),
        arrived: Instant::now(),
        picture: Picture::I420(picture),
    }
}

fn luma(frame: &Frame) -> Vec<u8> {
    let Picture::I420(picture) = &frame.picture else {
        panic!("a picture in main memory");
    };
    picture.planes()[0].to_vec()
}

fn run(stage: &mut Stage, frame: Frame) -> Frame {
    stage.process(frame).expect("processed").expect("put out")
}

#[test]
fn white_and_black_are_those_of_the_frames_range() {
    for (range, black, white) in [(Range::Limited, 16, 235), (Range::Full, 0, 255)] {
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            let color = Color { matrix, range };
            let edges = run(&mut stage(&[json!("canny")]), halves(color, 60, 200));
            let luma = luma(&edges);
            assert_eq!((luma[10], luma[31]), (black, white), "{color:?}");
            let Picture::I420(picture) = &edges.picture else {
                panic!("a picture in main memory");
            };
            assert_eq!(picture.color(), color);
            assert!(picture.planes()[1].iter().all(|&chroma| chroma == 128));
        }
    }
}

#[test]
fn a_frame_keeps_its_times_and_takes_the_size_of_the_chain() {
    let frame = halves(Color::BT709, 40, 200);
    let (pts, arrived) = (frame.pts, frame.arrived);
    let larger = run(
        &mut stage(&[json!({ "type": "upscale", "scale_factor": 1.5 })]),
        frame,
    );
    assert_eq!((larger.pts, larger.arrived), (pts, arrived));
    assert_eq!(larger.picture.size(), Size::new(96, 72).expect("a size"));
}

#[test]
fn without_a_processor_at_work_frames_are_not_touched() {
    for values in [
        vec![],
        vec![json!("passthrough")],
        vec![json!({ "type": "canny", "enabled": false })],
        vec![json!("latent_feedback")],
    ] {
        let frame = halves(Color::BT601, 1, 254);
        let same = run(&mut stage(&values), frame.clone());
        assert_eq!(luma(&same), luma(&frame), "{values:?}");
    }
}

#[test]
fn what_stands_before_the_diffusion_comes_before_what_stands_after() {
    let before = json!({ "type": "canny" });
    let after = json!({ "type": "blur", "place": "after" });
    let expected = run(
        &mut stage(&[before.clone(), after.clone()]),
        halves(Color::BT601, 30, 220),
    );
    let other = run(&mut stage(&[after, before]), halves(Color::BT601, 30, 220));
    assert_eq!(luma(&expected), luma(&other));
    // A blurred edge is grey; an edge of what is blurred would not be.
    assert!(
        luma(&expected)
            .iter()
            .any(|&luma| (40..200).contains(&luma))
    );
}

#[test]
fn feedback_mixes_in_what_was_put_out_last() {
    let mut stage = stage(&[json!({ "type": "feedback", "feedback_strength": 0.5 })]);
    let full = Color {
        matrix: Matrix::Bt709,
        range: Range::Full,
    };
    let flat = |level| halves(full, level, level);
    let mut put_out = |level| luma(&run(&mut stage, flat(level)))[0];
    assert_eq!(put_out(200), 200);
    assert_eq!(put_out(0), 100);
    assert_eq!(put_out(0), 50);
    assert_eq!(put_out(0), 25);
}

#[test]
fn another_chain_is_followed_between_two_frames_and_feedback_goes_on() {
    let feedback = |strength| json!({ "type": "feedback", "feedback_strength": strength });
    let mut stage = stage(&[feedback(0.5)]);
    let full = Color {
        matrix: Matrix::Bt709,
        range: Range::Full,
    };
    let put_out = |stage: &mut Stage, level| luma(&run(stage, halves(full, level, level)))[0];
    assert_eq!(put_out(&mut stage, 200), 200);
    stage.set(&specs(&[feedback(0.25)])).expect("followed");
    assert_eq!(put_out(&mut stage, 0), 50);
    // One that cannot be had changes nothing.
    let texture = json!({ "type": "texture", "image": "none.png" });
    assert!(stage.set(&specs(&[texture])).is_err());
    assert_eq!(put_out(&mut stage, 250), 200);
    stage.set(&[]).expect("followed");
    assert_eq!(put_out(&mut stage, 9), 9);
}

#[test]
fn frames_of_another_size_are_taken_as_they_come() {
    let mut stage = stage(&[json!("feedback"), json!("sharpen"), json!("soft_edge")]);
    for (width, height) in [(64, 48), (48, 64), (16, 16), (64, 48)] {
        let size = Size::new(width, height).expect("a size");
        let frame = Frame {
            pts: Pts(1),
            arrived: Instant::now(),
            picture: Picture::I420(I420::black(size, Color::BT601)),
        };
        assert_eq!(run(&mut stage, frame).picture.size(), size);
    }
}
