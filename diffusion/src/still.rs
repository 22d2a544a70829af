//! Still pictures that parameters name: a file below the directory of models, or the picture itself as a `data:` URL.
//!
//! No other address is followed: a server that fetched what strangers name would look into its own network for them.

use std::io::Cursor;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::Error;

/// Characters of the longest `data:` URL.
pub(crate) const LONGEST: usize = 1 << 20;
/// Bytes of the largest file.
const FILE: u64 = 16 << 20;
/// The longest side in pixels.
const SIDE: usize = 4096;
/// What a `data:` URL begins with.
pub(crate) const PREFIXES: [&str; 2] = ["data:image/png;base64,", "data:image/jpeg;base64,"];

/// An 8-bit RGB picture, rows from the top, no padding; opacity is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// True if `text` is meant as an address and not as the name of a file.
pub(crate) fn is_address(text: &str) -> bool {
    text.contains("://") || text.starts_with("data:")
}

/// What is wrong with an address, before it is decoded.
pub(crate) fn fault(address: &str) -> Option<String> {
    let Some(prefix) = PREFIXES.iter().find(|&prefix| address.starts_with(prefix)) else {
        return Some(format!(
            "addresses are not fetched; send the picture itself as {}... or {}...",
            PREFIXES[0], PREFIXES[1]
        ));
    };
    if address.len() > LONGEST {
        let length = address.len();
        return Some(format!(
            "the picture has {length} characters; at most {LONGEST} are taken"
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let data = &address[prefix.len()..];
    let bare = data.trim_end_matches('=');
    let whole = !bare.is_empty() && data.len() - bare.len() <= 2 && bare.chars().all(plain);
    (!whole).then(|| "the picture is not in base64".to_owned())
}

impl Still {
    /// The picture that `image` is or names below `models`.
    ///
    /// # Errors
    /// When there is no such file, or it is no PNG or JPEG of at most 4096x4096.
    pub fn read(models: &Path, image: &str) -> Result<Self, Error> {
        if is_address(image) {
            return Self::of_address(image);
        }
        let path = models.join(image);
        let length = path.metadata().map_err(Error::file(&path))?.len();
        if length > FILE {
            let reason = format!("a picture of {length} bytes; at most {FILE} are taken");
            return Err(Error::malformed(&path, reason));
        }
        let bytes = std::fs::read(&path).map_err(Error::file(&path))?;
        Self::decode(&bytes).map_err(|reason| Error::malformed(&path, reason))
    }

    fn of_address(address: &str) -> Result<Self, Error> {
        let decoded = match fault(address) {
            Some(fault) => Err(fault),
            None => {
                let data = address.split_once(',').map_or("", |(_, data)| data);
                let bytes = STANDARD.decode(data).map_err(|error| error.to_string());
                bytes.and_then(|bytes| Self::decode(&bytes))
            }
        };
        decoded.map_err(|reason| Error::Parameter(format!("the picture in the address: {reason}")))
    }

    /// What the bytes are shows in themselves, whatever their name says.
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => png(bytes).map_err(|error| error.to_string())?,
            [0xff, 0xd8, ..] => jpeg(bytes),
            _ => Err("is neither PNG nor JPEG".to_owned()),
        }
    }
}

fn sized(width: usize, height: usize) -> Result<(), String> {
    if width.max(height) <= SIDE {
        return Ok(());
    }
    Err(format!("{width}x{height} is larger than {SIDE}x{SIDE}"))
}

fn png(bytes: &[u8]) -> Result<Result<Still, String>, png::DecodingError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if let Err(reason) = sized(width, height) {
        return Ok(Err(reason));
    }
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let info = reader.next_frame(&mut pixels)?;
    let rgb = match info.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => take(&pixels, |[r, g, b, _]: [u8; 4]| [r, g, b]),
        ColorType::Grayscale => take(&pixels, |[gray]: [u8; 1]| [gray; 3]),
        ColorType::GrayscaleAlpha => take(&pixels, |[gray, _]: [u8; 2]| [gray; 3]),
        other => return Ok(Err(format!("{other:?} after expansion"))),
    };
    Ok(Ok(Still { width, height, rgb }))
}

fn take<const N: usize>(pixels: &[u8], rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<N>();
    pixels.iter().flat_map(|&pixel| rgb(pixel)).collect()
}

fn jpeg(bytes: &[u8]) -> Result<Still, String> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(SIDE)
        .set_max_height(SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let rgb = decoder.decode().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("has no size")?;
    if rgb.len() != width * height * 3 {
        return Err("is no picture of red, green and blue".to_owned());
    }
    Ok(Still { width, height, rgb })
}

#[cfg(test)]
mod tests;
