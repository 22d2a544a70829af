//! The task of one channel: hears of everything that concerns it and tells everybody what to do.
//!
//! Owns the director, the pipeline and the event log; never computes on pixels and never waits for the store.

mod params;
mod requests;
mod sessions;
mod staging;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reverie_diffusion::status::{Status, View};
use reverie_transcoder::pipeline;
use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use super::board::Board;
use super::director::{Director, Input};
use super::events::Log;
use super::keeper::{Heard, Keeper};
use super::pipe::Pipe;
use super::registry::Channels;
use super::style::Style;
use super::{ChannelView, Claim, Joined, LayersView, Message, PipelineView};
use crate::auth::Holder;
use crate::engine::ids::{PeerId, StreamId};
use crate::engine::{LayerState, Stats};
use crate::session::Protocol;

/// How often a loaded pipeline is looked at, and changes of the audience are told.
const TICK: Duration = Duration::from_millis(250);
/// A channel that nobody needs is forgotten after this time.
const FORGET: Duration = Duration::from_secs(30);

/// Starts the task.
pub(super) fn spawn(
    name: String,
    stream: StreamId,
    home: usize,
    channels: Channels,
    inbox: mpsc::Receiver<Message>,
    news: Arc<Notify>,
) {
    let config = &channels.shared.config;
    let task = Task {
        keeper: Keeper::spawn(name.clone(), channels.shared.clone(), news),
        board: Board::default(),
        director: Director::new(config.pipeline.idle_ttl),
        log: Log::new(wall_ms()),
        pipe: None,
        style: Style::new(channels.shared.params.clone()),
        status: Status::new(),
        told_status: params::steady(&Status::new().view()),
        reloading: Vec::new(),
        rates: [0.0; 2],
        permit: None,
        progress: Progress {
            at: Instant::now(),
            decoded: 0,
            encoded: 0,
        },
        fresh: false,
        next_unit: 0,
        peers: HashMap::new(),
        publisher: None,
        claims: Vec::new(),
        live: false,
        profile: None,
        b_frames: false,
        layers: Vec::new(),
        generation: 0,
        epoch: Instant::now(),
        shown: PipelineView {
            state: "cold",
            name: None,
            reason: None,
        },
        told_viewers: 0,
        idle_since: Instant::now(),
        name,
        stream,
        home,
        channels,
    };
    task.gauge_streams("open", 1);
    tokio::spawn(task.run(inbox));
}

struct Peer {
    joined: Joined,
    _claim: Claim,
    connected: Option<Instant>,
    stats: Stats,
    /// What its way carried last in bits per second, while it was shown the styled picture, and when that was told.
    estimate: Option<(u64, Instant)>,
}

struct Task {
    name: String,
    stream: StreamId,
    home: usize,
    channels: Channels,
    keeper: Keeper,
    /// The moments, as they were last told.
    board: Board,
    director: Director,
    log: Log,
    pipe: Option<Pipe>,
    style: Style,
    status: Status,
    /// What was last told of the status.
    told_status: View,
    /// Parameters whose model is being loaded.
    reloading: Vec<String>,
    /// Frames per second in and out that the metrics count for this channel.
    rates: [f64; 2],
    /// Kept over a change of stage; given back once nothing is loaded.
    permit: Option<OwnedSemaphorePermit>,
    progress: Progress,
    /// A keyframe came out since the pipeline was last fed.
    fresh: bool,
    next_unit: u64,
    peers: HashMap<PeerId, Peer>,
    publisher: Option<PeerId>,
    /// Of publishers that negotiate, connect or are connected.
    claims: Vec<Weak<Holder>>,
    live: bool,
    /// The H264 `profile-level-id` that the publisher sends.
    profile: Option<u32>,
    /// The publisher's picture has B-frames.
    b_frames: bool,
    /// Of its picture, in rising order; none without simulcast.
    layers: Vec<LayerState>,
    generation: u32,
    /// Zero of the channel's media time line.
    epoch: Instant,
    shown: PipelineView,
    told_viewers: usize,
    idle_since: Instant,
}

/// When the pipeline last put out a picture, and what it had taken and given by then.
struct Progress {
    at: Instant,
    decoded: u64,
    encoded: u64,
}

enum Woken {
    Message(Option<Message>),
    Pipeline(Option<pipeline::Event>),
    Keeper(Heard),
    Time,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.deadline();
            let woken = tokio::select! {
                message = inbox.recv() => Woken::Message(message),
                event = next_event(&mut self.pipe) => Woken::Pipeline(event),
                heard = self.keeper.next() => Woken::Keeper(heard),
                () = sleep_until(deadline) => Woken::Time,
                _ = tick.tick() => Woken::Time,
            };
            match woken {
                Woken::Message(Some(message)) => self.message(message),
                Woken::Message(None) => break,
                Woken::Pipeline(event) => self.pipeline(event),
                Woken::Keeper(heard) => self.heard(heard),
                Woken::Time => self.time(),
            }
            if self.is_forgotten(&inbox) {
                break;
            }
        }
        self.gauge_streams("open", -1);
        if self.shown.state != "cold" {
            self.channels
                .shared
                .metrics
                .pipelines
                .with_label_values(&[self.shown.state])
                .dec();
        }
        self.forget_status();
        self.show_board(Board::default());
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Engine(event) => self.engine(event),
            Message::Publish(holder, reply) => drop(reply.send(self.ticket(holder))),
            Message::IsLive(reply) => drop(reply.send(self.live)),
            Message::Profile(reply) => drop(reply.send(self.profile)),
            Message::Layers(reply) => drop(reply.send(LayersView::of(&self.layers))),
            Message::Joined(joined, claim) => {
                self.peers.insert(
                    joined.peer,
                    Peer {
                        joined,
                        _claim: claim,
                        connected: None,
                        stats: Stats::default(),
                        estimate: None,
                    },
                );
            }
            Message::Settle(reply) => self.settle(reply),
            Message::Warm(name, reply) => drop(reply.send(self.warm(name))),
            Message::Cool(reply) => {
                self.direct(Input::Cool);
                let _ = reply.send(self.shown.clone());
            }
            Message::Params(reply) => drop(reply.send(self.style.params().clone())),
            Message::Patch(patch, reply) => drop(reply.send(self.patch(patch))),
            Message::Pipeline(reply) => drop(reply.send(self.pipeline_status())),
            Message::Look(reply) => drop(reply.send(self.view())),
            Message::Subscribe(after, reply) => {
                let subscription = self.log.subscribe(after, wall_ms(), || json!(self.view()));
                let _ = reply.send(subscription);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.director.deadline().map(|(at, _)| at)
    }

    fn time(&mut self) {
        let at = Instant::now();
        if self.director.deadline().is_some_and(|(due, _)| due <= at) {
            self.direct(Input::Timeout);
        }
        self.watch_pipeline(at);
        self.follow_viewers(at);
        self.watch_status();
        let viewers = self.viewers();
        if viewers != self.told_viewers {
            self.told_viewers = viewers;
            self.tell("viewers", 0, json!({ "viewers": viewers }));
        }
    }

    /// True once nobody needs the channel and the registry let go of it.
    fn is_forgotten(&mut self, inbox: &mpsc::Receiver<Message>) -> bool {
        let needed = !self.peers.is_empty()
            || self.pipe.is_some()
            || self.log.listeners() > 0
            || self.board.moment.is_some()
            || !self.board.queue.is_empty();
        if needed {
            self.idle_since = Instant::now();
        }
        self.idle_since.elapsed() > FORGET && self.channels.forget(&self.name, self.stream, inbox)
    }

    fn tell(&mut self, kind: &'static str, version: u64, data: serde_json::Value) {
        self.log.append(wall_ms(), kind, version, data);
    }

    fn viewers(&self) -> usize {
        self.peers
            .values()
            .filter(|p| p.connected.is_some() && p.joined.protocol == Protocol::Whep)
            .count()
    }

    fn media(&self) -> (bool, bool) {
        let publisher = self.publisher.and_then(|id| self.peers.get(&id));
        publisher.map_or((false, false), |p| (p.joined.audio, p.joined.video))
    }

    fn warnings(&self) -> Vec<&'static str> {
        self.b_frames.then_some("b_frames").into_iter().collect()
    }

    fn view(&self) -> ChannelView {
        let shared = &self.channels.shared;
        let (audio, video) = self.media();
        ChannelView {
            channel: self.name.clone(),
            live: self.live,
            viewers: self.viewers(),
            audio,
            video,
            warnings: self.warnings(),
            layers: LayersView::of(&self.layers),
            event: self.log.last(),
            pipeline: self.shown.clone(),
            pipelines: shared.stages.names().map(str::to_owned).collect(),
            default_pipeline: shared.config.pipeline.default.clone(),
            moment: self.board.moment.clone(),
            queue: self.board.queue.clone(),
            paused: self.board.paused,
            last: self.board.last.clone(),
        }
    }

    fn gauge_streams(&self, state: &str, change: i64) {
        self.channels
            .shared
            .metrics
            .streams
            .with_label_values(&[state])
            .add(change);
    }
}

async fn next_event(pipe: &mut Option<Pipe>) -> Option<pipeline::Event> {
    match pipe {
        Some(pipe) => pipe.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
