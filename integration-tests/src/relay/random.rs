//! Random numbers that are the same for the same seed (SplitMix64, Steele et al. 2014).

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// True with this probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Evenly distributed from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        // 53 bits fill the mantissa exactly.
        #[allow(clippy::cast_precision_loss)]
        let mantissa = (self.next() >> 11) as f64;
        mantissa / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
