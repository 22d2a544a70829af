//! The sans-IO media core of one shard: peers, their streams, and who is sent what.
//!
//! Reads no clock, owns no socket, knows no other thread. After each [`Engine::handle`] drain
//! [`Engine::poll`] to [`Output::Wait`].

mod bitstream;
mod choice;
mod clock;
mod credentials;
mod deadline;
mod demux;
#[cfg(feature = "openssl")]
mod dtls;
mod fanout;
mod h264;
pub mod ids;
mod ingest;
pub mod io;
mod keyframes;
mod layers;
pub mod negotiate;
pub mod packet;
mod paths;
mod peer;
mod quirks;
mod repair;
pub mod restart;
pub mod sdp;
mod skew;
mod sources;
mod stream;
mod stun;
mod switching;
mod viewer;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use deadline::{Deadlines, Timer};
use demux::{Demux, Found};
use ids::{LayerId, PeerId, StreamId};
pub use io::{
    Bus, CloseReason, Command, Counts, Event, Input, Output, Remote, Transmit, Transport, Urgency,
};
pub use layers::LayerState;
use packet::Kind;
use peer::{Collected, Happened, Role};
pub use peer::{Peer, Stats};
use restart::{NoRestart, Restart};
use stream::Stream;

/// How far ahead an idle engine asks to be woken.
const IDLE: Duration = Duration::from_secs(60);

/// Limits of an engine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Least time between two keyframe requests to one publisher.
    pub keyframe_interval: Duration,
    /// Most bits per second of a styled picture: what its viewers' connections are probed for.
    pub styled_rate: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    peers: HashMap<PeerId, Peer>,
    streams: HashMap<StreamId, Stream>,
    demux: Demux,
    deadlines: Deadlines,
    dirty: VecDeque<StreamId>,
    outputs: VecDeque<Output>,
    collected: Collected,
    now: Instant,
    closing: Option<CloseReason>,
    /// See [`Counts`].
    pub counts: Counts,
}

impl Engine {
    /// An engine without peers.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            peers: HashMap::new(),
            streams: HashMap::new(),
            demux: Demux::default(),
            deadlines: Deadlines::default(),
            dirty: VecDeque::new(),
            outputs: VecDeque::new(),
            collected: Collected::default(),
            now,
            closing: None,
            counts: Counts::default(),
        }
    }

    /// Sessions of this engine, connected or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// True without sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Instants it waits for, those that no longer count included.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.deadlines.len()
    }

    /// True if the address is a session's own.
    #[must_use]
    pub fn knows(&self, remote: Remote) -> bool {
        self.demux.owner(remote).is_some()
    }

    /// Takes an input that happened at `now`; never blocks.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Datagram {
                source,
                destination,
                bytes,
            } => self.packet(Remote::udp(source), destination, bytes),
            Input::Framed {
                source,
                destination,
                bytes,
            } => self.packet(Remote::tcp(source), destination, bytes),
            Input::Timeout => self.timeouts(),
            Input::Command(command) => self.command(command),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            let Some(stream) = self.dirty.pop_front() else {
                break;
            };
            self.fan_out(stream);
        }
        let (at, reason) = self.deadlines.next().unwrap_or((self.now + IDLE, "idle"));
        Output::Wait(at, reason)
    }

    fn packet(&mut self, source: Remote, destination: SocketAddr, bytes: &[u8]) {
        let found = self.demux.find(source, bytes);
        if let Some(id) = found.peer().filter(|_| stun::is_stun(bytes)) {
            self.begin_restart(id, bytes);
        }
        let id = match found {
            Found::Known(id) => id,
            Found::Claimed(id) if self.learn(id, source, destination, bytes) => id,
            Found::Nobody if self.suspect(source, bytes) => return,
            Found::Claimed(_) | Found::Nobody => {
                self.counts.stray += 1;
                return;
            }
        };
        let now = self.now;
        if self
            .peers
            .get_mut(&id)
            .is_some_and(|p| p.refuses(now, bytes))
        {
            self.counts.stray += 1;
            return;
        }
        self.with_peer(id, |peer, now, out| {
            peer.receive(now, source, destination, bytes, out)
        });
    }

    /// The first check with the credentials of a promised restart begins it.
    fn begin_restart(&mut self, id: PeerId, bytes: &[u8]) {
        let Some(peer) = self.peers.get(&id).filter(|p| p.restarts_with(bytes)) else {
            return;
        };
        let before = peer.ufrag.clone();
        self.demux.forget(&before);
        self.with_peer(id, Peer::restart);
    }

    fn promise_restart(&mut self, id: PeerId, restart: Restart) -> Result<(), NoRestart> {
        let peer = self.peers.get_mut(&id).ok_or(NoRestart::Gone)?;
        let ufrag = restart.local.ufrag.clone();
        if let Some(unused) = peer.promise_restart(self.now, restart)? {
            self.demux.forget(&unused);
        }
        self.demux.add(id, &ufrag);
        self.schedule_peer(id);
        Ok(())
    }

    /// Remembers an address for a peer once a STUN message proved that it knows the session's password, and
    /// never takes it from a peer that is connected there. False without a proof.
    fn learn(&mut self, id: PeerId, source: Remote, destination: SocketAddr, bytes: &[u8]) -> bool {
        let now = self.now;
        let proved = self
            .peers
            .get(&id)
            .is_some_and(|peer| peer.accepts(now, source.transport, destination, bytes));
        if proved && self.is_free(source, id) {
            self.demux.learn(source, id);
        }
        proved
    }

    /// A client whose address changed sends from the new one before its next connectivity check, which may be
    /// seconds away: the server checks that address itself. A publisher is known by its streams; a viewer's feedback
    /// names nobody, so everybody at its IP address who is silent is asked.
    fn suspect(&mut self, source: Remote, bytes: &[u8]) -> bool {
        if source.transport == Transport::Tcp {
            return false;
        }
        if let Some(id) = self.demux.sender(bytes) {
            let wanted = self.check(id, source);
            if wanted {
                self.demux.learn(source, id);
            }
            return wanted;
        }
        let mut wanted = false;
        for id in self.demux.neighbours(source.address, bytes) {
            wanted |= self.check(id, source);
        }
        wanted
    }

    /// Has a peer check an address that may be its own; true if it does.
    fn check(&mut self, id: PeerId, source: Remote) -> bool {
        let mut wanted = false;
        self.with_peer(id, |peer, now, out| {
            wanted = peer.suspect(now, source.address, out)
        });
        wanted
    }

    /// False if another peer is connected at this address.
    fn is_free(&self, source: Remote, id: PeerId) -> bool {
        let owner = self
            .demux
            .owner(source)
            .and_then(|owner| self.peers.get(&owner));
        owner.is_none_or(|owner| owner.id == id || owner.connected.is_none())
    }

    fn timeouts(&mut self) {
        // One that asks to be woken at once waits for the next round.
        for _ in 0..self.deadlines.len() {
            let Some((at, timer)) = self.deadlines.expired(self.now) else {
                return;
            };
            match timer {
                Timer::Peer(id) => self.peer_timeout(at, id),
                Timer::Stream(id) => self.stream_timeout(at, id),
            }
        }
    }

    fn peer_timeout(&mut self, at: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.scheduled == Some(at)) else {
            return;
        };
        peer.scheduled = None;
        if peer.deadline() <= self.now {
            self.with_peer(id, |peer, now, out| peer.tick(now, out));
        } else {
            self.schedule_peer(id);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add(peer) => self.add(*peer),
            Command::Close(id, reason) => {
                self.with_peer(id, |peer, now, out| peer.close(now, reason, out))
            }
            Command::Candidates(id, candidates) => self.with_peer(id, |peer, now, out| {
                for candidate in &candidates {
                    peer.candidate(now, candidate, out);
                }
            }),
            Command::Restart(id, restart, reply) => reply.tell(self.promise_restart(id, *restart)),
            Command::Bus(message) => self.bus(message),
            Command::Styled(stream, unit) => self.styled(stream, &unit),
            Command::Cut(stream) => self.cut(stream),
            Command::Camera(stream, urgency) => {
                self.camera(stream, urgency);
                self.outputs
                    .push_back(Output::Bus(Bus::Camera(stream, urgency)));
            }
            Command::Tap(stream, sink) => self.tap(stream, sink),
            Command::WantKeyframe(stream) => self.want_keyframe(stream, None),
            Command::Layer(id, layer) => self.ask_layer(id, layer),
            Command::CloseAll(reason) => {
                self.closing = Some(reason);
                let all: Vec<_> = self.peers.keys().copied().collect();
                for id in all {
                    self.with_peer(id, |peer, now, out| peer.close(now, reason, out));
                }
            }
        }
    }

    fn add(&mut self, peer: Peer) {
        let id = peer.id;
        self.demux.add(id, &peer.ufrag);
        let interval = self.limits.keyframe_interval;
        self.streams
            .entry(peer.stream)
            .or_insert_with(|| Stream::new(interval));
        self.peers.insert(id, peer);
        match self.closing {
            Some(reason) => self.with_peer(id, |peer, now, out| peer.close(now, reason, out)),
            None => self.with_peer(id, |peer, now, out| peer.tick(now, out)),
        }
    }

    /// Acts on a peer and then on everything that came of it.
    fn with_peer(&mut self, id: PeerId, act: impl FnOnce(&mut Peer, Instant, &mut Collected)) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let mut collected = std::mem::take(&mut self.collected);
        act(peer, self.now, &mut collected);
        self.counts.missing += std::mem::take(&mut peer.repair.missing);
        for (total, new) in self.counts.resent.iter_mut().zip(&mut peer.repair.resent) {
            *total += std::mem::take(new);
        }
        for transmit in collected.transmits.drain(..) {
            self.demux.sent(id, &transmit.bytes);
            self.outputs.push_back(Output::Transmit(transmit));
        }
        let (stream, closed) = (peer.stream, peer.closed());
        if let Role::Viewer(viewer) = &mut peer.role
            && let Some(at) = viewer.take_first_picture()
        {
            let since = at.saturating_duration_since(peer.created);
            self.outputs
                .push_back(Output::Event(stream, Event::FirstPicture(id, since)));
        }
        let happened = std::mem::take(&mut collected.happened);
        self.collected = collected;
        for what in happened {
            self.happened(stream, id, what);
        }
        match closed {
            Some(reason) => self.remove(id, reason),
            None => self.schedule_peer(id),
        }
    }

    fn happened(&mut self, stream: StreamId, id: PeerId, what: Happened) {
        match what {
            Happened::Connected => self.connected(stream, id),
            Happened::Media(kind, layer, packet) => {
                self.demux.sends(*packet.header.ssrc, id);
                self.media((stream, id), kind, layer, *packet);
            }
            Happened::KeyframeRequest(mid) => self.viewer_wants_keyframe(stream, id, mid),
            Happened::Stats(stats) => self.event(stream, Event::Stats(id, stats)),
            Happened::NothingHeard => self.event(stream, Event::NothingHeard(id)),
            Happened::Moved(before) => {
                self.counts.moved += 1;
                self.demux.leave(before, id);
                self.event(stream, Event::Moved(id));
            }
        }
    }

    fn connected(&mut self, stream: StreamId, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let took = self.now.saturating_duration_since(peer.created);
        let publishes = matches!(peer.role, Role::Publisher(_));
        self.event(stream, Event::Connected(id, took));
        if publishes {
            self.publishes(stream, id);
        } else {
            self.joined(stream, id);
        }
    }

    fn media(
        &mut self,
        (stream, id): (StreamId, PeerId),
        kind: Kind,
        layer: LayerId,
        packet: str0m::rtp::RtpPacket,
    ) {
        let now = self.now;
        let Some(Role::Publisher(ingest)) = self.peers.get_mut(&id).map(|p| &mut p.role) else {
            return;
        };
        let (refused, ignored, restarts) = (ingest.refused, ingest.ignored, ingest.restarts);
        let taken = ingest.take(now, kind, layer, packet);
        self.counts.refused += ingest.refused - refused;
        self.counts.ignored += ingest.ignored - ignored;
        let restarted = ingest.restarts > restarts;
        let lost = ingest.take_lost(now, layer);
        let b_frames = ingest.take_b_frames();
        if restarted || lost {
            self.want_keyframe(stream, Some(layer));
        }
        if b_frames {
            self.event(stream, Event::BFrames(id));
        }
        let Some(ingest::Taken { packet, sets }) = taken else {
            return;
        };
        self.profile(stream, id, &packet);
        self.counts.received[kind as usize] += 1;
        self.counts.received_bytes[kind as usize] += packet.payload.len() as u64;
        let Some(target) = self.streams.get_mut(&stream) else {
            return;
        };
        if target.publisher == Some(id) {
            target.pending.extend(sets);
            target.pending.push(packet);
            self.mark(stream);
        }
    }

    /// Tells the channel which H264 a publisher sends, whatever it offered.
    fn profile(&mut self, stream: StreamId, id: PeerId, packet: &packet::Packet) {
        let Some(found) = h264::profile_of(&packet.payload).filter(|_| packet.kind == Kind::Video)
        else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.profile.replace(found) != Some(found) {
            self.event(stream, Event::Profile(id, found));
        }
    }

    fn remove(&mut self, id: PeerId, reason: CloseReason) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        self.demux.remove(id);
        self.demux.forget(&peer.ufrag);
        if let Some(promised) = peer.promised_ufrag() {
            self.demux.forget(promised);
        }
        if reason == CloseReason::Panic {
            self.counts.panics += 1;
        }
        let stream = peer.stream;
        // What panicked once may panic again while it is taken apart.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(peer)));
        self.event(stream, Event::Closed(id, reason));
        self.left(stream, id);
    }

    fn schedule_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let at = peer.deadline();
        if peer.scheduled.is_none_or(|scheduled| at < scheduled) {
            peer.scheduled = Some(at);
            self.deadlines.set(at, Timer::Peer(id));
        }
    }

    fn event(&mut self, stream: StreamId, event: Event) {
        self.outputs.push_back(Output::Event(stream, event));
    }
}

#[cfg(test)]
mod tests;
