//! Units in, styled units out: decoder, stage and encoder, each on a thread of its own.
//!
//! ```text
//! push -> Queue -> decode:<name> -> Latest -> stage:<name> -> Latest -> encode:<name> -> Event::Unit
//! ```
//! Before and after the stage there is one place and the newest frame wins, so a slow stage makes
//! the picture less smooth, not late.

mod decoding;
mod encoding;
mod event;
mod handle;
mod shared;
mod staging;

use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;

pub use event::{Busy, Event, Timing};
pub use handle::{Handle, Input};

use crate::stage::{StageError, StageFactory};
use crate::{decode, encode};

/// Settings of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the threads are called after, usually the channel.
    pub name: String,
    /// Decoder.
    pub decode: decode::Config,
    /// Encoder.
    pub encode: encode::Config,
    /// Media time of units that may wait for the decoder.
    pub unit_queue: Duration,
    /// Frames per second of media time that the stage is given at most.
    pub max_fps: u32,
}

impl Config {
    /// The defaults under a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            decode: decode::Config::default(),
            encode: encode::Config::default(),
            unit_queue: Duration::from_millis(250),
            max_fps: 60,
        }
    }
}

/// Where a pipeline failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The decoder did not open; a unit that cannot be decoded is no failure.
    #[error(transparent)]
    Decode(#[from] decode::Error),
    /// The stage reported an error.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The encoder did not open or failed.
    #[error(transparent)]
    Encode(#[from] encode::Error),
    /// A thread panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A pipeline is what [`Pipeline::spawn`] starts and its [`Handle`] holds.
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts the three threads and returns at once: decoder, stage and encoder are built on them,
    /// and [`Event::Ready`] says when that is done. The last event is [`Event::Stopped`].
    #[must_use = "dropping the handle stops the pipeline"]
    pub fn spawn(config: Config, stage: StageFactory) -> (Handle, mpsc::Receiver<Event>) {
        handle::spawn(config, stage)
    }
}
