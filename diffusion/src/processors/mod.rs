//! What can be done to a picture without a model: before the diffusion, after it, or instead of it.
//!
//! A [`Spec`] says what, a [`Chain`] of them does it to an [`Image`], and a [`Stage`] to the frames of a video.
//! Where a window reaches beyond a picture, the picture's outermost pixels go on.

pub mod blur;
pub mod canny;
mod chain;
pub mod feedback;
mod image;
pub mod latent_feedback;
mod live;
pub mod plain;
mod resize;
mod settings;
pub mod sharpen;
mod sobel;
mod soft_edge;
mod spec;
mod stage;
pub mod texture;
pub mod upscale;
mod window;

pub use chain::Chain;
pub use image::Image;
pub use live::Live;
pub use settings::Fault;
pub use spec::{Kind, Place, Spec};
pub use stage::Stage;
pub use texture::Textures;
