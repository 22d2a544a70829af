//! What a pipeline counts; read by whoever exports metrics. Wait-free.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one pipeline, which only ever grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Reads every counter, one after the other.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.0.load(Relaxed),)* }
            }
        }

        impl Snapshot {
            /// What was counted since `earlier`.
            #[must_use]
            pub const fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Units that were pushed.
    pushed,
    /// Units dropped before the decoder: no keyframe yet, queue full, gap, pause.
    dropped_units,
    /// Times that a keyframe was asked for.
    keyframe_needs,
    /// Frames that came out of the decoder.
    decoded,
    /// Units that the decoder could not decode.
    decode_errors,
    /// Frames left out to keep to the highest frame rate.
    thinned,
    /// Frames displaced by a newer one before the stage.
    displaced_before_stage,
    /// Frames that came out of the stage.
    staged,
    /// Frames that the stage withheld.
    withheld,
    /// Style changes that the stage refused.
    refused_styles,
    /// Frames displaced by a newer one after the stage.
    displaced_after_stage,
    /// Units that came out of the encoder.
    encoded,
    /// Those of them that are keyframes.
    keyframes,
    /// Frames that rate control skipped.
    skipped,
    /// Units dropped because nobody took the ones before.
    dropped_output,
    /// Frames and units dropped because of a pause while they were under way.
    stale,
    /// Failures that ended the pipeline.
    failures,
    /// Stage threads left behind in a call that did not return.
    detached,
    /// Nanoseconds spent in the decoder.
    decode_nanos,
    /// Nanoseconds spent in the stage.
    stage_nanos,
    /// Nanoseconds spent in the encoder.
    encode_nanos,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn time(&self, spent: Duration) {
        self.add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_what_was_counted_since_another() {
        let counters = Counters::default();
        counters.decoded.add(5);
        let earlier = counters.snapshot();
        counters.decoded.inc();
        counters.decode_nanos.time(Duration::from_micros(3));
        let since = counters.snapshot().since(&earlier);
        let expected = Snapshot {
            decoded: 1,
            decode_nanos: 3000,
            ..Snapshot::default()
        };
        assert_eq!(since, expected);
    }
}
