//! The similar-image filter.

use reverie_diffusion::params::{Blend, Params};
use reverie_diffusion::stream::filter::{SimilarImageFilter, Uniforms};
use safetensors::SafeTensors;
use serde::Deserialize;
use tch::Tensor;

use super::{fixture, image, params, stream};

#[derive(Deserialize)]
struct Case {
    threshold: f64,
    max_skip_frame: u32,
    frames: Vec<Decision>,
}

#[derive(Deserialize)]
struct Decision {
    u: f64,
    skipped: bool,
}

#[test]
fn with_the_recorded_chances_it_decides_like_the_original() {
    let path = fixture("golden/similar_image/similar_image.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let cases: Vec<Case> = serde_json::from_str(&metadata["case"]).unwrap();
    let pictures = &Tensor::read_safetensors(&path).unwrap()[0].1;
    let mut skipped = 0;
    for case in cases {
        let mut filter = SimilarImageFilter::new(case.threshold, case.max_skip_frame);
        for (frame, theirs) in case.frames.iter().enumerate() {
            let ours = filter.skips(&pictures.get(frame as i64), theirs.u);
            assert_eq!(ours, theirs.skipped, "frame {frame} at {}", case.threshold);
            skipped += usize::from(ours);
        }
    }
    assert!(skipped > 0, "some frames are similar");
}

#[test]
fn the_chances_are_spread_evenly_and_the_same_for_a_seed() {
    let draws: Vec<_> = Uniforms::new(7).take(4000).collect();
    assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
    let mean = draws.iter().sum::<f64>() / 4000.0;
    assert!((mean - 0.5).abs() < 0.02, "{mean}");
    assert!(draws.iter().copied().eq(Uniforms::new(7).take(4000)));
    assert!(!draws.iter().copied().eq(Uniforms::new(8).take(4000)));
}

fn filtered() -> Params {
    Params {
        enable_similar_image_filter: true,
        similar_image_filter_threshold: 0.5,
        similar_image_filter_max_skip_frame: 4,
        ..params()
    }
}

#[test]
fn a_frame_like_the_last_one_gives_the_last_picture_again() {
    let mut stream = stream(&filtered());
    let first = stream.frame(&image(1)).unwrap();
    assert!(!first.repeated, "there is nothing before it");
    let again = stream.frame(&image(1)).unwrap();
    assert!(again.repeated);
    assert_eq!(
        first.picture.tensor().unwrap(),
        again.picture.tensor().unwrap()
    );
    let other: Tensor = 1.0 - image(1);
    assert!(
        !stream.frame(&other).unwrap().repeated,
        "it looks different"
    );
}

#[test]
fn a_still_picture_is_computed_again_after_a_while() {
    let mut stream = stream(&filtered());
    let computed = (0..20)
        .filter(|_| !stream.frame(&image(1)).unwrap().repeated)
        .count();
    assert!((3..=6).contains(&computed), "{computed} of 20");
}

#[test]
fn a_change_shows_with_the_next_frame_although_the_picture_is_still() {
    let mut stream = stream(&filtered());
    for _ in 0..3 {
        stream.frame(&image(1)).unwrap();
    }
    let next = Params {
        prompt: Blend::One("the dog".to_owned()),
        ..filtered()
    };
    stream.apply(&next).unwrap();
    for _ in 0..next.t_index_list.len() {
        assert!(!stream.frame(&image(1)).unwrap().repeated);
    }
    assert!(stream.frame(&image(1)).unwrap().repeated);
}
