//! What can be done to a picture without a model: before the diffusion, after it, or instead of it.

pub mod blur;
pub mod canny;
pub mod feedback;
pub mod latent_feedback;
pub mod plain;
mod settings;
pub mod sharpen;
mod spec;
pub mod texture;
pub mod upscale;

pub use settings::Fault;
pub use spec::{Kind, Place, Spec};
