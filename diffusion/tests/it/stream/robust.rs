//! What must not disturb a stream: other threads, broken pictures, failures of libtorch, parameters in any order.

use std::thread;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use reverie_diffusion::Error;
use reverie_diffusion::params::{Blend, CfgType, Interpolation, Params, Transition};
use reverie_diffusion::stream::{Progress, Stream};
use tch::Tensor;

use super::{feed, image, models, params, picture, same, stream};

fn pictures(params: &Params) -> Vec<Tensor> {
    let mut stream = stream(params);
    (0..5).map(|frame| picture(&mut stream, frame)).collect()
}

#[test]
fn the_same_seed_gives_the_same_pictures() {
    let (first, second) = (pictures(&params()), pictures(&params()));
    assert!(first.iter().zip(&second).all(|(a, b)| same(a, b)));
    let other = Params {
        seed: Blend::One(3),
        ..params()
    };
    assert!(!same(&first[4], &pictures(&other)[4]));
}

#[test]
fn streams_on_other_threads_do_not_disturb_each_other() {
    let all: Vec<_> = (0..3)
        .map(|seed| Params {
            seed: Blend::Many(vec![(seed, 1.0), (seed + 100, 2.0)]),
            ..params()
        })
        .collect();
    let expected: Vec<_> = all.iter().map(pictures).collect();
    thread::scope(|scope| {
        for (params, expected) in all.iter().zip(expected) {
            scope.spawn(move || {
                for _ in 0..3 {
                    let made = pictures(params);
                    assert!(made.iter().zip(&expected).all(|(a, b)| same(a, b)));
                }
            });
        }
    });
}

#[test]
fn a_picture_that_is_not_finite_is_refused_and_the_stream_begins_anew() {
    let mut stream = stream(&params());
    let first = picture(&mut stream, 1);
    let broken = image(1) * f64::NAN;
    // Its own picture comes out of the next call.
    assert!(stream.frame(&broken).unwrap().picture.tensor().is_ok());
    let made = stream.frame(&image(2)).unwrap().picture;
    let mut bytes = vec![0; 3 * 8 * 16];
    assert!(matches!(made.rgb(&mut bytes), Err(Error::NotFinite)));
    assert!(matches!(made.tensor(), Err(Error::NotFinite)));
    assert!(bytes.iter().all(|byte| *byte == 0), "nothing was written");
    assert!(same(&picture(&mut stream, 1), &first));
}

#[test]
fn bytes_are_the_picture_in_interleaved_rgb() {
    let mut stream = stream(&params());
    let picture = stream.frame(&image(1)).unwrap().picture;
    let mut bytes = vec![0; 3 * 8 * 16];
    picture.rgb(&mut bytes).unwrap();
    let tensor = picture.tensor().unwrap();
    for (channel, row, column) in [(0, 0, 0), (2, 3, 5), (1, 7, 15)] {
        let value = tensor.double_value(&[0, channel, row, column]);
        let byte = bytes[((row * 16 + column) * 3 + channel) as usize];
        assert!((value * 255.0 - f64::from(byte)).abs() <= 0.5001);
    }
    assert!(picture.rgb(&mut bytes[1..]).is_err());
}

#[test]
fn a_failure_of_libtorch_is_an_error_and_leaves_the_stream_as_it_was() {
    let (mut failed, mut other) = (stream(&params()), stream(&params()));
    feed(&mut failed, 1);
    feed(&mut other, 1);
    let call = failed.begin(&image(2)).unwrap().unwrap();
    let error = failed
        .finish(call, &Tensor::from(0.0).view([1, 1]))
        .unwrap_err();
    assert!(matches!(error, Error::Torch(_)), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(same(&picture(&mut failed, 2), &picture(&mut other, 2)));
}

#[test]
fn a_frame_of_another_size_is_refused() {
    let mut stream = stream(&params());
    let wrong = image(1).transpose(2, 3);
    assert!(matches!(stream.frame(&wrong), Err(Error::Parameter(_))));
}

#[test]
fn a_call_that_was_begun_before_a_change_is_not_finished_after_it() {
    let mut stream = stream(&params());
    let call = stream.begin(&image(1)).unwrap().unwrap();
    let other = Params {
        seed: Blend::One(4),
        ..params()
    };
    stream.apply(&other).unwrap();
    assert!(matches!(stream.input(&call), Err(Error::Parameter(_))));
    let answer = call.latents.zeros_like();
    assert!(matches!(
        stream.finish(call, &answer),
        Err(Error::Parameter(_))
    ));
}

#[test]
fn controlnets_have_to_be_loaded() {
    let wanted = Params {
        controlnets: vec![reverie_diffusion::params::ControlNet {
            model_id: "controlnet_turbo_a".to_owned(),
            conditioning_scale: 1.0,
            preprocessor: Default::default(),
        }],
        ..params()
    };
    assert!(Stream::new(models(&[]), &wanted).is_err());
    assert!(Stream::new(models(&["controlnet_turbo_a"]), &wanted).is_ok());
}

#[derive(Clone, Debug)]
enum Change {
    Prompt(Blend<String>),
    Negative(String),
    Method(Interpolation, bool),
    Steps(u32, Vec<u32>),
    Seed(Blend<u64>),
    Guidance(f64, f64),
    Cfg(Option<CfgType>),
    Noise(bool),
    Filter(bool, f64, u32),
    Transition(Blend<String>, u32),
    Control(f64),
}

impl Change {
    fn apply(self, params: &mut Params) {
        match self {
            Self::Prompt(prompt) => params.prompt = prompt,
            Self::Negative(prompt) => params.negative_prompt = prompt,
            Self::Method(method, normalize) => {
                params.prompt_interpolation_method = method;
                params.seed_interpolation_method = method;
                params.normalize_prompt_weights = normalize;
                params.normalize_seed_weights = normalize;
            }
            Self::Steps(steps, indices) => {
                params.num_inference_steps = steps;
                params.t_index_list = indices;
            }
            Self::Seed(seed) => params.seed = seed,
            Self::Guidance(scale, delta) => {
                params.guidance_scale = scale;
                params.delta = delta;
            }
            Self::Cfg(kind) => params.cfg_type = kind,
            Self::Noise(wanted) => params.do_add_noise = wanted,
            Self::Filter(on, threshold, most) => {
                params.enable_similar_image_filter = on;
                params.similar_image_filter_threshold = threshold;
                params.similar_image_filter_max_skip_frame = most;
            }
            Self::Transition(target, num_steps) => {
                params.transition = Some(Transition { target, num_steps });
            }
            Self::Control(scale) => params.controlnets[0].conditioning_scale = scale,
        }
    }
}

fn blend<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Blend<T>> {
    prop_oneof![
        value.clone().prop_map(Blend::One),
        prop::collection::vec((value, 0.1..3.0), 1..4).prop_map(Blend::Many),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let text = select(vec!["", "a cat", "the dog", "neon flowers"]).prop_map(str::to_owned);
    let kinds = vec![
        None,
        Some(CfgType::None),
        Some(CfgType::Full),
        Some(CfgType::SelfNegative),
        Some(CfgType::Initialize),
    ];
    let places = (0..50).collect::<Vec<u32>>();
    prop_oneof![
        blend(text.clone()).prop_map(Change::Prompt),
        text.clone().prop_map(Change::Negative),
        (
            select(vec![Interpolation::Linear, Interpolation::Slerp]),
            any::<bool>()
        )
            .prop_map(|(method, normalize)| Change::Method(method, normalize)),
        // Also ones that do not fit.
        (30_u32..52, subsequence(places, 1..=5)).prop_map(|(n, at)| Change::Steps(n, at)),
        blend(0_u64..1000).prop_map(Change::Seed),
        (0.0..3.0, 0.0..2.0).prop_map(|(scale, delta)| Change::Guidance(scale, delta)),
        select(kinds).prop_map(Change::Cfg),
        any::<bool>().prop_map(Change::Noise),
        (any::<bool>(), 0.0..=1.0, 0_u32..5)
            .prop_map(|(on, at, most)| Change::Filter(on, at, most)),
        (blend(text), 1_u32..5).prop_map(|(target, n)| Change::Transition(target, n)),
        select(vec![0.0, 0.5, 1.0]).prop_map(Change::Control),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_hot_changes_breaks_the_stream(
        changes in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..8)
    ) {
        let first = Params {
            controlnets: vec![reverie_diffusion::params::ControlNet {
                model_id: "controlnet_turbo_a".to_owned(),
                conditioning_scale: 0.5,
                preprocessor: Default::default(),
            }],
            ..params()
        };
        let mut stream = Stream::new(models(&["controlnet_turbo_a"]), &first).unwrap();
        for (number, together) in changes.into_iter().enumerate() {
            let mut next = stream.params().clone();
            for change in together {
                change.apply(&mut next);
            }
            let before = stream.params().clone();
            match stream.apply(&next) {
                Ok(()) => prop_assert_eq!(stream.params(), &next.settled()),
                Err(Error::Parameter(_)) => prop_assert_eq!(stream.params(), &before),
                Err(error) => prop_assert!(false, "{}", error),
            }
            let made = stream.frame(&image(number as i64)).unwrap().picture;
            prop_assert_eq!(made.tensor().unwrap().size(), [1, 3, 8, 16]);
        }
    }
}

#[test]
fn priming_takes_as_many_calls_as_there_are_steps() {
    let mut stream = stream(&params());
    let mut call = stream.begin(&image(1)).unwrap().unwrap();
    let mut calls = 1;
    loop {
        let answer = call.latents.zeros_like();
        match stream.finish(call, &answer).unwrap() {
            Progress::Again(next) => call = next,
            Progress::Done(_) => break,
        }
        calls += 1;
    }
    assert_eq!(calls, params().t_index_list.len());
    let call = stream.begin(&image(2)).unwrap().unwrap();
    let answer = call.latents.zeros_like();
    assert!(matches!(
        stream.finish(call, &answer).unwrap(),
        Progress::Done(_)
    ));
}
