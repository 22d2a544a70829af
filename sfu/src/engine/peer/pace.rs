//! How a viewer's engine is driven when it estimates what the way there carries: it hands out one packet at a time, and
//! asks to be woken more often than its timers need.

use std::time::Duration;

use str0m::{PacerReason, Reason, Rtc};

use super::super::choice::Wish;
use super::super::viewer::Drain;
use super::Draining;

/// Packets that are taken at most before others get their turn.
const TURNS: usize = 512;
/// The estimator asks to be woken once per round trip, which takes no time on a loopback; its view changes with
/// feedback, and that wakes it anyway.
const QUIET: Duration = Duration::from_millis(100);
/// Between two wake-ups while it probes for more: packets of a probe are a few milliseconds apart.
const PROBING: Duration = Duration::from_millis(5);

/// How long the estimator is left alone.
pub(super) fn patience(wish: Wish) -> Duration {
    if wish == Wish::default() {
        QUIET
    } else {
        PROBING
    }
}

impl Draining<'_> {
    /// Takes all that can be sent now, and says when to come back.
    pub(super) fn exhaust(&mut self, rtc: &mut Rtc, patience: Duration) {
        for _ in 0..TURNS {
            if self.failed || !self.is_due(rtc) {
                break;
            }
            let before = (self.out.transmits.len(), self.wake);
            self.drain(rtc);
            if before == (self.out.transmits.len(), self.wake) {
                break;
            }
        }
        if is_estimator(rtc.last_timeout_reason()) {
            self.wake = self.wake.max(self.now + patience);
        }
    }

    fn is_due(&self, rtc: &Rtc) -> bool {
        let immediate = Reason::Pacer(PacerReason::Immediate);
        self.wake <= self.now || rtc.last_timeout_reason() == immediate
    }
}

/// True for timers that only keep an estimate fresh.
fn is_estimator(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BweDelayControl | Reason::Pacer(PacerReason::Handle)
    )
}
