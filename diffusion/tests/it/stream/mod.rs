//! The stream: its maths against recordings of the original, live changes, and what must not disturb it.

#[path = "../../../examples/parity/case.rs"]
mod case;
mod filter;
mod golden;
mod live;
mod maths;
mod robust;
#[path = "../../../examples/parity/run.rs"]
mod run;
mod scheduler;
mod seed;

use std::path::PathBuf;

use reverie_diffusion::device::Placement;
use reverie_diffusion::folder::Folder;
use reverie_diffusion::params::{Blend, CfgType, Params};
use reverie_diffusion::stream::{Models, Parts, Stream};
use tch::{Device, Kind, Tensor};

/// A file or folder of the fixtures.
fn fixture(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(path)
}

/// All recordings of streams, with their names.
fn recordings() -> Vec<(String, case::Recording)> {
    let mut files: Vec<_> = std::fs::read_dir(fixture("golden/streams"))
        .expect("the fixtures are there")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    files
        .iter()
        .map(|path| (name(path), case::Recording::read(path).unwrap()))
        .collect()
}

/// The smallest model with its autoencoder, and with these ControlNets.
fn models(controlnets: &[&str]) -> Models {
    let folder = |name: &str| Folder::new(fixture("models").join(name));
    let nets: Vec<_> = controlnets.iter().map(|name| folder(name)).collect();
    let vae = folder("taesd_small");
    let parts = Parts {
        vae: Some(&vae),
        controlnets: &nets,
        ..Parts::default()
    };
    Models::load(&folder("turbo"), parts, Placement::CPU)
        .expect("the fixture is a model")
        .0
}

/// Two steps with residual guidance, which uses all there is of the state.
fn params() -> Params {
    Params {
        prompt: Blend::One("a cat, neon flowers".to_owned()),
        negative_prompt: "the dog".to_owned(),
        t_index_list: vec![32, 45],
        guidance_scale: 1.4,
        delta: 0.5,
        cfg_type: Some(CfgType::SelfNegative),
        seed: Blend::One(2),
        width: 16,
        height: 8,
        ..Params::default()
    }
}

fn stream(params: &Params) -> Stream {
    Stream::new(models(&[]), params).expect("the parameters fit the model")
}

/// A picture that differs from others by its number.
fn image(number: i64) -> Tensor {
    let ramp = Tensor::arange(3 * 8 * 16, (Kind::Float, Device::Cpu));
    ((ramp * (number + 1)).remainder(97) / 97).view([1, 3, 8, 16])
}

fn picture(stream: &mut Stream, number: i64) -> Tensor {
    stream
        .frame(&image(number))
        .expect("the frame fits")
        .picture
        .tensor()
        .expect("the picture is finite")
}

/// A frame whose picture is of no interest.
fn feed(stream: &mut Stream, number: i64) {
    drop(picture(stream, number));
}

/// True if all elements are the same bits.
fn same(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.eq_tensor(b).all().int64_value(&[]) != 0
}
