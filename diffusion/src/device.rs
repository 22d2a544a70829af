//! Which device computes, in which precision, on how many threads.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use reverie_config::{Device, Half};
use tch::{Cuda, Kind, Tensor};

use crate::Error;
use crate::layers::channels_last;

/// So many times faster 16-bit floats are to be on a processor.
const GAIN: f64 = 1.3;

/// Where tensors are and what their elements are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The device.
    pub device: tch::Device,
    /// The elements of weights and activations.
    pub kind: Kind,
}

impl Placement {
    /// 32-bit floats on the processor: what the golden tests compare with.
    pub const CPU: Self = Self {
        device: tch::Device::Cpu,
        kind: Kind::Float,
    };

    /// Opens a device.
    ///
    /// [`Device::Auto`] is the first CUDA device if there is one, else the processor. [`Half::Auto`] is 16-bit floats on
    /// CUDA; on a processor it is `bf16` where that was measured to be faster, which takes some milliseconds once.
    ///
    /// # Errors
    /// [`Error::Device`] when a CUDA device was asked for by name and cannot be used.
    pub fn open(device: Device, half: Half) -> Result<Self, Error> {
        let device = match device {
            Device::Auto if cuda().is_ok() => tch::Device::Cuda(0),
            Device::Auto | Device::Cpu => tch::Device::Cpu,
            Device::Cuda(index) => cuda_device(index)?,
        };
        let kind = match half {
            Half::Fp32 => Kind::Float,
            Half::Bf16 => Kind::BFloat16,
            Half::Auto if device.is_cuda() => Kind::Half,
            Half::Auto => processor_kind(),
        };
        Ok(Self { device, kind })
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            tch::Device::Cuda(index) => write!(f, "cuda:{index}")?,
            _ => f.write_str("cpu")?,
        }
        let kind = match self.kind {
            Kind::Half => "fp16",
            Kind::BFloat16 => "bf16",
            _ => "fp32",
        };
        write!(f, " {kind}")
    }
}

fn cuda_device(index: usize) -> Result<tch::Device, Error> {
    let refuse = |reason: String| Error::Device {
        device: format!("cuda:{index}"),
        reason,
    };
    let count = cuda().map_err(|reason| refuse(reason.to_owned()))?;
    if index < count {
        Ok(tch::Device::Cuda(index))
    } else {
        Err(refuse(format!("there are {count} CUDA devices")))
    }
}

/// How many CUDA devices there are, or why there are none.
///
/// One binary serves machines with and without CUDA: it links the processor's half of libtorch only, and the other
/// half registers itself when its library is loaded. That happens here, before any tensor exists.
///
/// # Errors
/// What the loader or the driver said.
pub fn cuda() -> Result<usize, &'static str> {
    static FOUND: OnceLock<Result<usize, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let library = load_cuda()?;
            // It stays for the life of the process.
            std::mem::forget(library);
            match usize::try_from(Cuda::device_count()) {
                Ok(count) if count > 0 && Cuda::is_available() => Ok(count),
                _ => Err("libtorch with CUDA was loaded, but it finds no device".to_owned()),
            }
        })
        .as_ref()
        .copied()
        .map_err(String::as_str)
}

#[expect(unsafe_code, reason = "loading a library runs its initialisers")]
fn load_cuda() -> Result<Library, String> {
    // SAFETY: the library is the other half of the libtorch this binary is linked with; its initialisers only
    // register its kernels, which is what it is loaded for, and it is never unloaded.
    unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|error| format!("libtorch has no CUDA here: {error}"))
}

/// Detect, measure, choose: `bf16` where the processor computes in it and is clearly faster so.
fn processor_kind() -> Kind {
    static KIND: OnceLock<Kind> = OnceLock::new();
    *KIND.get_or_init(|| {
        if !may_compute_in_bf16() {
            return Kind::Float;
        }
        let [float, half] = [Kind::Float, Kind::BFloat16].map(convolving);
        let kind = choose(float, half);
        tracing::info!(?float, ?half, ?kind, "precision of the processor");
        kind
    })
}

/// With AVX-512 BF16, which every processor with AMX has too; without, libtorch converts and is two to four times slower.
/// Of other architectures nothing is known before it is measured.
fn may_compute_in_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// Half as precise must be worth it.
fn choose(float: Duration, half: Duration) -> Kind {
    if half.mul_f64(GAIN) < float {
        Kind::BFloat16
    } else {
        Kind::Float
    }
}

/// The shortest time of some convolutions of the size of a small model's.
fn convolving(kind: Kind) -> Duration {
    let options = (Kind::Float, tch::Device::Cpu);
    let tensor = |size: [i64; 4]| channels_last(&Tensor::full(size, 0.1, options).to_kind(kind));
    let (x, weight) = (tensor([1, 64, 64, 64]), tensor([64, 64, 3, 3]));
    let once = |_| {
        let began = Instant::now();
        let _ = x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
        began.elapsed()
    };
    (0..8).map(once).min().unwrap_or_default()
}

/// Sets how many threads one operation of the processor may use, for the whole process. Call it before any tensor
/// exists: libtorch refuses later changes of the pool between operations.
pub fn set_threads(threads: usize) {
    let threads = i32::try_from(threads.max(1)).unwrap_or(i32::MAX);
    tch::set_num_threads(threads);
    tch::set_num_interop_threads(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_chosen_only_where_it_is_clearly_faster() {
        let ms = Duration::from_millis;
        for (float, half, kind) in [
            (13, 10, Kind::Float),
            (14, 10, Kind::BFloat16),
            (10, 10, Kind::Float),
            (10, 40, Kind::Float),
        ] {
            assert_eq!(choose(ms(float), ms(half)), kind, "{float} ms, {half} ms");
        }
    }

    #[test]
    fn a_processor_without_bf16_computes_in_single_precision_and_a_wish_is_followed() {
        let open = |half| {
            Placement::open(Device::Cpu, half)
                .expect("there is a processor")
                .kind
        };
        if !may_compute_in_bf16() {
            assert_eq!(open(Half::Auto), Kind::Float);
        }
        assert_eq!(open(Half::Auto), open(Half::Auto), "it is measured once");
        assert_eq!(open(Half::Fp32), Kind::Float);
        assert_eq!(open(Half::Bf16), Kind::BFloat16);
    }
}
