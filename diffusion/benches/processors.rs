//! Milliseconds that each processor takes for a frame, and the stage around them.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::{Duration, Instant};

use reverie_diffusion::processors::{Chain, Image, Place, Spec, Stage, Textures};
use reverie_transcoder::color::Color;
use reverie_transcoder::frame::{Frame, I420, Picture};
use reverie_transcoder::stage::Stage as _;
use reverie_transcoder::{Pts, Size};
use serde_json::{Value, json};

/// How long each case is repeated.
const TIME: Duration = Duration::from_millis(400);

fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("canny", json!("canny")),
        ("soft_edge", json!("soft_edge")),
        ("feedback", json!("feedback")),
        ("blur", json!("blur")),
        (
            "blur, 51 pixels",
            json!({ "type": "blur", "kernel_size": 51 }),
        ),
        ("sharpen", json!("sharpen")),
        (
            "upscale, bilinear",
            json!({ "type": "upscale", "scale_factor": 1.5 }),
        ),
        (
            "upscale, lanczos",
            json!({ "type": "upscale", "scale_factor": 1.5, "algorithm": "lanczos" }),
        ),
        (
            "texture",
            json!({ "type": "texture", "image": "texture.png" }),
        ),
    ]
}

/// Slopes, edges and a little noise.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let value = |at: usize| {
        let (x, y) = (at / 3 % width, at / 3 / width);
        let noise = at.wrapping_mul(2_654_435_761) >> 7 & 15;
        let block = if (x / 40 + y / 32) % 3 == 0 { 90 } else { 0 };
        (x * 80 / width + y * 60 / height + block + noise) as u8
    };
    (0..width * height * 3).map(value).collect()
}

/// The median of many runs in milliseconds.
fn median(mut run: impl FnMut() -> Duration) -> f64 {
    let end = Instant::now() + TIME;
    let mut times = vec![run()];
    while Instant::now() < end {
        times.push(run());
    }
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn processor(spec: &Value, width: usize, height: usize) -> f64 {
    let spec = Spec::parse(spec).expect("settings");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/golden");
    let mut textures = Textures::new(Some(folder.into()));
    let mut chain = Chain::new(&[spec], Place::Before, &mut textures).expect("a chain");
    let mut source = Image::default();
    source.read_rgb8(width, height, &picture(width, height));
    let (former, mut image) = (source.clone(), source.clone());
    median(|| {
        image.copy_from(&source);
        let begin = Instant::now();
        chain.run(&mut image, Some(&former));
        begin.elapsed()
    })
}

/// The way of a frame through the stage, with a processor that costs next to nothing.
fn around(width: usize, height: usize) -> f64 {
    let spec =
        Spec::parse(&json!({ "type": "feedback", "feedback_strength": 0 })).expect("settings");
    let mut stage = Stage::new(&[spec], Textures::default()).expect("a stage");
    let size = Size::new(width as u32, height as u32).expect("a size");
    let frame = Frame {
        pts: Pts(0),
        arrived: Instant::now(),
        picture: Picture::I420(I420::black(size, Color::BT709)),
    };
    median(|| {
        let frame = frame.clone();
        let begin = Instant::now();
        stage.process(frame).expect("processed");
        begin.elapsed()
    })
}

fn main() {
    println!(
        "{:20} {:>9} {:>9}   ms per frame",
        "processor", "512x512", "1280x720"
    );
    let row = |name: &str, small: f64, large: f64| println!("{name:20} {small:9.2} {large:9.2}");
    for (name, spec) in cases() {
        row(
            name,
            processor(&spec, 512, 512),
            processor(&spec, 1280, 720),
        );
    }
    row("I420, RGB and back", around(512, 512), around(1280, 720));
}
