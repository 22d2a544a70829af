//! Pixel arithmetic against references; `golden/generate.py` says which and makes them again.

use reverie_transcoder::color::{Color, Matrix, Range};
use reverie_transcoder::scale::Scaler;
use reverie_transcoder::{I420, Size, convert};

/// Largest, mean absolute and mean signed difference of samples.
#[derive(Debug)]
struct Difference {
    most: u8,
    mean: f64,
    bias: f64,
}

impl Difference {
    /// One step of 255 in any sample, and on average no more than `mean` and `bias`.
    fn check(&self, mean: f64, bias: f64, what: &str) {
        let within = self.most <= 1 && self.mean < mean && self.bias.abs() < bias;
        assert!(within, "{what}: {self:?}");
    }
}

fn difference(got: &[u8], expected: &[u8]) -> Difference {
    assert_eq!(got.len(), expected.len());
    let pairs = || got.iter().zip(expected);
    let total: f64 = pairs()
        .map(|(got, expected)| f64::from(got.abs_diff(*expected)))
        .sum();
    let signed: f64 = pairs()
        .map(|(&got, &expected)| f64::from(got) - f64::from(expected))
        .sum();
    Difference {
        most: pairs()
            .map(|(got, expected)| got.abs_diff(*expected))
            .max()
            .unwrap_or_default(),
        mean: total / got.len() as f64,
        bias: signed / got.len() as f64,
    }
}

const CONVERSIONS: [(&[u8], Color); 4] = [
    (
        include_bytes!("golden/convert_bt601_limited.bin"),
        Color::BT601,
    ),
    (
        include_bytes!("golden/convert_bt709_limited.bin"),
        Color::BT709,
    ),
    (
        include_bytes!("golden/convert_bt601_full.bin"),
        Color {
            matrix: Matrix::Bt601,
            range: Range::Full,
        },
    ),
    (
        include_bytes!("golden/convert_bt709_full.bin"),
        Color {
            matrix: Matrix::Bt709,
            range: Range::Full,
        },
    ),
];

/// The converter works in fixed point with a few bits after the point.
#[test]
fn colours_are_those_of_the_recommendations() {
    let size = Size::new(66, 34).unwrap();
    for (golden, color) in CONVERSIONS {
        let (i420, rest) = golden.split_at(size.pixels() * 3 / 2);
        let (rgb, rest) = rest.split_at(convert::rgb_length(size));
        let picture = I420::from_vec(size, color, i420.to_vec()).unwrap();
        let mut converted = vec![0; convert::rgb_length(size)];
        convert::to_rgb(&picture, &mut converted).unwrap();
        let out = difference(&converted, rgb);
        out.check(0.25, 0.1, &format!("{color:?} to RGB"));

        let (rgb, i420) = rest.split_at(convert::rgb_length(size));
        let picture = convert::from_rgb(rgb, size, color).unwrap();
        let back = difference(picture.as_bytes(), i420);
        back.check(0.25, 0.1, &format!("{color:?} from RGB"));
    }
}

/// Rows of a plane without their first and last sample, without the first and last row.
fn inside(plane: &[u8], width: usize) -> Vec<u8> {
    let rows = plane.len() / width;
    let inner = plane.chunks(width).skip(1).take(rows - 2);
    inner.flat_map(|row| &row[1..width - 1]).copied().collect()
}

/// Both are the same triangle filter, ours with 8 bits between the two directions. Where it reaches over the edge, libswscale repeats the last
/// sample and ours leaves it out, so the outermost samples are not compared.
#[test]
fn scaled_pictures_are_those_of_swscale() {
    let source = Size::new(64, 36).unwrap();
    let mut scaler = Scaler::new();
    for (golden, width, height) in [
        (&include_bytes!("golden/scale_32x18.bin")[..], 32, 18),
        (include_bytes!("golden/scale_40x22.bin"), 40, 22),
        (include_bytes!("golden/scale_64x20.bin"), 64, 20),
        (include_bytes!("golden/scale_96x54.bin"), 96, 54),
        (include_bytes!("golden/scale_130x74.bin"), 130, 74),
    ] {
        let size = Size::new(width, height).unwrap();
        let (input, expected) = golden.split_at(source.pixels() * 3 / 2);
        let picture = I420::from_vec(source, Color::BT709, input.to_vec()).unwrap();
        let scaled = scaler.scale(&picture, size).unwrap();
        let expected = I420::from_vec(size, Color::BT709, expected.to_vec()).unwrap();
        let widths = [width, width / 2, width / 2].map(|width| width as usize);
        for ((got, expected), width) in scaled
            .planes()
            .into_iter()
            .zip(expected.planes())
            .zip(widths)
        {
            let off = difference(&inside(got, width), &inside(expected, width));
            off.check(0.35, 0.25, &size.to_string());
        }
    }
}
