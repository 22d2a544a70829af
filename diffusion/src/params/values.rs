//! Parameters that are one of a few words.

use serde::{Deserialize, Serialize};

/// What takes the place of the negative prompt (classifier-free guidance).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CfgType {
    /// No guidance.
    None,
    /// The negative prompt, computed for every step.
    Full,
    /// The stream's own noise (residual CFG).
    #[serde(rename = "self")]
    SelfNegative,
    /// The negative prompt at the first step, then the stream's own noise.
    Initialize,
}

/// How embeddings or noise are blended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The weighted sum.
    Linear,
    /// Along the sphere; for exactly two values, otherwise linear.
    Slerp,
}

/// What becomes of a frame whose shape is not the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// All of it is squeezed to the model's shape, and stretched back.
    #[default]
    Stretch,
    /// Its middle, in the model's shape, is transformed; what is beside it becomes black.
    Crop,
}

/// Which fast paths may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceleration {
    /// The best that the device has.
    Auto,
    /// None, for comparison.
    None,
    /// Fused attention. `xformers` is read as this.
    #[serde(alias = "xformers")]
    Sdpa,
    /// Fused attention and, on CUDA, recorded graphs. `tensorrt` is read as this.
    #[serde(alias = "tensorrt")]
    Graphs,
}
