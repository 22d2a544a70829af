//! A still picture laid over.

use serde::{Deserialize, Serialize};

use super::settings::{self, Fault, Limit};

/// Settings of `texture`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Name of a PNG file in the folder of textures.
    pub image: String,
    /// Share of the texture where it is opaque, 0 to 1.
    pub weight: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: String::new(),
            weight: 0.5,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("weight", 0.0, 1.0)];

    fn rules(&self) -> Result<(), Fault> {
        let name = &self.image;
        if name.is_empty()
            || name.len() > 255
            || name.starts_with('.')
            || name.contains(['/', '\\', '\0'])
        {
            let reason = "must be the name of a PNG file in the folder of textures, without a path";
            return Err(Fault::at("image", reason));
        }
        Ok(())
    }
}
