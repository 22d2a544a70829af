//! The table of transitions: what happens to one moment, and what becomes of it.
//!
//! A pure function of a moment and a trigger. It has no clock: times come measured with the trigger, so the same table
//! serves a moment in memory and one that is a row in a database.

use std::time::Duration;

use crate::moment::Moment;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::state::State;

/// How much of its duration, in percent, a stopped moment must have been seen to count as completed.
pub const COMPLETED_PERCENT: u32 = 80;

/// Something that happens to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its turn has come.
    Claimed,
    /// Its first transformed frame has been forwarded.
    FirstFrame,
    /// Its pipeline failed or gave nothing in time; `retry` tells whether another attempt may do better.
    PipelineFailed {
        /// Why.
        reason: Reason,
        /// Whether the fault may pass.
        retry: bool,
    },
    /// It has been seen for its whole duration.
    DurationReached,
    /// Somebody stopped it.
    Stopped {
        /// How long it has been seen; zero before it was.
        shown: Duration,
    },
    /// The publisher has been away for longer than a live moment waits.
    PublisherGone,
    /// It has waited for longer than it may.
    WaitedTooLong,
    /// The stream has been offline for longer than a queue is kept.
    StreamOffline,
}

/// What becomes of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its next state.
    pub to: State,
    /// Why, if more is to be said than the state does.
    pub reason: Option<Reason>,
    /// How often its pipeline has failed to start by then.
    pub attempts: u32,
}

/// The step a moment takes, or `None` when the trigger means nothing in its state.
#[must_use]
pub fn next(moment: &Moment, trigger: &Trigger, rules: &Rules) -> Option<Step> {
    let to = |to, reason| step(moment, to, reason);
    Some(match (moment.state, trigger) {
        (State::Queued, Trigger::Claimed) => to(State::Warming, None),
        (State::Queued, Trigger::WaitedTooLong) => to(State::Expired, Some(Reason::WaitedTooLong)),
        (State::Queued, Trigger::StreamOffline) => to(State::Expired, Some(Reason::StreamOffline)),
        (State::Queued | State::Warming, Trigger::Stopped { .. }) => {
            to(State::Cancelled, Some(Reason::Stopped))
        }
        (State::Warming, Trigger::FirstFrame) => to(State::Active, None),
        (State::Warming, Trigger::PipelineFailed { reason, retry }) => {
            after_attempt(moment, reason, *retry, rules)
        }
        // Without a publisher no pipeline can give a frame: the attempt is not held against the moment.
        (State::Warming, Trigger::PublisherGone) => to(State::Queued, Some(Reason::PublisherGone)),
        (State::Active, Trigger::DurationReached) => to(State::Completed, None),
        (State::Active, Trigger::Stopped { shown }) => after_stop(moment, *shown),
        (State::Active, Trigger::PublisherGone) => to(State::Failed, Some(Reason::PublisherGone)),
        (State::Active, Trigger::PipelineFailed { reason, .. }) => {
            to(State::Failed, Some(reason.clone()))
        }
        _ => return None,
    })
}

fn step(moment: &Moment, to: State, reason: Option<Reason>) -> Step {
    Step {
        to,
        reason,
        attempts: moment.attempts,
    }
}

fn after_attempt(moment: &Moment, reason: &Reason, retry: bool, rules: &Rules) -> Step {
    let attempts = moment.attempts.saturating_add(1);
    let again = retry && attempts < rules.max_attempts;
    Step {
        to: if again { State::Queued } else { State::Failed },
        reason: Some(reason.clone()),
        attempts,
    }
}

fn after_stop(moment: &Moment, shown: Duration) -> Step {
    if shown.saturating_mul(100) >= moment.duration.saturating_mul(COMPLETED_PERCENT) {
        step(moment, State::Completed, Some(Reason::Stopped))
    } else {
        step(moment, State::Failed, Some(Reason::StoppedEarly))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::now::Now;

    fn moment(state: State) -> Moment {
        let now = Now {
            mono: Instant::now(),
            wall_ms: 0,
        };
        let moment = Moment::queued(
            "m".into(),
            "p".into(),
            "x".into(),
            Duration::from_secs(10),
            now,
        );
        Moment { state, ..moment }
    }

    fn triggers() -> Vec<Trigger> {
        let failed = |retry| Trigger::PipelineFailed {
            reason: Reason::WarmTimeout,
            retry,
        };
        let stopped = |seconds| Trigger::Stopped {
            shown: Duration::from_secs(seconds),
        };
        vec![
            Trigger::Claimed,
            Trigger::FirstFrame,
            failed(true),
            failed(false),
            Trigger::DurationReached,
            stopped(0),
            stopped(9),
            Trigger::PublisherGone,
            Trigger::WaitedTooLong,
            Trigger::StreamOffline,
        ]
    }

    #[test]
    fn every_step_is_one_the_states_allow_and_every_allowed_one_is_taken() {
        for from in State::ALL {
            let steps: Vec<_> = triggers()
                .iter()
                .filter_map(|trigger| next(&moment(from), trigger, &Rules::default()))
                .map(|step| step.to)
                .collect();
            for to in State::ALL {
                assert_eq!(steps.contains(&to), from.may_become(to), "{from} to {to}");
            }
        }
    }

    #[test]
    fn eighty_percent_is_enough_to_be_completed() {
        let stop = |millis| {
            let shown = Duration::from_millis(millis);
            next(
                &moment(State::Active),
                &Trigger::Stopped { shown },
                &Rules::default(),
            )
            .map(|step| step.to)
        };
        assert_eq!(stop(7999), Some(State::Failed));
        assert_eq!(stop(8000), Some(State::Completed));
    }

    #[test]
    fn the_third_failed_attempt_is_the_last() {
        let trigger = Trigger::PipelineFailed {
            reason: Reason::WarmTimeout,
            retry: true,
        };
        let after = |attempts| {
            let moment = Moment {
                attempts,
                ..moment(State::Warming)
            };
            next(&moment, &trigger, &Rules::default()).map(|step| (step.to, step.attempts))
        };
        assert_eq!(after(0), Some((State::Queued, 1)));
        assert_eq!(after(1), Some((State::Queued, 2)));
        assert_eq!(after(2), Some((State::Failed, 3)));
    }
}
