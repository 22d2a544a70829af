//! The channel's pipeline: loaded, fed, and packed for the viewers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_config::{Backend, Pipeline as Config};
use reverie_diffusion::board::{Board, Posted};
use reverie_transcoder::counters::Snapshot;
use reverie_transcoder::packetize::Packetizer;
use reverie_transcoder::pipeline::{self, Event, Handle, Pipeline, Timing};
use reverie_transcoder::stage::{StageFactory, StylePatch};
use reverie_transcoder::time::Pts;
use reverie_transcoder::unit::AccessUnit;
use reverie_transcoder::{decode, encode};
use tokio::sync::mpsc;

use super::follow::Follow;
use crate::engine::packet::StyledUnit;
use crate::metrics::Metrics;

/// Least time between two keyframes that viewers asked of the encoder.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// See the module.
pub(super) struct Pipe {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    packetizer: Packetizer,
    next_unit: u64,
    name: String,
    board: Board,
    exported: Snapshot,
    keyframe_asked: Option<Instant>,
    follow: Follow,
}

impl Pipe {
    /// Starts to load a stage for `channel`; [`Event::Ready`] says when it is done.
    pub(super) fn load(
        channel: &str,
        name: String,
        config: &Config,
        factory: StageFactory,
        board: Board,
        next_unit: u64,
    ) -> Self {
        let mut settings = pipeline::Config::new(channel);
        settings.decode = decode::Config {
            backend: decoder(config.decoder),
        };
        settings.encode = encode::Config {
            backend: encoder(config.encoder),
            max_fps: config.max_fps.get(),
            bitrate: config.bitrate_kbps * 1000,
        };
        settings.unit_queue = config.unit_queue;
        settings.max_fps = config.max_fps.get();
        let (handle, events) = Pipeline::spawn(settings, factory);
        Self {
            handle,
            events,
            packetizer: Packetizer::default(),
            next_unit,
            name,
            board,
            exported: Snapshot::default(),
            keyframe_asked: None,
            follow: Follow::new(config.min_bitrate_kbps * 1000, config.bitrate_kbps * 1000),
        }
    }

    /// The next event; `None` once the pipeline has stopped.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the stage reported since it was last asked.
    pub(super) fn posted(&self) -> Posted {
        self.board.read()
    }

    pub(super) fn input(&self) -> pipeline::Input {
        self.handle.input()
    }

    /// Hands the stage a change; false if it has not taken up some 60 that it was handed before.
    pub(super) fn style(&self, patch: StylePatch) -> bool {
        self.handle.apply(patch).is_ok()
    }

    /// What has been counted since it was loaded.
    pub(super) fn counters(&self) -> Snapshot {
        self.handle.counters()
    }

    pub(super) fn pause(&self) {
        self.handle.pause();
    }

    pub(super) fn keyframe_from(&self, at: Pts) {
        self.handle.keyframe_from(at);
    }

    /// A viewer needs a keyframe; merged and throttled.
    pub(super) fn viewer_keyframe(&mut self, now: Instant) {
        if self
            .keyframe_asked
            .is_none_or(|at| now >= at + KEYFRAME_INTERVAL)
        {
            self.keyframe_asked = Some(now);
            self.handle.request_keyframe();
        }
    }

    /// Lets the encoder follow what the viewers' connections carry; see [`Follow::decide`].
    pub(super) fn follow(&mut self, now: Instant, estimates: &mut [u64], viewers: usize) {
        if let Some(rate) = self.follow.decide(now, estimates, viewers) {
            tracing::debug!(pipeline = %self.name, rate, "the encoder follows its viewers");
            self.handle.set_bitrate(rate);
        }
    }

    /// The bus lost a unit: the next one must stand on its own.
    pub(super) fn lost_unit(&self) {
        self.handle.request_keyframe();
    }

    /// Cuts a unit into payloads for all viewers.
    pub(super) fn pack(&mut self, unit: &AccessUnit) -> Option<Arc<StyledUnit>> {
        let payloads: Vec<_> = self
            .packetizer
            .packetize(unit)
            .into_iter()
            .map(|p| p.data)
            .collect();
        if payloads.is_empty() {
            return None;
        }
        self.follow.sent(payloads.iter().map(|p| p.len()).sum());
        let index = self.next_unit;
        self.next_unit += 1;
        Some(Arc::new(StyledUnit {
            index,
            pts: unit.pts,
            keyframe: unit.keyframe,
            payloads,
        }))
    }

    /// For the next pipeline of the channel: unit numbers never repeat.
    pub(super) fn next_unit(&self) -> u64 {
        self.next_unit
    }

    /// Units and frames that came out so far: of the decoder, of the encoder.
    pub(super) fn progress(&self) -> (u64, u64) {
        let counters = self.handle.counters();
        (counters.decoded, counters.encoded)
    }

    /// How long the stage has been busy with one frame.
    pub(super) fn stalled_for(&self, now: Instant) -> Option<Duration> {
        self.handle
            .stage_busy_since()
            .map(|since| now.saturating_duration_since(since))
    }

    pub(super) fn observe(&self, metrics: &Metrics, timing: &Timing) {
        for (stage, took) in [
            ("decode", timing.decode),
            ("stage", timing.stage),
            ("encode", timing.encode),
        ] {
            metrics
                .stage_seconds
                .with_label_values(&[stage])
                .observe(took.as_secs_f64());
        }
        metrics.pipeline_latency.observe(timing.total.as_secs_f64());
    }

    /// Ends the pipeline: blocks until its threads have ended or are left behind, which is counted.
    pub(super) fn retire(mut self, metrics: &Metrics) {
        self.export(metrics);
        let (counters, before) = (self.handle.shared_counters(), self.exported);
        drop(self.handle);
        let detached = counters.snapshot().since(&before).detached;
        metrics
            .frames_dropped
            .with_label_values(&["pipeline", "detached"])
            .inc_by(detached);
    }

    /// Adds what was counted since the last call.
    pub(super) fn export(&mut self, metrics: &Metrics) {
        let now = self.handle.counters();
        let since = now.since(&self.exported);
        self.exported = now;
        for (stage, result, count) in [
            ("decode", "ok", since.decoded),
            ("decode", "error", since.decode_errors),
            ("stage", "ok", since.staged),
            ("stage", "withheld", since.withheld),
            ("encode", "ok", since.encoded),
            ("encode", "skipped", since.skipped),
        ] {
            let backend = if stage == "stage" {
                self.name.as_str()
            } else {
                "openh264"
            };
            metrics
                .frames
                .with_label_values(&[stage, backend, result])
                .inc_by(count);
        }
        for (stage, reason, count) in [
            ("decode", "no_keyframe_or_full", since.dropped_units),
            ("decode", "rate", since.thinned),
            ("stage", "displaced", since.displaced_before_stage),
            ("encode", "displaced", since.displaced_after_stage),
            ("output", "not_taken", since.dropped_output),
            ("pipeline", "paused", since.stale),
        ] {
            metrics
                .frames_dropped
                .with_label_values(&[stage, reason])
                .inc_by(count);
        }
    }
}

fn decoder(config: Backend) -> decode::Backend {
    match config {
        Backend::Auto => decode::Backend::Auto,
        Backend::Openh264 => decode::Backend::OpenH264,
    }
}

fn encoder(config: Backend) -> encode::Backend {
    match config {
        Backend::Auto => encode::Backend::Auto,
        Backend::Openh264 => encode::Backend::OpenH264,
    }
}
