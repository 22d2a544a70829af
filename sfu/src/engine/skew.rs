//! How much later the picture of one instant leaves than its sound.

use std::time::{Duration, Instant};

use super::packet::Kind;

/// Between two samples of a stream.
const INTERVAL: Duration = Duration::from_secs(1);

/// The newest delays of one stream between capture and leaving.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    sound: Option<Delay>,
    camera: Option<Delay>,
    styled: Option<Delay>,
    sampled: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Delay {
    at: Instant,
    took: Duration,
}

/// One sample in seconds, negative if the sound is later; `None` for what is not sent now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sample {
    pub(crate) camera: Option<f64>,
    pub(crate) styled: Option<f64>,
}

impl Skew {
    /// A packet of the camera or the sound was passed on in the turn in which it was read.
    pub(crate) fn leaves(&mut self, kind: Kind, at: Instant, captured: Instant) {
        let slot = match kind {
            Kind::Audio => &mut self.sound,
            Kind::Video => &mut self.camera,
        };
        let took = at.saturating_duration_since(captured);
        *slot = Some(Delay { at, took });
    }

    /// A styled picture leaves.
    pub(crate) fn styled(&mut self, at: Instant, captured: Instant) {
        let took = at.saturating_duration_since(captured);
        self.styled = Some(Delay { at, took });
    }

    /// A sample, if one is due.
    pub(crate) fn sample(&mut self, now: Instant) -> Option<Sample> {
        let begun = *self.sampled.get_or_insert(now);
        if now.saturating_duration_since(begun) < INTERVAL {
            return None;
        }
        self.sampled = Some(now);
        let fresh = |delay: &Option<Delay>| {
            delay.filter(|d| now.saturating_duration_since(d.at) < INTERVAL)
        };
        let sound = fresh(&self.sound)?.took.as_secs_f64();
        let later = |delay| fresh(delay).map(|d| d.took.as_secs_f64() - sound);
        Some(Sample {
            camera: later(&self.camera),
            styled: later(&self.styled),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_a_second_says_how_much_later_each_picture_is() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut skew = Skew::default();
        assert_eq!(skew.sample(start), None, "not at once");
        let now = start + ms(1_000);
        skew.leaves(Kind::Audio, now, now - ms(20));
        skew.leaves(Kind::Video, now, now - ms(60));
        let sample = skew.sample(now).expect("due");
        assert!((sample.camera.expect("sent") - 0.04).abs() < 1e-9);
        assert_eq!(sample.styled, None, "nothing styled is sent");
        assert_eq!(skew.sample(now + ms(500)), None, "one a second");
        skew.styled(now + ms(900), now);
        skew.leaves(Kind::Audio, now + ms(900), now + ms(900));
        let sample = skew.sample(now + ms(1_000)).expect("due");
        assert_eq!(sample.camera, None, "its last picture is too old");
        assert!((sample.styled.expect("sent") - 0.9).abs() < 1e-9);
    }
}
