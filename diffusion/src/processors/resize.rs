//! A plane in another size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions};

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Bilinear,
    Bicubic,
    Lanczos,
    Nearest,
}

/// Keeps tables and buffers between planes.
#[derive(Debug, Default)]
pub(super) struct Resizer(fast_image_resize::Resizer);

impl Resizer {
    /// Writes `from` to `to`; of `from` only the box `(left, top, width, height)` if one is given. Filters cover
    /// the whole area of a pixel of `to`, also where it becomes smaller, and leave 0..=1 at edges if they overshoot.
    pub(super) fn plane(
        &mut self,
        from: &[f32],
        from_size: (usize, usize),
        to: &mut [f32],
        to_size: (usize, usize),
        crop: Option<(f64, f64, f64, f64)>,
        filter: Filter,
    ) {
        let (width, height) = sides(from_size);
        let from = ImageRef::new(width, height, bytemuck::cast_slice(from), PixelType::F32)
            .expect("a plane has one value per pixel");
        let (width, height) = sides(to_size);
        let bytes = bytemuck::cast_slice_mut(to);
        let mut to = Image::from_slice_u8(width, height, bytes, PixelType::F32)
            .expect("a plane has one value per pixel");
        let mut options = ResizeOptions::new().resize_alg(algorithm(filter));
        if let Some((left, top, width, height)) = crop {
            options = options.crop(left, top, width, height);
        }
        self.0
            .resize(&from, &mut to, &options)
            .expect("both planes are of one type, and the box is inside");
    }
}

fn sides((width, height): (usize, usize)) -> (u32, u32) {
    let side = |side| u32::try_from(side).expect("a side fits in memory many times");
    (side(width), side(height))
}

const fn algorithm(filter: Filter) -> ResizeAlg {
    match filter {
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::Nearest => ResizeAlg::Nearest,
    }
}
