//! Publishers that go and come back, and waits that end.

use std::time::Duration;

use reverie_moments::{Input, Reason, Rules, State};

use crate::bench::{Bench, reason};

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
