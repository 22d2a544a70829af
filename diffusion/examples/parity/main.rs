//! Compares this crate's stream with a recording of the reference implementation:
//! `cargo run --release -p reverie-diffusion --example parity -- MODELS_DIR CASE.safetensors...`
//!
//! A recording names the model's folder below MODELS_DIR and holds the tensors of some frames. The largest error of each
//! kind of tensor is printed, relative to the largest value of the recording. Ends with 1 if one is above its limit, and
//! with 2 if something cannot be compared at all.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod case;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((models, files)) = arguments
        .split_first()
        .filter(|(_, files)| !files.is_empty())
    else {
        eprintln!("usage: parity MODELS_DIR CASE.safetensors...");
        return ExitCode::from(2);
    };
    let mut worst = 0;
    for file in files {
        worst = worst.max(match compare(models, file) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) => {
                eprintln!("{}: {error:#}", file.display());
                2
            }
        });
    }
    ExitCode::from(worst)
}

/// Compares one recording and prints what came of it; true if all limits are met.
fn compare(models: &Path, file: &Path) -> Result<bool> {
    let recording = case::Recording::read(file)?;
    let comparison = run::compare(models, &recording)?;
    println!("{}: {}", file.display(), recording.case.title());
    for (kind, worst) in &comparison.kinds {
        let verdict = if worst.is_met() {
            "ok"
        } else {
            "ABOVE THE LIMIT"
        };
        let run::Worst {
            error,
            limit,
            compared,
        } = worst;
        println!(
            "  {kind:26} max relative error {error:.1e}  limit {limit:.0e}  tensors {compared:3}  {verdict}"
        );
    }
    for note in &comparison.notes {
        println!("  note: {note}");
    }
    let met = comparison.is_met();
    println!("  {}", if met { "PASS" } else { "FAIL" });
    Ok(met)
}
