use serde_json::Map;

use super::*;
use crate::channel::director::Look;

const S: Duration = Duration::from_secs(1);

fn times() -> Times {
    Times {
        heartbeat: 3 * S,
        lease: 10 * S,
        publisher_gone: 10 * S,
        end_grace: 5 * S,
    }
}

fn run(epoch: i64) -> Run {
    Run {
        moment: "m".into(),
        epoch,
    }
}

fn engagement() -> Engagement {
    Engagement {
        run: run(1),
        pipeline: "debug-invert".into(),
        look: Look {
            prompt: "rain".into(),
            overlay: Map::new(),
        },
    }
}

fn claimed() -> Input {
    Input::Claimed(Some(Claimed {
        engagement: engagement(),
        lasts: 15 * S,
    }))
}

fn facts(live: Option<Run>, next: Option<Duration>) -> Facts {
    Facts {
        live,
        next,
        ..Facts::default()
    }
}

/// A channel with the store beside it that answers as it is told.
struct World {
    holding: Holding,
    now: Instant,
}

impl World {
    /// The stream is live and this server's; one moment waits.
    fn live() -> Self {
        let now = Instant::now();
        let mut world = Self {
            holding: Holding::new(now, times()),
            now,
        };
        world.tell(Input::Live);
        assert_eq!(world.call(), Some(Call::Hold));
        world.tell(Input::Held(true));
        world.look(facts(None, Some(Duration::ZERO)));
        world
    }

    /// A moment of it is shown.
    fn active() -> Self {
        let mut world = Self::live();
        assert_eq!(world.call(), Some(Call::Claim));
        world.tell(claimed());
        assert_eq!(world.outputs(), [Output::Begin(engagement())]);
        world.tell(Input::FirstPicture(run(1)));
        assert_eq!(world.call(), Some(Call::Started(run(1))));
        world.tell(Input::Started);
        world
    }

    fn tell(&mut self, input: Input) {
        self.holding.handle(self.now, input);
    }

    fn call(&mut self) -> Option<Call> {
        self.holding.call(self.now)
    }

    fn look(&mut self, facts: Facts) {
        assert_eq!(self.call(), Some(Call::Look));
        self.tell(Input::Looked(facts));
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.holding.poll()).collect()
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.tell(Input::Timeout);
    }

    /// Goes to the next deadline and answers every heartbeat on the way, until something is to be done.
    fn beat_until(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.pass(S.min(end - self.now));
            while let Some(call) = self.call() {
                let answer = match call {
                    Call::Hold => Input::Held(true),
                    Call::Beat(_) => Input::Beaten,
                    call => panic!("{call:?} while beating"),
                };
                self.tell(answer);
            }
        }
    }
}

#[test]
fn a_moment_is_shown_for_its_time_from_its_first_picture_on() {
    let mut world = World::active();
    world.beat_until(14 * S);
    assert!(world.outputs().is_empty());
    world.pass(S);
    assert_eq!(
        world.outputs(),
        [Output::End],
        "the camera comes back before the store is told"
    );
    assert_eq!(world.call(), Some(Call::Finish(run(1), Outcome::Shown)));
    world.tell(Input::Finished);
    assert_eq!(world.call(), Some(Call::Hold), "the stream goes on");
    world.tell(Input::Held(true));
    world.look(facts(None, None));
    assert_eq!(world.call(), None);
}

#[test]
fn nothing_is_claimed_without_the_stream() {
    let now = Instant::now();
    let mut world = World {
        holding: Holding::new(now, times()),
        now,
    };
    world.look(facts(None, Some(Duration::ZERO)));
    assert_eq!(world.call(), None, "nobody publishes here");
    world.tell(Input::Live);
    assert!(!world.holding.is_settled());
    assert_eq!(world.call(), Some(Call::Hold));
    world.tell(Input::Held(false));
    assert!(world.holding.is_settled());
    assert_eq!(world.call(), None, "another server has it");
    world.pass(3 * S);
    assert_eq!(world.call(), Some(Call::Hold), "until its lease is over");
}

#[test]
fn a_pause_between_two_moments_is_waited_for_and_not_asked_through() {
    let mut world = World::live();
    world.tell(Input::News);
    world.holding.claim_at = None;
    world.look(facts(None, Some(2 * S)));
    assert_eq!(world.call(), None);
    let (at, why) = world.holding.deadline(world.now).expect("the pause");
    assert_eq!((at - world.now, why), (2 * S, "the next moment"));
    world.pass(2 * S);
    assert_eq!(world.call(), Some(Call::Claim));
    world.tell(Input::Claimed(None));
    world.look(facts(None, Some(Duration::ZERO)));
    assert_eq!(
        world.call(),
        None,
        "a claim that found nothing is no reason to ask all the time"
    );
}

#[test]
fn who_lost_the_lease_stops_at_once_and_writes_nothing() {
    let mut world = World::active();
    world.pass(3 * S);
    assert_eq!(world.call(), Some(Call::Beat(run(1))));
    world.tell(Input::Lost);
    assert_eq!(world.outputs(), [Output::End]);
    assert_eq!(world.call(), Some(Call::Hold));
    world.tell(Input::Held(true));
    world.look(facts(None, None));
    assert_eq!(world.call(), None);
}

#[test]
fn a_lease_that_could_not_be_renewed_is_over_by_the_own_clock() {
    let mut world = World::active();
    world.pass(3 * S);
    assert_eq!(world.call(), Some(Call::Beat(run(1))));
    world.pass(6 * S);
    assert!(
        world.outputs().is_empty(),
        "the database does not answer yet"
    );
    world.pass(S);
    assert_eq!(world.outputs(), [Output::End]);
    world.tell(Input::Broken);
    assert_eq!(world.call(), None, "it is left alone for a while");
}

#[test]
fn a_moment_that_somebody_stopped_is_taken_off_at_once() {
    let mut world = World::active();
    world.tell(Input::News);
    world.look(facts(Some(run(1)), None));
    assert!(world.outputs().is_empty(), "it goes on");
    world.tell(Input::News);
    world.look(facts(None, None));
    assert_eq!(world.outputs(), [Output::End]);
    assert!(matches!(world.call(), Some(Call::Look)));
}

#[test]
fn another_attempt_at_the_same_moment_is_not_this_one() {
    let mut world = World::active();
    world.tell(Input::News);
    world.look(facts(Some(run(2)), None));
    assert_eq!(world.outputs(), [Output::End]);
    world.tell(Input::FirstPicture(run(1)));
    world.tell(Input::Failed {
        run: run(1),
        reason: "late".into(),
        retry: true,
    });
    world.look(facts(Some(run(2)), None));
    assert_eq!(world.call(), None);
}

#[test]
fn a_publisher_that_comes_back_in_time_keeps_its_moment() {
    let mut world = World::active();
    world.tell(Input::Gone);
    assert_eq!(world.call(), Some(Call::Release));
    world.tell(Input::Released);
    world.beat_until(9 * S);
    world.tell(Input::Live);
    assert_eq!(world.call(), Some(Call::Hold));
    world.tell(Input::Held(true));
    world.beat_until(3 * S);
    assert!(world.outputs().is_empty());
}

#[test]
fn a_publisher_that_stays_away_ends_its_moment() {
    let mut world = World::active();
    world.tell(Input::Gone);
    assert_eq!(world.call(), Some(Call::Release));
    world.tell(Input::Released);
    world.beat_until(9 * S);
    world.pass(S);
    assert_eq!(world.outputs(), [Output::End]);
    assert_eq!(
        world.call(),
        Some(Call::Finish(run(1), Outcome::PublisherGone))
    );
}

#[test]
fn a_failed_pipeline_is_told_with_its_words() {
    let mut world = World::live();
    assert_eq!(world.call(), Some(Call::Claim));
    world.tell(claimed());
    world.outputs();
    world.tell(Input::Failed {
        run: run(1),
        reason: "out of memory".into(),
        retry: true,
    });
    assert!(
        world.outputs().is_empty(),
        "nothing of it is shown any more"
    );
    let outcome = Outcome::PipelineFailed {
        words: "out of memory".into(),
        retry: true,
    };
    assert_eq!(world.call(), Some(Call::Finish(run(1), outcome.clone())));
    world.tell(Input::Broken);
    world.pass(S);
    assert_eq!(
        world.call(),
        Some(Call::Finish(run(1), outcome)),
        "until the store knows"
    );
}

#[test]
fn with_a_bridge_a_moment_is_prepared_and_begins_when_it_says_so() {
    let mut world = World::live();
    world.tell(Input::News);
    world.holding.claim_at = None;
    world.look(Facts {
        next: Some(Duration::ZERO),
        driver: Driver::Bridge,
        ..Facts::default()
    });
    assert_eq!(world.call(), Some(Call::Claim));
    world.tell(claimed());
    assert_eq!(world.outputs(), [Output::Prepare("debug-invert".into())]);
    let says = |ready: Vec<Run>| Facts {
        live: Some(run(1)),
        driver: Driver::Bridge,
        ready,
        ..Facts::default()
    };
    world.tell(Input::News);
    world.look(says(vec![run(0)]));
    assert!(
        world.outputs().is_empty(),
        "that was about an earlier attempt"
    );
    world.tell(Input::News);
    world.look(says(vec![run(1)]));
    assert_eq!(world.outputs(), [Output::Begin(engagement())]);
    world.tell(Input::FirstPicture(run(1)));
    assert_eq!(world.call(), Some(Call::Started(run(1))));
    world.tell(Input::Started);
    world.beat_until(19 * S);
    assert!(
        world.outputs().is_empty(),
        "it is the bridge's to stop it at its time"
    );
    world.pass(S);
    assert_eq!(world.outputs(), [Output::End], "one that is gone does not");
}

#[test]
fn a_server_that_stops_gives_up_what_it_holds_and_is_done() {
    let mut world = World::active();
    world.tell(Input::Stop);
    assert_eq!(world.outputs(), [Output::End]);
    assert!(!world.holding.is_done());
    assert_eq!(
        world.call(),
        Some(Call::Finish(run(1), Outcome::PublisherGone))
    );
    world.tell(Input::Finished);
    assert_eq!(world.call(), Some(Call::Release));
    world.tell(Input::Released);
    assert_eq!(world.call(), None);
    assert!(world.holding.is_done());
}
