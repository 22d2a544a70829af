#![no_main]

#[path = "../../../sfu/tests/engine/fuzzing.rs"]
mod fuzzing;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../sfu/tests/engine/net.rs"]
mod net;

use reverie_integration_tests::fuzzing::run;

libfuzzer_sys::fuzz_target!(|data: &[u8]| run(fuzzing::anything, data));
