//! Channels and moments as the API shows them.

use reverie_moments as moments;
use serde::Serialize;

use crate::engine::LayerState;

/// A moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MomentView {
    /// Its id.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// What is shown.
    pub prompt: String,
    /// The stage that shows it.
    pub pipeline: String,
    /// `queued`, `warming`, `active`, `completed`, `failed`, `cancelled` or `expired`.
    pub state: &'static str,
    /// Seconds.
    pub duration_s: f64,
    /// Counts its changes.
    pub version: u64,
    /// Place in the queue, from 1.
    pub position: Option<usize>,
    /// Milliseconds since the Unix epoch, as all times here.
    pub created_at: u64,
    /// When its first picture was shown.
    pub active_at: Option<u64>,
    /// When it is to end.
    pub ends_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Why it is in this state, for people.
    pub reason: Option<String>,
}

impl MomentView {
    pub(crate) fn new(channel: &str, moment: &moments::Moment, position: Option<usize>) -> Self {
        Self {
            id: moment.id.to_string(),
            channel: channel.to_owned(),
            prompt: moment.prompt.clone(),
            pipeline: moment.pipeline.clone(),
            state: moment.state.as_str(),
            duration_s: moment.duration.as_secs_f64(),
            version: moment.version,
            position,
            created_at: moment.created_ms,
            active_at: moment.active_ms,
            ends_at: moment.ends_ms,
            ended_at: moment.ended_ms,
            reason: moment.reason.as_ref().map(ToString::to_string),
        }
    }
}

/// The layers of a simulcast picture in rising order, in the words of the WHEP event `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LayersView {
    /// Those that can be watched now.
    pub active: Vec<LayerView>,
    /// Those whose publisher has stopped sending them.
    pub inactive: Vec<LayerView>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerView {
    /// The publisher's name for it (`a=rid`).
    pub encoding_id: String,
    /// In luma samples.
    pub width: Option<u32>,
    /// In luma samples.
    pub height: Option<u32>,
    /// Bits per second.
    pub bitrate: u64,
}

impl LayersView {
    pub(crate) fn of(layers: &[LayerState]) -> Self {
        let view = |layer: &LayerState| LayerView {
            encoding_id: layer.id.to_string(),
            width: layer.size.map(|(width, _)| width),
            height: layer.size.map(|(_, height)| height),
            bitrate: layer.rate,
        };
        let (active, inactive): (Vec<_>, Vec<_>) = layers.iter().partition(|l| l.active);
        Self {
            active: active.into_iter().map(view).collect(),
            inactive: inactive.into_iter().map(view).collect(),
        }
    }

    /// True if there is a layer of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all().any(|l| l.encoding_id == name)
    }

    /// All names, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.all().map(|l| l.encoding_id.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }

    fn all(&self) -> impl Iterator<Item = &LayerView> {
        self.active.iter().chain(&self.inactive)
    }

    fn is_empty(&self) -> bool {
        self.active.is_empty() && self.inactive.is_empty()
    }
}

/// The pipeline of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PipelineView {
    /// `cold`, `loading`, `warm`, `active` or `error`.
    pub state: &'static str,
    /// The loaded stage.
    pub name: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// How the pipeline of a channel fares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PipelineStatus {
    /// The loaded stage.
    pub name: Option<String>,
    /// `cold`, `loading`, `warm`, `active` or `error`.
    pub phase: &'static str,
    /// Why there is none.
    pub reason: Option<String>,
    /// Hash of the parameters that are asked for: their entity tag.
    pub params_hash: String,
    /// What is counted and judged.
    #[serde(flatten)]
    pub status: reverie_diffusion::status::View,
}

/// What became of a change of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ParamsEvent {
    /// True if the stage follows them.
    pub applied: bool,
    /// Hash of all parameters: of those in force if they are applied, otherwise of those that are asked for.
    pub hash: String,
    /// What was changed, or was to be.
    pub fields: Vec<String>,
    /// The first frame it holds for, counted from the loading of the pipeline; null after a reload.
    pub frame: Option<u64>,
    /// Why it is not applied; null if nothing is loaded.
    pub reason: Option<String>,
}

/// A channel.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ChannelView {
    /// Its name.
    pub channel: String,
    /// True while somebody publishes and the picture is there.
    pub live: bool,
    /// Connected viewers.
    pub viewers: usize,
    /// True if the publisher sends sound.
    pub audio: bool,
    /// True if the publisher sends a picture.
    pub video: bool,
    /// What is wrong with what it sends, though it is shown: `b_frames`.
    pub warnings: Vec<&'static str>,
    /// Layers of the picture; left out without simulcast.
    #[serde(skip_serializing_if = "LayersView::is_empty")]
    pub layers: LayersView,
    /// Number of the newest event.
    pub event: u64,
    /// Its pipeline.
    pub pipeline: PipelineView,
    /// Stages a moment may ask for.
    pub pipelines: Vec<String>,
    /// The stage used when none is asked for.
    pub default_pipeline: String,
    /// The moment that is warming or active.
    pub moment: Option<MomentView>,
    /// Moments that wait.
    pub queue: Vec<MomentView>,
    /// The one that ended last.
    pub last: Option<MomentView>,
}
