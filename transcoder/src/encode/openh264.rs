//! Software encoding with Cisco's OpenH264, on the calling thread.

use openh264::encoder::{
    BitRate, Complexity, EncodedBitStream, Encoder as Native, EncoderConfig, FrameRate, FrameType,
    IntraFramePeriod, Profile, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, Timestamp};

use super::{Config, Encoder, Error, options, rate};
use crate::color::{Color, Matrix, Range};
use crate::frame::{Frame, I420, Picture};
use crate::size::Size;
use crate::unit::AccessUnit;

pub(super) const NAME: &str = "openh264";

/// Frame rate assumed until it has been measured.
const FIRST_FPS: u32 = 30;

pub(super) struct OpenH264 {
    config: Config,
    /// Bits per second asked for by [`Encoder::set_bitrate`].
    wanted: Option<u32>,
    session: Option<Session>,
}

/// A native encoder, which is good for one picture size and colour.
struct Session {
    native: Native,
    size: Size,
    color: Color,
    bitrate: u32,
    meter: rate::Meter,
    started: bool,
}

impl OpenH264 {
    pub(super) const fn new(config: Config) -> Self {
        Self {
            config,
            wanted: None,
            session: None,
        }
    }

    fn bitrate_for(&self, size: Size) -> u32 {
        let fps = self.config.max_fps.min(FIRST_FPS);
        self.wanted
            .unwrap_or_else(|| rate::target(size, fps, self.config.bitrate))
    }

    fn session(&mut self, size: Size, color: Color) -> Result<&mut Session, Error> {
        let fits = |session: &Session| session.size == size && session.color == color;
        if !self.session.as_ref().is_some_and(fits) {
            let bitrate = self.bitrate_for(size);
            self.session = Some(Session::open(&self.config, size, color, bitrate)?);
        }
        Ok(self.session.as_mut().expect("it was just put there"))
    }
}

impl Encoder for OpenH264 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode(
        &mut self,
        frame: &Frame,
        keyframe: bool,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), Error> {
        let Picture::I420(picture) = &frame.picture;
        let bitrate = self.bitrate_for(picture.size());
        let session = self.session(picture.size(), picture.color())?;
        session.steer(bitrate, frame)?;
        out.extend(session.encode(frame, picture, keyframe)?);
        Ok(())
    }

    fn set_bitrate(&mut self, bits_per_s: u32) -> Result<(), Error> {
        self.wanted = Some(rate::clamp(bits_per_s));
        Ok(())
    }

    /// Nothing is ever held back: each frame yields its unit at once.
    fn flush(&mut self, _out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        self.session = None;
        Ok(())
    }
}

impl Session {
    fn open(config: &Config, size: Size, color: Color, bitrate: u32) -> Result<Self, Error> {
        let fps = config.max_fps.clamp(1, FIRST_FPS);
        let settings = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(bitrate))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .skip_frames(true)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .profile(Profile::Baseline)
            .complexity(Complexity::Low)
            .scene_change_detect(false)
            .num_threads(1)
            .vui(vui(color));
        let native = Native::with_api_config(OpenH264API::from_source(), settings)
            .map_err(|error| failed("start", error))?;
        let meter = rate::Meter::new(fps, config.max_fps);
        Ok(Self {
            native,
            size,
            color,
            bitrate,
            meter,
            started: false,
        })
    }

    /// Follows bitrate and frame rate. The native encoder exists from its first frame on.
    fn steer(&mut self, bitrate: u32, frame: &Frame) -> Result<(), Error> {
        let fps = self.meter.frame(frame.pts);
        if !self.started {
            return Ok(());
        }
        if bitrate != self.bitrate {
            options::set_bitrate(&mut self.native, self.bitrate, bitrate)
                .map_err(|status| failed("change the bitrate", status))?;
            self.bitrate = bitrate;
        }
        if let Some(fps) = fps {
            options::set_frame_rate(&mut self.native, fps)
                .map_err(|status| failed("change the frame rate", status))?;
        }
        Ok(())
    }

    fn encode(
        &mut self,
        frame: &Frame,
        picture: &I420,
        keyframe: bool,
    ) -> Result<Option<AccessUnit>, Error> {
        if keyframe && self.started {
            self.native.force_intra_frame();
        }
        self.started = true;
        let stream = self
            .native
            .encode_at(&Planes(picture), Timestamp::from_millis(frame.pts.millis()))
            .map_err(|error| failed("encode a frame", error))?;
        match stream.frame_type() {
            FrameType::Skip => Ok(None),
            FrameType::Invalid | FrameType::IPMixed => {
                Err(failed("encode a frame", "no picture came out"))
            }
            kind @ (FrameType::IDR | FrameType::I | FrameType::P) => {
                Ok(Some(unit(frame, kind == FrameType::IDR, &stream)))
            }
        }
    }
}

fn unit(frame: &Frame, keyframe: bool, stream: &EncodedBitStream<'_>) -> AccessUnit {
    let mut data = Vec::new();
    stream.write_vec(&mut data);
    AccessUnit {
        pts: frame.pts,
        arrived: frame.arrived,
        keyframe,
        data: data.into(),
    }
}

fn vui(color: Color) -> VuiConfig {
    let vui = match color.matrix {
        Matrix::Bt601 => VuiConfig::bt601(),
        Matrix::Bt709 => VuiConfig::bt709(),
    };
    vui.full_range(color.range == Range::Full)
}

fn failed(action: &'static str, reason: impl ToString) -> Error {
    Error::Failed {
        backend: NAME,
        action,
        reason: reason.to_string(),
    }
}

struct Planes<'a>(&'a I420);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        let size = self.0.size();
        (size.width() as usize, size.height() as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let (width, _) = self.dimensions();
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        self.0.planes()[0]
    }

    fn u(&self) -> &[u8] {
        self.0.planes()[1]
    }

    fn v(&self) -> &[u8] {
        self.0.planes()[2]
    }
}
