//! A still picture laid over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use png::{ColorType, Transformations};
use serde::{Deserialize, Serialize};

use super::chain::Processor;
use super::image::Image;
use super::resize::{Filter, Resizer};
use super::settings::{self, Fault, Limit};
use crate::Error;

/// The longest side of a texture in pixels.
const LONGEST: u32 = 4096;

/// Settings of `texture`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Name of a PNG file in the folder of textures.
    pub image: String,
    /// Share of the texture where it is opaque, 0 to 1.
    pub weight: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: String::new(),
            weight: 0.5,
        }
    }
}

impl settings::Settings for Settings {
    const LIMITS: &'static [Limit] = &[("weight", 0.0, 1.0)];

    fn rules(&self) -> Result<(), Fault> {
        let name = &self.image;
        if name.is_empty()
            || name.len() > 255
            || name.starts_with('.')
            || name.contains(['/', '\\', '\0'])
        {
            let reason = "must be the name of a PNG file in the folder of textures, without a path";
            return Err(Fault::at("image", reason));
        }
        Ok(())
    }
}

/// Texture files of one folder, and what was read of them.
#[derive(Debug, Default)]
pub struct Textures {
    folder: Option<PathBuf>,
    loaded: BTreeMap<String, Arc<Still>>,
}

/// A picture at the size of its file: red, green and blue times opacity, then opacity.
#[derive(Debug)]
pub(super) struct Still {
    width: usize,
    height: usize,
    planes: [Vec<f32>; 4],
}

impl Textures {
    /// The PNG files in `folder`; without one every texture is refused. Nothing is read yet.
    #[must_use]
    pub const fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            loaded: BTreeMap::new(),
        }
    }

    /// The texture of that name, read from its file unless it is in use already.
    ///
    /// # Errors
    /// Without a folder, and when the file cannot be read, is no PNG or larger than 4096x4096.
    pub(super) fn load(&mut self, name: &str) -> Result<Arc<Still>, Error> {
        self.loaded.retain(|_, still| Arc::strong_count(still) > 1);
        if let Some(still) = self.loaded.get(name) {
            return Ok(Arc::clone(still));
        }
        let Some(folder) = &self.folder else {
            let reason = format!("texture {name:?}: no folder of textures is configured");
            return Err(Error::Parameter(reason));
        };
        let still = Arc::new(Still::read(&folder.join(name))?);
        self.loaded.insert(name.to_owned(), Arc::clone(&still));
        Ok(still)
    }
}

impl Still {
    fn read(path: &Path) -> Result<Self, Error> {
        let malformed = |error: png::DecodingError| Error::malformed(path, error);
        let file = BufReader::new(File::open(path).map_err(Error::file(path))?);
        let mut decoder = png::Decoder::new(file);
        decoder
            .set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info().map_err(malformed)?;
        let (width, height) = (reader.info().width, reader.info().height);
        if width.max(height) > LONGEST {
            let reason = format!("{width}x{height} is larger than {LONGEST}x{LONGEST}");
            return Err(Error::malformed(path, reason));
        }
        let length = reader.output_buffer_size().unwrap_or_default();
        let mut bytes = vec![0; length];
        let info = reader.next_frame(&mut bytes).map_err(malformed)?;
        let planes = match info.color_type {
            ColorType::GrayscaleAlpha => {
                planes(&bytes, |&[gray, a]: &[u8; 2]| [gray, gray, gray, a])
            }
            ColorType::Rgba => planes(&bytes, |rgba: &[u8; 4]| *rgba),
            other => return Err(Error::malformed(path, format!("{other:?} after expansion"))),
        };
        let (width, height) = (width as usize, height as usize);
        Ok(Self {
            width,
            height,
            planes,
        })
    }

    /// The part of it, in its middle, that has the shape of a picture of `width` and `height`.
    fn part(&self, (width, height): (usize, usize)) -> (f64, f64, f64, f64) {
        let (own_width, own_height) = (self.width as f64, self.height as f64);
        let (width, height) = (width as f64, height as f64);
        let factor = (width / own_width).max(height / own_height);
        let (width, height) = (width / factor, height / factor);
        let (left, top) = ((own_width - width) / 2.0, (own_height - height) / 2.0);
        (
            left.max(0.0),
            top.max(0.0),
            width.min(own_width),
            height.min(own_height),
        )
    }
}

/// Planes in 0..=1 of packed bytes, colours times opacity.
fn planes<const N: usize>(bytes: &[u8], rgba: impl Fn(&[u8; N]) -> [u8; 4]) -> [Vec<f32>; 4] {
    let pixels = bytes.as_chunks::<N>().0;
    let mut planes = [(); 4].map(|()| Vec::with_capacity(pixels.len()));
    for pixel in pixels {
        let [r, g, b, a] = rgba(pixel).map(|value| f32::from(value) / 255.0);
        for (plane, value) in planes.iter_mut().zip([r * a, g * a, b * a, a]) {
            plane.push(value);
        }
    }
    planes
}

/// Lays a texture over pictures; it covers them, cut at two sides if its shape is another.
pub(super) struct Overlay {
    still: Arc<Still>,
    weight: f32,
    /// The texture at the size of pictures.
    fitted: [Vec<f32>; 4],
    size: (usize, usize),
    resizer: Resizer,
}

impl Overlay {
    pub(super) fn new(settings: &Settings, textures: &mut Textures) -> Result<Self, Error> {
        Ok(Self {
            still: textures.load(&settings.image)?,
            weight: settings.weight as f32,
            fitted: Default::default(),
            size: (0, 0),
            resizer: Resizer::default(),
        })
    }

    fn fit(&mut self, size: (usize, usize)) {
        let still = &self.still;
        for (from, to) in still.planes.iter().zip(&mut self.fitted) {
            to.resize(size.0 * size.1, 0.0);
            let own = (still.width, still.height);
            let part = Some(still.part(size));
            self.resizer
                .plane(from, own, to, size, part, Filter::Bilinear);
        }
        self.size = size;
    }
}

impl Processor for Overlay {
    fn run(&mut self, image: &mut Image, _former: Option<&Image>) {
        if self.size != image.size() {
            self.fit(image.size());
        }
        let [colors @ .., opacity] = &self.fitted;
        for (plane, color) in image.planes_mut().into_iter().zip(colors) {
            for ((value, color), opacity) in plane.iter_mut().zip(color).zip(opacity) {
                *value += self.weight * (color - opacity * *value);
            }
        }
    }
}
