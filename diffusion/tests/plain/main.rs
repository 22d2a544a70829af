//! Tests of what needs no libtorch, in one binary.

mod json_schema;
mod params;
mod params_prop;
mod processors;
