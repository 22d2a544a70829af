//! What happens to a picture between decoder and encoder.

use std::fmt;

use thiserror::Error;

use crate::color::{CHROMA_GREY, LUMA_BLACK, LUMA_WHITE, Range};
use crate::frame::{Frame, I420, Picture};

/// Changes pictures. It need not be `Send`: a [`StageFactory`] builds it on the thread that drives
/// and drops it.
pub trait Stage {
    /// The changed frame, or `None` to withhold it. Keeps `pts` and `arrived` of the frame that the
    /// result belongs to. Blocks while it computes.
    ///
    /// # Errors
    /// Any error ends the pipeline: a stage reports what it cannot recover from.
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError>;

    /// Changes the style from the next frame on.
    ///
    /// # Errors
    /// [`StageError::Style`] when it cannot be followed; the style is then what it was.
    fn apply(&mut self, patch: &StylePatch) -> Result<Applied, StageError>;

    /// Does what would make the first frame slow. Called once, before the first frame.
    ///
    /// # Errors
    /// [`StageError::Warm`] when the stage cannot run.
    fn warm(&mut self) -> Result<(), StageError>;
}

/// Builds a stage on its own thread; loading may take long.
pub type StageFactory = Box<dyn FnOnce() -> Result<Box<dyn Stage>, StageError> + Send>;

/// Changes of style; what is `None` stays as it is. `Debug` shows no text of it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StylePatch {
    /// What the picture shall look like.
    pub prompt: Option<String>,
    /// Other parameters, as a JSON merge patch (RFC 7396) that the stage understands and checks.
    pub params: Option<String>,
}

impl StylePatch {
    /// A patch that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The patch with another prompt.
    #[must_use]
    pub fn with_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// The patch with other parameters.
    #[must_use]
    pub fn with_params(mut self, params: impl Into<String>) -> Self {
        self.params = Some(params.into());
        self
    }
}

impl fmt::Debug for StylePatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &Option<String>| text.as_ref().map(String::len);
        f.debug_struct("StylePatch")
            .field("prompt_bytes", &length(&self.prompt))
            .field("params_bytes", &length(&self.params))
            .finish()
    }
}

/// What a stage made of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Whether a new prompt is in force.
    pub prompt: bool,
    /// Hash of all parameters in force now, of a stage that has some. What must be loaded first is not in force yet.
    pub params_hash: Option<u64>,
}

impl Applied {
    /// The prompt of `patch` is in force; the stage has no other parameters.
    #[must_use]
    pub const fn all(patch: &StylePatch) -> Self {
        Self {
            prompt: patch.prompt.is_some(),
            params_hash: None,
        }
    }

    /// The stage has no style to change.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            prompt: false,
            params_hash: None,
        }
    }

    /// As it is, with the hash of all parameters in force.
    #[must_use]
    pub const fn with_params_hash(mut self, hash: u64) -> Self {
        self.params_hash = Some(hash);
        self
    }
}

/// Why a stage cannot go on, or did not follow a patch.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageError {
    /// It could not be built.
    #[error("cannot load the stage: {0}")]
    Load(String),
    /// It could not be warmed up.
    #[error("cannot warm up the stage: {0}")]
    Warm(String),
    /// A frame could not be processed.
    #[error("cannot process a frame: {0}")]
    Process(String),
    /// A style could not be applied.
    #[error("cannot apply the style: {0}")]
    Style(String),
}

/// Returns every frame as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passthrough;

impl Stage for Passthrough {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        Ok(Some(frame))
    }

    fn apply(&mut self, _patch: &StylePatch) -> Result<Applied, StageError> {
        Ok(Applied::none())
    }

    fn warm(&mut self) -> Result<(), StageError> {
        Ok(())
    }
}

/// Returns the negative of every frame, so that a deployment can be checked by eye without a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugInvert;

impl Stage for DebugInvert {
    fn process(&mut self, frame: Frame) -> Result<Option<Frame>, StageError> {
        let Picture::I420(mut picture) = frame.picture;
        invert(&mut picture);
        Ok(Some(Frame {
            picture: Picture::I420(picture),
            ..frame
        }))
    }

    fn apply(&mut self, _patch: &StylePatch) -> Result<Applied, StageError> {
        Ok(Applied::none())
    }

    fn warm(&mut self) -> Result<(), StageError> {
        Ok(())
    }
}

/// Mirrors luma within its range and chroma around grey. On legal values it is its own inverse.
fn invert(picture: &mut I420) {
    let (black, white) = match picture.color().range {
        Range::Limited => (LUMA_BLACK, LUMA_WHITE),
        Range::Full => (0, u8::MAX),
    };
    let [luma, u, v] = picture.planes_mut();
    for sample in luma {
        *sample = black + (white - (*sample).clamp(black, white));
    }
    for sample in u.iter_mut().chain(v) {
        *sample = CHROMA_GREY.wrapping_mul(2).wrapping_sub((*sample).max(1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::color::{Color, Matrix};
    use crate::size::Size;
    use crate::time::Pts;

    /// A picture in which luma and chroma take every value.
    fn every_value(color: Color) -> Frame {
        let mut picture = I420::black(Size::new(32, 32).unwrap(), color);
        for plane in picture.planes_mut() {
            for (at, sample) in plane.iter_mut().enumerate() {
                *sample = at as u8;
            }
        }
        Frame {
            pts: Pts(7),
            arrived: Instant::now(),
            picture: Picture::I420(picture),
        }
    }

    fn samples(frame: Option<Frame>) -> Vec<u8> {
        let Picture::I420(picture) = frame.unwrap().picture;
        picture.as_bytes().to_vec()
    }

    #[test]
    fn the_negative_of_the_negative_is_the_picture() {
        for (color, luma) in [
            (Color::BT709, 16..=235),
            (
                Color {
                    matrix: Matrix::Bt601,
                    range: Range::Full,
                },
                0..=255,
            ),
        ] {
            let before = every_value(color);
            let once = DebugInvert.process(before.clone()).unwrap().unwrap();
            assert_eq!(once.pts, before.pts);
            let negative = samples(Some(once.clone()));
            let twice = samples(DebugInvert.process(once).unwrap());
            for (at, before) in samples(Some(before)).into_iter().enumerate() {
                let legal = if at < 1024 {
                    luma.contains(&before)
                } else {
                    before > 0
                };
                assert!(!legal || twice[at] == before, "sample {at}");
                assert!(at >= 1024 || luma.contains(&negative[at]), "sample {at}");
            }
        }
    }

    #[test]
    fn black_becomes_white_and_grey_stays_grey() {
        let black = I420::black(Size::new(16, 16).unwrap(), Color::BT601);
        let frame = Frame {
            pts: Pts(0),
            arrived: Instant::now(),
            picture: Picture::I420(black),
        };
        let negative = samples(DebugInvert.process(frame).unwrap());
        assert!(negative[..256].iter().all(|&luma| luma == 235));
        assert!(negative[256..].iter().all(|&chroma| chroma == 128));
    }

    #[test]
    fn a_patch_does_not_show_its_texts() {
        let patch = StylePatch::new()
            .with_prompt("a secret")
            .with_params("{\"negative_prompt\":\"another\"}");
        let shown = format!("{patch:?}");
        assert_eq!(
            shown,
            "StylePatch { prompt_bytes: Some(8), params_bytes: Some(29) }"
        );
    }

    #[test]
    fn passthrough_changes_nothing() {
        let frame = every_value(Color::BT601);
        let expected = samples(Some(frame.clone()));
        assert_eq!(samples(Passthrough.process(frame).unwrap()), expected);
    }
}
