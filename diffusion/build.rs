//! Lets the tests, benchmarks and examples of this crate find libtorch without a variable.

fn main() {
    for up in ["../..", "../../.."] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/{up}/.libtorch/torch/lib");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
