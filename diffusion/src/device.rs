//! Which device computes, in which precision, on how many threads.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Kind};

use crate::Error;

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

    /// Opens the device that `choice` names.
    ///
    /// `Auto` is the first CUDA device if there is one, else the processor. The precision is 16-bit floats on CUDA,
    /// and `bf16` on a processor only where `half` asks for it.
    ///
    /// # Errors
    /// [`Error::Device`] when a CUDA device was asked for by name and cannot be used.
    pub fn open(choice: Choice, half: Option<bool>) -> Result<Self, Error> {
        let device = match choice {
            Choice::Cpu => tch::Device::Cpu,
            Choice::Auto if cuda().is_ok() => tch::Device::Cuda(0),
            Choice::Auto => tch::Device::Cpu,
            Choice::Cuda(index) => cuda_device(index)?,
        };
        let kind = match (device, half) {
            (tch::Device::Cpu, Some(true)) => Kind::BFloat16,
            (tch::Device::Cpu, _) | (_, Some(false)) => Kind::Float,
            _ => Kind::Half,
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

/// A device as the configuration names it: `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// CUDA if it is there.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| Error::Device {
                    device: text.to_owned(),
                    reason: "auto, cpu, cuda and cuda:<number> are known".to_owned(),
                }),
        }
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

/// Sets how many threads one operation of the processor may use, for the whole process. Call it before any tensor
/// exists: libtorch refuses later changes of the pool between operations.
pub fn set_threads(threads: usize) {
    let threads = i32::try_from(threads.max(1)).unwrap_or(i32::MAX);
    tch::set_num_threads(threads);
    tch::set_num_interop_threads(1);
}
