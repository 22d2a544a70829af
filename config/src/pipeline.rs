//! The section `pipeline`: decoding, transforming and encoding.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::kind::{Integer, Millis, Parsed, Seconds, Text};
use crate::visit::Visitor;

/// The section `pipeline`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The pipeline of a moment whose request names none.
    pub default: String,
    /// What decodes the publisher's video.
    pub decoder: Backend,
    /// What encodes the transformed video.
    pub encoder: Backend,
    /// The transformed video's bit rate, in kbit/s: 100 to 50 000.
    pub bitrate_kbps: u32,
    /// The least it is lowered to for viewers that cannot take that much, in kbit/s: 100 to 50 000.
    pub min_bitrate_kbps: u32,
    /// The most frames per second a pipeline takes in.
    pub max_fps: NonZeroU32,
    /// How much media time may wait before the decoder. Key `unit_queue_ms`, milliseconds.
    pub unit_queue: Duration,
    /// How long an active pipeline may give no frame before it has failed. Key `stall_timeout_ms`, milliseconds.
    pub stall_timeout: Duration,
    /// How long an unused warm pipeline is kept. Key `idle_ttl_s`, whole seconds.
    pub idle_ttl: Duration,
    /// How many channels may have a warm or active pipeline at once.
    pub max_active: usize,
}

/// A back end of a codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The best one that opens on this machine.
    #[default]
    Auto,
    /// Cisco's software H.264 codec.
    Openh264,
}

impl Backend {
    /// The name as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Openh264 => "openh264",
        }
    }
}

impl Pipeline {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("pipeline.default", &mut self.default, NAME);
        visitor.key("pipeline.decoder", &mut self.decoder, Parsed(BACKEND));
        visitor.key("pipeline.encoder", &mut self.encoder, Parsed(BACKEND));
        visitor.key(
            "pipeline.bitrate_kbps",
            &mut self.bitrate_kbps,
            Integer(100..=50_000),
        );
        visitor.key(
            "pipeline.min_bitrate_kbps",
            &mut self.min_bitrate_kbps,
            Integer(100..=50_000),
        );
        visitor.key("pipeline.max_fps", &mut self.max_fps, Integer(1..=240));
        visitor.key(
            "pipeline.unit_queue_ms",
            &mut self.unit_queue,
            Millis(20..=5000),
        );
        visitor.key(
            "pipeline.stall_timeout_ms",
            &mut self.stall_timeout,
            Millis(100..=60_000),
        );
        visitor.key(
            "pipeline.idle_ttl_s",
            &mut self.idle_ttl,
            Seconds(0..=86_400),
        );
        visitor.key(
            "pipeline.max_active",
            &mut self.max_active,
            Integer(1..=1000),
        );
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            default: "debug-invert".to_owned(),
            decoder: Backend::Auto,
            encoder: Backend::Auto,
            bitrate_kbps: 2500,
            min_bitrate_kbps: 300,
            max_fps: NonZeroU32::new(60).expect("60 is not zero"),
            unit_queue: Duration::from_millis(250),
            stall_timeout: Duration::from_secs(3),
            idle_ttl: Duration::from_secs(30),
            max_active: 4,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Auto, Self::Openh264]
            .into_iter()
            .find(|backend| backend.as_str() == text)
            .ok_or(())
    }
}

const BACKEND: &str = "\"auto\" or \"openh264\"";

/// Which pipelines exist is known to those who build them; here only the shape of a name is.
const NAME: Text = Text {
    expected: "the name of a pipeline: 1 to 64 of a-z, 0-9 and -",
    check: is_name,
};

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_reads_its_own_name() {
        assert_eq!("auto".parse(), Ok(Backend::Auto));
        assert_eq!("openh264".parse(), Ok(Backend::Openh264));
        assert_eq!("OpenH264".parse::<Backend>(), Err(()));
    }
}
