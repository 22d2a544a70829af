//! Pictures as the image encoder takes them (`CLIPImageProcessor`): the shortest edge to a size, the middle cut out,
//! colours shifted and scaled.

use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::Error;
use crate::config::ConfigFile;
use crate::device::Placement;
use crate::folder::Folder;

use super::resize::Picture;

/// The steps of a `preprocessor_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessor {
    shortest_edge: usize,
    /// Rows and columns of what is cut out.
    size: usize,
    mean: [f32; 3],
    std: [f32; 3],
}

const FILE: &str = "preprocessor_config.json";
/// Of the pictures that CLIP was trained with.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_55, 0.261_302_6, 0.275_777_1];

/// The fields that this crate follows; the older form of a size is one number.
#[derive(Deserialize)]
struct Fields {
    size: Option<Size>,
    crop_size: Option<Crop>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Number(usize),
    Shortest { shortest_edge: usize },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Crop {
    Number(usize),
    Sides { height: usize, width: usize },
}

impl ImageProcessor {
    /// CLIP's steps for an encoder of square pictures.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            shortest_edge: size,
            size,
            mean: MEAN,
            std: STD,
        }
    }

    /// Those of the folder's `preprocessor_config.json`, or CLIP's if it has none, for an encoder of square pictures.
    ///
    /// # Errors
    /// When the file is not JSON, asks for other steps, or for pictures of another size than the encoder's.
    pub fn load(folder: &Folder, size: usize) -> Result<Self, Error> {
        if !folder.path().join(FILE).is_file() {
            return Ok(Self::new(size));
        }
        let file = ConfigFile::named(folder, FILE)?;
        file.only_all(&[
            ("do_resize", &["true"]),
            ("do_center_crop", &["true"]),
            ("do_rescale", &["true"]),
            ("do_normalize", &["true"]),
            ("resample", &["3"]),
            ("rescale_factor", &["0.00392156862745098"]),
        ])?;
        let fields: Fields = file.parse()?;
        let shortest_edge = match fields.size {
            None => size,
            Some(
                Size::Number(edge)
                | Size::Shortest {
                    shortest_edge: edge,
                },
            ) => edge,
        };
        let (height, width) = match fields.crop_size {
            None => (size, size),
            Some(Crop::Number(side)) => (side, side),
            Some(Crop::Sides { height, width }) => (height, width),
        };
        if (height, width) != (size, size) {
            let reason = format!("{height}x{width} is not the encoder's {size}x{size}");
            return Err(file.unsupported("crop_size", reason));
        }
        if !(size..=4096).contains(&shortest_edge) {
            let reason = format!("{shortest_edge} is not {size} to 4096");
            return Err(file.unsupported("size", reason));
        }
        let std = fields.image_std.unwrap_or(STD);
        if std.contains(&0.0) {
            return Err(file.unsupported("image_std", "0 cannot be divided by"));
        }
        Ok(Self {
            shortest_edge,
            size,
            mean: fields.image_mean.unwrap_or(MEAN),
            std,
        })
    }

    /// A picture to (1, 3, size, size), exactly as the original with Pillow.
    ///
    /// # Panics
    /// When the picture has no pixels.
    pub fn picture(&self, picture: &Picture, placement: Placement) -> Tensor {
        let (height, width) = self.resized(picture.height, picture.width);
        let cut = picture.resize([width, height], [self.size; 2]);
        let bytes = Tensor::from_slice(&cut.rgb)
            .view([1, cut.height as i64, cut.width as i64, 3])
            .permute([0, 3, 1, 2]);
        let numbers = bytes.to_kind(Kind::Float) * (1.0 / 255.0);
        self.normalise(&numbers)
            .contiguous()
            .to_device(placement.device)
            .to_kind(placement.kind)
    }

    /// Pictures of (n, 3, h, w) in 0 to 1 to (n, 3, size, size), on their device and without rounding to bytes; within
    /// two steps of a byte of [`ImageProcessor::picture`].
    pub fn tensor(&self, images: &Tensor) -> Tensor {
        let (_, _, height, width) = images.size4().expect("pictures have four dimensions");
        let (rows, columns) = self.resized(height as usize, width as usize);
        let resized = images
            .to_kind(Kind::Float)
            .internal_upsample_bicubic2d_aa([rows as i64, columns as i64], false, None, None)
            .clamp_(0.0, 1.0);
        let (top, left) = ((rows - self.size) / 2, (columns - self.size) / 2);
        let cut = resized.narrow(2, top as i64, self.size as i64).narrow(
            3,
            left as i64,
            self.size as i64,
        );
        self.normalise(&cut).to_kind(images.kind())
    }

    /// Height and width after resizing.
    fn resized(&self, height: usize, width: usize) -> (usize, usize) {
        let (short, long) = (height.min(width), height.max(width));
        // Cut off, not rounded, as the original does.
        let longest_edge = self.shortest_edge * long / short;
        match height <= width {
            true => (self.shortest_edge, longest_edge),
            false => (longest_edge, self.shortest_edge),
        }
    }

    fn normalise(&self, images: &Tensor) -> Tensor {
        let colours = |values: &[f32; 3]| {
            Tensor::from_slice(values)
                .to_device(images.device())
                .view([1, 3, 1, 1])
        };
        (images - colours(&self.mean)) / colours(&self.std)
    }
}
