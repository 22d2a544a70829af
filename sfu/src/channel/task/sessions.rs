//! What the channel hears of its sessions: connected, live, gone, and how they fare.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::director::Input;
use super::super::keeper::Told;
use super::super::{Claim, LayersView, Ticket};
use super::Task;
use crate::auth::Holder;
use crate::engine::ids::PeerId;
use crate::engine::{CloseReason, Event, LayerState, Stats};
use crate::session::Protocol;

impl Task {
    pub(super) fn engine(&mut self, event: Event) {
        match event {
            Event::Connected(peer, took) => self.connected(peer, took),
            Event::Closed(peer, reason) => self.closed(peer, reason),
            Event::Live(peer) => self.picture(peer),
            Event::Profile(peer, profile) => self.profile(peer, profile),
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
            Event::BFrames(peer) => self.b_frames(peer),
            Event::Skew { styled, seconds } => self
                .channels
                .shared
                .metrics
                .skew(if styled { "styled" } else { "camera" }, seconds),
            Event::Estimate(peer, estimate) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.estimate = Some((estimate, Instant::now()));
                }
            }
            Event::Layers(layers) => self.layers(layers),
            Event::NothingHeard(peer) => self.nothing_heard(peer),
            Event::Moved(peer) => {
                tracing::info!(channel = %self.name, %peer, "the client's address changed")
            }
        }
    }

    /// Lets a publisher in, unless one with another credential is there or on its way. The same one takes over at once:
    /// its old session ends when the new one connects.
    pub(super) fn ticket(&mut self, holder: Holder) -> Option<Ticket> {
        self.claims.retain(|claim| claim.strong_count() > 0);
        let taken = self
            .claims
            .iter()
            .filter_map(Weak::upgrade)
            .any(|claim| *claim != holder);
        if taken {
            tracing::info!(channel = %self.name, "a publisher with another token was refused");
            return None;
        }
        let claim = Claim::new(holder);
        self.claims.push(Arc::downgrade(&claim.0));
        self.generation += 1;
        Some(Ticket {
            claim,
            generation: self.generation,
            epoch: self.epoch,
        })
    }

    pub(super) fn connected(&mut self, id: PeerId, took: Duration) {
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
                self.profile = None;
                self.b_frames = false;
                if !joined.video {
                    self.picture(id);
                }
            }
        }
    }

    fn profile(&mut self, id: PeerId, profile: u32) {
        if self.publisher == Some(id) {
            tracing::info!(channel = %self.name, peer = %id, profile = format_args!("{profile:06x}"), "sends H264");
            self.profile = Some(profile);
        }
    }

    /// The publisher's picture (or, without one, its sound) is there.
    pub(super) fn picture(&mut self, id: PeerId) {
        if self.publisher != Some(id) || self.live {
            return;
        }
        self.live = true;
        self.gauge_streams("live", 1);
        let (audio, video) = self.media();
        tracing::info!(channel = %self.name, audio, video, "live");
        self.tell("stream.live", 0, json!({ "audio": audio, "video": video }));
        if self.b_frames {
            self.tell_warnings();
        }
        self.direct(Input::Live);
        self.keeper.tell(Told::Live);
    }

    pub(super) fn offline(&mut self) {
        self.publisher = None;
        self.layers.clear();
        self.b_frames = false;
        if !self.live {
            return;
        }
        self.live = false;
        self.gauge_streams("live", -1);
        tracing::info!(channel = %self.name, "offline");
        self.tell("stream.offline", 0, json!({}));
        self.direct(Input::Offline);
        self.keeper.tell(Told::Gone);
    }

    pub(super) fn closed(&mut self, id: PeerId, reason: CloseReason) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        let protocol = peer.joined.protocol;
        let metrics = &self.channels.shared.metrics;
        metrics.closed(protocol.name(), reason);
        tracing::info!(channel = %self.name, peer = %id, protocol = protocol.name(), reason = reason.name(), "closed");
        if reason == CloseReason::Certificate {
            tracing::warn!(
                channel = %self.name, peer = %id, protocol = protocol.name(),
                "DTLS: certificate not supported: it must be ECDSA on P-256 or P-384 (FFmpeg's whip muxer makes P-224 by itself, GStreamer's webrtcbin RSA); give the client one, FFmpeg with -cert_file and -key_file"
            );
        }
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

    pub(super) fn stats(&mut self, id: PeerId, stats: Stats) {
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

    /// The layers of the publisher's picture are others than before.
    fn layers(&mut self, layers: Vec<LayerState>) {
        if self.publisher.is_some() {
            self.layers = layers;
            self.tell("layers", 0, json!(LayersView::of(&self.layers)));
        }
    }

    /// A publisher's picture comes out of order.
    fn b_frames(&mut self, id: PeerId) {
        if self.publisher != Some(id) || self.b_frames {
            return;
        }
        self.b_frames = true;
        self.channels.shared.metrics.b_frames.inc();
        tracing::warn!(
            channel = %self.name, peer = %id,
            "the publisher sends B-frames, which delay the picture and which a moment cannot transform smoothly: set B-frames to 0 in the encoder (OBS: Output, Encoder Settings, B-frames; x264: tune=zerolatency)"
        );
        self.tell_warnings();
    }

    fn tell_warnings(&mut self) {
        self.tell("stream.warning", 0, json!({ "warnings": self.warnings() }));
    }

    pub(super) fn nothing_heard(&self, id: PeerId) {
        let shard = self
            .channels
            .shared
            .sessions
            .shard_of(id)
            .unwrap_or(self.home);
        let candidates = &self.channels.shared.shards[shard].terms.candidates.udp;
        let port = candidates.first().map_or(0, std::net::SocketAddr::port);
        tracing::warn!(
            channel = %self.name, peer = %id, port, ?candidates,
            "no STUN arrived for 5 s: is this UDP port open, and can the peer reach one of these addresses (media.advertise)?"
        );
    }
}
