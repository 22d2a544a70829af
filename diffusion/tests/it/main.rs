//! Tests of this crate with libtorch, in one binary.

mod golden;
mod modules;
