//! One frame through processors and model: what happens between two pictures in main memory.

use std::mem;

use reverie_transcoder::color::Color;
use reverie_transcoder::convert::rgb_length;
use reverie_transcoder::frame::I420;
use reverie_transcoder::size::Size;
use reverie_transcoder::stage::StageError;

use super::picture::Pictures;
use super::{process_error, size};
use crate::Error;
use crate::hub::{self, Session};
use crate::params::Params;
use crate::processors::{Chain, Image, Place, Textures};

/// The steps around the model, with their buffers.
pub(super) struct Styling {
    textures: Textures,
    pictures: Pictures,
    before: Chain,
    after: Chain,
    /// What each ControlNet is shown.
    controls: Vec<Chain>,
    /// What was put out last, while a processor looks at it.
    former: Option<Image>,
    image: Image,
    passing: hub::Pictures,
    /// Of what came out: processors may enlarge it.
    size: Size,
}

/// How the model was run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ran {
    /// It was left out, because the picture is like the one before.
    pub(super) repeated: bool,
    /// It should have run from a recording and did not.
    pub(super) fell_back: bool,
}

impl Styling {
    pub(super) fn new(params: &Params, textures: Textures) -> Result<Self, Error> {
        let mut styling = Self {
            pictures: Pictures::new(size(params)?, params.fit),
            before: Chain::default(),
            after: Chain::default(),
            controls: Vec::new(),
            former: None,
            image: Image::default(),
            passing: hub::Pictures::default(),
            size: size(params)?,
            textures,
        };
        styling.set(params)?;
        Ok(styling)
    }

    /// Follows `params` from the next frame on; nothing has changed when there is an error.
    pub(super) fn set(&mut self, params: &Params) -> Result<(), Error> {
        let size = size(params)?;
        let before = Chain::new(&params.processors, Place::Before, &mut self.textures)?;
        let after = Chain::new(&params.processors, Place::After, &mut self.textures)?;
        let controls = params
            .controlnets
            .iter()
            .map(|net| {
                let spec = std::slice::from_ref(&net.preprocessor);
                Chain::new(spec, net.preprocessor.place, &mut self.textures)
            })
            .collect::<Result<_, _>>()?;
        if !self.pictures.are(size, params.fit) {
            self.pictures = Pictures::new(size, params.fit);
        }
        (self.before, self.after, self.controls) = (before, after, controls);
        Ok(())
    }

    /// Sends a picture through; [`Styling::picture`] is what came out.
    pub(super) fn run(
        &mut self,
        source: &I420,
        session: Option<&Session>,
    ) -> Result<Ran, StageError> {
        let (width, height) = self.sides();
        self.passing.rgb.clear();
        self.passing
            .rgb
            .extend_from_slice(self.pictures.rgb(source)?);
        self.size = self.pictures.size();
        self.control(width, height);
        if !self.before.is_empty() {
            self.image.read_rgb8(width, height, &self.passing.rgb);
            self.before.run(&mut self.image, self.former.as_ref());
            if self.image.size() != (width, height) {
                return Err(StageError::Process(
                    "a processor before the model changes the size".to_owned(),
                ));
            }
            self.image.write_rgb8(&mut self.passing.rgb);
        }
        let mut ran = Ran::default();
        if let Some(session) = session {
            let pictures = mem::take(&mut self.passing);
            let styled = session.frame(pictures).map_err(process_error)?;
            self.passing = styled.pictures;
            ran = Ran {
                repeated: styled.repeated,
                fell_back: styled.fell_back,
            };
        }
        if !self.after.is_empty() {
            self.image.read_rgb8(width, height, &self.passing.rgb);
            self.after.run(&mut self.image, self.former.as_ref());
            self.enlarge()?;
        }
        self.keep();
        Ok(ran)
    }

    /// What came out of the last run, in size and colour of `like`.
    pub(super) fn picture(&mut self, like: &I420) -> Result<I420, StageError> {
        self.pictures.picture(&self.passing.rgb, self.size, like)
    }

    /// A black frame through everything, which is then forgotten.
    pub(super) fn warm(&mut self, session: Option<&Session>) -> Result<(), StageError> {
        let Some(session) = session else {
            return Ok(());
        };
        let black = I420::black(self.pictures.size(), Color::BT709);
        self.run(&black, Some(session))
            .and_then(|_| session.restart().map_err(process_error))
            .map_err(|error| StageError::Warm(error.to_string()))?;
        self.former = None;
        Ok(())
    }

    fn sides(&self) -> (usize, usize) {
        let size = self.pictures.size();
        (size.width() as usize, size.height() as usize)
    }

    /// The picture that each ControlNet sees.
    fn control(&mut self, width: usize, height: usize) {
        self.passing
            .controls
            .resize_with(self.controls.len(), Vec::new);
        for (chain, control) in self.controls.iter_mut().zip(&mut self.passing.controls) {
            control.clone_from(&self.passing.rgb);
            if !chain.is_empty() {
                self.image.read_rgb8(width, height, control);
                chain.run(&mut self.image, self.former.as_ref());
                self.image.write_rgb8(control);
            }
        }
    }

    /// Makes what the processors made, perhaps larger, what came out.
    fn enlarge(&mut self) -> Result<(), StageError> {
        let (width, height) = self.image.size();
        let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
        self.size = Size::new(side(width), side(height))
            .map_err(|error| StageError::Process(error.to_string()))?;
        self.passing.rgb.resize(rgb_length(self.size), 0);
        self.image.write_rgb8(&mut self.passing.rgb);
        Ok(())
    }

    fn keep(&mut self) {
        let chains = [&self.before, &self.after];
        if chains
            .into_iter()
            .chain(&self.controls)
            .any(Chain::wants_former)
        {
            let former = self.former.get_or_insert_default();
            former.read_rgb8(
                self.size.width() as usize,
                self.size.height() as usize,
                &self.passing.rgb,
            );
        } else {
            self.former = None;
        }
    }
}
