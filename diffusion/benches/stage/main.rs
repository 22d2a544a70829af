//! How fast the stream is: frames per second, and where the time goes.
//!
//! `make bench-stage` runs it; the variables are DEVICE (cpu, cuda), MODEL (a shape in `shapes/`), STEPS (1 to 4), KIND
//! (auto, bf16, fp32), CHANNELS (that share the model), THREADS and SECONDS. Weights are random, sizes are real.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints a table"
)]

mod folder;
mod measure;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use reverie_config::{Device, Half};
use reverie_diffusion::device::{self, Placement};

/// What to measure.
struct Wanted {
    shape: String,
    steps: usize,
    channels: usize,
    seconds: f64,
    threads: usize,
    placement: Placement,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| run(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-stage: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn wanted() -> Result<Wanted> {
    let cores = std::thread::available_parallelism()?.get();
    let threads = number("THREADS", (cores - 1).max(1))?;
    device::set_threads(threads);
    let (device, half) = (text("DEVICE", "cpu"), text("KIND", "auto"));
    let device = Device::from_str(&device)
        .map_err(|()| format!("DEVICE={device} is not known: cpu and cuda are"))?;
    let half = Half::from_str(&half)
        .map_err(|()| format!("KIND={half} is not known: auto, bf16 and fp32 are"))?;
    Ok(Wanted {
        shape: text("MODEL", "tiny"),
        steps: number("STEPS", 1)?,
        channels: number("CHANNELS", 1)?,
        seconds: number("SECONDS", 10.0)?,
        threads,
        placement: Placement::open(device, half)?,
    })
}

fn text(name: &str, default: &str) -> String {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => default.to_owned(),
    }
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value
            .parse()
            .map_err(|_| format!("{name}={value} is no number").into()),
        _ => Ok(default),
    }
}

fn run(wanted: &Wanted) -> Result<()> {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/shapes");
    let shape = folder::Shape::read(&shapes, &wanted.shape)?;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models");
    let models = folder::write(&cache, &shape)?;
    let peak = measure::matmul_peak(wanted.placement);
    let line = measure::stream(&models, &shape, wanted)?;
    println!("{}", measure::machine(wanted, peak));
    println!("{}", measure::table(&shape, wanted, &line, peak));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-stage.json");
    std::fs::write(&path, measure::told(&shape, wanted, &line).to_string())?;
    if wanted.channels > 1 {
        println!("{}", measure::shared(&models, &shape, wanted)?);
    }
    Ok(())
}
