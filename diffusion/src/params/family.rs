//! What is known of a model by its kind: the steps that suit it, and whether it needs guidance.

use serde::Deserialize;

use super::{CfgType, Params};
use crate::Error;
use crate::folder::Folder;

/// Models that were trained alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Stable Diffusion 1.x.
    Sd15,
    /// Stable Diffusion 2.x and SD-Turbo.
    Sd21,
    /// SDXL and SDXL-Turbo.
    Sdxl,
}

/// The part of `unet/config.json` that tells them apart.
#[derive(Deserialize)]
struct Unet {
    cross_attention_dim: Option<serde_json::Value>,
}

impl Family {
    /// The family of the model in a folder, by the width of the text embeddings that its UNet takes; `None` for
    /// models of no published family.
    ///
    /// # Errors
    /// When `unet/config.json` cannot be read.
    pub fn of(model: &Folder) -> Result<Option<Self>, Error> {
        let unet: Unet = model.sub("unet").config()?;
        let width = unet.cross_attention_dim.and_then(|width| width.as_u64());
        Ok(match width {
            Some(768) => Some(Self::Sd15),
            Some(1024) => Some(Self::Sd21),
            Some(2048) => Some(Self::Sdxl),
            _ => None,
        })
    }

    /// The `t_index_list` that such a model begins with.
    #[must_use]
    pub fn t_index_list(self) -> &'static [u32] {
        match self {
            Self::Sd15 => &[5, 15, 32],
            Self::Sd21 => &[12, 20, 32],
            Self::Sdxl => &[36],
        }
    }
}

impl Params {
    /// The guidance in force: where `cfg_type` leaves it open, none for models with `turbo` in their name and
    /// the stream's own noise for others.
    #[must_use]
    pub fn guidance(&self) -> CfgType {
        let turbo = self.model_id.to_ascii_lowercase().contains("turbo");
        self.cfg_type.unwrap_or(if turbo {
            CfgType::None
        } else {
            CfgType::SelfNegative
        })
    }

    /// These with the steps that suit `family`, unless they are somebody's own: those that another family begins
    /// with are not, those that do not fit into the schedule are.
    #[must_use]
    pub fn suited(mut self, family: Family) -> Self {
        let given = [Family::Sd15, Family::Sd21, Family::Sdxl]
            .iter()
            .any(|family| family.t_index_list() == self.t_index_list);
        let list = family.t_index_list();
        if given && list.iter().all(|step| *step < self.num_inference_steps) {
            self.t_index_list = list.to_vec();
        }
        self
    }
}
