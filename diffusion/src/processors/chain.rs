//! Processors one after the other.

use super::blur::Blur;
use super::canny::Canny;
use super::feedback::Feedback;
use super::image::Image;
use super::sharpen::Sharpen;
use super::soft_edge::SoftEdge;
use super::spec::{Kind, Place, Spec};
use super::texture::{Overlay, Textures};
use super::upscale::Upscale;
use crate::Error;

/// Changes pictures; keeps its buffers between them.
pub(super) trait Processor: Send {
    /// Changes `image`. `former` is the picture that was put out last, after everything.
    fn run(&mut self, image: &mut Image, former: Option<&Image>);
}

/// The processors of one place, in their order.
#[derive(Default)]
pub struct Chain {
    links: Vec<Box<dyn Processor>>,
    feedback: bool,
}

impl Chain {
    /// Those of `specs` that are enabled and stand at `place`, in their order. Reads the files of textures.
    ///
    /// # Errors
    /// [`Error::Parameter`] for settings out of range, which parsed ones never are, and whatever is wrong with a
    /// texture, naming its file.
    pub fn new(specs: &[Spec], place: Place, textures: &mut Textures) -> Result<Self, Error> {
        let mut chain = Self::default();
        for spec in specs.iter().filter(|s| s.enabled && s.place == place) {
            spec.check()
                .map_err(|fault| Error::Parameter(fault.to_string()))?;
            chain.feedback |= matches!(spec.kind, Kind::Feedback(_));
            chain.links.extend(link(&spec.kind, textures)?);
        }
        Ok(chain)
    }

    /// Sends a picture through. `former` is the picture that was put out last, after everything, which `feedback`
    /// mixes in: of any size, and `None` before the first one.
    pub fn run(&mut self, image: &mut Image, former: Option<&Image>) {
        for link in &mut self.links {
            link.run(image, former);
        }
    }

    /// True if pictures go through unchanged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// True if the former picture is looked at, and so has to be kept.
    #[must_use]
    pub const fn wants_former(&self) -> bool {
        self.feedback
    }
}

/// `None` for what does nothing to pictures.
fn link(kind: &Kind, textures: &mut Textures) -> Result<Option<Box<dyn Processor>>, Error> {
    Ok(Some(match kind {
        Kind::Passthrough(_) | Kind::LatentFeedback(_) => return Ok(None),
        Kind::Canny(settings) => Box::new(Canny::new(settings)),
        Kind::SoftEdge(_) => Box::new(SoftEdge::new()),
        Kind::Feedback(settings) => Box::new(Feedback::new(settings)),
        Kind::Blur(settings) => Box::new(Blur::new(settings)),
        Kind::Sharpen(settings) => Box::new(Sharpen::new(settings)),
        Kind::Upscale(settings) => Box::new(Upscale::new(settings)),
        Kind::Texture(settings) => Box::new(Overlay::new(settings, textures)?),
    }))
}
