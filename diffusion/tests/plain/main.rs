//! What needs no libtorch, from outside.

mod json_schema;
mod params;
mod params_prop;
