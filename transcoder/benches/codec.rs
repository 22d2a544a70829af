//! Time per frame of every step, as a Markdown table: `cargo bench -p reverie-transcoder`.
//!
//! Medians of single calls on one thread with moving test pictures; nothing else should be running.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run has nothing to say"
)]

use std::fs;
use std::time::{Duration, Instant};

#[path = "../tests/common/mod.rs"]
mod common;

use common::{frame, picture, size, stream};
use reverie_transcoder::convert;
use reverie_transcoder::packetize::Packetizer;
use reverie_transcoder::scale::Scaler;
use reverie_transcoder::stage::DebugInvert;
use reverie_transcoder::{Frame, I420, Size, Stage, decode};

const FRAMES: u64 = 150;
const BITRATE: u32 = 2_500_000;

/// Median and 95th percentile.
struct Cost(Duration, Duration);

fn main() {
    // `cargo test --benches` only wants to know whether it runs.
    let frames = if std::env::args().any(|argument| argument == "--bench") {
        FRAMES
    } else {
        5
    };
    print(&format!("{}\n", machine()));
    print("| step | size | median ms | p95 ms |\n|---|---|---|---|");
    for size in [size(640, 360), size(1280, 720)] {
        for (step, Cost(median, p95)) in costs(size, frames) {
            let millis = |time: Duration| time.as_secs_f64() * 1000.0;
            print(&format!(
                "| {step} | {size} | {:.3} | {:.3} |",
                millis(median),
                millis(p95)
            ));
        }
    }
}

fn costs(size: Size, count: u64) -> Vec<(&'static str, Cost)> {
    let frames: Vec<Frame> = (1..=count).map(|number| frame(number, size)).collect();
    let pictures: Vec<&I420> = frames.iter().map(picture).collect();
    let color = pictures[0].color();
    let units = stream(1..=count, size, |_| false);
    let mut decoder = decode::open(&decode::Config::default()).unwrap();
    let mut encoder = common::encoder(BITRATE);
    let mut scaler = Scaler::new();
    let (mut out_frames, mut out_units) = (Vec::new(), Vec::new());
    let mut rgb = vec![0; convert::rgb_length(size)];
    let square = common::size(512, 512);

    let mut costs = vec![
        (
            "decode",
            measure(&units, |unit| {
                decoder.decode(unit, &mut out_frames).unwrap()
            }),
        ),
        (
            "encode",
            measure(&frames, |frame| {
                encoder.encode(frame, false, &mut out_units).unwrap()
            }),
        ),
        (
            "I420 to RGB",
            measure(&pictures, |picture| {
                convert::to_rgb(picture, &mut rgb).unwrap()
            }),
        ),
        (
            "RGB to I420",
            measure(&pictures, |_| {
                drop(convert::from_rgb(&rgb, size, color).unwrap())
            }),
        ),
    ];
    let shrink = measure(&pictures, |picture| {
        drop(scaler.scale(picture, square).unwrap())
    });
    costs.push(("scale to 512x512", shrink));
    let small = scaler.scale(pictures[0], square).unwrap();
    let grow = measure(&pictures, |_| drop(scaler.scale(&small, size).unwrap()));
    costs.push(("scale from 512x512", grow));
    let negative = measure(&frames, |frame| {
        drop(DebugInvert.process(frame.clone()).unwrap())
    });
    costs.push(("copy and invert", negative));
    let packetizer = Packetizer::default();
    costs.push((
        "packetize",
        measure(&units, |unit| drop(packetizer.packetize(unit))),
    ));
    costs
}

fn measure<T>(inputs: &[T], mut step: impl FnMut(&T)) -> Cost {
    let mut times: Vec<Duration> = inputs
        .iter()
        .map(|input| {
            let started = Instant::now();
            step(input);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    Cost(times[times.len() / 2], times[times.len() * 95 / 100])
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1))
            .unwrap_or("unknown")
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    format!(
        "{} (family {} model {}), {cores} cores, {}, {build} build",
        field("model name"),
        field("cpu family"),
        field("model\t"),
        std::env::consts::ARCH
    )
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn print(line: &str) {
    println!("{line}");
}
