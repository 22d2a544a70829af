//! Raw pictures to encoded ones.

mod openh264;
mod options;
pub mod rate;

use thiserror::Error;

use crate::candidate::{self, Candidate, Refusals};
use crate::frame::Frame;
use crate::unit::AccessUnit;

/// Turns frames into access units, in order and without B-frames. Built, driven and dropped on one
/// thread.
pub trait Encoder: Send {
    /// Name of the back end, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Encodes a frame and appends its unit to `out`; nothing when rate control skips the frame.
    /// The first frame, the first of another size or colour, and one with `keyframe` set become
    /// keyframes, which carry SPS and PPS and are never skipped. Blocks while it computes.
    ///
    /// # Errors
    /// [`Error::Failed`] when the back end gives up.
    fn encode(
        &mut self,
        frame: &Frame,
        keyframe: bool,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), Error>;

    /// Aims at `bits_per_s` (clamped to [`rate::MIN`]..=[`rate::MAX`]) from the next frame on,
    /// without a keyframe.
    ///
    /// # Errors
    /// [`Error::Failed`] when the back end refuses.
    fn set_bitrate(&mut self, bits_per_s: u32) -> Result<(), Error>;

    /// Appends what is still inside and forgets the stream: the next unit is a keyframe.
    ///
    /// # Errors
    /// [`Error::Failed`] when the back end gives up.
    fn flush(&mut self, out: &mut Vec<AccessUnit>) -> Result<(), Error>;
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

/// Settings of an encoder; the picture size comes from the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Back end.
    pub backend: Backend,
    /// Highest frame rate that rate control has to reckon with.
    pub max_fps: u32,
    /// Highest bitrate in bits per second; small pictures get less, see [`rate::target`].
    pub bitrate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            max_fps: 60,
            bitrate: 2_500_000,
        }
    }
}

/// Why there is no unit.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No back end opened.
    #[error("no H.264 encoder: {0}")]
    Unavailable(Refusals),
    /// The back end failed.
    #[error("{backend} cannot {action}: {reason}")]
    Failed {
        /// Name of the back end.
        backend: &'static str,
        /// What it was asked to do.
        action: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Hardware goes in front of software.
const CANDIDATES: &[Candidate<Config, dyn Encoder>] = &[Candidate {
    name: openh264::NAME,
    wanted: |config| matches!(config.backend, Backend::Auto | Backend::OpenH264),
    open: |config| Ok(Box::new(openh264::OpenH264::new(*config))),
}];

/// Opens the first back end that the configuration allows and that works on this machine.
///
/// # Errors
/// [`Error::Unavailable`] with the reason of each.
pub fn open(config: &Config) -> Result<Box<dyn Encoder>, Error> {
    candidate::first(CANDIDATES, config).map_err(Error::Unavailable)
}
