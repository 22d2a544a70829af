//! The similar-image filter (StreamDiffusion, section 3.4): frames like the last one are skipped by chance.

use tch::{Kind, Tensor};

/// Which frames are skipped.
#[derive(Debug)]
pub struct SimilarImageFilter {
    threshold: f64,
    max_skip_frame: u32,
    reference: Option<Tensor>,
    skipped: u32,
}

impl SimilarImageFilter {
    /// Skips frames the likelier, the more their cosine similarity to the last computed one is above `threshold`
    /// (0..=1; at 1 none), `max_skip_frame` and one more in a row at most.
    #[must_use]
    pub fn new(threshold: f64, max_skip_frame: u32) -> Self {
        Self {
            threshold,
            max_skip_frame,
            reference: None,
            skipped: 0,
        }
    }

    /// Other limits from the next frame on.
    pub fn set(&mut self, threshold: f64, max_skip_frame: u32) {
        self.threshold = threshold;
        self.max_skip_frame = max_skip_frame;
    }

    /// The next frame is not skipped.
    pub fn reset(&mut self) {
        self.reference = None;
    }

    /// True if the frame is to be skipped. `picture` is in -1..=1, of any shape but always the same; `uniform` is
    /// drawn from 0..1 for this frame.
    ///
    /// The decision is made before anything is computed, so the similarity has to come to the processor: keep the
    /// picture there, or this waits for the device.
    pub fn skips(&mut self, picture: &Tensor, uniform: f64) -> bool {
        let skips = match &self.reference {
            Some(reference) if reference.size() == picture.size() => {
                self.decide(similarity(reference, picture), uniform)
            }
            _ => false,
        };
        if !skips {
            self.reference = Some(picture.copy());
        }
        skips
    }

    fn decide(&mut self, similarity: f64, uniform: f64) -> bool {
        let probability = if self.threshold >= 1.0 {
            0.0
        } else {
            (1.0 - (1.0 - similarity) / (1.0 - self.threshold)).max(0.0)
        };
        if probability < uniform {
            return false;
        }
        if self.skipped > self.max_skip_frame {
            self.skipped = 0;
            return false;
        }
        self.skipped += 1;
        true
    }
}

fn similarity(a: &Tensor, b: &Tensor) -> f64 {
    let row = |tensor: &Tensor| tensor.to_kind(Kind::Float).flatten(0, -1);
    Tensor::cosine_similarity(&row(a), &row(b), 0, 1e-6).double_value(&[])
}

/// Uniform numbers for the filter's chances: the same for the same seed (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Uniforms(u64);

impl Uniforms {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Iterator for Uniforms {
    type Item = f64;

    /// In 0..1, with the 53 bits that such a number can hold.
    fn next(&mut self) -> Option<f64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
