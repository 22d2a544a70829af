//! StreamDiffusion as a stage of a channel's pipeline.
//!
//! One thread drives it; the model runs on the thread of an engine that channels share (see [`crate::hub`]).

mod delayed;
mod picture;
mod styling;

use std::sync::Arc;

use reverie_transcoder::frame::{Frame, Picture};
use reverie_transcoder::size::Size;
use reverie_transcoder::stage::{Applied, Stage, StageError, StageFactory, StylePatch};

use crate::Error;
use crate::board::Board;
use crate::hub::{self, Hub, Opening, Session};
use crate::params::{Blend, Params};
use crate::processors::Textures;
use delayed::Delayed;
pub use picture::Pictures;
use styling::Styling;

/// What the stage of any channel is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engines.
    pub hub: Arc<Hub>,
}

/// Frames in the style of a prompt.
pub struct StreamDiffusion {
    settings: Settings,
    board: Board,
    /// In force.
    params: Params,
    styling: Styling,
    /// `None` while the model is left out.
    session: Option<Session>,
    loading: Option<Loading>,
    delayed: Delayed<Frame>,
}

/// Parameters that will be in force once their model is there.
struct Loading {
    opening: Opening,
    params: Params,
    /// Those that ask for it.
    fields: Vec<String>,
}

impl StreamDiffusion {
    /// Builds the stage on the thread that calls the factory; loading the model may take minutes.
    #[must_use]
    pub fn factory(settings: Settings, params: Params, board: Board) -> StageFactory {
        Box::new(move || match Self::load(settings, params, board) {
            Ok(stage) => Ok(Box::new(stage) as Box<dyn Stage>),
            Err(error) => Err(StageError::Load(error.to_string())),
        })
    }

    fn load(settings: Settings, params: Params, board: Board) -> Result<Self, Error> {
        let params = params.settled();
        board.loading(&[], "", 0.0);
        let session = if params.skip_diffusion {
            None
        } else {
            let tell = |loading: &hub::Loading| board.loading(&[], &loading.part, loading.done);
            Some(settings.hub.open(&params).wait_telling(tell)?)
        };
        let stage = Self {
            styling: Styling::new(&params, textures(&settings))?,
            delayed: Delayed::default(),
            loading: None,
            session,
            params,
            settings,
            board,
        };
        stage.board.reloaded(&stage.params);
        stage.tell_delay();
        Ok(stage)
    }

    fn delay(&self) -> usize {
        self.session.as_ref().map_or(0, Session::delay)
    }

    fn tell_delay(&self) {
        let frames = u32::try_from(self.delay()).expect("there are at most 4 steps");
        self.board.delayed(frames);
    }

    /// Takes up a model that has been loaded, or gives it up and says why.
    fn take_up(&mut self) {
        let Some(loading) = &self.loading else { return };
        let Some(opened) = loading.opening.poll() else {
            let hub::Loading { part, done } = loading.opening.loading();
            self.board.loading(&loading.fields, &part, done);
            return;
        };
        let params = self.loading.take().expect("it was just looked at").params;
        let taken = opened.and_then(|mut session| {
            // What changed while it was loading.
            session.apply(&params)?;
            self.enter(params, Some(session))
        });
        match taken {
            Ok(()) => self.board.reloaded(&self.params),
            Err(error) => self.board.fell_back(&self.params, error.to_string()),
        }
    }

    /// These parameters are in force, and the pictures are made by `session`; nothing changed if there is an error.
    fn enter(&mut self, params: Params, session: Option<Session>) -> Result<(), Error> {
        self.styling.set(&params)?;
        self.params = params;
        self.session = session;
        self.tell_delay();
        Ok(())
    }

    /// What is to be in force after `patch`, on top of what is still being loaded.
    fn wanted(&self, patch: &StylePatch) -> Result<Params, String> {
        let base = self
            .loading
            .as_ref()
            .map_or(&self.params, |loading| &loading.params);
        let mut wanted = match &patch.params {
            Some(text) => base
                .merge_text(text)
                .map_err(|problems| problems.to_string())?,
            None => base.clone(),
        };
        if let Some(prompt) = &patch.prompt {
            wanted.prompt = Blend::One(prompt.clone());
        }
        Ok(wanted)
    }

    fn change(&mut self, wanted: Params) -> Result<(), Error> {
        let mut fields = self.params.plan(&wanted).reload;
        if fields.is_empty() && self.session.is_none() {
            fields.push("skip_diffusion".to_owned());
        }
        if wanted.skip_diffusion {
            self.loading = None;
            return self.enter(wanted.settled(), None);
        }
        if fields.is_empty() {
            self.loading = None;
            return self.apply_hot(&wanted);
        }
        let meanwhile = wanted.fall_back(&self.params);
        if self.session.is_some() {
            self.apply_hot(&meanwhile)?;
        }
        self.reload(wanted, &fields);
        Ok(())
    }

    /// A change that the running stream follows.
    fn apply_hot(&mut self, wanted: &Params) -> Result<(), Error> {
        let before = self.params.clone();
        self.styling.set(wanted)?;
        if let Some(session) = &mut self.session
            && let Err(error) = session.apply(wanted)
        {
            // They were in force before.
            self.styling.set(&before)?;
            return Err(error);
        }
        self.params = wanted.clone().settled();
        self.tell_delay();
        Ok(())
    }

    /// Loads what `wanted` names beside what runs.
    fn reload(&mut self, wanted: Params, fields: &[String]) {
        match &mut self.loading {
            Some(loading) if loading.params.plan(&wanted).reload.is_empty() => {
                loading.params = wanted.settled();
            }
            _ => {
                let opening = self.settings.hub.open(&wanted);
                self.board.loading(fields, "", 0.0);
                let params = wanted.settled();
                self.loading = Some(Loading {
                    opening,
                    params,
                    fields: fields.to_vec(),
                });
            }
        }
    }

    fn styled(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        let Picture::I420(source) = &frame.picture else {
            return Err(StageError::Process(NOT_IN_MEMORY.to_owned()));
        };
        let ran = self.styling.run(source, self.session.as_ref())?;
        if ran.repeated {
            self.board.skipped();
        }
        if ran.fell_back {
            self.board.unrecorded();
        }
        // The frame is kept for its times, size and colour alone.
        let Some(due) = self.delayed.swap(frame, self.delay()) else {
            return Ok(None);
        };
        let Picture::I420(like) = &due.picture else {
            return Err(StageError::Process(NOT_IN_MEMORY.to_owned()));
        };
        let picture = Picture::I420(self.styling.picture(like)?);
        Ok(Some(Frame { picture, ..due }))
    }
}

const NOT_IN_MEMORY: &str = "the picture is not in main memory";

impl Stage for StreamDiffusion {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        self.take_up();
        self.styled(frame)
    }

    fn apply(&mut self, patch: &StylePatch) -> Result<Applied, StageError> {
        let wanted = self.wanted(patch).map_err(StageError::Style)?;
        self.change(wanted)
            .map_err(|error| StageError::Style(error.to_string()))?;
        Ok(Applied::all(patch).with_params_hash(self.params.hash()))
    }

    fn warm(&mut self) -> Result<(), StageError> {
        self.styling.warm(self.session.as_ref())
    }
}

fn textures(settings: &Settings) -> Textures {
    Textures::new(Some(settings.hub.library().directory().to_owned()))
}

fn process_error(error: Error) -> StageError {
    StageError::Process(error.to_string())
}

/// The size of the pictures that `params` ask for.
///
/// # Errors
/// [`Error::Parameter`] when there is no such picture.
fn size(params: &Params) -> Result<Size, Error> {
    Size::new(params.width, params.height).map_err(|error| Error::Parameter(error.to_string()))
}
