//! Parameters of what is put beside the model: ControlNets, an IP-Adapter, a transition.

use serde::{Deserialize, Serialize};

use super::blend::Blend;
use crate::processors::Spec;

/// A ControlNet and what it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlNet {
    /// Its folder below the directory of models.
    pub model_id: String,
    /// Strength of its residuals; 0 leaves it out.
    #[serde(default = "full")]
    pub conditioning_scale: f64,
    /// What makes its picture of the camera's.
    #[serde(default)]
    pub preprocessor: Spec,
}

/// A picture beside the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpAdapter {
    /// Its folder below the directory of models.
    pub model_id: String,
    /// What it shows, as [`crate::still::Still::read`] takes it: a file below the directory of models, or the picture
    /// itself. Without it the camera's own picture is used.
    #[serde(default)]
    pub image: Option<String>,
    /// Strength; 0 leaves it out.
    #[serde(default = "full")]
    pub scale: f64,
}

/// Way to another prompt through embeddings in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The prompt at its end.
    pub target: Blend<String>,
    /// Frames it takes.
    pub num_steps: u32,
}

fn full() -> f64 {
    1.0
}
