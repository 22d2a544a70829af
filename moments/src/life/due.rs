//! What the reaper does about a moment.

use super::{Limits, Moment, Ms, State, Trigger};

/// The trigger that is due for a moment by now, if there is one. `offline` is since when its stream is.
#[must_use]
pub fn due(moment: &Moment, now: Ms, offline: Option<Ms>, limits: &Limits) -> Option<Trigger> {
    let late = moment.deadline <= now;
    match moment.state {
        State::Submitted | State::PendingApproval => late.then_some(Trigger::Deadline),
        State::Queued if late => Some(Trigger::Deadline),
        State::Queued => {
            // One that came while the stream was offline is given the same time.
            let since = offline?.max(moment.updated_at);
            (since.saturating_add(limits.max_offline) <= now).then_some(Trigger::StreamOffline)
        }
        State::Warming if moment.lease_until <= now => Some(Trigger::LeaseLost),
        State::Warming => late.then_some(Trigger::Deadline),
        State::Active if moment.lease_until <= now => Some(after_lease(moment, limits)),
        State::Active => late.then_some(Trigger::Deadline),
        _ => None,
    }
}

/// A node that was heard when the moment was over has shown it all; it only did not say so.
fn after_lease(moment: &Moment, limits: &Limits) -> Trigger {
    let heard = moment.lease_until.saturating_sub(limits.lease);
    if moment.ends_at().is_some_and(|end| heard >= end) {
        Trigger::DurationReached
    } else {
        Trigger::LeaseLost
    }
}
