//! The whole way: units in, styled units out, and everything that can go wrong between.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like the tests"
)]

#[path = "../common/mod.rs"]
mod common;
mod running;
mod trouble;

use std::sync::mpsc as std_mpsc;

use common::{TICKS, barcode, frame, picture, size, stream};
use reverie_transcoder::pipeline::{Config, Event, Handle};
use reverie_transcoder::stage::{Applied, Passthrough};
use reverie_transcoder::{AccessUnit, Pts, StageError, StageFactory, StylePatch};
use running::{Custom, DEADLINE, Running, custom, decoded, invert};

#[test]
fn the_negative_of_every_picture_comes_out_readable() {
    let mut running = Running::ready(invert());
    let source = stream(1..=30, size(640, 360), |_| false);
    let styled: Vec<_> = source.iter().map(|unit| running.through(unit)).collect();
    assert!(styled[0].keyframe);
    assert!(styled[1..].iter().all(|unit| !unit.keyframe));
    let frames = decoded(styled);
    for (source, frame) in source.iter().zip(&frames) {
        assert_eq!((frame.pts, frame.arrived), (source.pts, source.arrived));
        let code = barcode::read(picture(frame)).unwrap();
        assert!(code.inverted);
        assert_eq!(u64::from(code.number), source.pts.0 / TICKS);
    }
    let counters = running.handle.counters();
    assert_eq!(
        (counters.pushed, counters.decoded, counters.staged),
        (30, 30, 30)
    );
    assert_eq!(
        (counters.encoded, counters.keyframes, counters.dropped_units),
        (30, 1, 0)
    );
    assert!(counters.decode_nanos > 0 && counters.stage_nanos > 0 && counters.encode_nanos > 0);
    for (_, timing) in &running.units {
        assert!(timing.total >= timing.decode + timing.stage + timing.encode);
    }
}

#[test]
fn a_keyframe_comes_exactly_from_the_time_that_was_named() {
    let mut running = Running::ready(invert());
    let source = stream(1..=20, size(320, 180), |_| false);
    running.handle.keyframe_from(Pts(10 * TICKS - 1));
    for (number, unit) in (1..).zip(&source) {
        if number == 15 {
            running.handle.request_keyframe();
        }
        assert_eq!(
            running.through(unit).keyframe,
            [1, 10, 15].contains(&number),
            "{number}"
        );
    }
}

#[test]
fn a_change_of_size_in_the_stream_is_followed() {
    let mut running = Running::ready(invert());
    let mut source = stream(1..=5, size(320, 180), |_| false);
    source.extend(stream(6..=10, size(640, 360), |_| false));
    let styled: Vec<_> = source.iter().map(|unit| running.through(unit)).collect();
    let keyframes: Vec<_> = styled.iter().map(|unit| unit.keyframe).collect();
    assert_eq!(keyframes.iter().filter(|&&keyframe| keyframe).count(), 2);
    assert!(keyframes[0] && keyframes[5]);
    let frames = decoded(styled);
    assert_eq!(picture(&frames[9]).size(), size(640, 360));
    assert!(
        frames
            .iter()
            .all(|frame| barcode::read(picture(frame)).is_some_and(|c| c.inverted))
    );
}

#[test]
fn after_a_gap_nothing_is_decoded_until_a_keyframe() {
    let mut running = Running::ready(invert());
    let source = stream(1..=12, size(320, 180), |number| number == 10);
    for unit in &source[..4] {
        running.through(unit);
    }
    running.handle.gap();
    running.until("a request for a keyframe", |event| {
        matches!(event, Event::NeedKeyframe)
    });
    for unit in &source[5..9] {
        running.handle.push(unit.clone());
    }
    for unit in &source[9..] {
        running.through(unit);
    }
    let counters = running.handle.counters();
    assert_eq!((counters.decoded, counters.dropped_units), (7, 4));
    assert_eq!((counters.decode_errors, counters.keyframe_needs), (0, 1));
}

#[test]
fn a_loss_that_nobody_noticed_shows_in_the_decoder_and_asks_for_a_keyframe() {
    let mut running = Running::ready(invert());
    let source = stream(1..=12, size(320, 180), |number| number == 10);
    for unit in &source[..4] {
        running.through(unit);
    }
    running.handle.push(source[5].clone());
    running.until("a request for a keyframe", |event| {
        matches!(event, Event::NeedKeyframe)
    });
    for unit in &source[6..9] {
        running.handle.push(unit.clone());
    }
    for unit in &source[9..] {
        running.through(unit);
    }
    let counters = running.handle.counters();
    assert_eq!((counters.decode_errors, counters.dropped_units), (1, 3));
    let frames = decoded(running.units.iter().map(|(unit, _)| unit.clone()));
    assert_eq!(frames.len(), 7, "the styled stream itself has no gap");
}

#[test]
fn a_stream_that_starts_in_the_middle_asks_for_a_keyframe() {
    let mut running = Running::ready(invert());
    let source = stream(1..=3, size(320, 180), |_| false);
    let input = running.handle.input();
    input.push(source[1].clone());
    running.until("a request for a keyframe", |event| {
        matches!(event, Event::NeedKeyframe)
    });
    input.push(source[2].clone());
    assert_eq!(running.handle.counters().dropped_units, 2);
    running.through(&source[0]);
}

#[test]
fn a_slow_stage_gets_the_newest_frame_and_the_others_are_counted() {
    let (go, gate) = std_mpsc::channel::<()>();
    let (entered, inside) = std_mpsc::channel();
    let mut running = Running::ready(custom(move |frame| {
        entered.send(frame.pts).unwrap();
        let _ = gate.recv();
        Ok(Some(frame))
    }));
    let source = stream(1..=6, size(320, 180), |_| false);
    running.handle.push(source[0].clone());
    assert_eq!(inside.recv_timeout(DEADLINE).unwrap(), source[0].pts);
    for unit in &source[1..] {
        running.handle.push(unit.clone());
    }
    // A frame is counted as decoded before it is in its place, and as displaced when another is.
    running.counted("displaced frames", |counters| {
        counters.displaced_before_stage >= 4
    });
    go.send(()).unwrap();
    assert_eq!(inside.recv_timeout(DEADLINE).unwrap(), source[5].pts);
    go.send(()).unwrap();
    assert_eq!(running.handle.counters().decoded, 6);
    running.until(
        "the newest",
        |event| matches!(event, Event::Unit { unit, .. } if unit.pts == Pts(6 * TICKS)),
    );
    assert_eq!(running.handle.counters().displaced_before_stage, 4);
}

#[test]
fn units_that_nobody_takes_are_dropped_and_the_next_one_is_a_keyframe() {
    let mut running = Running::ready(invert());
    let source = stream(1..=12, size(320, 180), |_| false);
    for (encoded, unit) in (1..).zip(&source[..8]) {
        running.handle.push(unit.clone());
        // A unit is counted as encoded before it is handed out or dropped.
        running.counted("a unit handed out or dropped", |counters| {
            counters.encoded >= encoded && counters.dropped_output + 4 >= encoded
        });
    }
    // Room is made first: the next unit can be ready before the first event is read.
    for unit in &source[..4] {
        let pts = unit.pts;
        let event = running.until("a unit that waited", |_| true);
        let Event::Unit { unit, timing } = event else {
            panic!("{event:?}");
        };
        assert_eq!(unit.pts, pts);
        running.units.push((unit, timing));
    }
    let next = running.through(&source[8]);
    assert!(next.keyframe);
    let delivered: Vec<u64> = running
        .units
        .iter()
        .map(|(unit, _)| unit.pts.0 / TICKS)
        .collect();
    assert_eq!(delivered, [1, 2, 3, 4, 9]);
    assert_eq!(running.handle.counters().dropped_output, 4);
    assert!(!running.through(&source[9]).keyframe);
    decoded(running.units.iter().map(|(unit, _)| unit.clone()));
}

#[test]
fn a_pause_drops_what_is_under_way_and_the_next_moment_starts_with_a_keyframe() {
    let (go, gate) = std_mpsc::channel::<()>();
    let (entered, inside) = std_mpsc::channel();
    let mut running = Running::ready(custom(move |frame| {
        entered.send(()).unwrap();
        let _ = gate.recv();
        Ok(Some(frame))
    }));
    let first = stream(1..=3, size(320, 180), |_| false);
    running.handle.push(first[0].clone());
    inside.recv_timeout(DEADLINE).unwrap();
    running.handle.pause();
    drop(go);
    // From here on the stage lets everything through at once.
    let second = stream(10..=12, size(320, 180), |_| false);
    running.handle.push(second[1].clone());
    running.until("a request for a keyframe", |event| {
        matches!(event, Event::NeedKeyframe)
    });
    assert!(running.through(&second[0]).keyframe);
    assert!(!running.through(&second[1]).keyframe);
    let delivered: Vec<u64> = running
        .units
        .iter()
        .map(|(unit, _)| unit.pts.0 / TICKS)
        .collect();
    assert_eq!(
        delivered,
        [10, 11],
        "the frame in the stage at the pause never comes out"
    );
    let counters = running.handle.counters();
    assert_eq!(counters.stale + counters.displaced_after_stage, 1);
}

#[test]
fn styles_are_answered_in_order_also_while_no_picture_comes() {
    let factory: StageFactory = Box::new(|| {
        let apply = |patch: &StylePatch| match patch.prompt.as_deref() {
            Some("bad") => Err(StageError::Style("bad".into())),
            _ => Ok(Applied::all(patch)),
        };
        Ok(Box::new(Custom(|frame| Ok(Some(frame)), apply)))
    });
    let mut running = Running::ready(factory);
    for prompt in ["good", "bad", "good"] {
        running
            .handle
            .apply(StylePatch::new().with_prompt(prompt))
            .unwrap();
    }
    let answers: Vec<bool> = (0..3)
        .map(
            |_| match running.until("an answer", |event| matches!(event, Event::Applied { .. })) {
                Event::Applied { result, .. } => result.is_ok_and(|applied| applied.prompt),
                other => panic!("{other:?}"),
            },
        )
        .collect();
    assert_eq!(answers, [true, false, true]);
    assert_eq!(running.handle.counters().refused_styles, 1);
    running.through(&stream([1], size(320, 180), |_| false)[0]);
}

#[test]
fn an_answer_names_the_first_frame_it_holds_for_and_the_parameters_in_force() {
    let factory: StageFactory = Box::new(|| {
        let apply = |patch: &StylePatch| {
            let hash = patch.params.as_ref().map_or(0, |text| text.len() as u64);
            Ok(Applied::all(patch).with_params_hash(hash))
        };
        Ok(Box::new(Custom(|frame| Ok(Some(frame)), apply)))
    });
    let mut running = Running::ready(factory);
    let ask = |running: &mut Running| {
        let patch = StylePatch::new().with_params("{}");
        running.handle.apply(patch).unwrap();
        match running.until("an answer", |event| matches!(event, Event::Applied { .. })) {
            Event::Applied { result, frame } => (frame, result.unwrap().params_hash),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut running), (0, Some(2)));
    for unit in stream([1, 2], size(320, 180), |_| false) {
        running.through(&unit);
    }
    assert_eq!(ask(&mut running), (2, Some(2)));
}

#[test]
fn frames_above_the_highest_rate_do_not_reach_the_stage() {
    let config = Config {
        max_fps: 15,
        ..Config::new("test")
    };
    let mut running = Running::with(config, Box::new(|| Ok(Box::new(Passthrough))));
    running.until("ready", |event| matches!(event, Event::Ready { .. }));
    let source = stream(1..=9, size(320, 180), |_| false);
    for unit in source.iter().step_by(1) {
        running.handle.push(unit.clone());
        let number = unit.pts.0 / TICKS;
        if number % 2 == 1 {
            running.until("every second unit", |event| {
                matches!(event, Event::Unit { unit, .. } if unit.pts == Pts(number * TICKS))
            });
        }
    }
    let counters = running.handle.counters();
    assert_eq!(
        (counters.decoded, counters.thinned, counters.encoded),
        (9, 4, 5)
    );
}

#[test]
fn the_bitrate_follows_the_owner() {
    let mut running = Running::ready(Box::new(|| Ok(Box::new(Passthrough))));
    let source = stream(1..=180, size(640, 360), |_| false);
    let bytes = |running: &mut Running, bits_per_s, units: &[AccessUnit]| -> usize {
        running.handle.set_bitrate(bits_per_s);
        let before = running.units.len();
        for unit in units {
            running.handle.push(unit.clone());
            // Rate control may skip this frame: one more counter says so.
            running.counted("a unit or none", |counters| {
                counters.encoded + counters.skipped >= unit.pts.0 / TICKS
            });
            while let Ok(event) = running.events.try_recv() {
                if let Event::Unit { unit, timing } = event {
                    running.units.push((unit, timing));
                }
            }
        }
        running.units[before..]
            .iter()
            .map(|(unit, _)| unit.data.len())
            .sum()
    };
    let high = bytes(&mut running, 2_000_000, &source[..90]);
    let low = bytes(&mut running, 200_000, &source[90..]);
    assert!(high > 3 * low, "{high} and {low} bytes");
}

#[test]
fn a_handle_and_its_input_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Handle>();
    shared::<reverie_transcoder::pipeline::Input>();
}

#[test]
fn frames_are_the_test_picture() {
    let code = barcode::read(picture(&frame(7, size(640, 360)))).unwrap();
    assert_eq!((code.number, code.millis, code.inverted), (7, 231, false));
}
