//! StreamDiffusion on libtorch: a picture in, the same picture in the style of a prompt out, frame after frame.
//!
//! Modules are named like those of Python's diffusers, so that keys, papers and issues are easy to follow.
//! Nothing here has a clock or async code of its own, and only [`hub`] has threads.

mod error;
pub use error::Error;

pub mod board;
pub mod folder;
pub mod params;
pub mod processors;
pub mod status;
pub mod still;

#[cfg(feature = "torch")]
pub mod attention;
#[cfg(feature = "torch")]
pub mod clip;
#[cfg(feature = "torch")]
mod config;
#[cfg(feature = "torch")]
pub mod controlnet;
#[cfg(feature = "torch")]
pub mod device;
#[cfg(feature = "torch")]
pub mod embeddings;
#[cfg(feature = "torch")]
pub mod graph;
#[cfg(feature = "torch")]
pub mod guard;
#[cfg(feature = "torch")]
pub mod hub;
#[cfg(feature = "torch")]
pub mod inspect;
#[cfg(feature = "torch")]
pub mod ip_adapter;
#[cfg(feature = "torch")]
pub mod layers;
#[cfg(feature = "torch")]
pub mod lora;
#[cfg(feature = "torch")]
pub mod resnet;
#[cfg(feature = "torch")]
pub mod scheduler;
#[cfg(feature = "torch")]
pub mod stage;
#[cfg(feature = "torch")]
pub mod stream;
#[cfg(feature = "torch")]
pub mod tokenizer;
#[cfg(feature = "torch")]
pub mod unet;
#[cfg(feature = "torch")]
pub mod vae;
#[cfg(feature = "torch")]
pub mod weights;
