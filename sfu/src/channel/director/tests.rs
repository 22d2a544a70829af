use super::*;

fn run() -> Run {
    Run {
        moment: MomentId::new("m1"),
        epoch: 1,
    }
}

fn look() -> Look {
    Look {
        prompt: "rain".into(),
        overlay: Map::new(),
    }
}

fn engagement() -> Engagement {
    Engagement {
        run: run(),
        pipeline: "debug-invert".into(),
        look: look(),
    }
}

fn director() -> (Director, Instant) {
    let now = Instant::now();
    let mut director = Director::new(Duration::from_secs(30));
    assert!(director.handle(now, Input::Live).is_empty());
    (director, now)
}

fn active() -> (Director, Instant) {
    let (mut d, now) = director();
    for input in [
        Input::Begin(engagement()),
        Input::Ready,
        Input::Unit,
        Input::Cut(Pts(7)),
        Input::ShowsStyled,
    ] {
        d.handle(now, input);
    }
    assert_eq!(d.status().0, Phase::Active);
    (d, now)
}

#[test]
fn a_moment_goes_the_whole_way_and_the_stage_stays_warm() {
    let (mut d, now) = director();
    assert_eq!(
        d.handle(now, Input::Begin(engagement())),
        [Action::Spawn("debug-invert".into())]
    );
    assert_eq!(
        d.handle(now, Input::Ready),
        [Action::Style(look()), Action::Feed(true)]
    );
    assert_eq!(d.handle(now, Input::Unit), [Action::Cut]);
    assert!(d.handle(now, Input::Unit).is_empty(), "cut once");
    assert_eq!(
        d.handle(now, Input::Cut(Pts(7))),
        [Action::KeyframeFrom(Pts(7))]
    );
    assert_eq!(d.handle(now, Input::ShowsStyled), [Action::Started(run())]);
    assert_eq!(d.handle(now, Input::End), [Action::Camera(Urgency::Smooth)]);
    assert_eq!(d.handle(now, Input::ShowsCamera), [Action::Feed(false)]);
    assert_eq!(d.status().0, Phase::Warm);
    assert_eq!(
        d.handle(now, Input::Begin(engagement())),
        [Action::Style(look()), Action::Feed(true)],
        "the second moment needs no loading"
    );
}

#[test]
fn a_failure_while_shown_brings_the_camera_back_at_once() {
    let (mut d, now) = active();
    let actions = d.handle(now, Input::Failed("boom".into()));
    assert_eq!(
        actions,
        [
            Action::Feed(false),
            Action::Camera(Urgency::Now),
            Action::Unload,
            Action::Failed {
                run: run(),
                reason: "boom".into(),
                retry: false
            },
        ]
    );
    assert_eq!(d.status(), (Phase::Error, None, Some("boom")));
    assert!(
        d.handle(now, Input::Begin(engagement())).is_empty(),
        "not before viewers see the camera"
    );
    assert_eq!(
        d.handle(now, Input::ShowsCamera),
        [Action::Spawn("debug-invert".into())]
    );
}

#[test]
fn a_failure_before_anything_was_shown_may_be_tried_again() {
    let (mut d, now) = director();
    d.handle(now, Input::Begin(engagement()));
    let actions = d.handle(now, Input::Failed("no memory".into()));
    assert_eq!(
        actions,
        [
            Action::Unload,
            Action::Failed {
                run: run(),
                reason: "no memory".into(),
                retry: true
            }
        ]
    );
}

#[test]
fn a_cut_without_a_styled_keyframe_ends_in_the_camera() {
    let (mut d, now) = director();
    for input in [Input::Begin(engagement()), Input::Ready, Input::Unit] {
        d.handle(now, input);
    }
    let (at, _) = d.deadline().expect("a cut has a deadline");
    let actions = d.handle(at, Input::Timeout);
    assert!(
        actions.contains(&Action::Camera(Urgency::Now)),
        "{actions:?}"
    );
}

#[test]
fn a_camera_that_sends_no_keyframe_is_asked_for_again_and_again() {
    let (mut d, now) = active();
    d.handle(now, Input::End);
    let (first, _) = d.deadline().expect("a return has a deadline");
    assert_eq!(
        d.handle(first, Input::Timeout),
        [Action::Camera(Urgency::Now)]
    );
    let (second, _) = d.deadline().expect("still");
    assert!(second > first);
    assert_eq!(d.handle(second, Input::ShowsCamera), [Action::Feed(false)]);
}

#[test]
fn a_returning_publisher_finds_the_moment_still_wanted() {
    let (mut d, now) = active();
    assert_eq!(d.handle(now, Input::Offline), [Action::Feed(false)]);
    assert!(d.deadline().is_none(), "a wanted stage is not unloaded");
    assert_eq!(
        d.handle(now, Input::Live),
        [Action::Style(look()), Action::Feed(true)]
    );
}

#[test]
fn an_idle_stage_is_unloaded_after_its_time() {
    let (mut d, now) = director();
    assert_eq!(
        d.handle(now, Input::Warm("debug-invert".into())),
        [Action::Spawn("debug-invert".into())]
    );
    assert!(d.handle(now, Input::Ready).is_empty());
    let (at, _) = d.deadline().expect("idle");
    assert_eq!(at, now + Duration::from_secs(30));
    assert_eq!(d.handle(at, Input::Timeout), [Action::Unload]);
    assert_eq!(d.status().0, Phase::Cold);
}

#[test]
fn another_stage_replaces_the_loaded_one() {
    let (mut d, now) = director();
    d.handle(now, Input::Warm("passthrough".into()));
    d.handle(now, Input::Ready);
    assert_eq!(
        d.handle(now, Input::Begin(engagement())),
        [Action::Unload, Action::Spawn("debug-invert".into())]
    );
}
