//! Channels and moments as the API shows them.

use reverie_moments::life::Moment;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::LayerState;

/// A moment.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Moment)]
pub(crate) struct MomentView {
    /// Its id.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// What is shown; empty once it is erased, and for everybody but moderators until it is reviewed.
    pub prompt: String,
    /// Whether it was let into the queue, so that everybody may read its prompt.
    pub reviewed: bool,
    /// The stage that shows it.
    pub pipeline: String,
    /// What it lays over the channel's parameters.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub params: Map<String, Value>,
    /// `submitted`, `pending_approval`, `queued`, `warming`, `active`, `completed`, `rejected`, `expired`, `failed` or
    /// `cancelled`.
    pub state: &'static str,
    /// Seconds.
    pub duration_s: f64,
    /// Counts its changes.
    pub version: i64,
    /// Place in the queue, from 1.
    pub position: Option<usize>,
    /// Milliseconds since the Unix epoch, as all times here.
    pub created_at: i64,
    /// When its first picture was shown.
    pub active_at: Option<i64>,
    /// When it is to end.
    pub ends_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it is in this state, for people.
    pub reason: Option<String>,
    /// The name of who asked for it, where it is known.
    pub viewer: Option<String>,
    /// What it is paid with: `bits`, `credit`, `free` or `streamer`.
    pub source: &'static str,
    /// The product; empty for the streamer's own.
    pub sku: String,
    /// Its price, in Bits or credits.
    pub price: i64,
    /// What its viewer got back: `none` or `credited`.
    pub compensation: &'static str,
    /// What is given back with a receipt, for who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
}

impl MomentView {
    pub(crate) fn new(moment: &Moment, position: Option<usize>) -> Self {
        Self {
            id: moment.id.to_string(),
            channel: moment.channel.clone(),
            prompt: moment.prompt.clone(),
            // Places begin with 1, and are given with the queue's first one.
            reviewed: moment.seq > 0,
            pipeline: pipeline_of(moment).unwrap_or_default(),
            params: overlay_of(moment),
            state: moment.state.as_str(),
            duration_s: moment.duration as f64 / 1000.0,
            version: moment.version,
            position,
            created_at: moment.created_at,
            active_at: moment.started_at,
            ends_at: moment.ends_at(),
            ended_at: moment.ended_at,
            reason: moment.reason.as_ref().map(ToString::to_string),
            viewer: moment.viewer.name.clone(),
            source: moment.source.as_str(),
            sku: moment.sku.clone(),
            price: moment.price,
            compensation: moment.compensation.as_str(),
            intent: None,
        }
    }
}

/// A moment, or a channel's event about one, as it is told to who may not decide about it.
pub(crate) fn concealed(mut data: Value) -> Value {
    if data["reviewed"] == false {
        data["prompt"] = Value::String(String::new());
    }
    data
}

/// The stage that a moment is for; none once it is erased.
pub(crate) fn pipeline_of(moment: &Moment) -> Option<String> {
    let params: Value = serde_json::from_str(&moment.params).ok()?;
    Some(params.get("pipeline")?.as_str()?.to_owned())
}

/// What a moment lays over the parameters of its channel.
pub(crate) fn overlay_of(moment: &Moment) -> Map<String, Value> {
    let mut params: Value = serde_json::from_str(&moment.params).unwrap_or_default();
    match params.get_mut("params").map(Value::take) {
        Some(Value::Object(overlay)) => overlay,
        _ => Map::new(),
    }
}

/// What a moment keeps of how it is shown.
pub(crate) fn params_of(pipeline: &str, overlay: &Map<String, Value>) -> String {
    if overlay.is_empty() {
        return json!({ "pipeline": pipeline }).to_string();
    }
    json!({ "pipeline": pipeline, "params": overlay }).to_string()
}

/// The layers of a simulcast picture in rising order, in the words of the WHEP event `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Layers)]
pub(crate) struct LayersView {
    /// Those that can be watched now.
    pub active: Vec<LayerView>,
    /// Those whose publisher has stopped sending them.
    pub inactive: Vec<LayerView>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Layer)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = LoadedPipeline)]
pub(crate) struct PipelineView {
    /// `cold`, `loading`, `warm`, `active` or `error`.
    pub state: &'static str,
    /// The loaded stage.
    pub name: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// How the pipeline of a channel fares.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
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
    #[schema(value_type = Object)]
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
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Channel)]
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
    /// True while none of them is started.
    pub paused: bool,
    /// The one that ended last.
    pub last: Option<MomentView>,
}
