//! Processors as a stage that follows parameters, without any model.

use reverie_transcoder::frame::Frame;
use reverie_transcoder::stage::{self, Applied, StageError, StageFactory, StylePatch};

use super::stage::Stage;
use super::texture::Textures;
use crate::Error;
use crate::board::Board;
use crate::params::{Blend, Params};

/// Follows [`Params::processors`]; of everything else it keeps account only.
pub struct Live {
    params: Params,
    inner: Stage,
}

impl Live {
    /// Builds the stage on the thread that calls the factory.
    #[must_use]
    pub fn factory(textures: Textures, params: Params, board: Board) -> StageFactory {
        Box::new(move || match Self::new(textures, params.settled()) {
            Ok(stage) => {
                board.reloaded(&stage.params);
                Ok(Box::new(stage) as Box<dyn stage::Stage>)
            }
            Err(error) => Err(StageError::Load(error.to_string())),
        })
    }

    fn new(textures: Textures, params: Params) -> Result<Self, Error> {
        let inner = Stage::new(&params.processors, textures)?;
        Ok(Self { params, inner })
    }

    fn wanted(&self, patch: &StylePatch) -> Result<Params, String> {
        let mut wanted = match &patch.params {
            Some(text) => self.params.merge_text(text).map_err(|p| p.to_string())?,
            None => self.params.clone(),
        };
        if let Some(prompt) = &patch.prompt {
            wanted.prompt = Blend::One(prompt.clone());
        }
        Ok(wanted.settled())
    }
}

impl stage::Stage for Live {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        self.inner.process(frame)
    }

    fn apply(&mut self, patch: &StylePatch) -> Result<Applied, StageError> {
        let wanted = self.wanted(patch).map_err(StageError::Style)?;
        if wanted.processors != self.params.processors {
            let set = self.inner.set(&wanted.processors);
            set.map_err(|error| StageError::Style(error.to_string()))?;
        }
        self.params = wanted;
        Ok(Applied::all(patch).with_params_hash(self.params.hash()))
    }

    fn warm(&mut self) -> Result<(), StageError> {
        self.inner.warm()
    }
}
