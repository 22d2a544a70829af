//! When the moments of one channel begin and end.
//!
//! Every call first lets the time up to its `now` take effect, so what happens does not depend on how punctually a deadline
//! is served. After every call [`Channel::deadline`] lies in the future.

use std::time::{Duration, Instant};

use crate::event::{Event, Input, Submission};
use crate::moment::{Moment, MomentId, Run};
use crate::now::Now;
use crate::prompt;
use crate::reason::Reason;
use crate::refused::Refused;
use crate::roster::{Held, Roster};
use crate::rules::Rules;
use crate::state::State;
use crate::timer::Timer;
use crate::transition::Trigger;

/// All moments of one channel. At most one is live; the others wait, first in, first out.
#[derive(Debug)]
pub struct Channel {
    rules: Rules,
    publisher: Publisher,
    roster: Roster,
    /// Nothing starts before this.
    paused_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publisher {
    Live,
    /// Since when; `None` before the first one came.
    Gone(Option<Instant>),
}

impl Channel {
    /// A channel without moments or publisher.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            publisher: Publisher::Gone(None),
            roster: Roster::default(),
            paused_until: None,
        }
    }

    /// Puts a moment into the queue, and starts it at once if nothing is before it. Gives it back as it is then.
    ///
    /// # Errors
    /// When the prompt or duration is not accepted, the id is in use, the channel is offline, or the queue is full.
    pub fn submit(&mut self, now: Now, submission: Submission) -> Result<Moment, Refused> {
        let moment = self.call(now, |channel| channel.enqueue(now, submission))?;
        Ok(self.find(&moment.id).cloned().unwrap_or(moment))
    }

    /// Stops a moment: one that is not seen yet is cancelled; one that is seen completes after 80 % of its duration and
    /// fails before. Gives it back as it ended.
    ///
    /// # Errors
    /// When the channel has no such moment, or it has ended.
    pub fn stop(&mut self, now: Now, id: &MomentId) -> Result<Moment, Refused> {
        self.call(now, |channel| channel.end(now, id))
    }

    /// Takes in a fact.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.call(now, |channel| match input {
            Input::PublisherLive => channel.publisher = Publisher::Live,
            Input::PublisherGone => channel.publisher_gone(now),
            Input::FirstFrame(run) => channel.tell(now, &run, &Trigger::FirstFrame),
            Input::PipelineFailed { run, reason, retry } => {
                let reason = Reason::pipeline(&reason);
                channel.tell(now, &run, &Trigger::PipelineFailed { reason, retry });
            }
            Input::Timeout => {}
        });
    }

    /// The next thing that changed or is to be done. To be drained after every call above.
    pub fn poll(&mut self) -> Option<Event> {
        self.roster.poll()
    }

    /// When to call with [`Input::Timeout`] at the latest, and what for.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, &'static str)> {
        self.timer().map(|(at, timer)| (at, timer.why()))
    }

    /// The moment that is warming or active.
    #[must_use]
    pub fn live(&self) -> Option<&Moment> {
        self.roster.live().map(|held| &held.moment)
    }

    /// The moments that wait, the next one first.
    pub fn queue(&self) -> impl ExactSizeIterator<Item = &Moment> {
        self.roster.queue()
    }

    /// The place of a waiting moment, counted from 1.
    #[must_use]
    pub fn position(&self, id: &MomentId) -> Option<usize> {
        self.before(id).map(|before| before + 1)
    }

    /// The moments that ended and are still remembered, the latest first.
    pub fn ended(&self) -> impl ExactSizeIterator<Item = &Moment> {
        self.roster.ended()
    }

    /// The moment that ended most recently.
    #[must_use]
    pub fn last(&self) -> Option<&Moment> {
        self.ended().next()
    }

    /// The moment of this id, unless it ended so long ago that it is forgotten.
    #[must_use]
    pub fn find(&self, id: &MomentId) -> Option<&Moment> {
        self.roster.find(id)
    }

    fn call<T>(&mut self, now: Now, act: impl FnOnce(&mut Self) -> T) -> T {
        self.settle(now);
        let result = act(self);
        self.settle(now);
        self.roster.close();
        result
    }

    fn enqueue(&mut self, now: Now, submission: Submission) -> Result<Moment, Refused> {
        let Submission {
            id,
            prompt,
            pipeline,
            duration,
        } = submission;
        let prompt = prompt::clean(&prompt, self.rules.max_prompt_chars)?;
        let duration = self.duration(duration)?;
        self.may_enqueue(&id)?;
        let moment = Moment::queued(id, prompt, pipeline, duration, now);
        self.roster.push(now, moment.clone());
        Ok(moment)
    }

    fn duration(&self, asked: Option<Duration>) -> Result<Duration, Refused> {
        let (min, max) = (self.rules.min_duration, self.rules.max_duration);
        let asked = asked.unwrap_or(self.rules.default_duration);
        let accepted = (min..=max).contains(&asked);
        accepted
            .then_some(asked)
            .ok_or(Refused::Duration { asked, min, max })
    }

    fn may_enqueue(&self, id: &MomentId) -> Result<(), Refused> {
        let limit = self.rules.queue_max;
        if self.find(id).is_some() {
            Err(Refused::IdInUse { id: id.clone() })
        } else if self.publisher != Publisher::Live {
            Err(Refused::Offline)
        } else if self.queue().len() >= limit {
            Err(Refused::QueueFull { limit })
        } else {
            Ok(())
        }
    }

    fn end(&mut self, now: Now, id: &MomentId) -> Result<Moment, Refused> {
        let live = self.roster.live().filter(|held| held.moment.id == *id);
        let stopped = if let Some(held) = live {
            let shown = now.mono.saturating_duration_since(held.entered);
            self.step_live(now, &Trigger::Stopped { shown })
        } else {
            let shown = Duration::ZERO;
            self.before(id)
                .and_then(|before| self.step_queued(now, before, &Trigger::Stopped { shown }))
        };
        stopped.ok_or_else(|| self.not_stopped(id))
    }

    fn not_stopped(&self, id: &MomentId) -> Refused {
        let id = id.clone();
        match self.find(&id) {
            Some(moment) => Refused::Ended {
                state: moment.state,
                id,
            },
            None => Refused::Unknown { id },
        }
    }

    fn publisher_gone(&mut self, now: Now) {
        if self.publisher == Publisher::Live {
            self.publisher = Publisher::Gone(Some(now.mono));
        }
    }

    fn tell(&mut self, now: Now, run: &Run, trigger: &Trigger) {
        if self.live().is_some_and(|moment| moment.run() == *run) {
            self.step_live(now, trigger);
        }
    }

    /// Lets everything happen that was due by now, in its order, and starts what may start after it.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some((_, timer)) = self.timer().filter(|(at, _)| *at <= now.mono) {
                self.fire(now, timer);
            }
            if self.start_next(now).is_none() {
                return;
            }
        }
    }

    fn fire(&mut self, now: Now, timer: Timer) {
        let reason = Reason::WarmTimeout;
        match timer {
            Timer::Ends => self.step_live(now, &Trigger::DurationReached),
            Timer::Warm => self.step_live(
                now,
                &Trigger::PipelineFailed {
                    reason,
                    retry: true,
                },
            ),
            Timer::PublisherGone => self.step_live(now, &Trigger::PublisherGone),
            Timer::Offline => self.step_queued(now, 0, &Trigger::StreamOffline),
            Timer::Waited => self.step_queued(now, 0, &Trigger::WaitedTooLong),
            // Starting follows the timers.
            Timer::Pause => {
                self.paused_until = None;
                None
            }
        };
    }

    fn timer(&self) -> Option<(Instant, Timer)> {
        let (live, front) = (self.roster.live(), self.roster.front());
        let gone = self.gone_since();
        let startable = front.is_some() && live.is_none() && self.publisher == Publisher::Live;
        let timers = [
            live.map(|held| self.limit(held)),
            gone.filter(|_| live.is_some())
                .map(|since| (since + self.rules.publisher_gone, Timer::PublisherGone)),
            gone.filter(|_| front.is_some())
                .map(|since| (since + self.rules.max_offline, Timer::Offline)),
            front.map(|held| (held.submitted + self.rules.max_wait, Timer::Waited)),
            self.paused_until
                .filter(|_| startable)
                .map(|until| (until, Timer::Pause)),
        ];
        timers.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn gone_since(&self) -> Option<Instant> {
        match self.publisher {
            Publisher::Gone(since) => since,
            Publisher::Live => None,
        }
    }

    /// When the live moment's time in its state is over.
    fn limit(&self, held: &Held) -> (Instant, Timer) {
        if held.moment.state == State::Active {
            (held.entered + held.moment.duration, Timer::Ends)
        } else {
            (held.entered + self.rules.warm_timeout, Timer::Warm)
        }
    }

    fn start_next(&mut self, now: Now) -> Option<Moment> {
        let paused = self.paused_until.is_some_and(|until| until > now.mono);
        let free = self.live().is_none() && self.publisher == Publisher::Live;
        if paused || !free {
            return None;
        }
        self.step_queued(now, 0, &Trigger::Claimed)
    }

    fn step_live(&mut self, now: Now, trigger: &Trigger) -> Option<Moment> {
        let moment = self.roster.step_live(now, trigger, &self.rules)?;
        match moment.state {
            State::Queued => self.paused_until = Some(now.mono + self.rules.retry_delay),
            State::Completed => self.paused_until = Some(now.mono + self.rules.cooldown),
            _ => {}
        }
        Some(moment)
    }

    fn step_queued(&mut self, now: Now, before: usize, trigger: &Trigger) -> Option<Moment> {
        self.roster.step_queued(now, before, trigger, &self.rules)
    }

    /// How many wait before the moment.
    fn before(&self, id: &MomentId) -> Option<usize> {
        self.queue().position(|moment| moment.id == *id)
    }
}
