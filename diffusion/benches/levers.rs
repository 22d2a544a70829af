//! What each of the stream's habits saves on a processor: `cargo bench -p reverie-diffusion --bench levers`.
//!
//! The sizes are those of SD-Turbo at 512x512; THREADS is as for `make bench-stage`. Medians of single calls.

#![expect(clippy::print_stdout, reason = "a benchmark prints a table")]

use std::hint::black_box;
use std::time::Instant;

use reverie_diffusion::device;
use reverie_diffusion::layers::channels_last;
use tch::{Device, Kind, Tensor};

const RUNS: usize = 15;

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = std::env::var("THREADS").ok().and_then(|n| n.parse().ok());
    let threads = wanted.unwrap_or((cores - 1).max(1));
    device::set_threads(threads);
    let _without_gradients = tch::no_grad_guard();
    println!("{threads} threads of {cores} cores\n");
    println!("| habit | precision | without ms | with ms | |\n|---|---|---|---|---|");
    for kind in [Kind::Float, Kind::BFloat16] {
        convolution(kind);
        projections(kind);
        prompt(kind);
        time(kind);
    }
}

fn random(size: &[i64], kind: Kind) -> Tensor {
    Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind)
}

/// Milliseconds, the median.
fn median(work: impl Fn() -> Tensor) -> f64 {
    let once = || {
        let began = Instant::now();
        let _ = black_box(work());
        began.elapsed().as_secs_f64() * 1000.0
    };
    let _ = (once(), once());
    let mut times: Vec<_> = (0..RUNS).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn row(habit: &str, kind: Kind, without: f64, with: f64) {
    let kind = if kind == Kind::Float { "fp32" } else { "bf16" };
    let saved = (1.0 - with / without) * 100.0;
    println!("| {habit} | {kind} | {without:.2} | {with:.2} | {saved:.0} % less |");
}

/// Weights and pictures with their channels next to each other.
fn convolution(kind: Kind) {
    for (channels, side) in [(320, 64), (640, 32), (1280, 16)] {
        let x = random(&[1, channels, side, side], kind);
        let weight = random(&[channels, channels, 3, 3], kind);
        let bias = random(&[channels], kind);
        let conv =
            |x: &Tensor, weight: &Tensor| x.conv2d(weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1);
        let (last_x, last_weight) = (channels_last(&x), channels_last(&weight));
        row(
            &format!("channels last, convolution of {channels} at {side}x{side}"),
            kind,
            median(|| conv(&x, &weight)),
            median(|| conv(&last_x, &last_weight)),
        );
    }
}

/// Query, key and value of self attention by one product.
fn projections(kind: Kind) {
    for (channels, tokens) in [(320, 4096), (640, 1024), (1280, 256)] {
        let x = random(&[1, tokens, channels], kind);
        let weight = random(&[3 * channels, channels], kind);
        let parts = weight.chunk(3, 0);
        let three = || {
            let [q, k, v] = [0, 1, 2].map(|i| x.linear::<Tensor>(&parts[i], None));
            q + k + v
        };
        let one = || {
            let parts = x.linear::<Tensor>(&weight, None).chunk(3, -1);
            &parts[0] + &parts[1] + &parts[2]
        };
        row(
            &format!("one product for query, key and value, {tokens} tokens of {channels}"),
            kind,
            median(three),
            median(one),
        );
    }
}

/// Keys and values of all 16 cross attentions, with every frame or with every prompt.
fn prompt(kind: Kind) {
    let tokens = random(&[1, 77, 1024], kind);
    let channels = [
        320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320,
    ];
    let weights: Vec<_> = channels
        .map(|width| random(&[2 * width, 1024], kind))
        .into();
    let every_frame = median(|| {
        weights
            .iter()
            .map(|weight| tokens.linear::<Tensor>(weight, None))
            .reduce(|_, next| next)
            .expect("there are some")
    });
    row(
        "keys and values once a prompt, all of a frame",
        kind,
        every_frame,
        0.0,
    );
}

/// What the 22 residual blocks add for the timestep, with every frame or once.
fn time(kind: Kind) {
    let embedding = random(&[1, 1280], kind);
    let channels = [320, 640, 1280, 1280];
    let weights: Vec<_> = (0..22)
        .map(|i| random(&[channels[i % 4], 1280], kind))
        .collect();
    let first = random(&[1280, 320], kind);
    let second = random(&[1280, 1280], kind);
    let waves = random(&[1, 320], kind);
    let every_frame = median(|| {
        let _ = waves
            .linear::<Tensor>(&first, None)
            .silu()
            .linear::<Tensor>(&second, None);
        weights
            .iter()
            .map(|weight| embedding.linear::<Tensor>(weight, None))
            .reduce(|_, next| next)
            .expect("there are some")
    });
    row(
        "time embedding once a list of steps, all of a frame",
        kind,
        every_frame,
        0.0,
    );
}
