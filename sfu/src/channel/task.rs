//! The task of one channel: hears of everything that concerns it and tells everybody what to do.
//!
//! Owns the moments, the director, the pipeline and the event log; never computes on pixels.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reverie_moments as moments;
use reverie_transcoder::pipeline;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::director::{Action, Director, Engagement, Input};
use super::events::Log;
use super::pipe::Pipe;
use super::registry::Channels;
use super::{
    ChannelView, Joined, Message, MomentRequest, MomentView, PipelineView, Refused, Ticket,
};
use crate::engine::ids::{PeerId, StreamId};
use crate::engine::{Command, Event, Stats};
use crate::session::{Protocol, random_name};

/// How often a loaded pipeline is looked at, and changes of the audience are told.
const TICK: Duration = Duration::from_millis(250);
/// A unit that waited no longer than this beside its own work shows that the pipeline keeps pace.
const CAUGHT_UP: Duration = Duration::from_millis(100);
/// A channel that nobody needs is forgotten after this time.
const FORGET: Duration = Duration::from_secs(30);

/// Starts the task.
pub(super) fn spawn(
    name: String,
    stream: StreamId,
    home: usize,
    channels: Channels,
    inbox: mpsc::Receiver<Message>,
) {
    let config = &channels.shared.config;
    let task = Task {
        moments: moments::Channel::new(moments::Rules::from(&config.moments)),
        director: Director::new(config.pipeline.idle_ttl),
        log: Log::new(wall_ms()),
        pipe: None,
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
        live: false,
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
    task.gauge_streams(1);
    tokio::spawn(task.run(inbox));
}

struct Peer {
    joined: Joined,
    connected: Option<Instant>,
    stats: Stats,
}

struct Task {
    name: String,
    stream: StreamId,
    home: usize,
    channels: Channels,
    moments: moments::Channel,
    director: Director,
    log: Log,
    pipe: Option<Pipe>,
    /// Kept over a change of stage; given back once nothing is loaded.
    permit: Option<OwnedSemaphorePermit>,
    progress: Progress,
    /// A keyframe came out since the pipeline was last fed.
    fresh: bool,
    next_unit: u64,
    peers: HashMap<PeerId, Peer>,
    publisher: Option<PeerId>,
    live: bool,
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
                () = sleep_until(deadline) => Woken::Time,
                _ = tick.tick() => Woken::Time,
            };
            match woken {
                Woken::Message(Some(message)) => self.message(message),
                Woken::Message(None) => break,
                Woken::Pipeline(event) => self.pipeline(event),
                Woken::Time => self.time(),
            }
            if self.is_forgotten(&inbox) {
                break;
            }
        }
        self.gauge_streams(-1);
        if self.shown.state != "cold" {
            self.channels
                .shared
                .metrics
                .pipelines
                .with_label_values(&[self.shown.state])
                .dec();
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Engine(event) => self.engine(event),
            Message::Publish(reply) => {
                self.generation += 1;
                let _ = reply.send(Ticket {
                    generation: self.generation,
                    epoch: self.epoch,
                });
            }
            Message::IsLive(reply) => drop(reply.send(self.live)),
            Message::Joined(joined) => {
                self.peers.insert(
                    joined.peer,
                    Peer {
                        joined,
                        connected: None,
                        stats: Stats::default(),
                    },
                );
            }
            Message::Submit(request, reply) => drop(reply.send(self.submit(request))),
            Message::Stop(id, reply) => drop(reply.send(self.stop(id))),
            Message::Find(id, reply) => drop(reply.send(self.find(&moments::MomentId::new(id)))),
            Message::Warm(name, reply) => drop(reply.send(self.warm(name))),
            Message::Cool(reply) => {
                self.direct(Input::Cool);
                let _ = reply.send(self.shown.clone());
            }
            Message::Look(reply) => drop(reply.send(self.view())),
            Message::Subscribe(after, reply) => {
                let subscription = self.log.subscribe(after, wall_ms(), || json!(self.view()));
                let _ = reply.send(subscription);
            }
        }
    }

    // Sessions.

    fn engine(&mut self, event: Event) {
        match event {
            Event::Connected(peer, took) => self.connected(peer, took),
            Event::Closed(peer, reason) => self.closed(peer, reason),
            Event::Live(peer) => self.picture(peer),
            Event::FirstPicture(_, took) => self
                .channels
                .shared
                .metrics
                .first_picture
                .observe(took.as_secs_f64()),
            Event::Cut(at) => self.direct(Input::Cut(at)),
            Event::ShowsStyled => self.direct(Input::ShowsStyled),
            Event::ShowsCamera => self.direct(Input::ShowsCamera),
            Event::WantStyledKeyframe => {
                if let Some(pipe) = &mut self.pipe {
                    pipe.viewer_keyframe(Instant::now());
                }
            }
            Event::Stats(peer, stats) => self.stats(peer, stats),
            Event::NothingHeard(peer) => self.nothing_heard(peer),
        }
    }

    fn connected(&mut self, id: PeerId, took: Duration) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.connected = Some(Instant::now());
        let joined = peer.joined;
        let metrics = &self.channels.shared.metrics;
        metrics.connected(joined.protocol.name(), took);
        tracing::info!(channel = %self.name, peer = %id, protocol = joined.protocol.name(), took_ms = took.as_millis(), "connected");
        match joined.protocol {
            Protocol::Whep => metrics.subscribers.inc(),
            Protocol::Whip => {
                metrics.publishers.inc();
                if self.live {
                    self.offline();
                }
                self.publisher = Some(id);
                if !joined.video {
                    self.picture(id);
                }
            }
        }
    }

    /// The publisher's picture (or, without one, its sound) is there.
    fn picture(&mut self, id: PeerId) {
        if self.publisher != Some(id) || self.live {
            return;
        }
        self.live = true;
        let (audio, video) = self.media();
        tracing::info!(channel = %self.name, audio, video, "live");
        self.tell("stream.live", 0, json!({ "audio": audio, "video": video }));
        self.direct(Input::Live);
        self.moments_input(moments::Input::PublisherLive);
    }

    fn offline(&mut self) {
        self.publisher = None;
        if !self.live {
            return;
        }
        self.live = false;
        tracing::info!(channel = %self.name, "offline");
        self.tell("stream.offline", 0, json!({}));
        self.direct(Input::Offline);
        self.moments_input(moments::Input::PublisherGone);
    }

    fn closed(&mut self, id: PeerId, reason: crate::engine::CloseReason) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        let protocol = peer.joined.protocol;
        let metrics = &self.channels.shared.metrics;
        metrics.closed(protocol.name(), reason);
        tracing::info!(channel = %self.name, peer = %id, protocol = protocol.name(), reason = reason.name(), "closed");
        if let Some(since) = peer.connected {
            metrics
                .session_duration
                .with_label_values(&[protocol.name()])
                .observe(since.elapsed().as_secs_f64());
            match protocol {
                Protocol::Whip => metrics.publishers.dec(),
                Protocol::Whep => metrics.subscribers.dec(),
            }
        }
        if self.publisher == Some(id) {
            self.offline();
        }
    }

    fn stats(&mut self, id: PeerId, stats: Stats) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let metrics = &self.channels.shared.metrics;
        metrics.stats(peer.joined.protocol.name(), &stats);
        let grown =
            |new: Option<u64>, old: Option<u64>| new.map(|n| n.saturating_sub(old.unwrap_or(0)));
        if let Some(count) = grown(stats.nacks_sent, peer.stats.nacks_sent) {
            metrics.feedback("out", "nack", count);
            peer.stats.nacks_sent = stats.nacks_sent;
        }
        if let Some(count) = grown(stats.lost, peer.stats.lost) {
            metrics.rtp_lost.with_label_values(&["out"]).inc_by(count);
            peer.stats.lost = stats.lost;
        }
        if let Some(count) = grown(stats.nacks_received, peer.stats.nacks_received) {
            metrics.feedback("in", "nack", count);
            peer.stats.nacks_received = stats.nacks_received;
        }
    }

    fn nothing_heard(&self, id: PeerId) {
        let shard = self
            .channels
            .shared
            .sessions
            .shard_of(id)
            .unwrap_or(self.home);
        let candidates = &self.channels.shared.shards[shard].terms.candidates;
        let port = candidates.first().map_or(0, std::net::SocketAddr::port);
        tracing::warn!(
            channel = %self.name, peer = %id, port, ?candidates,
            "no STUN arrived for 5 s: is this UDP port open, and can the peer reach one of these addresses (media.advertise)?"
        );
    }

    // Moments.

    fn submit(&mut self, request: MomentRequest) -> Result<MomentView, Refused> {
        let pipeline = self.pipeline_name(request.pipeline)?;
        // Without randomness no session could have been made either.
        let id = random_name(8).unwrap_or_else(|_| format!("{:x}", wall_ms()));
        let submission = moments::Submission {
            id: moments::MomentId::new(id),
            prompt: request.prompt,
            pipeline,
            duration: request.duration,
        };
        let result = self.moments.submit(now(), submission);
        self.after_moments();
        let moment = result?;
        Ok(self
            .find(&moment.id)
            .unwrap_or_else(|| MomentView::new(&self.name, &moment, None)))
    }

    fn stop(&mut self, id: String) -> Result<MomentView, Refused> {
        let result = self.moments.stop(now(), &moments::MomentId::new(id));
        self.after_moments();
        Ok(MomentView::new(&self.name, &result?, None))
    }

    fn find(&self, id: &moments::MomentId) -> Option<MomentView> {
        let moment = self.moments.find(id)?;
        Some(MomentView::new(
            &self.name,
            moment,
            self.moments.position(id),
        ))
    }

    fn moments_input(&mut self, input: moments::Input) {
        self.moments.handle(now(), input);
        self.after_moments();
    }

    /// Tells what changed, and starts and ends what is to be shown.
    fn after_moments(&mut self) {
        while let Some(event) = self.moments.poll() {
            match event {
                moments::Event::Changed {
                    moment,
                    from,
                    position,
                } => self.moment_changed(&moment, from, position),
                moments::Event::Start {
                    run,
                    pipeline,
                    prompt,
                } => self.direct(Input::Begin(Engagement {
                    run,
                    pipeline,
                    prompt,
                })),
                moments::Event::Release(_) => self.direct(Input::End),
                moments::Event::QueueChanged => {
                    let queue = self.queue();
                    self.tell("queue.changed", 0, json!({ "queue": queue }));
                }
            }
        }
    }

    fn moment_changed(
        &mut self,
        moment: &moments::Moment,
        from: Option<moments::State>,
        position: Option<usize>,
    ) {
        use moments::State;
        let metrics = &self.channels.shared.metrics;
        let was = from.map_or("none", State::as_str);
        let ended = moment.state.is_ended();
        let reason = if ended { moment.state.as_str() } else { "none" };
        metrics
            .moment_transitions
            .with_label_values(&[was, moment.state.as_str(), reason])
            .inc();
        if let Some(from) = from {
            metrics.moments.with_label_values(&[from.as_str()]).dec();
        }
        if !ended {
            metrics
                .moments
                .with_label_values(&[moment.state.as_str()])
                .inc();
        }
        tracing::info!(channel = %self.name, moment = %moment.id, from = was, to = moment.state.as_str(), reason = ?moment.reason, "moment");
        let kind = match moment.state {
            State::Queued => "moment.queued",
            State::Warming => "moment.warming",
            State::Active => "moment.active",
            State::Completed => "moment.completed",
            State::Failed => "moment.failed",
            State::Cancelled => "moment.cancelled",
            _ => "moment.expired",
        };
        let view = MomentView::new(&self.name, moment, position);
        self.tell(kind, moment.version, json!(view));
    }

    // Pipeline.

    fn warm(&mut self, name: Option<String>) -> Result<PipelineView, Refused> {
        let name = self.pipeline_name(name)?;
        self.direct(Input::Warm(name));
        Ok(self.shown.clone())
    }

    fn pipeline_name(&self, asked: Option<String>) -> Result<String, Refused> {
        let name = asked.unwrap_or_else(|| self.channels.shared.config.pipeline.default.clone());
        let stages = &self.channels.shared.stages;
        if stages.knows(&name) {
            return Ok(name);
        }
        Err(Refused::Pipeline {
            name,
            known: stages.names().collect::<Vec<_>>().join(", "),
        })
    }

    fn pipeline(&mut self, event: Option<pipeline::Event>) {
        match event {
            Some(pipeline::Event::Ready { load }) => {
                let model = self.pipe.as_ref().map_or("", Pipe::name);
                self.channels
                    .shared
                    .metrics
                    .pipeline_load
                    .with_label_values(&[model])
                    .observe(load.as_secs_f64());
                self.direct(Input::Ready);
            }
            Some(pipeline::Event::Unit { unit, timing }) => self.unit(&unit, &timing),
            Some(pipeline::Event::NeedKeyframe) => self.home(Command::WantKeyframe(self.stream)),
            Some(pipeline::Event::Applied(Err(error))) => {
                tracing::warn!(channel = %self.name, %error, "the stage refused a style")
            }
            Some(pipeline::Event::Failed { at, error }) => {
                self.direct(Input::Failed(format!("{at}: {error}")))
            }
            Some(pipeline::Event::Stopped) | None => {
                self.direct(Input::Failed("the pipeline stopped".to_owned()))
            }
            Some(_) => {}
        }
    }

    fn unit(&mut self, unit: &reverie_transcoder::unit::AccessUnit, timing: &pipeline::Timing) {
        // What was on its way when the pipeline was paused is no sign of life: its first unit after that is a keyframe.
        self.fresh |= unit.keyframe;
        let alive = self.fresh && keeps_pace(timing);
        if !self.director.is_fed() || (self.director.is_priming() && !alive) {
            return;
        }
        self.direct(Input::Unit);
        let Some(pipe) = &mut self.pipe else { return };
        pipe.observe(&self.channels.shared.metrics, timing);
        let Some(styled) = pipe.pack(unit) else {
            return;
        };
        let mut lost = false;
        for shard in &self.channels.shared.shards {
            lost |= shard
                .handle
                .send(Command::Styled(self.stream, styled.clone()))
                .is_err();
        }
        if lost {
            self.channels
                .shared
                .metrics
                .frames_dropped
                .with_label_values(&["bus", "full"])
                .inc();
            pipe.lost_unit();
        }
    }

    fn direct(&mut self, input: Input) {
        let actions = self.director.handle(Instant::now(), input);
        for action in actions {
            self.act(action);
        }
        if self.pipe.is_none() {
            self.permit = None;
        }
        self.show_pipeline();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Spawn(name) => self.load(name),
            Action::Unload => self.unload(),
            Action::Style(prompt) => {
                if let Some(pipe) = &self.pipe {
                    pipe.style(&prompt);
                }
            }
            Action::Feed(on) => {
                self.fresh = false;
                if !on && let Some(pipe) = &self.pipe {
                    pipe.pause();
                }
                let sink = self.pipe.as_ref().filter(|_| on).map(Pipe::input);
                self.home(Command::Tap(self.stream, sink));
            }
            Action::Cut => self.home(Command::Cut(self.stream)),
            Action::KeyframeFrom(at) => {
                if let Some(pipe) = &self.pipe {
                    pipe.keyframe_from(at);
                }
            }
            Action::Camera(urgency) => self.home(Command::Camera(self.stream, urgency)),
            Action::Started(run) => self.moments_input(moments::Input::FirstFrame(run)),
            Action::Failed { run, reason, retry } => {
                tracing::warn!(channel = %self.name, moment = %run.moment, reason, retry, "the pipeline failed");
                self.moments_input(moments::Input::PipelineFailed { run, reason, retry });
            }
        }
    }

    fn load(&mut self, name: String) {
        let shared = &self.channels.shared;
        let permit = self
            .permit
            .take()
            .or_else(|| shared.capacity.clone().try_acquire_owned().ok());
        let Some(permit) = permit else {
            let reason = format!(
                "all {} pipelines are in use",
                shared.config.pipeline.max_active
            );
            self.direct(Input::Failed(reason));
            return;
        };
        let Some(factory) = shared.stages.factory(&name) else {
            self.direct(Input::Failed(format!("there is no pipeline {name:?}")));
            return;
        };
        self.pipe = Some(Pipe::load(
            &self.name,
            name,
            &shared.config.pipeline,
            factory,
            self.next_unit,
        ));
        self.permit = Some(permit);
    }

    fn unload(&mut self) {
        let Some(mut pipe) = self.pipe.take() else {
            return;
        };
        pipe.export(&self.channels.shared.metrics);
        self.next_unit = pipe.next_unit();
        // Dropping waits for threads.
        drop(tokio::task::spawn_blocking(move || drop(pipe)));
    }

    fn show_pipeline(&mut self) {
        let (phase, name, reason) = self.director.status();
        let view = PipelineView {
            state: phase.name(),
            name: name.map(str::to_owned),
            reason: reason.map(str::to_owned),
        };
        if view == self.shown {
            return;
        }
        let pipelines = &self.channels.shared.metrics.pipelines;
        if self.shown.state != view.state {
            for (state, change) in [(self.shown.state, -1), (view.state, 1)] {
                if state != "cold" {
                    pipelines.with_label_values(&[state]).add(change);
                }
            }
        }
        let kind = match view.state {
            "loading" => "pipeline.loading",
            "warm" => "pipeline.warm",
            "active" => "pipeline.active",
            "error" => "pipeline.error",
            _ => "pipeline.cold",
        };
        self.shown = view;
        self.tell(kind, 0, json!(self.shown));
    }

    /// Tells the publisher's shard something.
    fn home(&self, command: Command) {
        if self.channels.shared.shards[self.home]
            .handle
            .send(command)
            .is_err()
        {
            tracing::error!(channel = %self.name, "the media thread is so far behind that a command was lost");
        }
    }

    // Time.

    fn deadline(&self) -> Option<Instant> {
        let moments = self.moments.deadline().map(|(at, _)| at);
        let director = self.director.deadline().map(|(at, _)| at);
        [moments, director].into_iter().flatten().min()
    }

    fn time(&mut self) {
        let at = Instant::now();
        if self.moments.deadline().is_some_and(|(due, _)| due <= at) {
            self.moments_input(moments::Input::Timeout);
        }
        if self.director.deadline().is_some_and(|(due, _)| due <= at) {
            self.direct(Input::Timeout);
        }
        self.watch_pipeline(at);
        let viewers = self.viewers();
        if viewers != self.told_viewers {
            self.told_viewers = viewers;
            self.tell("viewers", 0, json!({ "viewers": viewers }));
        }
    }

    fn watch_pipeline(&mut self, at: Instant) {
        let Some(pipe) = &mut self.pipe else { return };
        pipe.export(&self.channels.shared.metrics);
        let limit = self.channels.shared.config.pipeline.stall_timeout;
        let (decoded, encoded) = pipe.progress();
        let busy = pipe.stalled_for(at).is_some_and(|busy| busy > limit);
        if encoded != self.progress.encoded
            || decoded == self.progress.decoded
            || !self.director.is_fed()
        {
            self.progress = Progress {
                at,
                decoded,
                encoded,
            };
        }
        let silent = at.saturating_duration_since(self.progress.at) > limit;
        if self.director.is_fed() && (busy || silent) {
            let reason = format!(
                "stage: no picture for more than {} s (stalled)",
                limit.as_secs_f64()
            );
            self.direct(Input::Failed(reason));
        }
    }

    /// True once nobody needs the channel and the registry let go of it.
    fn is_forgotten(&mut self, inbox: &mpsc::Receiver<Message>) -> bool {
        let needed = !self.peers.is_empty()
            || self.pipe.is_some()
            || self.log.listeners() > 0
            || self.moments.live().is_some()
            || self.moments.queue().len() > 0;
        if needed {
            self.idle_since = Instant::now();
        }
        self.idle_since.elapsed() > FORGET && self.channels.forget(&self.name, self.stream, inbox)
    }

    // Views.

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

    fn queue(&self) -> Vec<MomentView> {
        (1..)
            .zip(self.moments.queue())
            .map(|(i, m)| MomentView::new(&self.name, m, Some(i)))
            .collect()
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
            event: self.log.last(),
            pipeline: self.shown.clone(),
            pipelines: shared.stages.names().map(str::to_owned).collect(),
            default_pipeline: shared.config.pipeline.default.clone(),
            moment: self
                .moments
                .live()
                .map(|m| MomentView::new(&self.name, m, None)),
            queue: self.queue(),
            last: self
                .moments
                .last()
                .map(|m| MomentView::new(&self.name, m, None)),
        }
    }

    fn gauge_streams(&self, change: i64) {
        self.channels
            .shared
            .metrics
            .streams
            .with_label_values(&["open"])
            .add(change);
    }
}

/// True if the pipeline has caught up with the camera.
fn keeps_pace(timing: &pipeline::Timing) -> bool {
    let work = timing.decode + timing.stage + timing.encode;
    timing.total <= CAUGHT_UP + 2 * work
}

async fn next_event(pipe: &mut Option<Pipe>) -> Option<pipeline::Event> {
    match pipe {
        Some(pipe) => pipe.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> moments::Now {
    moments::Now {
        mono: Instant::now(),
        wall_ms: wall_ms(),
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
