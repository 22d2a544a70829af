//! Lets the executables of this crate find libtorch without a variable.

fn main() {
    if std::env::var_os("CARGO_FEATURE_TORCH").is_some() {
        for up in ["../..", "../../.."] {
            println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/{up}/.libtorch/torch/lib");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
