//! The table of transitions: what happens to a moment, and what becomes of it.

use super::{Compensation, Limits, Moment, Ms, Policy, Refused, State, Trigger};
use crate::reason::Reason;

/// How much of its duration, in percent, a stopped moment must have been seen to count as completed.
pub const COMPLETED_PERCENT: i64 = 80;

/// What becomes of a moment: everything but its id, its version and its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its next state.
    pub to: State,
    /// Why, if more is to be said than the state does.
    pub reason: Option<Reason>,
    /// How often it could not be started, by then.
    pub attempts: i64,
    /// It is not started before.
    pub not_before: Ms,
    /// When the reaper looks at it next.
    pub deadline: Ms,
    /// When it was first seen.
    pub started_at: Option<Ms>,
    /// When it ended.
    pub ended_at: Option<Ms>,
    /// What its viewer gets back.
    pub compensation: Compensation,
    /// Whether it goes to the end of the queue, rather than keeping its place.
    pub joins: bool,
    /// Until when nothing starts in its channel.
    pub pause_until: Option<Ms>,
}

/// The step a moment takes.
///
/// # Errors
/// When the trigger means nothing in its state, or comes too early or too late.
pub fn next(moment: &Moment, now: Ms, trigger: &Trigger, limits: &Limits) -> Result<Step, Refused> {
    let case = Case {
        moment,
        now,
        limits,
    };
    let step = match (moment.state, trigger) {
        (State::Submitted, Trigger::Accepted(policy)) => case.accepted(*policy),
        (State::Expired, Trigger::Accepted(policy)) if case.unpaid() => {
            case.in_time()?;
            case.accepted(*policy)
        }
        (State::PendingApproval, Trigger::Approved) => case.queued(),
        (State::PendingApproval, Trigger::Rejected(words)) => {
            case.owed(State::Rejected, Reason::rejected(words))
        }
        (State::Queued, Trigger::Claimed) => case.warming()?,
        (State::Queued, Trigger::Cancelled) => case.owed(State::Cancelled, Reason::Stopped),
        (State::Queued, Trigger::StreamOffline) => case.owed(State::Expired, Reason::StreamOffline),
        (State::Queued | State::Warming, Trigger::Requeued) => case.queued(),
        (State::Warming, Trigger::FirstFrame) => case.active(),
        (State::Warming, Trigger::PipelineFailed { words, retry }) => {
            case.after_attempt(Reason::pipeline(words), *retry)
        }
        (State::Warming, Trigger::LeaseLost) => case.after_attempt(Reason::LeaseLost, true),
        // Without a publisher no pipeline can give a frame: the attempt is not held against the moment.
        (State::Warming, Trigger::PublisherGone) => {
            case.again(moment.attempts, Reason::PublisherGone)
        }
        (State::Warming, Trigger::Stopped) => case.owed(State::Cancelled, Reason::Stopped),
        (State::Warming, Trigger::Hidden) => case.owed(State::Cancelled, Reason::Hidden),
        (State::Active, Trigger::DurationReached) => case.completed(None),
        (State::Active, Trigger::Stopped) if case.seen_enough() => {
            case.completed(Some(Reason::Stopped))
        }
        (State::Active, Trigger::Stopped) => case.owed(State::Failed, Reason::StoppedEarly),
        (State::Active, Trigger::Hidden) => case.hidden(),
        (State::Active, Trigger::PublisherGone) => case.owed(State::Failed, Reason::PublisherGone),
        (State::Active, Trigger::LeaseLost) => case.owed(State::Failed, Reason::LeaseLost),
        (State::Active, Trigger::PipelineFailed { words, .. }) => {
            case.owed(State::Failed, Reason::pipeline(words))
        }
        (_, Trigger::Deadline) => case.at_deadline()?,
        _ => return Err(case.not_allowed(trigger)),
    };
    Ok(step)
}

struct Case<'a> {
    moment: &'a Moment,
    now: Ms,
    limits: &'a Limits,
}

impl Case<'_> {
    /// The same moment in another state.
    fn to(&self, to: State, reason: Option<Reason>) -> Step {
        let moment = self.moment;
        Step {
            to,
            reason,
            attempts: moment.attempts,
            not_before: moment.not_before,
            deadline: moment.deadline,
            started_at: moment.started_at,
            ended_at: to.is_ended().then_some(self.now),
            compensation: moment.compensation,
            joins: false,
            pause_until: None,
        }
    }

    /// A channel that is off by now has been paid all the same: somebody has to decide.
    fn accepted(&self, policy: Policy) -> Step {
        match policy {
            _ if self.moment.source == super::Source::Streamer => self.queued(),
            Policy::Auto => self.queued(),
            Policy::Manual | Policy::Off => Step {
                deadline: self.after(self.limits.approval),
                ..self.to(State::PendingApproval, None)
            },
        }
    }

    fn queued(&self) -> Step {
        Step {
            deadline: self.after(self.limits.max_wait),
            joins: true,
            ..self.to(State::Queued, None)
        }
    }

    fn warming(&self) -> Result<Step, Refused> {
        if self.moment.not_before > self.now {
            return Err(Refused::Early {
                id: self.moment.id.clone(),
                at: self.moment.not_before,
            });
        }
        Ok(Step {
            deadline: self.after(self.limits.warm),
            ..self.to(State::Warming, None)
        })
    }

    fn active(&self) -> Step {
        let lasts = self.moment.duration.saturating_add(self.limits.end_grace);
        Step {
            deadline: self.after(lasts),
            started_at: Some(self.now),
            ..self.to(State::Active, None)
        }
    }

    fn completed(&self, reason: Option<Reason>) -> Step {
        Step {
            pause_until: Some(self.after(self.limits.cooldown)),
            ..self.to(State::Completed, reason)
        }
    }

    /// It ends without having been shown as promised.
    fn owed(&self, to: State, reason: Reason) -> Step {
        let owed = self.moment.price > 0 && self.moment.source.is_paid();
        let compensation = if owed {
            Compensation::Credited
        } else {
            Compensation::None
        };
        Step {
            compensation,
            ..self.to(to, Some(reason))
        }
    }

    fn hidden(&self) -> Step {
        if self.limits.credit_hidden {
            self.owed(State::Cancelled, Reason::Hidden)
        } else {
            self.to(State::Cancelled, Some(Reason::Hidden))
        }
    }

    fn after_attempt(&self, reason: Reason, retry: bool) -> Step {
        let attempts = self.moment.attempts.saturating_add(1);
        if retry && attempts < self.limits.max_attempts {
            self.again(attempts, reason)
        } else {
            Step {
                attempts,
                ..self.owed(State::Failed, reason)
            }
        }
    }

    /// Back into the queue at the same place, with a new time to wait: the old one may be over already.
    fn again(&self, attempts: i64, reason: Reason) -> Step {
        Step {
            attempts,
            not_before: self.after(self.limits.retry_delay),
            deadline: self.after(self.limits.max_wait),
            ..self.to(State::Queued, Some(reason))
        }
    }

    fn at_deadline(&self) -> Result<Step, Refused> {
        let moment = self.moment;
        if !moment.state.is_ended() && moment.deadline > self.now {
            return Err(Refused::Early {
                id: moment.id.clone(),
                at: moment.deadline,
            });
        }
        match moment.state {
            State::Submitted => Ok(self.to(State::Expired, Some(Reason::NotPaid))),
            State::PendingApproval => Ok(self.owed(State::Expired, Reason::NotReviewed)),
            State::Queued => Ok(self.owed(State::Expired, Reason::WaitedTooLong)),
            State::Warming => Ok(self.after_attempt(Reason::WarmTimeout, true)),
            State::Active => Ok(self.completed(None)),
            _ => Err(self.not_allowed(&Trigger::Deadline)),
        }
    }

    fn unpaid(&self) -> bool {
        super::payable_late(self.moment)
    }

    fn in_time(&self) -> Result<(), Refused> {
        let ended = self.moment.ended_at.unwrap_or(self.moment.updated_at);
        let late = self.now.saturating_sub(ended);
        (late <= self.limits.late_receipt)
            .then_some(())
            .ok_or(Refused::TooLate {
                id: self.moment.id.clone(),
                late,
                limit: self.limits.late_receipt,
            })
    }

    fn seen_enough(&self) -> bool {
        let started = self.moment.started_at.unwrap_or(self.now);
        let seen = self.now.saturating_sub(started);
        seen.saturating_mul(100) >= self.moment.duration.saturating_mul(COMPLETED_PERCENT)
    }

    fn after(&self, span: Ms) -> Ms {
        self.now.saturating_add(span)
    }

    fn not_allowed(&self, trigger: &Trigger) -> Refused {
        Refused::NotAllowed {
            id: self.moment.id.clone(),
            state: self.moment.state,
            trigger: trigger.words(),
        }
    }
}
