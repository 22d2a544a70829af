//! What comes out of the stream, and the check that it is a picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Kind, Tensor};

use crate::Error;

/// Pictures on the device that computed them, perhaps still being computed.
///
/// Whether all values are numbers is computed there too, and known only when something is read back; so a picture can
/// be had only through the methods here, which refuse it if it is none.
#[derive(Debug)]
pub struct Picture {
    image: Tensor,
    finite: Tensor,
    broken: Arc<AtomicBool>,
}

impl Picture {
    /// Of `decoded` (fb,3,H,W), which is in -1..=1 or about. `broken` is set when it is found not to be a picture.
    pub(super) fn new(decoded: &Tensor, broken: Arc<AtomicBool>) -> Self {
        let decoded = decoded.to_kind(Kind::Float);
        Self {
            finite: decoded.isfinite().all(),
            image: (decoded / 2.0 + 0.5).clamp(0.0, 1.0),
            broken,
        }
    }

    /// Pictures, rows and columns.
    #[must_use]
    pub fn size(&self) -> (i64, i64, i64) {
        let (pictures, _, rows, columns) = self.image.size4().expect("it has four dimensions");
        (pictures, rows, columns)
    }

    /// (fb,3,H,W), 32-bit floats in 0..=1, on their device. Waits until they are computed.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn tensor(&self) -> Result<Tensor, Error> {
        self.check()?;
        Ok(self.image.shallow_clone())
    }

    /// Writes interleaved RGB of 8 bits, rows from the top, picture after picture. Waits until they are computed.
    ///
    /// # Errors
    /// [`Error::NotFinite`], and [`Error::Parameter`] when `out` has another length.
    pub fn rgb(&self, out: &mut [u8]) -> Result<(), Error> {
        let bytes = |image: &Tensor| {
            let bytes = (image * 255.0).round().to_kind(Kind::Uint8);
            bytes.permute([0, 2, 3, 1]).contiguous()
        };
        self.read(bytes, out)
    }

    /// Writes the bytes that `convert` makes on the device of (fb,3,H,W) in 0..=1. Waits until they are computed.
    ///
    /// # Errors
    /// [`Error::NotFinite`], and [`Error::Parameter`] when `out` has not as many bytes as `convert` gives.
    pub fn read(
        &self,
        convert: impl FnOnce(&Tensor) -> Tensor,
        out: &mut [u8],
    ) -> Result<(), Error> {
        crate::guard::guard(|| {
            let bytes = convert(&self.image).to_device(Device::Cpu);
            if bytes.numel() != out.len() {
                return Err(Error::Parameter(format!(
                    "a picture of {} bytes does not fit {}",
                    bytes.numel(),
                    out.len()
                )));
            }
            // All is computed by now, and this costs no more waiting.
            self.check()?;
            bytes.copy_data(out, out.len());
            Ok(())
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.finite.int64_value(&[]) != 0 {
            return Ok(());
        }
        self.broken.store(true, Ordering::Relaxed);
        Err(Error::NotFinite)
    }

    /// The same picture once more.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self {
            image: self.image.shallow_clone(),
            finite: self.finite.shallow_clone(),
            broken: Arc::clone(&self.broken),
        }
    }
}
