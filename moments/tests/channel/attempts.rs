//! Pipelines that fail or stay silent, and what an attempt given up may still say.

use reverie_moments::{Input, Reason, Rules, State};

use crate::bench::{Bench, reason};

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
