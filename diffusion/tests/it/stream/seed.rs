//! Noise of seeds.

use std::thread;

use reverie_diffusion::params::{Blend, Interpolation};
use reverie_diffusion::stream::blend::Method;
use reverie_diffusion::stream::seed::{blended, noise, noise_in_two};
use tch::Tensor;

use super::{fixture, same};

const LINEAR: Method = Method {
    interpolation: Interpolation::Linear,
    normalize: true,
};

fn golden() -> Vec<(u64, Tensor)> {
    let tensors = Tensor::read_safetensors(fixture("golden/modules/noise.safetensors")).unwrap();
    tensors
        .into_iter()
        .map(|(name, tensor)| (name.split_once('.').unwrap().0.parse().unwrap(), tensor))
        .collect()
}

#[test]
fn the_noise_of_a_seed_is_that_of_pytorch_bit_by_bit() {
    let golden = golden();
    assert!(!golden.is_empty());
    for (seed, theirs) in golden {
        let ours = noise(seed, &theirs.size());
        assert!(same(&ours, &theirs), "seed {seed} {:?}", theirs.size());
    }
}

#[test]
fn threads_that_draw_at_once_get_the_noise_of_their_own_seeds() {
    thread::scope(|scope| {
        for (seed, theirs) in golden() {
            scope.spawn(move || {
                for _ in 0..50 {
                    assert!(same(&noise(seed, &theirs.size()), &theirs), "seed {seed}");
                }
            });
        }
    });
}

#[test]
fn rows_that_are_drawn_alone_are_those_of_a_shorter_noise_whatever_their_number_of_values() {
    // 180 values a row are no multiple of 16.
    let shape = [3, 4, 5, 9];
    let apart = noise_in_two(7, &shape, 1);
    assert!(same(&apart.narrow(0, 0, 1), &noise(7, &[1, 4, 5, 9])));
    assert!(!same(
        &apart.narrow(0, 0, 1),
        &noise(7, &shape).narrow(0, 0, 1)
    ));
    assert!(same(&noise_in_two(7, &shape, 3), &noise(7, &shape)));
}

#[test]
fn blended_noise_is_as_strong_as_noise() {
    let shape = [1, 4, 16, 16];
    let three = Blend::Many(vec![(1, 1.0), (2, 2.0), (3, 1.0)]);
    let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
    let mean = (1..=3).map(|seed| norm(&noise(seed, &shape))).sum::<f64>() / 3.0;
    let linear = blended(&three, LINEAR, &shape, 1).unwrap();
    assert!((norm(&linear) / mean - 1.0).abs() < 1e-5);
    let weak = Method {
        normalize: false,
        ..LINEAR
    };
    let sum = blended(&three, weak, &shape, 1).unwrap();
    let parts: Tensor = noise(1, &shape) + 2.0 * noise(2, &shape) + noise(3, &shape);
    assert!((sum - parts).abs().max().double_value(&[]) < 1e-5);
}

#[test]
fn weights_that_add_up_to_nothing_are_refused() {
    for weights in [vec![(1, 0.0), (2, 0.0)], vec![], vec![(1, f64::NAN)]] {
        assert!(blended(&Blend::Many(weights), LINEAR, &[1, 1, 2, 2], 1).is_err());
    }
}
