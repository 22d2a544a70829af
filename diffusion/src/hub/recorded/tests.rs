//! The processor stands in for a device that records: it does the work each time, from the same copies and into the same
//! memory as a graph would.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::*;
use crate::device::Placement;
use crate::folder::Folder;
use crate::unet::{Context, Time};

struct Directly {
    recorded: Rc<Cell<usize>>,
    fails: bool,
}

struct Direct {
    inputs: Inputs,
    output: Tensor,
}

impl Recorder for Directly {
    fn record(&self, inputs: Inputs, work: &Work<'_>) -> Result<Box<dyn Recording>, Error> {
        if self.fails {
            return Err(Error::Torch("the device refuses".to_owned()));
        }
        self.recorded.set(self.recorded.get() + 1);
        let output = work(inputs.own());
        Ok(Box::new(Direct { inputs, output }))
    }
}

impl Recording for Direct {
    fn inputs(&mut self) -> &mut Inputs {
        &mut self.inputs
    }

    fn replay(&mut self, work: &Work<'_>) -> Result<Tensor, Error> {
        self.output.copy_(&work(self.inputs.own()));
        Ok(self.output.shallow_clone())
    }
}

fn recorded(fails: bool) -> (Recorded, Rc<Cell<usize>>) {
    let count = Rc::new(Cell::new(0));
    let recorder = Directly {
        recorded: Rc::clone(&count),
        fails,
    };
    (Recorded::with(Box::new(recorder)), count)
}

fn unet() -> UNet2DCondition {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/turbo/unet");
    let loaded = UNet2DCondition::load(&Folder::new(folder), Placement::CPU, None);
    loaded.expect("the committed model loads").0
}

/// What a stream of `rows` frames tells, another one for each `seed`.
fn told(unet: &UNet2DCondition, rows: i64, seed: i64) -> (Tensor, Time, Context) {
    tch::manual_seed(seed);
    let float = (Kind::Float, tch::Device::Cpu);
    let width = *unet
        .config()
        .cross_attention_dim
        .values()
        .next()
        .expect("one");
    let timesteps = Tensor::full([rows], 400 + seed, (Kind::Int64, tch::Device::Cpu));
    (
        Tensor::randn([rows, 4, 8, 8], float),
        unet.time(&timesteps, None),
        unet.context(&Tensor::randn([rows, 77, width], float)),
    )
}

fn given<'a>((x, time, context): &'a (Tensor, Time, Context)) -> Given<'a> {
    Given {
        x,
        time,
        context,
        residuals: None,
    }
}

fn far(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn a_shape_that_comes_again_is_recorded_and_answers_what_it_would_otherwise() {
    let _without_gradients = tch::no_grad_guard();
    let (unet, (mut recorded, count)) = (unet(), recorded(false));
    let calls: Vec<_> = (0..3).map(|seed| told(&unet, 2, seed)).collect();
    let mut answers = Vec::new();
    for turn in 0..7 {
        let given = given(&calls[turn % 3]);
        let (answer, way) = recorded.call(&unet, &given);
        let expected = if turn < 3 { Way::Eager } else { Way::Replayed };
        assert_eq!(way, expected, "call {turn}");
        answers.push((answer, given.call(&unet)));
    }
    assert_eq!(count.get(), 1);
    // All at the end: no call may have changed the answer of one before.
    for (turn, (answer, expected)) in answers.iter().enumerate() {
        assert!(far(answer, expected) == 0.0, "call {turn}");
    }
    assert!(far(&answers[3].0, &answers[4].0) > 0.01, "they differ");
}

#[test]
fn each_shape_has_a_recording_of_its_own_and_the_oldest_is_dropped() {
    let _without_gradients = tch::no_grad_guard();
    let (unet, (mut recorded, count)) = (unet(), recorded(false));
    let shapes = SHAPES as i64 + 1;
    let mut all_of = |rows: i64| {
        let told = told(&unet, rows, rows);
        for _ in 0..4 {
            let _ = recorded.call(&unet, &given(&told));
        }
    };
    for rows in 1..=shapes {
        all_of(rows);
    }
    assert_eq!(count.get(), SHAPES + 1);
    all_of(shapes);
    assert_eq!(count.get(), SHAPES + 1, "it is still there");
    all_of(1);
    assert_eq!(count.get(), SHAPES + 2, "the first one is gone");
    assert_eq!(recorded.known.len(), SHAPES);
}

#[test]
fn what_did_not_come_for_long_is_forgotten() {
    let (mut all, mut calls) = (Vec::new(), 0);
    let _ = known(&mut all, &mut calls, vec![1]);
    for _ in 0..IDLE - 1 {
        let _ = known(&mut all, &mut calls, vec![2]);
    }
    assert_eq!(all.len(), 2);
    let _ = known(&mut all, &mut calls, vec![2]);
    assert_eq!(all.len(), 1);
}

#[test]
fn where_recording_fails_the_unet_is_called_all_the_same_and_it_is_told() {
    let _without_gradients = tch::no_grad_guard();
    let (unet, (mut recorded, _)) = (unet(), recorded(true));
    let told = told(&unet, 1, 1);
    let expected = given(&told).call(&unet);
    let mut ways = Vec::new();
    for _ in 0..5 {
        let (answer, way) = recorded.call(&unet, &given(&told));
        assert!(far(&answer, &expected) == 0.0);
        ways.push(way);
    }
    assert_eq!(ways[..3], [Way::Eager; 3]);
    assert_eq!(ways[3..], [Way::FellBack; 2]);
}

#[test]
fn a_processor_records_nothing_and_falls_back_from_nothing() {
    let _without_gradients = tch::no_grad_guard();
    let unet = unet();
    let mut recorded = Recorded::new(tch::Device::Cpu, Acceleration::Graphs);
    let told = told(&unet, 1, 1);
    for _ in 0..5 {
        assert_eq!(recorded.call(&unet, &given(&told)).1, Way::Eager);
    }
}
