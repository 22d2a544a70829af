use super::*;

/// A pipeline that is counted four times a second.
struct Played {
    status: Status,
    now: Instant,
    counts: Counts,
}

impl Played {
    fn loaded() -> Self {
        let mut played = Self {
            status: Status::new(),
            now: Instant::now(),
            counts: Counts::default(),
        };
        played.tell(Input::Load);
        played.tell(Input::Ready);
        played
    }

    fn fed() -> Self {
        let mut played = Self::loaded();
        played.tell(Input::Feed(true));
        played
    }

    fn tell(&mut self, input: Input) {
        self.status.handle(self.now, input);
    }

    /// So many seconds with these frames per second, each 20 ms in the stage.
    fn play(&mut self, seconds: f64, input: f64, output: f64) -> State {
        let (begin, at) = (self.counts, self.now);
        for quarter in 1..=(seconds * 4.0) as u32 {
            let passed = f64::from(quarter) / 4.0;
            self.now = at + Duration::from_secs_f64(passed);
            let frames = |rate: f64| (rate * passed) as u64;
            self.counts.input = begin.input + frames(input);
            self.counts.wanted = begin.wanted + frames(input);
            self.counts.output = begin.output + frames(output);
            self.counts.busy = begin.busy + Duration::from_millis(20 * frames(output));
            self.tell(Input::Count(self.counts));
        }
        self.status.state()
    }
}

#[test]
fn a_life_goes_from_offline_over_loading_to_online_and_back() {
    let mut status = Status::new();
    let now = Instant::now();
    assert_eq!(status.state(), State::Offline);
    status.handle(now, Input::Load);
    assert_eq!(status.state(), State::Loading);
    status.handle(now, Input::Ready);
    assert_eq!(status.state(), State::Online);
    status.handle(now, Input::Unload);
    assert_eq!(status.state(), State::Offline);
}

#[test]
fn a_warm_pipeline_that_is_not_fed_lacks_nothing() {
    let mut played = Played::loaded();
    assert_eq!(played.play(10.0, 0.0, 0.0), State::Online);
}

#[test]
fn no_frame_for_two_seconds_or_fewer_than_fifteen_is_degraded_input() {
    let mut played = Played::fed();
    assert_eq!(
        played.play(1.75, 0.0, 0.0),
        State::Online,
        "too soon to tell"
    );
    assert_eq!(played.play(0.5, 0.0, 0.0), State::DegradedInput);
    assert_eq!(Played::fed().play(5.0, 14.0, 14.0), State::DegradedInput);
    assert_eq!(Played::fed().play(5.0, 15.0, 15.0), State::Online);
}

#[test]
fn no_output_or_too_little_of_it_is_degraded_inference() {
    assert_eq!(Played::fed().play(3.0, 30.0, 0.0), State::DegradedInference);
    assert_eq!(Played::fed().play(5.0, 30.0, 9.0), State::DegradedInference);
    assert_eq!(
        Played::fed().play(5.0, 60.0, 10.0),
        State::Online,
        "ten are enough"
    );
    // Thinned to 8 per second, 6.4 of them are enough.
    let mut thinned = Played::fed();
    for quarter in 1..=20_u64 {
        thinned.now += Duration::from_millis(250);
        let counts = Counts {
            input: 8 * quarter,
            wanted: 2 * quarter,
            output: 2 * quarter,
            ..Counts::default()
        };
        thinned.tell(Input::Count(counts));
    }
    assert_eq!(thinned.status.state(), State::Online);
}

#[test]
fn it_recovers_within_the_window() {
    let mut played = Played::fed();
    assert_eq!(played.play(4.0, 30.0, 0.0), State::DegradedInference);
    assert_eq!(played.play(2.25, 30.0, 30.0), State::Online);
    assert_eq!(played.play(2.25, 0.0, 0.0), State::DegradedInput);
}

#[test]
fn feeding_begins_with_a_fresh_judgement() {
    let mut played = Played::fed();
    assert_eq!(played.play(4.0, 0.0, 0.0), State::DegradedInput);
    played.tell(Input::Feed(false));
    assert_eq!(played.status.state(), State::Online);
    played.tell(Input::Feed(true));
    assert_eq!(played.play(1.0, 0.0, 0.0), State::Online);
}

#[test]
fn rates_and_times_are_of_the_last_two_seconds() {
    let mut played = Played::fed();
    played.play(5.0, 30.0, 12.0);
    played.play(5.0, 25.0, 20.0);
    let view = played.status.view();
    assert!((view.input_fps - 25.0).abs() <= 0.5, "{view:?}");
    assert!((view.output_fps - 20.0).abs() <= 0.5, "{view:?}");
    assert_eq!(view.inference_ms, 20.0);
}

#[test]
fn a_failure_is_remembered_and_loading_after_it_is_a_restart() {
    let mut played = Played::loaded();
    played.tell(Input::Hash(0xabc));
    played.tell(Input::Fail("stage: out of memory".to_owned()));
    assert_eq!(played.status.state(), State::Error);
    assert_eq!(played.status.view().restart_count, 0);
    played.tell(Input::Load);
    played.tell(Input::Ready);
    let view = played.status.view();
    assert_eq!((view.state, view.restart_count), (State::Online, 1));
    assert_eq!(view.last_error.as_deref(), Some("stage: out of memory"));
    assert_eq!(
        view.last_params_hash, None,
        "those of the stage that is gone"
    );
    played.tell(Input::Unload);
    played.tell(Input::Load);
    assert_eq!(played.status.view().restart_count, 1);
}

#[test]
fn a_reload_shows_its_progress_while_the_old_engine_goes_on() {
    let mut played = Played::fed();
    let reload = Reload {
        fields: vec!["width".to_owned()],
        part: "unet".to_owned(),
        done: 0.5,
    };
    played.tell(Input::Reload(Some(reload.clone())));
    assert_eq!(played.play(3.0, 30.0, 30.0), State::Online);
    assert_eq!(played.status.view().reload, Some(reload));
    played.tell(Input::FellBack("no such model".to_owned()));
    let view = played.status.view();
    assert_eq!((view.state, view.reload), (State::Online, None));
    assert_eq!(view.last_error.as_deref(), Some("no such model"));
    assert_eq!(view.restart_count, 0);
}

#[test]
fn the_json_has_the_documented_names() {
    let mut status = Status::new();
    status.handle(Instant::now(), Input::Load);
    status.handle(Instant::now(), Input::Hash(0xff));
    assert_eq!(
        serde_json::to_value(status.view()).unwrap(),
        serde_json::json!({
            "state": "LOADING", "input_fps": 0.0, "output_fps": 0.0, "skipped_frames": 0, "inference_ms": 0.0,
            "delay_frames": 0, "last_params_hash": "00000000000000ff", "restart_count": 0, "last_error": null, "reload": null,
        })
    );
    for state in [
        State::Offline,
        State::Online,
        State::DegradedInput,
        State::DegradedInference,
        State::Error,
    ] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
    }
}
