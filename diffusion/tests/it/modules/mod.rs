//! Each model against the tensors that diffusers and transformers computed with the same weights.

mod autoencoders;
mod refusals;
mod text;
mod unets;
