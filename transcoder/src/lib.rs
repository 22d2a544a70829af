//! Encoded video to frames and back, and the threads that move them past a stage.
//!
//! Everything here is synchronous: it computes on pixels, so it never runs on an async worker.
//! The only async type in sight is the channel on which a [`pipeline`] reports its events.

#![deny(unsafe_code)]

pub mod assemble;
mod candidate;
pub mod color;
pub mod convert;
pub mod counters;
pub mod decode;
pub mod encode;
pub mod frame;
pub mod h264;
pub mod latest;
pub mod pace;
pub mod packetize;
pub mod pipeline;
pub mod queue;
pub mod scale;
pub mod size;
pub mod stage;
pub mod time;
pub mod unit;
pub mod worker;

pub use candidate::{Refusal, Refusals};
pub use frame::{Frame, I420, Picture};
pub use pipeline::Pipeline;

pub use size::Size;
pub use stage::{Stage, StageError, StageFactory, StylePatch};
pub use time::Pts;
pub use unit::AccessUnit;
