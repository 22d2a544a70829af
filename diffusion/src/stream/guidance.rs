//! Classifier-free guidance and its residual forms (StreamDiffusion, section 3.2): tensor maths without models.

use tch::Tensor;

use super::batch::Layout;
use crate::params::CfgType;

/// How far the noise is pushed away from what the negative prompt, or the stream's own past, would give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    kind: CfgType,
    scale: f64,
    delta: f64,
}

impl Guidance {
    /// `scale` counts as 1 where `kind` is none; `delta` weakens the residual noise.
    #[must_use]
    pub fn new(kind: CfgType, scale: f64, delta: f64) -> Self {
        let scale = if kind == CfgType::None { 1.0 } else { scale };
        Self { kind, scale, delta }
    }

    fn is_on(self) -> bool {
        self.scale > 1.0
    }

    /// True if the stock of residual noise is carried on from call to call; also where the scale leaves it unused.
    #[must_use]
    pub fn restocks(self) -> bool {
        matches!(self.kind, CfgType::SelfNegative | CfgType::Initialize)
    }

    /// So many rows with the negative prompt stand before the batch.
    #[must_use]
    pub fn negatives(self, layout: Layout) -> i64 {
        match self.kind {
            CfgType::Full if self.is_on() => layout.rows(),
            CfgType::Initialize if self.is_on() => layout.frames,
            _ => 0,
        }
    }

    /// The rows of the batch (latents, timesteps) as the UNet gets them: the first ones also as negatives.
    pub fn widen(self, rows: &Tensor, layout: Layout) -> Tensor {
        match self.negatives(layout) {
            0 => rows.shallow_clone(),
            negatives => Tensor::cat(&[&rows.narrow(0, 0, negatives), rows], 0),
        }
    }

    /// Guided noise of all rows of the batch, and the stock as far as the UNet's answer `y` changes it.
    pub fn combine(self, y: &Tensor, stock: &Tensor, layout: Layout) -> (Tensor, Tensor) {
        if !self.is_on() {
            return (y.shallow_clone(), stock.shallow_clone());
        }
        let (rows, negatives) = (layout.rows(), self.negatives(layout));
        let negative = y.narrow(0, 0, negatives);
        let positive = y.narrow(0, negatives, rows);
        let stock = match self.kind {
            CfgType::Initialize => {
                let rest = stock.narrow(0, negatives, rows - negatives);
                Tensor::cat(&[&negative, &rest], 0)
            }
            _ => stock.shallow_clone(),
        };
        let from = match self.kind {
            CfgType::Full => negative,
            _ => &stock * self.delta,
        };
        (&from + self.scale * (positive - &from), stock)
    }
}
