//! Every metric of the server, in base units; the only place that knows the metrics library.
//!
//! Names carry no channel, user or session: one server has a fixed number of series.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use reverie_diffusion::status::State;

use crate::engine::{self, CloseReason, Stats};
use crate::shard::{SocketCounts, TcpCounts};

const FAST: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];
const SLOW: &[f64] = &[
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0,
];
const RATES: &[f64] = &[
    12_500.0,
    25_000.0,
    50_000.0,
    100_000.0,
    200_000.0,
    400_000.0,
    800_000.0,
    1_600_000.0,
    3_200_000.0,
];
const STAGE: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];

/// See the module. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// 1 while the server stops.
    pub(crate) draining: IntGauge,
    /// Channels by state.
    pub(crate) streams: IntGaugeVec,
    pub(crate) publishers: IntGauge,
    pub(crate) subscribers: IntGauge,
    pub(crate) sessions: IntCounterVec,
    session_closes: IntCounterVec,
    session_setup: HistogramVec,
    pub(crate) session_duration: HistogramVec,
    pub(crate) first_picture: Histogram,
    rtp_packets: IntCounterVec,
    rtp_bytes: IntCounterVec,
    rtp_refused: IntCounter,
    rtp_ignored: IntCounter,
    pub(crate) rtp_lost: IntCounterVec,
    rtp_resent: IntCounterVec,
    layer_switches: IntCounterVec,
    estimate: Histogram,
    rtcp_feedback: IntCounterVec,
    jitter: HistogramVec,
    rtt: HistogramVec,
    loss: HistogramVec,
    skew: HistogramVec,
    pub(crate) b_frames: IntCounter,
    forward_latency: Histogram,
    datagrams: IntCounterVec,
    send_calls: IntCounter,
    tcp_connections: IntCounterVec,
    tcp_dropped: IntCounter,
    peer_panics: IntCounter,
    address_changes: IntCounter,
    pub(crate) frames: IntCounterVec,
    pub(crate) frames_dropped: IntCounterVec,
    pub(crate) stage_seconds: HistogramVec,
    pub(crate) pipeline_latency: Histogram,
    pub(crate) pipelines: IntGaugeVec,
    pub(crate) pipeline_load: HistogramVec,
    pub(crate) pipeline_capacity: IntGauge,
    pipeline_status: IntGaugeVec,
    pub(crate) pipeline_fps: GaugeVec,
    pub(crate) pipeline_reloads: IntCounterVec,
    pub(crate) frames_unrecorded: IntCounter,
    pub(crate) pipeline_restarts: IntCounter,
    pub(crate) params_patches: IntCounterVec,
    pub(crate) moments: IntGaugeVec,
    pub(crate) moment_transitions: IntCounterVec,
    pub(crate) store_errors: IntCounterVec,
    pub(crate) event_streams: IntGaugeVec,
    /// WebSockets by why they ended.
    pub(crate) socket_closes: IntCounterVec,
    /// Their commands.
    pub(crate) socket_commands: IntCounterVec,
    pub(crate) auth_refusals: IntCounterVec,
    pub(crate) tls_handshakes: IntCounterVec,
    pub(crate) tls_reloads: IntCounterVec,
    pub(crate) tls_expiry: IntGaugeVec,
    pub(crate) http_requests: IntCounterVec,
    pub(crate) http_seconds: HistogramVec,
    /// Requests to Twitch.
    pub(crate) twitch_calls: IntCounterVec,
    /// What was to be sent by Twitch.
    pub(crate) twitch_mail: IntCounterVec,
    /// Notifications of EventSub.
    pub(crate) twitch_notifications: IntCounterVec,
    /// Payments by Bits.
    pub(crate) twitch_payments: IntCounterVec,
}

/// Registers what it makes; names are constants, so a refusal is a programming error.
struct Maker(Registry);

impl Maker {
    fn keep<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("metric names and labels are valid constants");
        self.0
            .register(Box::new(collector.clone()))
            .expect("metric names are unique constants");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::with_opts(Opts::new(prefixed(name), help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(prefixed(name), help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::with_opts(Opts::new(prefixed(name), help)))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(prefixed(name), help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.keep(Histogram::with_opts(
            HistogramOpts::new(prefixed(name), help).buckets(buckets.to_vec()),
        ))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.keep(HistogramVec::new(
            HistogramOpts::new(prefixed(name), help).buckets(buckets.to_vec()),
            labels,
        ))
    }
}

fn prefixed(name: &str) -> String {
    format!("reverie_{name}")
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let m = Maker(Registry::new());
        let build = m.gauges(
            "build_info",
            "Always 1; the version is the label.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            draining: m.gauge(
                "node_draining",
                "1 while the server refuses new sessions because it stops.",
            ),
            streams: m.gauges("streams", "Channels: those that are open, and those of them that are live.", &["state"]),
            publishers: m.gauge("publishers", "Connected WHIP sessions."),
            subscribers: m.gauge("subscribers", "Connected WHEP sessions."),
            sessions: m.counters(
                "sessions_total",
                "Session requests by result.",
                &["protocol", "result"],
            ),
            session_closes: m.counters(
                "session_closes_total",
                "Ended sessions by reason.",
                &["protocol", "reason"],
            ),
            session_setup: m.histograms(
                "session_setup_seconds",
                "From the offer to the finished DTLS handshake.",
                &["protocol"],
                SLOW,
            ),
            session_duration: m.histograms(
                "session_duration_seconds",
                "Life of ended sessions.",
                &["protocol"],
                SLOW,
            ),
            first_picture: m.histogram(
                "first_picture_seconds",
                "From a WHEP offer to the first picture sent.",
                SLOW,
            ),
            rtp_packets: m.counters(
                "rtp_packets_total",
                "Media packets.",
                &["direction", "kind"],
            ),
            rtp_bytes: m.counters(
                "rtp_bytes_total",
                "Bytes of RTP payload.",
                &["direction", "kind"],
            ),
            rtp_ignored: m.counter(
                "rtp_packets_ignored_total",
                "Packets of streams beside those that are forwarded.",
            ),
            rtp_lost: m.counters(
                "rtp_packets_lost_total",
                "Packets of publishers that had not come when a later one did, and packets that viewers reported as lost.",
                &["direction"],
            ),
            rtp_refused: m.counter(
                "rtp_packets_refused_total",
                "Packets of publishers that are not H264 or are too large for viewers.",
            ),
            rtp_resent: m.counters(
                "rtp_retransmissions_total",
                "Packets that were sent again: by publishers, and to viewers.",
                &["direction"],
            ),
            layer_switches: m.counters(
                "layer_switches_total",
                "Viewers that went on with another simulcast layer.",
                &["direction"],
            ),
            estimate: m.histogram(
                "viewer_estimate_bytes_per_second",
                "What the ways to viewers carry, by their transport-wide feedback.",
                RATES,
            ),
            rtcp_feedback: m.counters(
                "rtcp_feedback_total",
                "Feedback messages.",
                &["direction", "type"],
            ),
            jitter: m.histograms(
                "rtp_jitter_seconds",
                "Interarrival jitter: of publishers' tracks here, and of the picture as viewers report it.",
                &["protocol"],
                FAST,
            ),
            rtt: m.histograms(
                "rtt_seconds",
                "Round trip time of sessions.",
                &["protocol"],
                FAST,
            ),
            loss: m.histograms(
                "rtp_loss_ratio",
                "Share of packets lost between reports.",
                &["protocol"],
                &[0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0],
            ),
            skew: m.histograms(
                "av_skew_seconds",
                "How much later the picture of one instant leaves than its sound, once a second per live channel; the receiver makes up for it by waiting with the sound.",
                &["picture"],
                &[-0.5, -0.2, -0.08, -0.04, -0.02, 0.0, 0.02, 0.04, 0.08, 0.2, 0.5, 1.0, 2.0],
            ),
            b_frames: m.counter(
                "publisher_bframes_total",
                "Publishers whose picture has B-frames.",
            ),
            forward_latency: m.histogram(
                "forward_latency_seconds",
                "From reading a batch of packets to having given their last copy to the kernel.",
                FAST,
            ),
            datagrams: m.counters(
                "datagrams_total",
                "UDP datagrams.",
                &["direction", "result"],
            ),
            send_calls: m.counter(
                "datagram_send_calls_total",
                "System calls that sent datagrams.",
            ),
            tcp_connections: m.counters(
                "tcp_connections_total",
                "Media connections over TCP.",
                &["result"],
            ),
            tcp_dropped: m.counter(
                "tcp_packets_dropped_total",
                "Packets for TCP connections that are read too slowly.",
            ),
            peer_panics: m.counter(
                "peer_panics_total",
                "Sessions ended by a bug in their engine.",
            ),
            address_changes: m.counter(
                "address_changes_total",
                "Sessions that went on at another address of their client.",
            ),
            frames: m.counters(
                "frames_total",
                "Frames through a pipeline.",
                &["stage", "backend", "result"],
            ),
            frames_dropped: m.counters(
                "frames_dropped_total",
                "Frames or units dropped.",
                &["stage", "reason"],
            ),
            stage_seconds: m.histograms(
                "stage_seconds",
                "Time one frame takes in one part of a pipeline.",
                &["stage"],
                STAGE,
            ),
            pipeline_latency: m.histogram(
                "pipeline_latency_seconds",
                "From the frame's arrival to its styled unit.",
                STAGE,
            ),
            pipelines: m.gauges("pipelines", "Pipelines by state.", &["state"]),
            pipeline_load: m.histograms(
                "pipeline_load_seconds",
                "Time to load a stage.",
                &["model"],
                SLOW,
            ),
            pipeline_capacity: m
                .gauge("pipeline_capacity", "Pipelines that may be loaded at once."),
            pipeline_status: m.gauges(
                "pipeline_status",
                "Pipelines that are not OFFLINE, by how they fare.",
                &["state"],
            ),
            pipeline_fps: m.keep(GaugeVec::new(
                Opts::new(
                    prefixed("pipeline_frame_rate"),
                    "Frames per second into and out of the stages of all active pipelines.",
                ),
                &["side"],
            )),
            pipeline_reloads: m.counters(
                "pipeline_reloads_total",
                "Changes of parameters that loaded something anew, by result.",
                &["result"],
            ),
            frames_unrecorded: m.counter(
                "frames_unrecorded_total",
                "Frames whose model was called without a CUDA graph, though one was wanted.",
            ),
            pipeline_restarts: m.counter(
                "pipeline_restarts_total",
                "Pipelines that were loaded again after a failure.",
            ),
            params_patches: m.counters(
                "params_patches_total",
                "Changes of parameters that were asked for, by result.",
                &["result"],
            ),
            moments: m.gauges(
                "moments",
                "Moments that have not ended, of open channels, by state.",
                &["state"],
            ),
            moment_transitions: m.counters(
                "moment_transitions_total",
                "Changes of moments.",
                &["from", "to", "reason"],
            ),
            store_errors: m.counters(
                "store_errors_total",
                "Calls of the store of moments that failed, by what they were for.",
                &["call"],
            ),
            event_streams: m.gauges("events_connections", "Open event streams.", &["transport"]),
            socket_closes: m.counters(
                "socket_closes_total",
                "WebSockets of channels that ended.",
                &["reason"],
            ),
            socket_commands: m.counters(
                "socket_commands_total",
                "Commands of WebSockets.",
                &["command", "result"],
            ),
            auth_refusals: m.counters(
                "auth_refusals_total",
                "Requests without a token, with one that is invalid, and with one for something else.",
                &["reason"],
            ),
            tls_handshakes: m.counters(
                "tls_handshakes_total",
                "TLS handshakes by result.",
                &["result"],
            ),
            tls_reloads: m.counters(
                "tls_reloads_total",
                "Attempts to read certificate and key again, by result.",
                &["result"],
            ),
            tls_expiry: m.gauges(
                "tls_certificate_expiry_timestamp_seconds",
                "When the served certificate expires, in seconds since 1970; no series without HTTPS.",
                &["listener"],
            ),
            http_requests: m.counters(
                "http_requests_total",
                "HTTP requests.",
                &["route", "method", "code"],
            ),
            http_seconds: m.histograms(
                "http_request_duration_seconds",
                "Time to answer an HTTP request.",
                &["route", "method"],
                FAST,
            ),
            twitch_calls: m.counters(
                "twitch_calls_total",
                "Requests to Twitch, by what was asked and what came of it.",
                &["call", "result"],
            ),
            twitch_mail: m.counters(
                "twitch_mail_total",
                "Lines for chats and pokes for pages, by what became of each attempt.",
                &["kind", "result"],
            ),
            twitch_notifications: m.counters(
                "twitch_notifications_total",
                "Notifications of Twitch's EventSub, by what became of them.",
                &["result"],
            ),
            twitch_payments: m.counters(
                "twitch_payments_total",
                "Payments by Bits, by how they were heard of and what they came to.",
                &["by", "result"],
            ),
            registry: m.0,
        }
    }

    /// The text exposition format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut out)
            .expect("writing to memory cannot fail and all families are consistent");
        String::from_utf8(out).expect("the exposition format is UTF-8")
    }

    pub(crate) fn connected(&self, protocol: &str, took: Duration) {
        self.session_setup
            .with_label_values(&[protocol])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn closed(&self, protocol: &str, reason: CloseReason) {
        self.session_closes
            .with_label_values(&[protocol, reason.name()])
            .inc();
    }

    pub(crate) fn stats(&self, protocol: &str, stats: &Stats) {
        if let Some(estimate) = stats.estimate {
            // Far below what a float counts exactly.
            #[allow(clippy::cast_precision_loss)]
            self.estimate.observe(estimate as f64 / 8.0);
        }
        if let Some(rtt) = stats.rtt {
            self.rtt
                .with_label_values(&[protocol])
                .observe(rtt.as_secs_f64());
        }
        if let Some(jitter) = stats.jitter {
            self.jitter
                .with_label_values(&[protocol])
                .observe(jitter.as_secs_f64());
        }
        if let Some(loss) = stats.loss {
            self.loss
                .with_label_values(&[protocol])
                .observe(f64::from(loss));
        }
    }

    /// The picture of one instant left this much later than its sound.
    pub(crate) fn skew(&self, picture: &str, seconds: f64) {
        self.skew.with_label_values(&[picture]).observe(seconds);
    }

    /// A channel's pipeline took up or left this state; one that is not there is not counted.
    pub(crate) fn pipeline_status(&self, state: State, change: i64) {
        if state != State::Offline {
            let gauge = self.pipeline_status.with_label_values(&[state.name()]);
            gauge.add(change);
        }
    }

    /// Feedback counted since the last sample of a session.
    pub(crate) fn feedback(&self, direction: &str, kind: &str, count: u64) {
        self.rtcp_feedback
            .with_label_values(&[direction, kind])
            .inc_by(count);
    }

    /// What one shard exports to.
    #[must_use]
    pub fn shard(self: &std::sync::Arc<Self>) -> ShardMetrics {
        ShardMetrics {
            metrics: self.clone(),
            engine: engine::Counts::default(),
            socket: SocketCounts::default(),
            tcp: TcpCounts::default(),
        }
    }
}

/// Turns a shard's plain counts into counters.
#[derive(Debug)]
pub struct ShardMetrics {
    metrics: std::sync::Arc<Metrics>,
    engine: engine::Counts,
    socket: SocketCounts,
    tcp: TcpCounts,
}

impl ShardMetrics {
    /// One turn read packets and wrote their copies in this time.
    pub(crate) fn forwarded(&self, took: Duration) {
        self.metrics.forward_latency.observe(took.as_secs_f64());
    }

    /// Adds what was counted of TCP since the last call.
    pub(crate) fn export_tcp(&mut self, tcp: TcpCounts) {
        let was = std::mem::replace(&mut self.tcp, tcp);
        for (result, count) in [
            ("accepted", tcp.accepted - was.accepted),
            ("refused", tcp.refused - was.refused),
            ("unproved", tcp.unproved - was.unproved),
        ] {
            self.metrics
                .tcp_connections
                .with_label_values(&[result])
                .inc_by(count);
        }
        self.metrics.tcp_dropped.inc_by(tcp.dropped - was.dropped);
    }

    /// Adds what was counted since the last call.
    pub(crate) fn export(&mut self, engine: &engine::Counts, socket: SocketCounts) {
        let (m, was) = (&self.metrics, &self.engine);
        for (i, kind) in ["audio", "video"].into_iter().enumerate() {
            m.rtp_packets
                .with_label_values(&["in", kind])
                .inc_by(engine.received[i] - was.received[i]);
            m.rtp_packets
                .with_label_values(&["out", kind])
                .inc_by(engine.sent[i] - was.sent[i]);
            m.rtp_bytes
                .with_label_values(&["in", kind])
                .inc_by(engine.received_bytes[i] - was.received_bytes[i]);
            m.rtp_bytes
                .with_label_values(&["out", kind])
                .inc_by(engine.sent_bytes[i] - was.sent_bytes[i]);
        }
        m.rtp_refused.inc_by(engine.refused - was.refused);
        m.rtp_ignored.inc_by(engine.ignored - was.ignored);
        m.peer_panics.inc_by(engine.panics - was.panics);
        m.rtp_lost
            .with_label_values(&["in"])
            .inc_by(engine.missing - was.missing);
        for (i, direction) in ["in", "out"].into_iter().enumerate() {
            m.rtp_resent
                .with_label_values(&[direction])
                .inc_by(engine.resent[i] - was.resent[i]);
        }
        for (i, direction) in ["up", "down"].into_iter().enumerate() {
            m.layer_switches
                .with_label_values(&[direction])
                .inc_by(engine.switches[i] - was.switches[i]);
        }
        m.address_changes.inc_by(engine.moved - was.moved);
        m.feedback("out", "pli", engine.keyframes_asked - was.keyframes_asked);
        m.feedback("in", "pli", engine.keyframes_wanted - was.keyframes_wanted);
        let before = self.socket;
        m.datagrams
            .with_label_values(&["in", "read"])
            .inc_by(socket.received - before.received);
        m.datagrams
            .with_label_values(&["in", "stray"])
            .inc_by(engine.stray - was.stray);
        m.datagrams
            .with_label_values(&["out", "sent"])
            .inc_by(socket.sent - before.sent);
        m.datagrams
            .with_label_values(&["out", "refused"])
            .inc_by(socket.send_errors - before.send_errors);
        m.send_calls.inc_by(socket.sends - before.sends);
        self.engine = *engine;
        self.socket = socket;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_server_already_exposes_its_build() {
        let text = Metrics::new().render();
        assert!(text.contains("reverie_build_info{version="), "{text}");
    }
}
