//! Every processor against OpenCV, Pillow or torch; `golden/processors.py` makes the values.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use reverie_diffusion::processors::{Chain, Image, Kind, Place, Spec, Textures};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Largest difference of any value, all of which are within 0..=1.
const TOLERANCE: f32 = 2e-5;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden")
}

/// The file's bytes, and the settings of each case by its name.
struct Golden {
    bytes: Vec<u8>,
    cases: BTreeMap<String, Value>,
}

impl Golden {
    fn read() -> Self {
        let bytes = fs::read(folder().join("processors.safetensors")).expect("a fixture");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("safetensors");
        let metadata = metadata.metadata().as_ref().expect("metadata");
        let cases = serde_json::from_str(&metadata["cases"]).expect("cases as JSON");
        Self { bytes, cases }
    }

    /// An 8-bit picture as the processors have it.
    fn picture(&self, name: &str) -> Image {
        let file = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let tensor = file.tensor(name).expect("a picture");
        let [height, width, 3] = *tensor.shape() else {
            panic!("{name} is no picture");
        };
        let mut image = Image::default();
        image.read_rgb8(width, height, tensor.data());
        image
    }

    /// What is expected, as (planes, height, width): 8-bit values are spread over 0..=1.
    fn expected(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let tensor = file.tensor(name).expect("a value");
        let values = match tensor.dtype() {
            Dtype::U8 => tensor
                .data()
                .iter()
                .map(|&b| f32::from(b) / 255.0)
                .collect(),
            Dtype::F32 => {
                let words = tensor.data().as_chunks::<4>().0.iter();
                words.map(|&word| f32::from_le_bytes(word)).collect()
            }
            other => panic!("{name} is of {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    /// Largest difference of a case to the reference.
    fn difference(&self, name: &str) -> f32 {
        let spec = Spec::parse(&self.cases[name]).expect("settings");
        let mut textures = Textures::new(Some(folder()));
        let mut chain = Chain::new(&[spec], Place::Before, &mut textures).expect("a chain");
        let former = self.picture("first");
        let mut image = self.picture(if chain.wants_former() {
            "second"
        } else {
            "first"
        });
        chain.run(&mut image, Some(&former));
        let (shape, expected) = self.expected(name);
        let [height, width] = shape[shape.len() - 2..] else {
            panic!("{name} is no picture");
        };
        assert_eq!(image.size(), (width, height), "{name}");
        // A grey picture has one plane in the reference, which all of ours are.
        let planes = expected.chunks(width * height).cycle();
        let pairs = image.planes().into_iter().zip(planes);
        let differences =
            pairs.flat_map(|(got, expected)| got.iter().zip(expected).map(|(a, b)| (a - b).abs()));
        differences.fold(0.0, f32::max)
    }
}

#[test]
fn every_processor_gives_the_pictures_of_its_reference() {
    let golden = Golden::read();
    let mut known = Vec::new();
    for (name, settings) in &golden.cases {
        let difference = golden.difference(name);
        println!("{name:18} {difference:.1e}");
        assert!(difference <= TOLERANCE, "{name} is off by {difference}");
        known.push(settings["type"].as_str().expect("a type").to_owned());
    }
    // The one does nothing, the other nothing to pictures.
    let missing: Vec<_> = Kind::NAMES
        .iter()
        .filter(|name| !["passthrough", "latent_feedback"].contains(name))
        .filter(|name| !known.iter().any(|known| known == *name))
        .collect();
    assert!(missing.is_empty(), "no golden value for {missing:?}");
}

#[test]
fn a_second_picture_is_as_good_as_the_first() {
    let golden = Golden::read();
    let mut textures = Textures::new(Some(folder()));
    for (name, settings) in &golden.cases {
        let spec = Spec::parse(settings).expect("settings");
        let mut chain = Chain::new(&[spec], Place::Before, &mut textures).expect("a chain");
        let mut run = |name| {
            let mut image = golden.picture(name);
            chain.run(&mut image, None);
            image
        };
        let once = run("first");
        // Another picture and another size in between leave nothing behind.
        run("second");
        let mut other = Image::new(20, 70);
        other.data_mut().fill(0.7);
        chain.run(&mut other, None);
        let mut again = golden.picture("first");
        chain.run(&mut again, None);
        assert_eq!(again, once, "{name}");
    }
}

#[test]
fn a_picture_of_one_pixel_and_one_narrower_than_a_window_pass_through_all() {
    let golden = Golden::read();
    let mut textures = Textures::new(Some(folder()));
    for (name, settings) in &golden.cases {
        let spec = Spec::parse(settings).expect("settings");
        let mut chain = Chain::new(&[spec], Place::Before, &mut textures).expect("a chain");
        for (width, height) in [(1, 1), (3, 2), (2, 40), (40, 1)] {
            let mut image = Image::new(width, height);
            chain.run(&mut image, None);
            let fine = image.data().iter().all(|value| (0.0..=1.0).contains(value));
            assert!(fine, "{name} at {width}x{height}");
        }
    }
}

#[test]
fn a_missing_or_broken_texture_is_named() {
    let broken = tempfile::tempdir().expect("a folder");
    fs::write(broken.path().join("text.png"), "no picture").expect("a file");
    let fault = |folder: Option<PathBuf>, image: &str| {
        let spec = serde_json::json!({ "type": "texture", "image": image });
        let spec = Spec::parse(&spec).expect("settings");
        let mut textures = Textures::new(folder);
        let error = Chain::new(&[spec], Place::Before, &mut textures).err();
        error.expect("should be refused").to_string()
    };
    let folder = Some(broken.path().to_owned());
    assert!(fault(folder.clone(), "none.png").contains("none.png"));
    assert!(fault(folder, "text.png").contains("text.png"));
    assert!(fault(None, "paper.png").contains("paper.png"));
}
