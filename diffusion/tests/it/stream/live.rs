//! Changes while pictures come out.

use std::rc::Rc;

use reverie_diffusion::Error;
use reverie_diffusion::params::{Blend, CfgType, Params, Transition};
use reverie_diffusion::stream::{Picture, Progress, Stream};
use tch::Tensor;

use super::{feed, image, models, params, picture, same, stream};

fn prompt(text: &str) -> Blend<String> {
    Blend::One(text.to_owned())
}

#[test]
fn the_first_frame_comes_out_of_the_first_call() {
    for (steps, delay) in [
        (vec![20], 0),
        (vec![12, 20, 32], 2),
        (vec![4, 8, 16, 32], 3),
    ] {
        let mut stream = stream(&Params {
            t_index_list: steps,
            ..params()
        });
        assert_eq!(stream.delay(), delay);
        let first = picture(&mut stream, 1);
        // What comes out next is still of the first frame: nothing but the noise of its past differs.
        assert_eq!(first.size(), [1, 3, 8, 16]);
        stream.restart();
        assert!(same(&picture(&mut stream, 1), &first));
    }
}

#[test]
fn a_prompt_takes_effect_with_the_next_frame() {
    let (mut changed, mut other) = (stream(&params()), stream(&params()));
    feed(&mut changed, 1);
    feed(&mut other, 1);
    let next = Params {
        prompt: prompt("the dog"),
        ..params()
    };
    changed.apply(&next).unwrap();
    assert!(!same(&picture(&mut changed, 2), &picture(&mut other, 2)));
}

#[test]
fn a_change_that_is_taken_back_leaves_nothing_behind() {
    let (mut changed, mut other) = (stream(&params()), stream(&params()));
    feed(&mut changed, 1);
    feed(&mut other, 1);
    let next = Params {
        prompt: prompt("the dog"),
        negative_prompt: "neon".to_owned(),
        seed: Blend::One(5),
        cfg_type: Some(CfgType::Full),
        t_index_list: vec![1, 2],
        ..params()
    };
    changed.apply(&next).unwrap();
    changed.apply(&params()).unwrap();
    assert!(same(&picture(&mut changed, 2), &picture(&mut other, 2)));
}

#[test]
fn a_change_that_cannot_be_followed_changes_nothing() {
    let (mut changed, mut other) = (stream(&params()), stream(&params()));
    feed(&mut changed, 1);
    feed(&mut other, 1);
    let good = Params {
        prompt: prompt("the dog"),
        seed: Blend::One(9),
        ..params()
    };
    for bad in [
        Params {
            t_index_list: vec![10, 50],
            ..good.clone()
        },
        Params {
            t_index_list: vec![],
            ..good.clone()
        },
        Params {
            t_index_list: vec![1, 2, 3, 4, 5],
            ..good.clone()
        },
        Params {
            num_inference_steps: 51,
            ..good.clone()
        },
        Params {
            num_inference_steps: 40,
            ..good.clone()
        },
        Params {
            width: 15,
            ..good.clone()
        },
        Params {
            frame_buffer_size: 0,
            ..good.clone()
        },
        Params {
            prompt: Blend::Many(vec![("a".to_owned(), 0.0)]),
            ..good.clone()
        },
    ] {
        let error = changed.apply(&bad).unwrap_err();
        assert!(matches!(error, Error::Parameter(_)), "{error}");
        assert_eq!(*changed.params(), params());
    }
    assert!(same(&picture(&mut changed, 2), &picture(&mut other, 2)));
}

#[test]
fn a_transition_goes_all_the_way_and_a_new_prompt_ends_it() {
    let target = Params {
        prompt: prompt("the dog"),
        ..params()
    };
    let expected = stream(&target).embeddings().tokens.shallow_clone();
    let moving = Params {
        transition: Some(Transition {
            target: prompt("the dog"),
            num_steps: 3,
        }),
        ..params()
    };
    let mut stream = stream(&params());
    let start = stream.embeddings().tokens.shallow_clone();
    stream.apply(&moving).unwrap();
    assert_eq!(*stream.params(), target, "the target is what is asked for");
    let mut distance = f64::INFINITY;
    for frame in 1..=3 {
        // Parameters that say nothing new do not stop it.
        stream.apply(&target).unwrap();
        feed(&mut stream, frame);
        let left = (&stream.embeddings().tokens - &expected)
            .norm()
            .double_value(&[]);
        assert!(left < distance, "frame {frame}");
        distance = left;
    }
    assert!(same(&stream.embeddings().tokens, &expected));
    stream.apply(&params()).unwrap();
    stream.apply(&moving).unwrap();
    feed(&mut stream, 4);
    stream.apply(&params()).unwrap();
    assert!(same(&stream.embeddings().tokens, &start));
    feed(&mut stream, 5);
    assert!(same(&stream.embeddings().tokens, &start));
}

#[test]
fn steps_one_after_the_other_are_without_delay_and_the_same_for_a_seed() {
    let single = Params {
        use_denoising_batch: false,
        cfg_type: Some(CfgType::Full),
        ..params()
    };
    let (mut one, mut other) = (stream(&single), stream(&single));
    assert_eq!(one.delay(), 0);
    let first = picture(&mut one, 1);
    feed(&mut other, 3);
    assert!(
        same(&picture(&mut other, 1), &first),
        "a picture is of its own frame only"
    );
}

#[test]
fn the_size_can_change_if_the_model_is_loaded_for_it() {
    let mut stream = stream(&params());
    feed(&mut stream, 1);
    let larger = Params {
        width: 24,
        height: 16,
        ..params()
    };
    stream.apply(&larger).unwrap();
    assert!(matches!(stream.frame(&image(1)), Err(Error::Parameter(_))));
    let image = Tensor::full([1, 3, 16, 24], 0.5, (tch::Kind::Float, tch::Device::Cpu));
    let made = stream.frame(&image).unwrap().picture;
    assert_eq!(made.size(), (1, 16, 24));
}

#[test]
fn the_frames_of_two_streams_go_through_one_call_of_the_unet() {
    let models = Rc::new(models(&[]));
    let other = Params {
        prompt: prompt("the dog"),
        seed: Blend::One(11),
        ..params()
    };
    let new = |params: &Params| Stream::new(Rc::clone(&models), params).unwrap();
    let mut alone = [new(&params()), new(&other)];
    let mut together = [new(&params()), new(&other)];
    for frame in 0..4 {
        let expected: Vec<_> = (0..2)
            .map(|i| alone[i].frame(&image(frame + i as i64)).unwrap().picture)
            .collect();
        let made = shared(&mut together, frame);
        for (made, expected) in made.iter().zip(&expected) {
            let difference = made.tensor().unwrap() - expected.tensor().unwrap();
            let difference = difference.abs().max().double_value(&[]);
            assert!(difference < 1e-4, "frame {frame}: {difference:e}");
        }
    }
}

/// One frame of two streams of one model.
fn shared(
    streams: &mut [Stream<Rc<reverie_diffusion::stream::Models>>; 2],
    frame: i64,
) -> Vec<Picture> {
    use reverie_diffusion::unet::{Context, Time};
    let [a, b] = streams;
    let mut calls = (
        a.begin(&image(frame)).unwrap().unwrap(),
        b.begin(&image(frame + 1)).unwrap().unwrap(),
    );
    loop {
        let answer = {
            let inputs = (a.input(&calls.0).unwrap(), b.input(&calls.1).unwrap());
            let x = Tensor::cat(&[&inputs.0.x, &inputs.1.x], 0);
            let time = Time::cat(&[inputs.0.time, inputs.1.time]);
            let context = Context::cat(&[inputs.0.context, inputs.1.context]);
            a.models().unet.forward(&x, &time, &context, None)
        };
        let halves = answer.chunk(2, 0);
        match (
            a.finish(calls.0, &halves[0]).unwrap(),
            b.finish(calls.1, &halves[1]).unwrap(),
        ) {
            (Progress::Again(first), Progress::Again(second)) => calls = (first, second),
            (Progress::Done(first), Progress::Done(second)) => {
                return vec![a.decode(&first).unwrap(), b.decode(&second).unwrap()];
            }
            _ => unreachable!("both have the same number of steps"),
        }
    }
}
