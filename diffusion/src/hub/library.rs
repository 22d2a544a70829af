//! The directory of models, and what is loaded of it for given parameters.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::device::Placement;
use crate::folder::Folder;
use crate::ip_adapter::Picture;
use crate::params::Params;
use crate::still::{self, Still};
use crate::stream::{Models, Parts, Reports};

/// Where models are, and where they compute.
#[derive(Clone, Debug)]
pub struct Library {
    directory: PathBuf,
    placement: Placement,
}

impl Library {
    /// Models below `directory`, each in a folder that its identifier names.
    pub fn new(directory: impl Into<PathBuf>, placement: Placement) -> Self {
        Self {
            directory: directory.into(),
            placement,
        }
    }

    /// Where the models compute.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The picture that an IP-Adapter is to show; nothing if it is the camera's.
    ///
    /// # Errors
    /// As [`Still::read`].
    pub fn picture(&self, params: &Params) -> Result<Option<Picture>, Error> {
        let adapter = params.ip_adapter.as_ref();
        let Some(image) = adapter.and_then(|adapter| adapter.image.as_deref()) else {
            return Ok(None);
        };
        if !still::is_address(image) {
            let _ = self.below("ip_adapter.image", image)?;
        }
        let Still { width, height, rgb } = Still::read(&self.directory, image)?;
        Ok(Some(Picture { width, height, rgb }))
    }

    /// Loads everything that `params` name. Takes as long as the disk does; `told` hears what is begun and how much
    /// of all bytes is done by then, 0..=1.
    ///
    /// # Errors
    /// What is missing, broken or not supported, in one line that names the file.
    pub fn load(
        &self,
        params: &Params,
        told: &mut dyn FnMut(&str, f64),
    ) -> Result<(Models, Reports), Error> {
        let folder = self.folder("model_id", &params.model_id)?;
        let vae = params
            .vae_id
            .as_deref()
            .map(|id| self.folder("vae_id", id))
            .transpose()?;
        let controlnets: Vec<_> = params
            .controlnets
            .iter()
            .map(|net| self.folder("controlnets", &net.model_id))
            .collect::<Result<_, _>>()?;
        let files: Vec<_> = params
            .lora_dict
            .iter()
            .map(|(name, &scale)| Ok((self.below("lora_dict", name)?, scale)))
            .collect::<Result<_, Error>>()?;
        let ip_adapter = params
            .ip_adapter
            .as_ref()
            .map(|adapter| self.below("ip_adapter", &adapter.model_id))
            .transpose()?;
        let parts = Parts {
            vae: vae.as_ref(),
            controlnets: &controlnets,
            loras: &files,
            ip_adapter: ip_adapter.as_deref(),
        };
        Models::load_telling(&folder, parts, self.placement, told)
    }

    fn folder(&self, key: &str, id: &str) -> Result<Folder, Error> {
        let folder = Folder::new(self.below(key, id)?);
        if folder.exists() {
            return Ok(folder);
        }
        Err(Error::malformed(
            folder.path(),
            format!("there is no model {id:?} here ({key})"),
        ))
    }

    /// A path below the directory and never outside of it.
    fn below(&self, key: &str, id: &str) -> Result<PathBuf, Error> {
        let plain = !id.is_empty()
            && Path::new(id)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
        if plain {
            Ok(self.directory.join(id))
        } else {
            Err(Error::Parameter(format!(
                "{key}: {id:?} is no name below the directory of models"
            )))
        }
    }
}
