//! What the networks are told beside the picture: timesteps, prompts, and with SDXL the size.

use tch::Tensor;

use super::prompt::Embeddings;
use crate::ip_adapter::IpAdapter;
use crate::unet::{Added, Context, ImageContext, Time};

/// The rows of one call of a network.
#[derive(Debug)]
pub(super) struct Script<'a> {
    /// Timesteps of every call of a frame, negative rows first: (negatives + positives) each.
    pub(super) timesteps: Vec<Tensor>,
    pub(super) negative: &'a Embeddings,
    pub(super) negatives: i64,
    pub(super) positive: &'a Embeddings,
    pub(super) positives: i64,
    /// Height and width of the picture in pixels.
    pub(super) size: (i64, i64),
}

/// A network's own projections of a [`Script`]. They are computed when something of it changes, not with every frame.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) times: Vec<Time>,
    pub(super) context: Context,
}

impl Told {
    /// `time` and `context` are the methods of those names of the network.
    pub(super) fn new(
        script: &Script<'_>,
        time: impl Fn(&Tensor, Option<&Added>) -> Time,
        context: impl Fn(&Tensor) -> Context,
    ) -> Self {
        let added = script.added();
        Self {
            times: script
                .timesteps
                .iter()
                .map(|timesteps| time(timesteps, added.as_ref()))
                .collect(),
            context: script.context(context),
        }
    }
}

impl Script<'_> {
    /// The prompt of every row: (negatives + positives,77,D).
    pub(super) fn embeddings(&self) -> Tensor {
        let negative = self.negative.tokens.repeat([self.negatives, 1, 1]);
        let positive = self.positive.tokens.repeat([self.positives, 1, 1]);
        Tensor::cat(&[negative, positive], 0)
    }

    /// Tokens (n,T,D) of a picture, or of one for each frame, as an IP-Adapter adds them at `scale`; negative rows see
    /// none.
    pub(super) fn picture(
        &self,
        adapter: &IpAdapter,
        tokens: &Tensor,
        scale: f64,
    ) -> Option<ImageContext> {
        let negative = adapter.nothing().repeat([self.negatives, 1, 1]);
        let positive = tokens.repeat([self.positives / tokens.size()[0], 1, 1]);
        adapter.context(&Tensor::cat(&[negative, positive], 0), scale)
    }

    /// Keys and values are computed for one row of each prompt and repeated.
    fn context(&self, context: impl Fn(&Tensor) -> Context) -> Context {
        let positive = context(&self.positive.tokens);
        if self.negatives == 0 && self.positives == 1 {
            return positive;
        }
        let negative = (self.negatives > 0).then(|| context(&self.negative.tokens));
        let negatives = negative.iter().cycle().take(count(self.negatives));
        let positives = std::iter::repeat_n(&positive, count(self.positives));
        Context::cat(&negatives.chain(positives).collect::<Vec<_>>())
    }

    fn added(&self) -> Option<Added> {
        let positive = self.positive.pooled.as_ref()?;
        let negative = self.negative.pooled.as_ref()?;
        let rows = [
            negative.repeat([self.negatives, 1]),
            positive.repeat([self.positives, 1]),
        ];
        let (height, width) = self.size;
        let numbers = [height, width, 0, 0, height, width].map(|number| number as f32);
        Some(Added {
            text_embeds: Tensor::cat(&rows, 0),
            time_ids: Tensor::from_slice(&numbers)
                .to_device(positive.device())
                .repeat([self.negatives + self.positives, 1]),
        })
    }
}

fn count(rows: i64) -> usize {
    usize::try_from(rows).expect("rows are counted from 0")
}
