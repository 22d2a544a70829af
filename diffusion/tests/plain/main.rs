//! Tests of what needs no libtorch, in one binary.

mod processors;
