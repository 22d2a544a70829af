//! Tests of this crate with libtorch, in one binary.

mod stream;
