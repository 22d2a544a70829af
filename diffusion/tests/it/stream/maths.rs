//! The tensor maths of the stream alone: the networks' answers are taken from the recordings.

use reverie_diffusion::folder::Folder;
use reverie_diffusion::scheduler::Schedule;
use reverie_diffusion::stream::batch::{Layout, Rows, State, Tables};
use reverie_diffusion::stream::guidance::Guidance;
use tch::{Device, Tensor};

use super::case::{Recording, relative_error};
use super::{fixture, recordings};

/// The rounding of single operations, several frames long.
const LIMIT: f64 = 5e-6;

/// Feeds recorded latents and answers, and gives the largest error of any tensor.
fn replay(recording: &Recording) -> f64 {
    let case = &recording.case;
    let params = case.params();
    let folder = Folder::new(fixture("models").join(&case.model).join("scheduler"));
    let schedule = Schedule::load(&folder).unwrap();
    let steps = schedule.steps(case.steps, &case.t_index_list).unwrap();
    let tables = Tables::new(&steps, i64::from(case.fb), Device::Cpu);
    let layout: Layout = tables.layout;
    let guidance = Guidance::new(
        params.cfg_type.unwrap(),
        params.guidance_scale,
        params.delta,
    );
    let noise = recording.tensor("prep.init_noise").unwrap();
    let mut state = State::new(noise.shallow_clone(), layout);
    let mut worst: f64 = 0.0;
    for frame in 0..case.frames {
        let theirs = |name: &str| recording.of(frame, name);
        let (latents, stock) = state.enter(theirs("x_t").unwrap(), layout);
        let answer = theirs("unet_out").unwrap();
        assert_eq!(
            guidance.widen(&tables.timesteps, layout),
            *theirs("unet_t").unwrap()
        );
        let (eps, stock) = guidance.combine(answer, &stock, layout);
        let x0 = tables.denoised(&eps, &latents, Rows::all(layout));
        state.stock = if guidance.restocks() {
            tables.restock(&eps, &stock, noise)
        } else {
            stock
        };
        let (last, buffer) = tables.leave(&x0, case.add_noise.then_some(noise));
        state.buffer = buffer;
        for (ours, name) in [
            (&last, "x0"),
            (&state.stock, "stock_noise"),
            (&state.buffer, "buffer"),
        ] {
            if let Some(theirs) = theirs(name) {
                worst = worst.max(relative_error(ours, theirs));
            }
        }
    }
    worst
}

#[test]
fn with_the_recorded_answers_of_the_unet_the_stream_is_that_of_the_original() {
    let mut replayed = 0;
    for (name, recording) in recordings() {
        let case = &recording.case;
        if case.is_live() || !case.denoise_batch || case.prime {
            continue;
        }
        let worst = replay(&recording);
        assert!(worst <= LIMIT, "{name}: {worst:e}");
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed} recordings are too few");
}

#[test]
fn noise_is_left_out_where_it_is_not_wanted() {
    let steps = Schedule::load(&Folder::new(fixture("models/turbo/scheduler")))
        .unwrap()
        .steps(50, &[32, 45])
        .unwrap();
    let tables = Tables::new(&steps, 1, Device::Cpu);
    let rows = Tensor::from_slice(&[1.0_f32, 2.0]).view([2, 1, 1, 1]);
    let (_, without) = tables.leave(&rows, None);
    let (_, with) = tables.leave(&rows, Some(&rows));
    let value = |tensor: &Tensor| tensor.double_value(&[0, 0, 0, 0]);
    assert!((value(&without) - f64::from(steps[1].alpha)).abs() < 1e-6);
    let added = 2.0 * f64::from(steps[1].beta);
    assert!((value(&with) - value(&without) - added).abs() < 1e-6);
}
