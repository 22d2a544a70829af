//! Bitrates and frame rates, by arithmetic alone.

use std::time::Duration;

use crate::size::Size;
use crate::time::Pts;

/// Lowest bitrate in bits per second that an encoder is asked for.
pub const MIN: u32 = 100_000;
/// Highest bitrate in bits per second that an encoder is asked for.
pub const MAX: u32 = 50_000_000;

/// Bits that a pixel of detailed, restless pictures takes in a fast encoder, in thousandths.
const MILLIBITS_PER_PIXEL: u64 = 150;
/// What doubling the frame rate adds is less than double: pictures resemble each other more.
/// Above this rate a frame counts for half.
const FULL_PRICE_FPS: u32 = 30;

/// Bitrate in bits per second for pictures of `size` at `fps`, at most `cap`:
/// 640x360 at 30 gets 1 Mbit/s, 1280x720 at 30 gets 4.1 Mbit/s.
#[must_use]
pub fn target(size: Size, fps: u32, cap: u32) -> u32 {
    let paid = fps.min(FULL_PRICE_FPS) + fps.saturating_sub(FULL_PRICE_FPS) / 2;
    let bits = size.pixels() as u64 * u64::from(paid.max(1)) * MILLIBITS_PER_PIXEL / 1000;
    clamp(u32::try_from(bits).unwrap_or(MAX).min(cap))
}

/// `bits_per_s` within what an encoder takes.
#[must_use]
pub const fn clamp(bits_per_s: u32) -> u32 {
    if bits_per_s < MIN {
        MIN
    } else if bits_per_s > MAX {
        MAX
    } else {
        bits_per_s
    }
}

/// A silence longer than this is a pause, not a frame interval.
const PAUSE: Duration = Duration::from_secs(1);
/// Weight of the newest interval, as a divisor.
const SMOOTHING: f32 = 8.0;
/// Intervals before an estimate is worth acting on.
const WARM_UP: u32 = 8;
/// Relative change that is worth telling the encoder.
const STEP: f32 = 0.2;

/// Measures the frame rate that really reaches the encoder. Rate control spends bitrate / rate on a
/// frame: with a stage that makes 15 of 30 frames, the nominal rate would halve the quality.
#[derive(Clone, Debug)]
pub struct Meter {
    max_fps: f32,
    told: f32,
    interval: Option<f32>,
    intervals: u32,
    last: Option<Pts>,
}

impl Meter {
    /// A meter whose user starts out with `fps` and never wants to hear of more than `max_fps`.
    #[must_use]
    pub const fn new(fps: u32, max_fps: u32) -> Self {
        let max_fps = if max_fps == 0 { 1.0 } else { max_fps as f32 };
        Self {
            max_fps,
            told: fps as f32,
            interval: None,
            intervals: 0,
            last: None,
        }
    }

    /// Notes a frame; the frame rate in hertz when it has changed enough to tell.
    pub fn frame(&mut self, pts: Pts) -> Option<f32> {
        let last = self.last.replace(pts)?;
        let interval = pts.since(last);
        if interval.is_zero() || interval > PAUSE {
            return None;
        }
        let newest = interval.as_secs_f32();
        let mean = self
            .interval
            .map_or(newest, |mean| mean + (newest - mean) / SMOOTHING);
        self.interval = Some(mean);
        self.intervals += 1;
        let fps = (1.0 / mean).clamp(1.0, self.max_fps);
        let changed = (fps / self.told - 1.0).abs() > STEP;
        if self.intervals < WARM_UP || !changed {
            return None;
        }
        self.told = fps;
        Some(fps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    #[test]
    fn the_target_grows_with_pixels_and_frames_up_to_the_cap() {
        assert_eq!(target(size(640, 360), 30, MAX), 1_036_800);
        assert_eq!(target(size(1280, 720), 30, MAX), 4_147_200);
        assert_eq!(target(size(1280, 720), 60, MAX), 6_220_800);
        assert_eq!(target(size(1280, 720), 30, 1_000_000), 1_000_000);
        assert_eq!(target(size(16, 16), 1, MAX), MIN);
        assert_eq!(target(size(4096, 4096), u32::MAX, MAX), MAX);
    }

    fn told(meter: &mut Meter, frames: std::ops::Range<u64>, ticks: u64) -> Vec<f32> {
        frames
            .filter_map(|frame| meter.frame(Pts(frame * ticks)))
            .collect()
    }

    #[test]
    fn a_slower_stage_is_told_once_it_is_certain() {
        let mut meter = Meter::new(30, 60);
        assert_eq!(told(&mut meter, 0..100, 3000), []);
        let slower = told(&mut meter, 51..150, 6000);
        assert!(!slower.is_empty());
        assert!((slower[slower.len() - 1] - 15.0).abs() < 3.0, "{slower:?}");
    }

    #[test]
    fn pauses_and_repeated_times_are_no_intervals() {
        let mut meter = Meter::new(30, 60);
        for second in 0..50 {
            assert_eq!(meter.frame(Pts(second * 2 * Pts::HZ)), None);
            assert_eq!(meter.frame(Pts(second * 2 * Pts::HZ)), None);
        }
    }

    #[test]
    fn never_more_than_the_highest_rate_is_told() {
        let mut meter = Meter::new(30, 60);
        assert_eq!(told(&mut meter, 0..50, 90), [60.0]);
    }
}
