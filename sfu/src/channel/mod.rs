//! One task per channel: joins the media engines, the moments and the pipeline by messages.

mod board;
mod director;
mod events;
mod follow;
mod keeper;
mod pipe;
mod registry;
mod settings;
mod style;
mod task;
mod view;

use std::sync::Arc;

use reverie_diffusion::params::{Family, Params, Problems};
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use board::Board;
pub(crate) use events::{Entry, Subscription};
pub(crate) use registry::{Channels, Full, Opener, Shard, Shared};
pub(crate) use settings::Settings;
pub(crate) use view::{
    ChannelView, LayersView, MomentView, ParamsEvent, PipelineStatus, PipelineView, concealed,
    params_of,
};

use crate::auth::Holder;
use crate::engine::Event;
use crate::engine::ids::{PeerId, StreamId};
use crate::session::Protocol;

/// Messages waiting for one channel.
const MESSAGES: usize = 256;

/// A session that a shard was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joined {
    pub(crate) peer: PeerId,
    pub(crate) protocol: Protocol,
    /// What its offer has sections for.
    pub(crate) audio: bool,
    pub(crate) video: bool,
    /// A viewer of the shared picture, not of the camera alone.
    pub(crate) output: bool,
}

/// A session's hold on its channel, from the request until the session has ended: it ends when the last copy is dropped,
/// wherever that is.
#[derive(Debug, Clone)]
pub(crate) struct Claim(Arc<Holder>);

impl Claim {
    pub(crate) fn new(holder: Holder) -> Self {
        Self(Arc::new(holder))
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.0
    }
}

/// What a new publisher needs to negotiate.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) claim: Claim,
    pub(crate) generation: u32,
    pub(crate) epoch: std::time::Instant,
}

/// A change of a channel's parameters.
#[derive(Debug)]
pub(crate) struct ParamsPatch {
    /// A JSON merge patch.
    pub(crate) patch: Value,
    /// Entity tags of `If-Match`, if there are any.
    pub(crate) tags: Option<Vec<String>>,
    /// Of the model that the patch names, if that is known.
    pub(crate) family: Option<Family>,
}

/// Why a request to a channel was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// There is nothing to transform.
    #[error("the channel sends sound only; a moment needs a picture to transform")]
    SoundOnly,
    /// No such stage.
    #[error("there is no pipeline {name:?}; available are: {known}")]
    Pipeline { name: String, known: String },
    /// Something is wrong with parameters.
    #[error("{0}")]
    Params(#[from] Problems),
    /// The parameters are others than the request names.
    #[error("the parameters changed; they are {current} now")]
    Changed { current: String },
    /// The stage has not taken up what it was told before.
    #[error("the pipeline takes no more changes now")]
    Busy,
}

type Reply<T> = oneshot::Sender<T>;

/// Everything a channel can be told.
#[derive(Debug)]
pub(crate) enum Message {
    Engine(Event),
    /// Answered with nothing while somebody else publishes.
    Publish(Holder, Reply<Option<Ticket>>),
    /// Answered with whether somebody publishes.
    IsLive(Reply<bool>),
    /// Answered with the H264 `profile-level-id` of what is published, if it is known.
    Profile(Reply<Option<u32>>),
    /// Answered with the layers of what is published.
    Layers(Reply<LayersView>),
    Joined(Joined, Claim),
    /// Answered when the store knows of a live stream; refused where there is no picture to transform.
    Settle(Reply<Result<(), Refused>>),
    Warm(Option<String>, Reply<Result<PipelineView, Refused>>),
    Cool(Reply<PipelineView>),
    Params(Reply<Params>),
    Patch(ParamsPatch, Reply<Result<Params, Refused>>),
    Pipeline(Reply<PipelineStatus>),
    Look(Reply<ChannelView>),
    Subscribe(Option<u64>, Reply<Subscription>),
}

/// The channel's queue is full, or the channel just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel is overloaded")]
pub(crate) struct Busy;

/// The way to a channel; it lives at least as long as one of these.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) stream: StreamId,
    /// The shard that its publisher uses.
    pub(crate) home: usize,
    messages: mpsc::Sender<Message>,
    news: Arc<Notify>,
}

impl Handle {
    /// Tells the channel something; never waits.
    pub(crate) fn tell(&self, message: Message) -> Result<(), Busy> {
        self.messages.try_send(message).map_err(|e| match e {
            TrySendError::Full(_) | TrySendError::Closed(_) => Busy,
        })
    }

    /// Tells the channel something that must not be lost, waiting for room.
    pub(crate) async fn deliver(&self, message: Message) {
        // Only fails when the channel is gone, and then nobody is left to know.
        let _ = self.messages.send(message).await;
    }

    /// Something of the channel was committed to the store.
    pub(crate) fn news(&self) {
        self.news.notify_one();
    }

    /// Asks the channel something.
    pub(crate) async fn ask<T>(
        &self,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(reply))?;
        answer.await.map_err(|_| Busy)
    }
}
