//! The two encoder options that can change on the fly only through the native interface.
//!
//! The safe part of the `openh264` crate fixes bitrate and frame rate at construction; building a
//! new encoder for each change would cost a keyframe.

#![allow(unsafe_code)]

use std::ffi::c_void;

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE,
    LAYER_NUM, SBitrateInfo, SPATIAL_LAYER_0, SPATIAL_LAYER_ALL,
};

/// A native status code other than success.
pub(super) type Status = i32;

/// Changes the target from `from` to `to` bits per second. The native encoder refuses a target above
/// its ceiling at every step, so the ceiling moves first on the way up and last on the way down.
pub(super) fn set_bitrate(encoder: &mut Encoder, from: u32, to: u32) -> Result<(), Status> {
    let bits = i32::try_from(to).unwrap_or(i32::MAX);
    let mut target = bitrate(SPATIAL_LAYER_ALL, bits);
    let mut ceiling = bitrate(SPATIAL_LAYER_0, bits);
    if to > from {
        set(encoder, ENCODER_OPTION_MAX_BITRATE, &mut ceiling)?;
        set(encoder, ENCODER_OPTION_BITRATE, &mut target)
    } else {
        set(encoder, ENCODER_OPTION_BITRATE, &mut target)?;
        set(encoder, ENCODER_OPTION_MAX_BITRATE, &mut ceiling)
    }
}

/// Tells rate control how many frames per second to expect.
pub(super) fn set_frame_rate(encoder: &mut Encoder, hertz: f32) -> Result<(), Status> {
    let mut hertz = hertz;
    set(encoder, ENCODER_OPTION_FRAME_RATE, &mut hertz)
}

const fn bitrate(layer: LAYER_NUM, bits: i32) -> SBitrateInfo {
    SBitrateInfo {
        iLayer: layer,
        iBitrate: bits,
    }
}

/// A value that a native option reads.
trait Value {}
impl Value for SBitrateInfo {}
impl Value for f32 {}

fn set<V: Value>(
    encoder: &mut Encoder,
    option: ENCODER_OPTION,
    value: &mut V,
) -> Result<(), Status> {
    let value: *mut c_void = std::ptr::from_mut(value).cast();
    // SAFETY: the three options used here read one `SBitrateInfo` or one `float` through the pointer,
    // which is what the callers above pass, and keep no reference to it. They replace no parameter
    // that the wrapper remembers: it reads its own bitrate and frame rate only when it initialises
    // the native encoder, which is over once a frame has been encoded; before that the native side
    // reports an error.
    let status = unsafe { encoder.raw_api().set_option(option, value) };
    if status == 0 { Ok(()) } else { Err(status) }
}
