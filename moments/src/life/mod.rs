//! The whole life of a moment, paid and moderated: which trigger leads where, what is owed, and by when.
//!
//! Pure: a moment, a trigger and the time go in, a [`Step`] or a [`Refused`] comes out. The [`store`](crate::store) writes
//! it down. All times are milliseconds since the Unix epoch, since they outlive the process that took them.

mod admit;
mod due;
mod limits;
mod moment;
mod notice;
mod pay;
mod refused;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod trigger;

pub use admit::{Room, admit};
pub use due::due;
pub use limits::Limits;
pub use moment::{Compensation, Moment, Policy, Source, Submission, Viewer};
pub use notice::{Notice, notices};
pub use pay::{Receipt, check_receipt, payable_late};
pub use refused::Refused;
pub use state::State;
pub use table::{COMPLETED_PERCENT, Step, next};
pub use trigger::Trigger;

/// Milliseconds: a time since the Unix epoch, or a span.
pub type Ms = i64;
