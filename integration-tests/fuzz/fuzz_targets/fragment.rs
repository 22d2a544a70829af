#![no_main]

use reverie_integration_tests::fuzzing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::run(fuzzing::fragment::check, data));
