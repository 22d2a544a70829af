//! A channel as its owner sees it: requests and facts at given seconds, and what comes of them.

use std::time::{Duration, Instant};

use reverie_moments::{
    Channel, Event, Input, Moment, MomentId, Now, Reason, Refused, Rules, Run, State, Submission,
};

/// The wall clock at the beginning, in milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A channel and its clock.
struct Bench {
    channel: Channel,
    start: Instant,
    elapsed: Duration,
}

impl Bench {
    fn offline(rules: Rules) -> Self {
        Self {
            channel: Channel::new(rules),
            start: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    fn live(rules: Rules) -> Self {
        let mut bench = Self::offline(rules);
        bench.handle(Input::PublisherLive);
        bench
    }

    fn now(&self) -> Now {
        Now {
            mono: self.start + self.elapsed,
            wall_ms: EPOCH_MS + u64::try_from(self.elapsed.as_millis()).expect("a short test"),
        }
    }

    fn handle(&mut self, input: Input) {
        self.channel.handle(self.now(), input);
    }

    fn submit(&mut self, id: &str) -> Result<Moment, Refused> {
        self.ask(id, "a night sky", None)
    }

    fn ask(&mut self, id: &str, prompt: &str, seconds: Option<u64>) -> Result<Moment, Refused> {
        let submission = Submission {
            id: id.into(),
            prompt: prompt.into(),
            pipeline: "debug-invert".into(),
            duration: seconds.map(Duration::from_secs),
        };
        self.channel.submit(self.now(), submission)
    }

    fn stop(&mut self, id: &str) -> Result<Moment, Refused> {
        self.channel.stop(self.now(), &id.into())
    }

    fn first_frame(&mut self) {
        let run = self.run();
        self.handle(Input::FirstFrame(run));
    }

    fn fail(&mut self, retry: bool) {
        let (run, reason) = (self.run(), "out of memory".to_owned());
        self.handle(Input::PipelineFailed { run, reason, retry });
    }

    fn run(&self) -> Run {
        self.channel.live().expect("a live moment").run()
    }

    /// Lets the seconds pass, waking the channel at each of its deadlines on the way.
    fn pass(&mut self, seconds: f64) {
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

    fn state(&self, id: &str) -> State {
        self.moment(id).state
    }

    fn moment(&self, id: &str) -> &Moment {
        self.channel.find(&id.into()).expect("a known moment")
    }

    fn waiting(&self) -> Vec<&str> {
        self.channel
            .queue()
            .map(|moment| moment.id.as_str())
            .collect()
    }

    /// Everything there is to tell, in short.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.channel.poll())
            .map(|event| short(&event))
            .collect()
    }
}

fn short(event: &Event) -> String {
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

fn reason(moment: &Moment) -> &Reason {
    moment.reason.as_ref().expect("a reason")
}

#[test]
fn a_moment_is_started_shown_from_its_first_frame_and_completed() {
    let mut bench = Bench::live(Rules::default());
    assert_eq!(bench.submit("a").unwrap().state, State::Warming);
    assert_eq!(
        bench.told(),
        [
            "a queued at 1",
            "a warming",
            "start a 1: debug-invert, a night sky",
            "queue"
        ]
    );
    bench.pass(3.0);
    bench.first_frame();
    assert_eq!(bench.told(), ["a active"]);
    bench.pass(14.9);
    assert_eq!(bench.told(), [""; 0]);
    assert_eq!(bench.channel.deadline().unwrap().1, "the moment ends");
    bench.pass(0.1);
    assert_eq!(bench.told(), ["a completed", "release a 1"]);
    let ended = bench.channel.last().unwrap();
    assert_eq!(
        (ended.version, ended.attempts, &ended.reason),
        (4, 0, &None)
    );
    assert_eq!(ended.created_ms, EPOCH_MS);
    assert_eq!(ended.active_ms, Some(EPOCH_MS + 3000));
    assert_eq!(ended.ends_ms, Some(EPOCH_MS + 18_000));
    assert_eq!(ended.ended_ms, Some(EPOCH_MS + 18_000));
    assert_eq!(bench.channel.deadline(), None);
}

#[test]
fn one_moment_is_live_and_the_others_wait_in_order() {
    let mut bench = Bench::live(Rules::default());
    for id in ["a", "b", "c"] {
        bench.submit(id).unwrap();
    }
    assert_eq!(bench.waiting(), ["b", "c"]);
    assert_eq!(bench.channel.position(&"c".into()), Some(2));
    assert_eq!(bench.channel.position(&"a".into()), None);
    bench.told();
    bench.first_frame();
    bench.pass(15.0);
    assert_eq!(
        bench.told(),
        [
            "a active",
            "a completed",
            "release a 1",
            "b warming",
            "start b 1: debug-invert, a night sky",
            "queue"
        ]
    );
    assert_eq!(bench.waiting(), ["c"]);
}

#[test]
fn a_request_is_refused_with_what_would_be_accepted() {
    let mut bench = Bench::live(Rules::default());
    let refused = |result: Result<Moment, Refused>| result.unwrap_err().to_string();
    assert_eq!(
        refused(bench.ask("a", "  ", None)),
        "the prompt is empty; 1 to 500 characters are accepted"
    );
    assert_eq!(
        refused(bench.ask("a", &"é".repeat(501), None)),
        "the prompt has 501 characters; at most 500 are accepted"
    );
    assert_eq!(
        refused(bench.ask("a", "x", Some(0))),
        "the duration is 0 s; 1 to 120 s are accepted"
    );
    assert_eq!(
        refused(bench.ask("a", "x", Some(121))),
        "the duration is 121 s; 1 to 120 s are accepted"
    );
    assert_eq!(
        refused(bench.stop("a")),
        "there is no moment a in this channel"
    );
    assert_eq!(bench.told(), [""; 0]);
    bench.ask("a", &"é".repeat(500), Some(120)).unwrap();
    assert_eq!(
        refused(bench.submit("a")),
        "the id a is in use; a new one is needed"
    );
}

#[test]
fn a_channel_without_publisher_accepts_nothing() {
    let mut bench = Bench::offline(Rules::default());
    assert_eq!(bench.submit("a"), Err(Refused::Offline));
    bench.handle(Input::PublisherLive);
    bench.submit("a").unwrap();
    bench.handle(Input::PublisherGone);
    assert_eq!(bench.submit("b"), Err(Refused::Offline));
    assert_eq!(
        bench.ask("b", "", None),
        Err(Refused::EmptyPrompt { max: 500 })
    );
}

#[test]
fn a_full_queue_refuses_until_a_place_is_free() {
    let mut bench = Bench::live(Rules {
        queue_max: 2,
        ..Rules::default()
    });
    for id in ["live", "a", "b"] {
        bench.submit(id).unwrap();
    }
    assert_eq!(bench.submit("c"), Err(Refused::QueueFull { limit: 2 }));
    bench.stop("a").unwrap();
    assert_eq!(bench.submit("c").unwrap().state, State::Queued);
    assert_eq!(bench.waiting(), ["b", "c"]);
}

#[test]
fn a_moment_stopped_before_it_is_seen_is_cancelled() {
    let mut bench = Bench::live(Rules::default());
    for id in ["a", "b", "c"] {
        bench.submit(id).unwrap();
    }
    bench.told();
    assert_eq!(bench.stop("b").unwrap().state, State::Cancelled);
    assert_eq!(bench.told(), ["b cancelled", "queue"]);
    let stopped = bench.stop("a").unwrap();
    assert_eq!(
        (stopped.state, reason(&stopped)),
        (State::Cancelled, &Reason::Stopped)
    );
    assert_eq!(
        bench.told(),
        [
            "a cancelled",
            "release a 1",
            "c warming",
            "start c 1: debug-invert, a night sky",
            "queue"
        ]
    );
}

#[test]
fn a_seen_moment_needs_eighty_percent_to_be_completed_by_a_stop() {
    for (seconds, state, why) in [
        (11.99, State::Failed, "stopped early"),
        (12.0, State::Completed, "stopped"),
    ] {
        let mut bench = Bench::live(Rules::default());
        bench.submit("a").unwrap();
        bench.pass(20.0);
        bench.first_frame();
        bench.pass(seconds);
        let stopped = bench.stop("a").unwrap();
        assert_eq!(
            (stopped.state, reason(&stopped).to_string().as_str()),
            (state, why)
        );
        assert_eq!(
            stopped.ended_ms,
            Some(EPOCH_MS + 20_000 + (seconds * 1000.0) as u64)
        );
    }
}

#[test]
fn an_ended_moment_cannot_be_stopped_again() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.stop("a").unwrap();
    let refused = bench.stop("a").unwrap_err();
    assert_eq!(
        refused,
        Refused::Ended {
            id: "a".into(),
            state: State::Cancelled
        }
    );
    assert_eq!(
        refused.to_string(),
        "the moment a is cancelled; only one that waits or is live can be stopped"
    );
}

#[test]
fn a_pipeline_is_tried_three_times_in_the_same_place_of_the_queue() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.submit("b").unwrap();
    bench.told();
    bench.fail(true);
    assert_eq!(bench.told(), ["a queued at 1", "release a 1", "queue"]);
    assert_eq!(bench.waiting(), ["a", "b"]);
    assert_eq!(reason(bench.moment("a")).to_string(), "out of memory");
    bench.pass(1.0);
    assert_eq!(
        bench.told(),
        ["a warming", "start a 2: debug-invert, a night sky", "queue"]
    );
    assert_eq!(bench.moment("a").reason, None);
    bench.fail(true);
    bench.pass(1.0);
    bench.told();
    bench.fail(true);
    assert_eq!(
        bench.told(),
        [
            "a failed",
            "release a 3",
            "b warming",
            "start b 1: debug-invert, a night sky",
            "queue"
        ]
    );
    assert_eq!(
        (bench.moment("a").attempts, bench.moment("b").attempts),
        (3, 0)
    );
}

#[test]
fn a_fault_that_will_not_pass_fails_the_moment_at_once() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.fail(false);
    assert_eq!(
        (bench.state("a"), bench.moment("a").attempts),
        (State::Failed, 1)
    );
}

#[test]
fn a_pipeline_that_stays_silent_counts_as_failed_attempts() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.pass(44.9);
    assert_eq!(bench.state("a"), State::Warming);
    bench.pass(0.1);
    assert_eq!(bench.state("a"), State::Queued);
    bench.pass(2.0 * 46.0);
    let failed = bench.moment("a");
    assert_eq!(
        (failed.state, failed.attempts, reason(failed)),
        (State::Failed, 3, &Reason::WarmTimeout)
    );
}

#[test]
fn a_pipeline_that_fails_while_it_is_seen_fails_the_moment() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.first_frame();
    bench.told();
    bench.fail(true);
    assert_eq!(bench.told(), ["a failed", "release a 1"]);
    assert_eq!(
        reason(bench.moment("a")),
        &Reason::Pipeline("out of memory".into())
    );
}

#[test]
fn what_is_told_about_an_attempt_given_up_is_ignored() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    let first = bench.run();
    bench.fail(true);
    bench.handle(Input::FirstFrame(first.clone()));
    assert_eq!(bench.state("a"), State::Queued);
    bench.pass(1.0);
    bench.told();
    bench.handle(Input::FirstFrame(first.clone()));
    bench.handle(Input::PipelineFailed {
        run: first,
        reason: "late".into(),
        retry: false,
    });
    assert_eq!((bench.state("a"), bench.told().len()), (State::Warming, 0));
    bench.first_frame();
    let run = bench.run();
    bench.told();
    bench.handle(Input::FirstFrame(run));
    assert_eq!((bench.state("a"), bench.told().len()), (State::Active, 0));
}

#[test]
fn an_active_moment_outlives_a_short_absence_of_its_publisher() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.first_frame();
    bench.handle(Input::PublisherGone);
    bench.pass(9.9);
    bench.handle(Input::PublisherLive);
    bench.pass(5.0);
    assert_eq!(bench.state("a"), State::Active);
    bench.pass(0.1);
    assert_eq!(bench.state("a"), State::Completed);
}

#[test]
fn an_active_moment_fails_when_its_publisher_stays_away() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.submit("b").unwrap();
    bench.first_frame();
    bench.handle(Input::PublisherGone);
    bench.pass(5.0);
    bench.handle(Input::PublisherGone);
    bench.told();
    bench.pass(5.0);
    assert_eq!(bench.told(), ["a failed", "release a 1"]);
    assert_eq!(reason(bench.moment("a")), &Reason::PublisherGone);
    assert_eq!(bench.state("b"), State::Queued);
    bench.handle(Input::PublisherLive);
    assert_eq!(bench.state("b"), State::Warming);
}

#[test]
fn a_warming_moment_goes_back_when_its_publisher_stays_away_and_keeps_its_attempts() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.submit("b").unwrap();
    bench.handle(Input::PublisherGone);
    bench.pass(10.0);
    assert_eq!(
        (bench.waiting(), bench.moment("a").attempts),
        (vec!["a", "b"], 0)
    );
    bench.pass(5.0);
    bench.handle(Input::PublisherLive);
    assert_eq!(bench.state("a"), State::Warming);
}

#[test]
fn a_queue_expires_when_the_stream_stays_offline() {
    let mut bench = Bench::live(Rules::default());
    for id in ["a", "b", "c"] {
        bench.submit(id).unwrap();
    }
    bench.first_frame();
    bench.handle(Input::PublisherGone);
    bench.pass(59.9);
    assert_eq!(bench.waiting(), ["b", "c"]);
    bench.told();
    bench.pass(0.1);
    assert_eq!(bench.told(), ["b expired", "c expired", "queue"]);
    assert_eq!(reason(bench.moment("c")), &Reason::StreamOffline);
    bench.handle(Input::PublisherLive);
    assert_eq!(bench.submit("d").unwrap().state, State::Warming);
}

#[test]
fn a_moment_that_waited_too_long_expires() {
    let mut bench = Bench::live(Rules {
        max_duration: Duration::from_secs(3600),
        ..Rules::default()
    });
    bench.ask("a", "x", Some(3600)).unwrap();
    bench.first_frame();
    bench.submit("b").unwrap();
    bench.pass(100.0);
    bench.submit("c").unwrap();
    bench.pass(799.9);
    assert_eq!(bench.waiting(), ["b", "c"]);
    bench.pass(0.1);
    assert_eq!(bench.waiting(), ["c"]);
    assert_eq!(
        (bench.state("b"), reason(bench.moment("b"))),
        (State::Expired, &Reason::WaitedTooLong)
    );
}

#[test]
fn going_back_into_the_queue_does_not_prolong_the_wait() {
    let mut bench = Bench::live(Rules {
        max_wait: Duration::from_secs(30),
        retry_delay: Duration::from_secs(20),
        ..Rules::default()
    });
    bench.submit("a").unwrap();
    bench.pass(15.0);
    bench.fail(true);
    bench.pass(15.0);
    assert_eq!(reason(bench.moment("a")), &Reason::WaitedTooLong);
}

#[test]
fn a_moment_whose_wait_is_over_when_it_goes_back_expires_without_another_attempt() {
    for retry_delay in [Duration::ZERO, Duration::from_secs(1)] {
        let mut bench = Bench::live(Rules {
            max_wait: Duration::from_secs(30),
            retry_delay,
            ..Rules::default()
        });
        bench.submit("a").unwrap();
        bench.pass(40.0);
        bench.told();
        bench.fail(true);
        assert_eq!(
            bench.told(),
            ["a queued at 1", "release a 1", "a expired", "queue"]
        );
        assert_eq!(bench.channel.deadline(), None);
    }
}

#[test]
fn the_next_moment_waits_for_the_cooldown_of_a_completed_one() {
    let mut bench = Bench::live(Rules {
        cooldown: Duration::from_secs(30),
        ..Rules::default()
    });
    bench.submit("a").unwrap();
    bench.first_frame();
    bench.pass(15.0);
    assert_eq!(bench.submit("b").unwrap().state, State::Queued);
    assert_eq!(
        bench.channel.deadline().unwrap().1,
        "the next moment may start"
    );
    bench.pass(29.9);
    assert_eq!(bench.state("b"), State::Queued);
    bench.pass(0.1);
    assert_eq!(bench.state("b"), State::Warming);
    bench.stop("b").unwrap();
    assert_eq!(bench.submit("c").unwrap().state, State::Warming);
}

#[test]
fn only_the_latest_ended_moments_are_remembered() {
    let mut bench = Bench::live(Rules {
        history: 2,
        ..Rules::default()
    });
    for id in ["a", "b", "c"] {
        bench.submit(id).unwrap();
        bench.stop(id).unwrap();
    }
    let ended: Vec<_> = bench
        .channel
        .ended()
        .map(|moment| moment.id.as_str())
        .collect();
    assert_eq!(ended, ["c", "b"]);
    assert_eq!(bench.channel.find(&"a".into()), None);
    assert_eq!(
        bench.stop("a"),
        Err(Refused::Unknown {
            id: MomentId::new("a")
        })
    );
}

#[test]
fn a_late_call_finds_everything_as_a_punctual_one_would_have() {
    let mut bench = Bench::live(Rules::default());
    bench.submit("a").unwrap();
    bench.submit("b").unwrap();
    bench.first_frame();
    bench.elapsed = Duration::from_secs(100);
    let refused = bench.stop("a").unwrap_err();
    assert!(
        matches!(
            refused,
            Refused::Ended {
                state: State::Completed,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(bench.state("b"), State::Warming);
}

#[test]
fn the_rules_take_the_configured_times() {
    let config = reverie_config::Moments {
        warm_timeout: Duration::from_secs(7),
        history: 3,
        ..reverie_config::Moments::default()
    };
    let rules = Rules::from(&config);
    assert_eq!(
        (rules.warm_timeout, rules.history, rules.queue_max),
        (config.warm_timeout, 3, 20)
    );
}
