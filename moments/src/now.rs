//! The present, brought by the caller.

use std::time::Instant;

/// One point in time on both clocks. Only `mono` decides; `wall_ms` is what people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock. Never earlier than in the call before.
    pub mono: Instant,
    /// Milliseconds since the Unix epoch; may jump.
    pub wall_ms: u64,
}
