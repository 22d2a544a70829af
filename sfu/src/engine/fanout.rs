//! The engine's streams: what each viewer of this shard is sent, and when that changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::pipeline;
use reverie_transcoder::time::Pts;
use str0m::media::Mid;

use super::choice::Wish;
use super::deadline::Timer;
use super::ids::{LayerId, PeerId, StreamId};
use super::ingest::MAX_LAYERS;
use super::layers::Layer;
use super::packet::{Kind, Packet, StyledUnit, Track};
use super::peer::Role;
use super::stream::{Join, Show, Stream, Styled};
use super::viewer::Playing;
use super::{Bus, CloseReason, Engine, Event, Output, Urgency};

/// A keyframe that has just become complete.
#[derive(Debug, Clone, Copy)]
struct Ready {
    ready: LayerId,
    /// Of its generation.
    first: bool,
}

/// What was held back of one layer while the camera was cut.
struct Held {
    layer: LayerId,
    generation: u32,
    packets: Vec<Arc<Packet>>,
    group: Vec<Arc<Packet>>,
    /// Nothing is missing between what was sent and what is held.
    whole: bool,
}

impl Held {
    fn of(layer: &Layer, at: u64) -> Self {
        let group: Vec<_> = layer.cache.packets().cloned().collect();
        // A keyframe since then dropped what came between: then it starts everybody again.
        let same = layer.cache.generation() == layer.cut_in;
        let packets = group.iter().filter(|p| p.pts >= at).cloned().collect();
        Self {
            layer: layer.id,
            generation: layer.cache.generation(),
            packets,
            whole: same && group.first().is_some_and(|oldest| oldest.pts < at),
            group,
        }
    }
}

/// A new publisher's time line begins this long after the newest packet of the one before.
const FRAME: Duration = Duration::from_millis(20);

impl Engine {
    pub(super) fn bus(&mut self, message: Bus) {
        match message {
            Bus::Packets(id, packets) => {
                let interval = self.limits.keyframe_interval;
                let stream = self
                    .streams
                    .entry(id)
                    .or_insert_with(|| Stream::new(interval));
                stream.remote = true;
                stream.pending.extend(packets);
                self.mark(id);
            }
            Bus::Cut(id, at) => {
                self.fan_out(id);
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.cut(at);
                }
            }
            Bus::Camera(id, urgency) => self.camera(id, urgency),
            Bus::Orphan(id) => {
                self.fan_out(id);
                self.orphan(id);
                self.forget_if_idle(id);
            }
            Bus::WantKeyframe(id, layer) => {
                if self.streams.get(&id).is_some_and(|s| s.publisher.is_some()) {
                    self.want_keyframe(id, layer);
                }
            }
        }
    }

    pub(super) fn stream_timeout(&mut self, at: Instant, id: StreamId) {
        let now = self.now;
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|s| s.scheduled == Some(at))
        else {
            return;
        };
        stream.scheduled = None;
        if stream.replay_at.is_some_and(|at| at <= now) {
            let (was, local) = (stream.show(), stream.publisher.is_some());
            if stream.replay() {
                self.start_on_camera(id, was == Show::Returning, None);
                // What is shown is the word of the publisher's shard alone.
                if was == Show::Returning && local {
                    self.event(id, Event::ShowsCamera);
                }
            }
        }
        self.after_stream(id);
    }

    /// Feeds a pipeline with the camera of a stream, or stops.
    pub(super) fn tap(&mut self, id: StreamId, sink: Option<pipeline::Input>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.tap(sink);
        self.after_stream(id);
    }

    /// A publisher connected; the one before it is replaced.
    pub(super) fn publishes(&mut self, id: StreamId, peer: PeerId) {
        self.fan_out(id);
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let before = stream.publisher;
        if before.is_some() {
            self.orphan(id);
            self.outputs.push_back(Output::Bus(Bus::Orphan(id)));
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.publisher = Some(peer);
        let newest = stream.newest;
        // The first keyframe of a publisher is never left to chance.
        stream.layers.want(None);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.continue_after(newest + FRAME);
        }
        self.after_stream(id);
        if let Some(before) = before {
            self.with_peer(before, |peer, now, out| {
                peer.close(now, CloseReason::Replaced, out)
            });
        }
    }

    pub(super) fn left(&mut self, id: StreamId, peer: PeerId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.viewers.retain(|v| *v != peer);
        stream.switching.retain(|(v, _)| *v != peer);
        if stream.publisher == Some(peer) {
            self.fan_out(id);
            self.orphan(id);
            self.outputs.push_back(Output::Bus(Bus::Orphan(id)));
        }
        self.forget_if_idle(id);
    }

    pub(super) fn viewer_wants_keyframe(&mut self, id: StreamId, peer: PeerId, mid: Mid) {
        let Some(Role::Viewer(viewer)) = self.peers.get(&peer).map(|p| &p.role) else {
            return;
        };
        if !viewer.is_video(mid) {
            return;
        }
        self.counts.keyframes_wanted += 1;
        match viewer.playing() {
            Playing::Styled => self.event(id, Event::WantStyledKeyframe),
            Playing::Source => {
                let layer = viewer.layer();
                self.want_keyframe(id, Some(layer));
            }
            Playing::Nothing => self.join(id, peer),
        }
    }

    pub(super) fn cut(&mut self, id: StreamId) {
        self.fan_out(id);
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let Some(Role::Publisher(ingest)) = stream
            .publisher
            .and_then(|p| self.peers.get(&p))
            .map(|p| &p.role)
        else {
            return;
        };
        let at = ingest.newest_video(now) + 1;
        stream.cut(at);
        self.outputs.push_back(Output::Bus(Bus::Cut(id, at)));
        self.event(id, Event::Cut(Pts(at)));
    }

    pub(super) fn camera(&mut self, id: StreamId, urgency: Urgency) {
        self.fan_out(id);
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let local = stream.publisher.is_some();
        let before = stream.show();
        if let Some(at) = stream.back(now, urgency == Urgency::Now) {
            let held = stream.layers.iter().map(|l| Held::of(l, at)).collect();
            self.resume(id, held);
            if local {
                self.event(id, Event::ShowsCamera);
            }
        } else if stream.show() == Show::Source && local {
            self.event(id, Event::ShowsCamera);
        } else if before != stream.show() {
            self.want_chosen(id);
        }
        self.after_stream(id);
    }

    /// Continues the camera where it was cut; without the packets in between, a keyframe must start it again.
    fn resume(&mut self, id: StreamId, held: Vec<Held>) {
        for viewer in self.viewers_of(id) {
            self.with_peer(viewer, |peer, now, out| {
                peer.send(now, out, |viewer, rtc, drain| {
                    if viewer.track() == Track::Source {
                        return;
                    }
                    let layer = viewer.layer();
                    match held.iter().find(|h| h.layer == layer) {
                        Some(held) if held.whole && !viewer.is_before(held.generation) => {
                            for packet in &held.packets {
                                viewer.picture(rtc, packet, drain);
                            }
                        }
                        Some(held) if !held.group.is_empty() => {
                            viewer.start_source(rtc, now, held.group.iter(), drain);
                        }
                        _ => viewer.stop(),
                    }
                });
            });
        }
        // Those who joined while the camera was cut, and those whose layer is not there any more.
        self.start_on_camera(id, false, None);
        if held.iter().all(|h| h.group.is_empty()) {
            self.want_keyframe(id, None);
            self.want_chosen(id);
        }
    }

    pub(super) fn styled(&mut self, id: StreamId, unit: &Arc<StyledUnit>) {
        self.fan_out(id);
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let meaning = stream.styled(unit);
        if meaning == Styled::Ignored {
            return;
        }
        let local = stream.publisher.is_some();
        let captured = stream.captured_at(unit.pts.0, now);
        stream.skew.styled(now, captured);
        let rotation = stream.rotation;
        let wish = Wish::for_rate(self.limits.styled_rate);
        for viewer in self.viewers_of(id) {
            let (mut sent, mut news) = (false, None);
            self.with_peer(viewer, |peer, now, out| {
                peer.send(now, out, |viewer, rtc, drain| {
                    if viewer.track() == Track::Source {
                        return;
                    }
                    viewer.rotation = rotation;
                    let starts = unit.keyframe
                        && (meaning == Styled::Switch || viewer.playing() == Playing::Nothing);
                    if starts {
                        viewer.start_styled(rtc, now, std::iter::once(unit), &|_| captured, drain);
                    } else {
                        viewer.styled(rtc, unit, captured, drain);
                    }
                    sent = viewer.playing() == Playing::Styled;
                    news = viewer.news(now).filter(|_| sent);
                });
                if sent && meaning == Styled::Switch {
                    peer.wish(now, wish, out);
                }
            });
            if let Some(estimate) = news {
                self.event(id, Event::Estimate(viewer, estimate));
            }
            if sent {
                self.counts.sent[1] += unit.payloads.len() as u64;
                self.counts.sent_bytes[1] += unit.len() as u64;
            }
        }
        if meaning == Styled::Switch && local {
            self.event(id, Event::ShowsStyled);
        }
    }

    /// Asks for a keyframe of a layer, or of the best one.
    pub(super) fn want_keyframe(&mut self, id: StreamId, layer: Option<LayerId>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.publisher.is_some() {
            stream.layers.want(layer);
            self.after_stream(id);
        } else {
            self.outputs
                .push_back(Output::Bus(Bus::WantKeyframe(id, layer)));
        }
    }

    /// Sends pending camera packets to everybody on this shard and to the other shards.
    pub(super) fn fan_out(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let pending = std::mem::take(&mut stream.pending);
        if pending.is_empty() {
            return;
        }
        let local = stream.publisher.is_some();
        let mut from = 0;
        for i in 0..pending.len() {
            let Some(stream) = self.streams.get_mut(&id) else {
                return;
            };
            if local && pending[i].kind == Kind::Video {
                stream.feed(&pending[i]);
            }
            if stream.keep(&pending[i]) {
                self.forward(id, &pending[from..=i]);
                from = i + 1;
                self.keyframe_ready(id, pending[i].layer);
            }
        }
        self.forward(id, &pending[from..]);
        self.review(id);
        self.switch_waiting(id);
        if local {
            self.outputs
                .push_back(Output::Bus(Bus::Packets(id, pending)));
            self.sample_skew(id);
        }
        self.after_stream(id);
    }

    fn sample_skew(&mut self, id: StreamId) {
        let now = self.now;
        let sample = self.streams.get_mut(&id).and_then(|s| s.skew.sample(now));
        let Some(sample) = sample else { return };
        for (styled, later) in [(false, sample.camera), (true, sample.styled)] {
            if let Some(seconds) = later {
                self.event(id, Event::Skew { styled, seconds });
            }
        }
    }

    fn forward(&mut self, id: StreamId, packets: &[Arc<Packet>]) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let passing: Vec<_> = packets
            .iter()
            .map(|p| (p, stream.passes(p, Track::Output)))
            .collect();
        for viewer in self.viewers_of(id) {
            let mut sent = [0_u64; 2];
            let mut bytes = [0_u64; 2];
            self.with_peer(viewer, |peer, now, out| {
                peer.send(now, out, |viewer, rtc, drain| {
                    for (packet, shown) in &passing {
                        if !shown && viewer.track() == Track::Output {
                            continue;
                        }
                        let written = match packet.kind {
                            Kind::Audio => viewer.sound(rtc, packet, drain),
                            Kind::Video => viewer.picture(rtc, packet, drain),
                        };
                        if written {
                            sent[packet.kind as usize] += 1;
                            bytes[packet.kind as usize] += packet.payload.len() as u64;
                        }
                    }
                });
            });
            for kind in 0..2 {
                self.counts.sent[kind] += sent[kind];
                self.counts.sent_bytes[kind] += bytes[kind];
            }
        }
    }

    /// A keyframe of a layer is complete: those who wait for it start with it.
    fn keyframe_ready(&mut self, id: StreamId, ready: LayerId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let returning = stream.returns(ready);
        stream.feed_best(ready);
        let (live, publisher) = (stream.live, stream.publisher);
        stream.live = true;
        let Some(layer) = stream.layers.get_mut(ready) else {
            return;
        };
        let generation = layer.cache.generation();
        let first = !live || layer.started != Some(generation);
        layer.started = Some(generation);
        if let (false, Some(publisher)) = (live, publisher) {
            self.event(id, Event::Live(publisher));
        }
        let anew = Ready { ready, first };
        self.start_on_camera(id, returning, Some(anew));
        if returning && publisher.is_some() {
            self.event(id, Event::ShowsCamera);
        }
    }

    /// Starts viewers that are shown the camera and play nothing on the cached group of their layer; with `returns`
    /// all those of the output. If a keyframe has just become complete, only viewers of its layer, and with the first
    /// of a generation everybody who is shown it.
    fn start_on_camera(&mut self, id: StreamId, returns: bool, ready: Option<Ready>) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let output = stream.show() == Show::Source;
        let mut groups: Vec<(LayerId, Vec<_>)> = Vec::new();
        for viewer in self.viewers_of(id) {
            let Some(layer) = self.layer_for(id, viewer) else {
                continue;
            };
            let awaited = ready.is_none_or(|r| r.ready == layer);
            if !awaited && !returns {
                continue;
            }
            if groups.iter().all(|(known, _)| *known != layer) {
                groups.push((layer, self.group(id, layer)));
            }
            let Some((_, group)) = groups.iter().find(|(known, _)| *known == layer) else {
                continue;
            };
            let anew = awaited && ready.is_some_and(|r| r.first);
            let elsewhere = self.plays_another(id, viewer, layer);
            self.with_peer(viewer, |peer, now, out| {
                peer.send(now, out, |viewer, rtc, drain| {
                    let source = viewer.track() == Track::Source;
                    let idle = viewer.playing() == Playing::Nothing && awaited;
                    let due = (anew && !elsewhere) || idle || (returns && !source);
                    if due && (output || source) {
                        viewer.start_source(rtc, now, group.iter(), drain);
                    }
                });
                if returns {
                    peer.wish(now, Wish::default(), out);
                }
            });
        }
    }

    /// The cached group of a layer, or of the best one if there is none.
    pub(super) fn group(&self, id: StreamId, layer: LayerId) -> Vec<Arc<Packet>> {
        let Some(stream) = self.streams.get(&id) else {
            return Vec::new();
        };
        let own = stream.layers.get(layer);
        let own = own.filter(|l| l.span().is_some());
        own.or_else(|| stream.layers.best())
            .map(|l| l.cache.packets().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn joined(&mut self, id: StreamId, peer: PeerId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.viewers.push(peer);
        self.join(id, peer);
    }

    /// Gives a viewer that plays nothing what it needs, or asks for it.
    pub(super) fn join(&mut self, id: StreamId, peer: PeerId) {
        let now = self.now;
        let Some(Role::Viewer(viewer)) = self.peers.get(&peer).map(|p| &p.role) else {
            return;
        };
        let track = viewer.track();
        let layer = self.layer_for(id, peer);
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let join = stream.join(now, track, layer);
        self.satisfy(id, peer, layer, join);
        self.after_stream(id);
    }

    fn satisfy(&mut self, id: StreamId, peer: PeerId, layer: Option<LayerId>, join: Join) {
        match join {
            Join::Wait => {}
            Join::WantSource => self.want_keyframe(id, layer),
            Join::WantStyled => self.event(id, Event::WantStyledKeyframe),
            Join::Source => {
                let group = self.group(id, layer.unwrap_or_default());
                self.with_peer(peer, |peer, now, out| {
                    peer.send(now, out, |viewer, rtc, drain| {
                        viewer.start_source(rtc, now, group.iter(), drain)
                    });
                });
            }
            Join::Styled => {
                let now = self.now;
                let Some(stream) = self.streams.get(&id) else {
                    return;
                };
                let rotation = stream.rotation;
                let units: Vec<_> = stream.styled.units().cloned().collect();
                let captured: HashMap<u64, Instant> = units
                    .iter()
                    .map(|u| (u.pts.0, stream.captured_at(u.pts.0, now)))
                    .collect();
                self.with_peer(peer, |peer, now, out| {
                    peer.send(now, out, |viewer, rtc, drain| {
                        viewer.rotation = rotation;
                        let capture = |pts: u64| captured.get(&pts).copied().unwrap_or(now);
                        viewer.start_styled(rtc, now, units.iter(), &capture, drain);
                    });
                });
            }
        }
    }

    pub(super) fn viewers_of(&self, id: StreamId) -> Vec<PeerId> {
        self.streams
            .get(&id)
            .map(|s| s.viewers.clone())
            .unwrap_or_default()
    }

    pub(super) fn mark(&mut self, id: StreamId) {
        if self.dirty.back() != Some(&id) {
            self.dirty.push_back(id);
        }
    }

    /// Sends due keyframe requests and asks to be woken for the stream's next deadline.
    pub(super) fn after_stream(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let mut next = stream.replay_at;
        let publisher = stream.publisher;
        let mut due = [None; MAX_LAYERS];
        if let Some(peer) = publisher.and_then(|p| self.peers.get(&p)) {
            let layers = stream.layers.iter_mut();
            for (place, layer) in due.iter_mut().zip(layers) {
                if !peer.can_be_asked(layer.id) {
                    continue;
                }
                *place = layer.requests.due(now).then_some(layer.id);
                let again = layer.requests.deadline();
                next = next.into_iter().chain(again).min();
            }
        }
        if let Some(at) = next
            && stream.scheduled.is_none_or(|scheduled| at < scheduled)
        {
            stream.scheduled = Some(at);
            self.deadlines.set(at, Timer::Stream(id));
        }
        for layer in due.into_iter().flatten() {
            self.counts.keyframes_asked += 1;
            if let Some(publisher) = publisher {
                self.with_peer(publisher, |peer, now, out| {
                    peer.request_keyframe(now, layer, out)
                });
            }
        }
    }

    fn forget_if_idle(&mut self, id: StreamId) {
        let named = self.peers.values().any(|p| p.stream == id);
        if !named && self.streams.get(&id).is_some_and(Stream::is_idle) {
            self.streams.remove(&id);
        }
    }
}
