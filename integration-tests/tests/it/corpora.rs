//! Every input that fuzzing found worth keeping, again; `engine` is among the tests of sfu.

use reverie_integration_tests::fuzzing::{assembler, config, fragment, offer, replay};

#[test]
fn configurations_are_read_or_refused() {
    replay("config", config::check);
}

#[test]
fn offers_are_answered_or_refused() {
    replay("offer", offer::check);
}

#[test]
fn trickle_fragments_cost_only_checks() {
    replay("fragment", fragment::check);
}

#[test]
fn packets_become_whole_units_or_none() {
    replay("assembler", assembler::check);
}
