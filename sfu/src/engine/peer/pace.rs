//! How a viewer's engine is driven when it estimates what the way there carries: it hands out one packet at a time, and
//! asks to be woken more often than its timers need.

use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::{PacerReason, Reason, Rtc};

use super::super::choice::Wish;
use super::super::negotiate::FIRST_ESTIMATE;
use super::super::viewer::Drain;
use super::{Collected, Draining, Peer, Role};

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

impl Peer {
    /// Nothing is published: the estimator would go on sending padding, so it is told that nothing can be sent.
    pub(crate) fn park(&mut self, now: Instant, out: &mut Collected) {
        let Role::Viewer(viewer) = &mut self.role else {
            return;
        };
        if viewer.estimate().is_none() || viewer.parked {
            return;
        }
        viewer.parked = true;
        self.guard(out, |peer, out| {
            peer.rtc.bwe().reset(Bitrate::ZERO);
            peer.advance(now, out);
        });
    }

    /// Something is sent again: the estimate begins where it was.
    pub(super) fn unpark(&mut self, now: Instant, out: &mut Collected) {
        let Role::Viewer(viewer) = &mut self.role else {
            return;
        };
        if std::mem::take(&mut viewer.parked) {
            let estimate = viewer.estimate().unwrap_or(FIRST_ESTIMATE);
            self.rtc.bwe().reset(estimate.into());
            self.advance(now, out);
        }
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
