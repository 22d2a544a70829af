//! Random requests and facts at random times, against promises that must hold after every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::{Strategy, prop, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use reverie_moments::{
    Channel, Event, Input, Moment, MomentId, Now, Refused, Rules, Run, State, Submission,
};

/// How many ids there are: few, so that they meet.
const IDS: u8 = 12;

#[derive(Clone, Debug)]
enum Action {
    Submit(u8, u64),
    Stop(u8),
    Live,
    Gone,
    FirstFrame,
    Failed(bool),
    /// A fact about the run before the latest one.
    Late,
    Timeout,
    /// Waits until exactly the deadline.
    Deadline,
}

fn actions() -> impl Strategy<Value = Vec<(u64, Action)>> {
    let action = prop_oneof![
        6 => (0..IDS, 0..8_u64).prop_map(|(id, seconds)| Action::Submit(id, seconds)),
        2 => (0..IDS).prop_map(Action::Stop),
        3 => prop::strategy::Just(Action::Live),
        1 => prop::strategy::Just(Action::Gone),
        4 => prop::strategy::Just(Action::FirstFrame),
        2 => prop::bool::ANY.prop_map(Action::Failed),
        1 => prop::strategy::Just(Action::Late),
        1 => prop::strategy::Just(Action::Timeout),
        3 => prop::strategy::Just(Action::Deadline),
    ];
    let step = prop_oneof![4 => 0..500_u64, 2 => 500..5000_u64, 1 => 5000..40_000_u64];
    prop::collection::vec((step, action), 1..120)
}

fn rules() -> impl Strategy<Value = Rules> {
    (1..5_usize, 0..4_u64, 0..3_usize, 0..3_u64).prop_map(
        |(queue_max, cooldown, history, retry)| Rules {
            default_duration: Duration::from_secs(3),
            max_duration: Duration::from_secs(6),
            queue_max,
            max_wait: Duration::from_secs(25),
            max_offline: Duration::from_secs(8),
            warm_timeout: Duration::from_secs(4),
            retry_delay: Duration::from_secs(retry),
            publisher_gone: Duration::from_secs(2),
            cooldown: Duration::from_secs(cooldown),
            history,
            ..Rules::default()
        },
    )
}

/// What an observer knows who only reads events.
#[derive(Default)]
struct Observer {
    open: BTreeMap<MomentId, Moment>,
    running: Option<Run>,
    latest: Option<Run>,
    submitted: u64,
    ended: u64,
}

impl Observer {
    fn see(&mut self, event: Event) -> Result<(), proptest::test_runner::TestCaseError> {
        match event {
            Event::Changed {
                moment,
                from,
                position,
            } => {
                let before = self.open.remove(&moment.id);
                prop_assert_eq!(before.as_ref().map(|moment| moment.state), from);
                prop_assert_eq!(
                    moment.version,
                    before.as_ref().map_or(0, |moment| moment.version) + 1
                );
                let state = moment.state;
                let allowed = from.map_or(state == State::Queued, |from| from.may_become(state));
                prop_assert!(allowed, "{:?} to {}", from, state);
                prop_assert_eq!(position.is_some(), moment.state == State::Queued);
                prop_assert_eq!(moment.active_ms.is_some(), moment.ends_ms.is_some());
                prop_assert_eq!(moment.ended_ms.is_some(), moment.state.is_ended());
                prop_assert!(moment.attempts <= moment.epoch);
                self.submitted += u64::from(from.is_none());
                if moment.state.is_ended() {
                    self.ended += 1;
                } else {
                    self.open.insert(moment.id.clone(), moment);
                }
                prop_assert!(
                    self.open
                        .values()
                        .filter(|moment| moment.state.is_live())
                        .count()
                        <= 1
                );
            }
            Event::Start { run, .. } => {
                prop_assert_eq!(self.running.replace(run.clone()), None);
                prop_assert_eq!(&self.open[&run.moment].state, &State::Warming);
                self.latest = Some(run);
            }
            Event::Release(run) => prop_assert_eq!(self.running.take(), Some(run)),
            Event::QueueChanged => {}
        }
        Ok(())
    }
}

struct World {
    channel: Channel,
    rules: Rules,
    start: Instant,
    elapsed: Duration,
    publisher: bool,
    observer: Observer,
    /// The run before the latest one.
    late: Option<Run>,
}

type Checked = Result<(), proptest::test_runner::TestCaseError>;

impl World {
    fn new(rules: Rules) -> Self {
        Self {
            channel: Channel::new(rules.clone()),
            rules,
            start: Instant::now(),
            elapsed: Duration::ZERO,
            publisher: false,
            observer: Observer::default(),
            late: None,
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.start + self.elapsed,
            wall_ms: u64::try_from(self.elapsed.as_millis()).expect("a short test"),
        }
    }

    fn act(&mut self, action: &Action) -> Checked {
        match action {
            Action::Submit(id, seconds) => self.submit(*id, *seconds)?,
            Action::Stop(id) => self.stop(*id)?,
            Action::Live => self.publish(true),
            Action::Gone => self.publish(false),
            Action::FirstFrame => self.tell(self.observer.running.clone(), Input::FirstFrame),
            Action::Failed(retry) => {
                self.tell(self.observer.running.clone(), |run| failed(run, *retry))
            }
            Action::Late => {
                self.handle(Input::Timeout);
                self.settle()?;
                // A forgotten id may be used again in this test, and its runs with it.
                let late = self
                    .late
                    .clone()
                    .filter(|run| self.observer.running.as_ref() != Some(run));
                self.tell(late, |run| failed(run, false));
                prop_assert_eq!(self.channel.poll(), None);
            }
            Action::Timeout => self.handle(Input::Timeout),
            Action::Deadline => self.wake(),
        }
        self.settle()?;
        self.handle(Input::Timeout);
        prop_assert_eq!(
            self.channel.poll(),
            None,
            "the same instant twice changes nothing"
        );
        Ok(())
    }

    fn submit(&mut self, id: u8, seconds: u64) -> Checked {
        self.handle(Input::Timeout);
        let id = MomentId::new(format!("m{id}"));
        let (known, waiting) = (self.channel.find(&id).is_some(), self.channel.queue().len());
        let submission = Submission {
            id: id.clone(),
            prompt: " a prompt ".into(),
            pipeline: "passthrough".into(),
            duration: (seconds > 0).then(|| Duration::from_secs(seconds)),
        };
        match self.channel.submit(self.now(), submission) {
            Ok(moment) => {
                prop_assert!(
                    seconds <= 6 && !known && self.publisher && waiting < self.rules.queue_max
                );
                prop_assert_eq!(Some(&moment), self.channel.find(&id));
            }
            Err(Refused::Duration { .. }) => prop_assert!(seconds > 6),
            Err(Refused::IdInUse { .. }) => prop_assert!(known),
            Err(Refused::Offline) => prop_assert!(!self.publisher),
            Err(Refused::QueueFull { limit }) => prop_assert!(waiting >= limit),
            Err(other) => prop_assert!(false, "{}", other),
        }
        Ok(())
    }

    fn stop(&mut self, id: u8) -> Checked {
        self.handle(Input::Timeout);
        let id = MomentId::new(format!("m{id}"));
        let before = self.channel.find(&id).map(|moment| moment.state);
        match self.channel.stop(self.now(), &id) {
            Ok(moment) => prop_assert!(
                before.is_some_and(|state| !state.is_ended()) && moment.state.is_ended()
            ),
            Err(Refused::Ended { state, .. }) => prop_assert_eq!(before, Some(state)),
            Err(refused) => prop_assert_eq!((refused, before), (Refused::Unknown { id }, None)),
        }
        Ok(())
    }

    fn publish(&mut self, live: bool) {
        self.publisher = live;
        self.handle(if live {
            Input::PublisherLive
        } else {
            Input::PublisherGone
        });
    }

    fn tell(&mut self, run: Option<Run>, input: impl FnOnce(Run) -> Input) {
        self.handle(run.map_or(Input::Timeout, input));
    }

    fn handle(&mut self, input: Input) {
        self.channel.handle(self.now(), input);
    }

    fn wake(&mut self) {
        if let Some((at, _)) = self.channel.deadline() {
            self.elapsed = at - self.start;
        }
        self.handle(Input::Timeout);
    }

    /// Drains the events and compares what they told with what the channel shows.
    fn settle(&mut self) -> Checked {
        let before = self.observer.latest.clone();
        while let Some(event) = self.channel.poll() {
            self.observer.see(event)?;
        }
        if before != self.observer.latest {
            self.late = before;
        }
        let (channel, open) = (&self.channel, &self.observer.open);
        if let Some((at, why)) = channel.deadline() {
            prop_assert!(at > self.now().mono, "{} in the past", why);
        }
        let shown: Vec<_> = channel.live().into_iter().chain(channel.queue()).collect();
        prop_assert_eq!(shown.len(), open.len());
        for moment in shown {
            prop_assert_eq!(Some(moment), open.get(&moment.id));
        }
        prop_assert_eq!(
            channel.live().map(Moment::run),
            self.observer.running.clone()
        );
        prop_assert!(channel.ended().len() <= self.rules.history);
        prop_assert!(channel.queue().len() <= self.rules.queue_max + 1);
        prop_assert_eq!(
            channel
                .ended()
                .map(|moment| &moment.id)
                .collect::<BTreeSet<_>>()
                .len(),
            channel.ended().len()
        );
        Ok(())
    }

    /// Serves deadlines and nothing else until there is none.
    fn run_out(&mut self) -> Checked {
        for _ in 0..1000 {
            if self.channel.deadline().is_none() {
                return Ok(());
            }
            self.wake();
            self.settle()?;
        }
        prop_assert!(false, "deadlines never end");
        Ok(())
    }
}

fn failed(run: Run, retry: bool) -> Input {
    let reason = "it broke".to_owned();
    Input::PipelineFailed { run, reason, retry }
}

proptest! {
    #[test]
    fn promises_hold_whatever_happens(rules in rules(), actions in actions()) {
        let mut world = World::new(rules);
        for (millis, action) in &actions {
            world.elapsed += Duration::from_millis(*millis);
            world.act(action)?;
        }
        world.run_out()?;
        prop_assert!(world.observer.open.is_empty(), "every moment ends by itself");
        prop_assert_eq!(world.observer.submitted, world.observer.ended);
    }
}
