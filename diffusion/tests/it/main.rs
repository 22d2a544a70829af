//! Tests of this crate with libtorch, in one binary.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like the tests"
)]

mod adapters;
mod golden;
mod hub;
mod inspect;
mod modules;
mod shown;
mod stage;
mod stream;
mod weights;
