//! What the fuzz targets do with their bytes; `make test` replays the committed corpora through the same functions.
//!
//! A check panics when a promise is broken, and takes anything else calmly. The target `engine` needs str0m
//! clients and is beside the other engine tests, in `sfu/tests/engine/fuzzing.rs`.

pub mod assembler;
pub mod config;
pub mod fragment;
pub mod offer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// How long one input may take when a corpus is replayed: each takes milliseconds, and a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a check under libFuzzer. Its own hook aborts at every panic; those that the product catches are meant to
/// be caught, so they are only told, once for each place. One that gets out still ends the run.
pub fn run(check: fn(&[u8]), data: &[u8]) {
    static HOOK: Once = Once::new();
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let place = place.unwrap_or_default();
            let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            if told.insert(place) {
                #[allow(clippy::print_stderr, reason = "beside what libFuzzer prints there")]
                {
                    eprintln!("panic: {panic}");
                }
            }
        }));
    });
    check(data);
}

/// Runs a check on every file of a committed corpus.
///
/// # Panics
///
/// If the corpus is empty, an input breaks a promise, or one takes longer than [`PATIENCE`].
pub fn replay(target: &str, check: fn(&[u8])) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folder = corpus.join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut inputs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    for input in inputs {
        let data = std::fs::read(&input).expect("a readable input");
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| check(&data));
        assert!(outcome.is_ok(), "{} breaks a promise", input.display());
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{} took {took:?}", input.display());
    }
}
