//! A channel as its owner sees it: requests and facts at given seconds, and what comes of them.

mod attempts;
mod bench;
mod waiting;

use std::time::Duration;

use reverie_moments::{Input, Moment, MomentId, Reason, Refused, Rules, State};

use bench::{Bench, EPOCH_MS, reason};

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
