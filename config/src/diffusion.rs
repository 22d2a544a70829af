//! The section `diffusion`: what computes pictures, and with which parameters a channel begins.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::kind::{File, Integer, Parsed};
use crate::visit::Visitor;

/// The section `diffusion`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diffusion {
    /// What computes.
    pub device: Device,
    /// In which precision.
    pub half: Half,
    /// Threads of the processor for one operation; 0 leaves one core to the rest of the server.
    pub threads: usize,
    /// A JSON file with parameters that each channel begins with; what it does not name has its default.
    pub params: Option<PathBuf>,
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device if there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// The precision of weights and of what is computed with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Half {
    /// What is fastest on the device without being seen.
    #[default]
    Auto,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
    /// 32-bit floats.
    Fp32,
}

impl Half {
    /// The name as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bf16 => "bf16",
            Self::Fp32 => "fp32",
        }
    }
}

impl Diffusion {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("diffusion.device", &mut self.device, Parsed(DEVICE));
        visitor.key("diffusion.half", &mut self.half, Parsed(HALF));
        visitor.key("diffusion.threads", &mut self.threads, Integer(0..=256));
        visitor.key("diffusion.params", &mut self.params, File);
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or(())?;
                index.parse().map(Self::Cuda).map_err(drop)
            }
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Half {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Auto, Self::Bf16, Self::Fp32]
            .into_iter()
            .find(|half| half.as_str() == text)
            .ok_or(())
    }
}

const DEVICE: &str = "\"auto\", \"cpu\", \"cuda\" or \"cuda:\" and a number";
const HALF: &str = "\"auto\", \"bf16\" or \"fp32\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_reads_its_own_name() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert_eq!(wrong.parse::<Device>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_precision_reads_its_own_name() {
        for half in [Half::Auto, Half::Bf16, Half::Fp32] {
            assert_eq!(half.to_string().parse(), Ok(half));
        }
        assert_eq!("fp16".parse::<Half>(), Err(()));
    }
}
