//! A channel with its clock, for tests that let seconds pass.

use std::time::{Duration, Instant};

use reverie_moments::{
    Channel, Event, Input, Moment, Now, Reason, Refused, Rules, Run, State, Submission,
};

/// The wall clock at the beginning, in milliseconds.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// A channel and its clock.
pub(crate) struct Bench {
    pub(crate) channel: Channel,
    pub(crate) start: Instant,
    pub(crate) elapsed: Duration,
}

impl Bench {
    pub(crate) fn offline(rules: Rules) -> Self {
        Self {
            channel: Channel::new(rules),
            start: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) fn live(rules: Rules) -> Self {
        let mut bench = Self::offline(rules);
        bench.handle(Input::PublisherLive);
        bench
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.start + self.elapsed,
            wall_ms: EPOCH_MS + u64::try_from(self.elapsed.as_millis()).expect("a short test"),
        }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.channel.handle(self.now(), input);
    }

    pub(crate) fn submit(&mut self, id: &str) -> Result<Moment, Refused> {
        self.ask(id, "a night sky", None)
    }

    pub(crate) fn ask(
        &mut self,
        id: &str,
        prompt: &str,
        seconds: Option<u64>,
    ) -> Result<Moment, Refused> {
        let submission = Submission {
            id: id.into(),
            prompt: prompt.into(),
            pipeline: "debug-invert".into(),
            duration: seconds.map(Duration::from_secs),
        };
        self.channel.submit(self.now(), submission)
    }

    pub(crate) fn stop(&mut self, id: &str) -> Result<Moment, Refused> {
        self.channel.stop(self.now(), &id.into())
    }

    pub(crate) fn first_frame(&mut self) {
        let run = self.run();
        self.handle(Input::FirstFrame(run));
    }

    pub(crate) fn fail(&mut self, retry: bool) {
        let (run, reason) = (self.run(), "out of memory".to_owned());
        self.handle(Input::PipelineFailed { run, reason, retry });
    }

    pub(crate) fn run(&self) -> Run {
        self.channel.live().expect("a live moment").run()
    }

    /// Lets the seconds pass, waking the channel at each of its deadlines on the way.
    pub(crate) fn pass(&mut self, seconds: f64) {
        let end = self.elapsed + Duration::from_secs_f64(seconds);
        while let Some((at, why)) = self
            .channel
            .deadline()
            .filter(|(at, _)| *at <= self.start + end)
        {
            assert!(at > self.now().mono, "{why}: a deadline in the past");
            self.elapsed = at - self.start;
            self.handle(Input::Timeout);
        }
        self.elapsed = end;
    }

    pub(crate) fn state(&self, id: &str) -> State {
        self.moment(id).state
    }

    pub(crate) fn moment(&self, id: &str) -> &Moment {
        self.channel.find(&id.into()).expect("a known moment")
    }

    pub(crate) fn waiting(&self) -> Vec<&str> {
        self.channel
            .queue()
            .map(|moment| moment.id.as_str())
            .collect()
    }

    /// Everything there is to tell, in short.
    pub(crate) fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.channel.poll())
            .map(|event| short(&event))
            .collect()
    }
}

/// An event in a few words.
pub(crate) fn short(event: &Event) -> String {
    match event {
        Event::Changed {
            moment, position, ..
        } => match position {
            Some(position) => format!("{} {} at {position}", moment.id, moment.state),
            None => format!("{} {}", moment.id, moment.state),
        },
        Event::Start {
            run,
            pipeline,
            prompt,
        } => format!("start {} {}: {pipeline}, {prompt}", run.moment, run.epoch),
        Event::Release(run) => format!("release {} {}", run.moment, run.epoch),
        Event::QueueChanged => "queue".into(),
    }
}

/// Why a moment ended.
pub(crate) fn reason(moment: &Moment) -> &Reason {
    moment.reason.as_ref().expect("a reason")
}
