//! The moments of a channel in their places: one live, some waiting, the latest that ended; and what there is to tell of it.
//!
//! Moves moments, and writes an event for every move. When a moment moves is decided elsewhere.

use std::collections::VecDeque;
use std::time::Instant;

use crate::event::Event;
use crate::moment::{Moment, MomentId};
use crate::now::Now;
use crate::rules::Rules;
use crate::state::State;
use crate::transition::{self, Trigger};

/// A moment that has not ended, with the times that decide over it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) moment: Moment,
    pub(crate) submitted: Instant,
    /// When it came into its state.
    pub(crate) entered: Instant,
}

/// All moments of a channel.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    live: Option<Held>,
    queue: VecDeque<Held>,
    /// The latest at the back.
    ended: VecDeque<Moment>,
    events: VecDeque<Event>,
    queue_changed: bool,
}

impl Roster {
    /// Puts a new moment at the end of the queue.
    pub(crate) fn push(&mut self, now: Now, moment: Moment) {
        self.queue.push_back(Held {
            moment: moment.clone(),
            submitted: now.mono,
            entered: now.mono,
        });
        self.changed(moment, None, Some(self.queue.len()));
    }

    /// Lets something happen to the live moment; `None` when there is none or it does not mind.
    pub(crate) fn step_live(
        &mut self,
        now: Now,
        trigger: &Trigger,
        rules: &Rules,
    ) -> Option<Moment> {
        let step = transition::next(&self.live.as_ref()?.moment, trigger, rules)?;
        let held = self.live.take()?;
        Some(self.place(now, held, step, rules))
    }

    /// Lets something happen to the waiting moment with so many before it; `None` when there is none or it does not mind.
    pub(crate) fn step_queued(
        &mut self,
        now: Now,
        before: usize,
        trigger: &Trigger,
        rules: &Rules,
    ) -> Option<Moment> {
        let step = transition::next(&self.queue.get(before)?.moment, trigger, rules)?;
        let held = self.queue.remove(before)?;
        Some(self.place(now, held, step, rules))
    }

    /// Closes a call: says once that the queue changed.
    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.queue_changed) {
            self.events.push_back(Event::QueueChanged);
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn live(&self) -> Option<&Held> {
        self.live.as_ref()
    }

    /// The moment whose turn is next. It has waited longest too, since those that go back go to the front.
    pub(crate) fn front(&self) -> Option<&Held> {
        self.queue.front()
    }

    pub(crate) fn queue(&self) -> impl ExactSizeIterator<Item = &Moment> {
        self.queue.iter().map(|held| &held.moment)
    }

    pub(crate) fn ended(&self) -> impl ExactSizeIterator<Item = &Moment> {
        self.ended.iter().rev()
    }

    pub(crate) fn find(&self, id: &MomentId) -> Option<&Moment> {
        let live = self.live.iter().map(|held| &held.moment);
        live.chain(self.queue())
            .chain(self.ended())
            .find(|moment| moment.id == *id)
    }

    /// Takes the step, puts the moment where its new state belongs, and tells what is to be done about it.
    fn place(&mut self, now: Now, mut held: Held, step: transition::Step, rules: &Rules) -> Moment {
        let from = held.moment.take(step, now);
        held.entered = now.mono;
        let moment = held.moment.clone();
        match moment.state {
            State::Queued => self.queue.push_front(held),
            State::Warming | State::Active => self.live = Some(held),
            _ => self.remember(held.moment, rules.history),
        }
        let position = (moment.state == State::Queued).then_some(1);
        self.changed(moment.clone(), Some(from), position);
        match (from.is_live(), moment.state.is_live()) {
            (false, true) => self.events.push_back(start(&moment)),
            (true, false) => self.events.push_back(Event::Release(moment.run())),
            _ => {}
        }
        moment
    }

    fn remember(&mut self, moment: Moment, history: usize) {
        self.ended.push_back(moment);
        while self.ended.len() > history {
            self.ended.pop_front();
        }
    }

    fn changed(&mut self, moment: Moment, from: Option<State>, position: Option<usize>) {
        self.queue_changed |=
            from.is_none_or(|from| from == State::Queued) || moment.state == State::Queued;
        self.events.push_back(Event::Changed {
            moment,
            from,
            position,
        });
    }
}

fn start(moment: &Moment) -> Event {
    Event::Start {
        run: moment.run(),
        pipeline: moment.pipeline.clone(),
        prompt: moment.prompt.clone(),
    }
}
