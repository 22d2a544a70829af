//! Moments: who may transform a channel's stream, when, and for how long.
//!
//! A moment is a prompt shown to everybody for a while. A [`Channel`] holds all moments of one stream: at most one is
//! live, the others wait in order. It has no clock, no store and no I/O: time comes in with every call, and after every
//! call [`Channel::poll`] is drained for what changed and what is to be done, and [`Channel::deadline`] asked when to call again.
//!
//! [`life`] is the whole life of a moment that is paid and moderated, as pure as the rest. [`store`] keeps such moments in
//! a database; it is the only part that does I/O, and it takes the time from its caller too.

#![forbid(unsafe_code)]

mod channel;
mod event;
pub mod filter;
pub mod life;
mod moment;
mod now;
mod prompt;
mod reason;
mod refused;
mod roster;
mod rules;
mod state;
pub mod store;
mod timer;
pub mod transition;

pub use channel::Channel;
pub use event::{Event, Input, Submission};
pub use moment::{Moment, MomentId, Run};
pub use now::Now;
pub use reason::Reason;
pub use refused::Refused;
pub use rules::Rules;
pub use state::State;
