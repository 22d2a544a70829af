//! Encoded pictures to raw ones.

pub mod gate;
mod openh264;

use thiserror::Error;

use crate::candidate::{self, Candidate, Refusals};
use crate::frame::Frame;
use crate::unit::AccessUnit;

/// Turns access units into frames, in order. Built, driven and dropped on one thread.
pub trait Decoder: Send {
    /// Name of the back end, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Decodes a unit and appends the frames that it yields (none or one for a stream without
    /// reordering) to `out`, with the unit's `pts` and `arrived`. Blocks while it computes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the unit cannot be decoded: feed nothing more until a keyframe.
    fn decode(&mut self, unit: &AccessUnit, out: &mut Vec<Frame>) -> Result<(), Error>;

    /// Appends what is still inside and forgets the stream: the next unit must be a keyframe.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the back end cannot be set up again.
    fn flush(&mut self, out: &mut Vec<Frame>) -> Result<(), Error>;
}

/// Which back end is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The first of the table that works here.
    #[default]
    Auto,
    /// Cisco's software codec.
    OpenH264,
}

/// Settings of a decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Back end.
    pub backend: Backend,
}

/// Why there is no frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No back end opened, or one broke for good.
    #[error("no H.264 decoder: {0}")]
    Unavailable(Refusals),
    /// The unit is damaged or needs a picture that is missing.
    #[error("cannot decode an access unit of {bytes} bytes: {reason}")]
    Corrupt {
        /// Length of the unit.
        bytes: usize,
        /// What the back end said.
        reason: String,
    },
    /// The picture has a size that we do not handle.
    #[error(transparent)]
    Size(#[from] crate::size::Unsupported),
    /// The back end returned planes that do not fit its picture.
    #[error(transparent)]
    Frame(#[from] crate::frame::Error),
}

/// Hardware goes in front of software.
const CANDIDATES: &[Candidate<Config, dyn Decoder>] = &[Candidate {
    name: openh264::NAME,
    wanted: |config| matches!(config.backend, Backend::Auto | Backend::OpenH264),
    open: |_| openh264::OpenH264::open().map(|decoder| Box::new(decoder) as Box<dyn Decoder>),
}];

/// Opens the first back end that the configuration allows and that works on this machine.
///
/// # Errors
/// [`Error::Unavailable`] with the reason of each.
pub fn open(config: &Config) -> Result<Box<dyn Decoder>, Error> {
    candidate::first(CANDIDATES, config).map_err(Error::Unavailable)
}
