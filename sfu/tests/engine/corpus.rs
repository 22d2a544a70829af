//! Every input that the fuzz target `engine` found worth keeping, again.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::fuzzing::anything;

/// How long one input may take: each takes milliseconds, and a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn every_input_leaves_the_sessions_alone() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration-tests/fuzz/corpus/engine");
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("a corpus").flatten() {
        let data = std::fs::read(entry.path()).expect("a readable input");
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| anything(&data));
        assert!(outcome.is_ok(), "{:?} breaks a promise", entry.path());
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{:?} took {took:?}", entry.path());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}
