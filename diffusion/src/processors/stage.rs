//! Processors as a stage of the video pipeline, without any diffusion.

use std::mem;

use reverie_transcoder::frame::{Frame, I420, Picture};
use reverie_transcoder::stage::{self, Applied, StageError, StylePatch};
use reverie_transcoder::{Size, convert};

use super::chain::Chain;
use super::image::Image;
use super::spec::{Place, Spec};
use super::texture::Textures;
use crate::Error;

/// Sends every frame through the processors before the diffusion and then through those after it.
pub struct Stage {
    textures: Textures,
    chains: [Chain; 2],
    /// What was put out last, while a processor looks at it.
    former: Option<Image>,
    image: Image,
    rgb: Vec<u8>,
}

impl Stage {
    /// A stage that does `specs`.
    ///
    /// # Errors
    /// As [`Chain::new`].
    pub fn new(specs: &[Spec], mut textures: Textures) -> Result<Self, Error> {
        Ok(Self {
            chains: chains(specs, &mut textures)?,
            textures,
            former: None,
            image: Image::default(),
            rgb: Vec::new(),
        })
    }

    /// Does `specs` from the next frame on. Feedback goes on with the picture that was put out last.
    ///
    /// # Errors
    /// As [`Chain::new`]; everything is then as before.
    pub fn set(&mut self, specs: &[Spec]) -> Result<(), Error> {
        self.chains = chains(specs, &mut self.textures)?;
        Ok(())
    }

    fn picture(&mut self, source: &I420) -> Result<I420, StageError> {
        let failed = |error: convert::Error| StageError::Process(error.to_string());
        let size = source.size();
        self.rgb.resize(convert::rgb_length(size), 0);
        convert::to_rgb(source, &mut self.rgb).map_err(failed)?;
        let sides = (size.width() as usize, size.height() as usize);
        self.image.read_rgb8(sides.0, sides.1, &self.rgb);
        for chain in &mut self.chains {
            chain.run(&mut self.image, self.former.as_ref());
        }
        let size = size_of(&self.image)?;
        self.rgb.resize(convert::rgb_length(size), 0);
        self.image.write_rgb8(&mut self.rgb);
        self.keep();
        convert::from_rgb(&self.rgb, size, source.color()).map_err(failed)
    }

    /// Keeps the picture for the next one, if that will look at it.
    fn keep(&mut self) {
        if self.chains.iter().any(Chain::wants_former) {
            mem::swap(self.former.get_or_insert_default(), &mut self.image);
        } else {
            self.former = None;
        }
    }
}

impl stage::Stage for Stage {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        if self.chains.iter().all(Chain::is_empty) {
            self.former = None;
            return Ok(Some(frame));
        }
        let Picture::I420(source) = &frame.picture else {
            return Err(StageError::Process(
                "the picture is not in main memory".to_owned(),
            ));
        };
        let picture = Picture::I420(self.picture(source)?);
        Ok(Some(Frame { picture, ..frame }))
    }

    fn apply(&mut self, _patch: &StylePatch) -> Result<Applied, StageError> {
        Ok(Applied::none())
    }

    fn warm(&mut self) -> Result<(), StageError> {
        Ok(())
    }
}

fn chains(specs: &[Spec], textures: &mut Textures) -> Result<[Chain; 2], Error> {
    let before = Chain::new(specs, Place::Before, textures)?;
    let after = Chain::new(specs, Place::After, textures)?;
    Ok([before, after])
}

fn size_of(image: &Image) -> Result<Size, StageError> {
    let (width, height) = image.size();
    let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
    Size::new(side(width), side(height)).map_err(|error| StageError::Process(error.to_string()))
}
