//! One call of the UNet as lists of tensors: what records it keeps copies of them.

use tch::Tensor;

use super::{Context, ImageContext, Time, UNet2DCondition};
use crate::attention::KeyValue;
use crate::controlnet::Residuals;

/// Everything that the UNet is given in one call.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// As for [`UNet2DCondition::forward`].
    pub x: &'a Tensor,
    /// Likewise.
    pub time: &'a Time,
    /// Likewise.
    pub context: &'a Context,
    /// Likewise.
    pub residuals: Option<&'a Residuals>,
}

impl Given<'_> {
    /// The call.
    pub fn call(&self, unet: &UNet2DCondition) -> Tensor {
        unet.forward(self.x, self.time, self.context, self.residuals)
    }

    /// What is another one in every call: the picture, and what ControlNets found in it.
    #[must_use]
    pub fn fresh(&self) -> Vec<&Tensor> {
        let found = self.residuals.iter();
        let found = found.flat_map(|found| found.down.iter().chain([&found.mid]));
        [self.x].into_iter().chain(found).collect()
    }

    /// What stays until the parameters change.
    #[must_use]
    pub fn steady(&self) -> Vec<&Tensor> {
        let image = self.context.image.iter();
        let image = image.flat_map(|image| &image.layers);
        let layers = self.context.text.iter().chain(image);
        let layers = layers.flat_map(|layer| [&layer.key, &layer.value]);
        self.time.0.iter().chain(layers).collect()
    }

    /// The same call with other tensors of the same shapes: those of [`Given::fresh`], then those of
    /// [`Given::steady`].
    ///
    /// # Panics
    /// When there are too few.
    pub fn call_with(&self, unet: &UNet2DCondition, tensors: &[Tensor]) -> Tensor {
        let mut next = tensors.iter().map(Tensor::shallow_clone);
        let mut next = || next.next().expect("there are as many as were listed");
        let x = next();
        let residuals = self.residuals.map(|found| Residuals {
            down: found.down.iter().map(|_| next()).collect(),
            mid: next(),
        });
        let time = Time(self.time.0.iter().map(|_| next()).collect());
        let mut layers = |like: &[KeyValue]| -> Vec<KeyValue> {
            let layer = |_| KeyValue {
                key: next(),
                value: next(),
            };
            like.iter().map(layer).collect()
        };
        let context = Context {
            text: layers(&self.context.text),
            image: self.context.image.as_ref().map(|image| ImageContext {
                layers: layers(&image.layers),
                scale: image.scale,
            }),
        };
        unet.forward(&x, &time, &context, residuals.as_ref())
    }

    /// Equal for two calls that one recording can stand for, as far as one model is concerned: all shapes, and the
    /// scale that the recording has fixed.
    #[must_use]
    pub fn shape(&self) -> Vec<i64> {
        let scale = self.context.image.as_ref().map(|image| image.scale);
        let mut shape = vec![i64::from_ne_bytes(
            scale.unwrap_or(f64::NAN).to_bits().to_ne_bytes(),
        )];
        let lists = [self.fresh(), self.steady()];
        for tensor in lists.iter().flatten() {
            let size = tensor.size();
            shape.push(size.len() as i64);
            shape.extend(size);
        }
        shape
    }
}
