//! Moments: who may transform a channel's stream, when, and for how long.
//!
//! A moment is a prompt shown to everybody for a while. At most one of a channel is live, the others wait in order.
//! [`life`] is the whole life of a moment that is paid and moderated: pure, told the time. [`store`] keeps moments in a
//! database; it is the only part that does I/O, and it takes the time from its caller too.

#![forbid(unsafe_code)]

pub mod filter;
mod id;
pub mod life;
mod prompt;
mod reason;
pub mod store;

pub use id::MomentId;
pub use prompt::Unfit;
pub use reason::Reason;
