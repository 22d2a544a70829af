//! One WHIP or WHEP session on str0m, drained after every mutation.
//!
//! A panic inside (str0m asserts its invariants) ends this peer and no other.

mod ice;
mod pace;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::bwe::BweKind;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output, Rtc};

use super::choice::Wish;
use super::ids::{LayerId, PeerId, StreamId};
use super::ingest::Ingest;
use super::io::{Remote, Transport};
use super::negotiate::Terms;
use super::packet::Kind;
use super::paths::Paths;
use super::repair::{Repair, Way};
use super::restart::Restarts;
use super::sources::Sources;
use super::viewer::{Drain, Viewer};
use super::{CloseReason, Transmit, stun};

/// After this time without a single datagram the operator is told which port to open.
const NOTHING_HEARD: Duration = Duration::from_secs(5);

/// What a session does.
#[derive(Debug)]
pub(crate) enum Role {
    /// WHIP.
    Publisher(Box<Ingest>),
    /// WHEP.
    Viewer(Box<Viewer>),
}

impl Role {
    pub(crate) fn publisher(generation: u32, epoch: Instant) -> Self {
        Self::Publisher(Box::new(Ingest::new(generation, epoch)))
    }
}

/// What came out of a peer beside datagrams.
#[derive(Debug)]
pub(crate) enum Happened {
    Connected,
    Media(Kind, LayerId, Box<str0m::rtp::RtpPacket>),
    KeyframeRequest(Mid),
    Stats(Stats),
    NothingHeard,
    /// Media no longer goes to this address.
    Moved(Remote),
}

/// One statistics sample; each field is the newest known value.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Round trip time.
    pub rtt: Option<Duration>,
    /// Interarrival jitter of one track of a publisher, or of the picture as a viewer reports it.
    pub jitter: Option<Duration>,
    /// Share of packets lost, 0 to 1.
    pub loss: Option<f32>,
    /// NACKs sent to a publisher since the session began.
    pub nacks_sent: Option<u64>,
    /// NACKs received from a viewer since the session began.
    pub nacks_received: Option<u64>,
    /// Packets that a viewer reported as lost since the session began.
    pub lost: Option<u64>,
    /// What the way to a viewer carries, in bits per second, if its feedback tells.
    pub estimate: Option<u64>,
}

/// A session. Made by [`super::negotiate::accept`], driven by the engine.
#[derive(Debug)]
pub struct Peer {
    pub(crate) id: PeerId,
    pub(crate) stream: StreamId,
    pub(crate) role: Role,
    pub(crate) ufrag: String,
    /// When the engine last promised to look at this peer.
    pub(crate) scheduled: Option<Instant>,
    pub(crate) connected: Option<Instant>,
    pub(crate) created: Instant,
    /// The H264 `profile-level-id` of a publisher's latest parameter set.
    pub(crate) profile: Option<u32>,
    rtc: Rtc,
    sources: Sources,
    paths: Paths,
    pub(crate) repair: Repair,
    suspects: usize,
    wake: Instant,
    last_heard: Option<Instant>,
    warned: bool,
    remote_candidates: usize,
    silence: Duration,
    setup: Duration,
    restarts: Restarts,
    closed: Option<CloseReason>,
}

impl Peer {
    pub(crate) fn new(
        id: PeerId,
        stream: StreamId,
        rtc: Rtc,
        role: Role,
        terms: &Terms,
        ufrag: String,
        now: Instant,
    ) -> Self {
        let (publishes, silence) = match role {
            Role::Publisher(_) => (true, terms.publisher_silence),
            Role::Viewer(_) => (false, terms.viewer_silence),
        };
        Self {
            id,
            stream,
            repair: Repair::new(rtc.codec_config()),
            role,
            ufrag,
            scheduled: None,
            connected: None,
            created: now,
            profile: None,
            rtc,
            sources: Sources::default(),
            paths: Paths::new(terms.candidates.clone(), publishes),
            suspects: 0,
            wake: now,
            last_heard: None,
            warned: false,
            remote_candidates: 0,
            silence,
            setup: terms.setup_timeout,
            restarts: Restarts::new(terms.setup_timeout),
            closed: None,
        }
    }

    /// Why the session ended, once it has.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Ends the session: tells the other side (DTLS close_notify) and emits what is left to send.
    pub(crate) fn close(&mut self, now: Instant, reason: CloseReason, out: &mut Collected) {
        if self.closed.is_none() {
            self.guard(out, |peer, out| {
                let _ = peer.rtc.close();
                peer.drain_at(now, out);
            });
            self.closed = Some(reason);
        }
    }

    /// True if a datagram can only be forged; see [`Sources`].
    pub(crate) fn refuses(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let publishes = matches!(self.role, Role::Publisher(_));
        self.sources.refuses(now, publishes, bytes)
    }

    /// Gives a packet to the peer, from an address that is its own or has just proved to be.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        source: Remote,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Collected,
    ) {
        self.guard(out, |peer, out| {
            peer.hear(now, source, destination, bytes, out);
            let known = peer.paths.known(source);
            let destination = peer.paths.candidate(known.transport, destination);
            let protocol = protocol(known.transport);
            let Ok(receive) = Receive::new(protocol, known.address, destination, bytes) else {
                return;
            };
            peer.last_heard = Some(now);
            peer.repair.pass(Way::In, bytes);
            if let Err(error) = peer.rtc.handle_input(Input::Receive(now, receive)) {
                peer.closed = Some(broken_by(&error));
                return;
            }
            peer.drain_at(now, out);
        });
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Collected) {
        self.guard(out, |peer, out| {
            peer.check_silence(now, out);
            if peer.closed.is_none() {
                peer.advance(now, out);
            }
        });
    }

    /// True once a layer of a publisher's picture has a stream that a keyframe can be asked of.
    pub(crate) fn can_be_asked(&self, layer: LayerId) -> bool {
        matches!(&self.role, Role::Publisher(ingest) if ingest.video_ssrc(layer).is_some())
    }

    /// The new publisher's time line begins after everything that was sent before.
    pub(crate) fn continue_after(&mut self, newest: Duration) {
        if let Role::Publisher(ingest) = &mut self.role {
            ingest.floor = newest;
        }
    }

    /// Asks a publisher for a keyframe of one layer (PLI, RFC 4585 section 6.3.1).
    pub(crate) fn request_keyframe(&mut self, now: Instant, layer: LayerId, out: &mut Collected) {
        let Role::Publisher(ingest) = &self.role else {
            return;
        };
        let Some(ssrc) = ingest.video_ssrc(layer) else {
            return;
        };
        self.guard(out, |peer, out| {
            if let Some(stream) = peer.rtc.direct_api().stream_rx(&ssrc) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            peer.advance(now, out);
        });
    }

    /// Lets a viewer write packets; each is drained before the next.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        out: &mut Collected,
        write: impl FnOnce(&mut Viewer, &mut Rtc, &mut Draining<'_>),
    ) {
        self.guard(out, |peer, out| {
            let Role::Viewer(viewer) = &mut peer.role else {
                return;
            };
            let patience = pace::patience(viewer.wish);
            let before = out.transmits.len();
            let mut draining = Draining {
                now,
                out,
                paths: &mut peer.paths,
                repair: &mut peer.repair,
                wake: peer.wake,
                failed: false,
            };
            write(viewer, &mut peer.rtc, &mut draining);
            draining.exhaust(&mut peer.rtc, patience);
            peer.wake = draining.wake;
            if draining.failed {
                peer.closed = Some(CloseReason::Protocol);
            }
            peer.settle(now, out);
            if out.transmits.len() > before {
                peer.unpark(now, out);
            }
        });
    }

    /// Says what the way to a viewer should be able to carry, if that is another rate than before.
    pub(crate) fn wish(&mut self, now: Instant, wish: Wish, out: &mut Collected) {
        let Role::Viewer(viewer) = &mut self.role else {
            return;
        };
        if viewer.wish.resembles(wish) {
            return;
        }
        viewer.wish = wish;
        self.guard(out, |peer, out| {
            let (least, most) = (wish.least.into(), wish.most.into());
            peer.rtc.bwe().set_bitrate(least, most);
            peer.advance(now, out);
        });
    }

    /// When the peer wants [`Self::tick`].
    pub(crate) fn deadline(&self) -> Instant {
        let at = self.wake.min(self.silent_at());
        self.restarts.given_up_at().map_or(at, |end| at.min(end))
    }

    fn silent_at(&self) -> Instant {
        match (self.connected, self.last_heard) {
            (Some(_), Some(heard)) => {
                let at = heard + self.silence;
                self.restarts.patience().map_or(at, |until| at.max(until))
            }
            _ if !self.warned && self.last_heard.is_none() => {
                self.created + NOTHING_HEARD.min(self.setup)
            }
            _ => self.created + self.setup,
        }
    }

    fn check_silence(&mut self, now: Instant, out: &mut Collected) {
        let lost = self.restarts.given_up_at().is_some_and(|at| now >= at);
        if lost && self.connected.is_some() {
            self.closed = Some(CloseReason::Consent);
            return;
        }
        if now < self.silent_at() {
            return;
        }
        if self.connected.is_some() {
            self.closed = Some(CloseReason::Silent);
        } else if now >= self.created + self.setup {
            self.closed = Some(CloseReason::SetupTimeout);
        } else {
            self.warned = true;
            out.happened.push(Happened::NothingHeard);
        }
    }

    fn advance(&mut self, now: Instant, out: &mut Collected) {
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.closed = Some(CloseReason::Protocol);
            return;
        }
        self.drain_at(now, out);
    }

    fn drain_at(&mut self, now: Instant, out: &mut Collected) {
        let mut draining = Draining {
            now,
            out,
            paths: &mut self.paths,
            repair: &mut self.repair,
            wake: self.wake,
            failed: false,
        };
        draining.poll(&mut self.rtc);
        if let Role::Viewer(viewer) = &self.role {
            draining.exhaust(&mut self.rtc, pace::patience(viewer.wish));
        }
        self.wake = draining.wake;
        if draining.failed {
            self.closed = Some(CloseReason::Protocol);
        }
        self.settle(now, out);
    }

    fn settle(&mut self, now: Instant, out: &mut Collected) {
        for event in std::mem::take(&mut out.events) {
            self.event(now, event, out);
        }
        if self.closed.is_none() && !self.rtc.is_alive() {
            self.closed = Some(CloseReason::Remote);
        }
    }

    fn event(&mut self, now: Instant, event: Event, out: &mut Collected) {
        match event {
            Event::Connected if self.connected.is_none() => {
                self.connected = Some(now);
                out.happened.push(Happened::Connected);
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.path_lost(now)
            }
            Event::IceConnectionStateChange(state) if state.is_connected() => {
                self.restarts.path_found();
            }
            Event::Closed => self.closed = Some(CloseReason::Remote),
            Event::RtpPacket(packet) => {
                let mut api = self.rtc.direct_api();
                let stream = api.stream_rx(&packet.header.ssrc);
                let rid = stream.and_then(|stream| stream.rid());
                self.sources.signed(now, &packet.header, rid.is_some());
                let layer = rid.map(|rid| LayerId::new(&rid)).unwrap_or_default();
                self.media(layer, packet, out);
            }
            Event::SenderFeedback(report) => {
                if let Role::Publisher(ingest) = &mut self.role {
                    let info = report.sender_info;
                    ingest.report(
                        info.ssrc,
                        info.ntp_time,
                        info.rtp_time.numer(),
                        report.received_at,
                    );
                }
            }
            Event::EgressBitrateEstimate(BweKind::Twcc {
                estimate,
                can_probe,
            }) => {
                if let Role::Viewer(viewer) = &mut self.role {
                    viewer.estimated(can_probe.then(|| estimate.as_u64()));
                }
            }
            Event::KeyframeRequest(request) => {
                out.happened.push(Happened::KeyframeRequest(request.mid))
            }
            Event::PeerStats(stats) => {
                let loss = stats.egress_loss_fraction.or(stats.ingress_loss_fraction);
                let estimate = match &self.role {
                    Role::Viewer(viewer) => viewer.estimate(),
                    Role::Publisher(_) => None,
                };
                out.happened.push(Happened::Stats(Stats {
                    rtt: stats.rtt,
                    loss,
                    estimate,
                    ..Stats::default()
                }));
            }
            Event::MediaIngressStats(stats) => {
                let kind = if self.is_audio(stats.mid) {
                    Kind::Audio
                } else {
                    Kind::Video
                };
                let nacks_sent = (kind == Kind::Video).then_some(stats.nacks);
                out.happened.push(Happened::Stats(Stats {
                    jitter: Some(jitter_of(stats.jitter, kind)),
                    nacks_sent,
                    ..Stats::default()
                }));
            }
            // Sound is not retransmitted; what counts for a viewer is its picture.
            Event::MediaEgressStats(stats) if !self.is_audio(stats.mid) => {
                let (lost, jitter) = stats
                    .remote
                    .map(|remote| (remote.packets_lost, jitter_of(remote.jitter, Kind::Video)))
                    .unzip();
                out.happened.push(Happened::Stats(Stats {
                    nacks_received: Some(stats.nacks),
                    lost,
                    jitter,
                    ..Stats::default()
                }));
            }
            _ => {}
        }
    }

    fn media(&mut self, layer: LayerId, packet: str0m::rtp::RtpPacket, out: &mut Collected) {
        self.repair.take(packet.header.ssrc, *packet.seq_no);
        let Some(params) = self
            .rtc
            .codec_config()
            .find(|p| p.pt() == packet.header.payload_type)
        else {
            return;
        };
        let kind = if params.spec().codec.is_audio() {
            Kind::Audio
        } else {
            Kind::Video
        };
        out.happened
            .push(Happened::Media(kind, layer, Box::new(packet)));
    }

    fn is_audio(&self, mid: Mid) -> bool {
        self.rtc.media(mid).is_some_and(|m| m.kind().is_audio())
    }

    fn guard(&mut self, out: &mut Collected, act: impl FnOnce(&mut Self, &mut Collected)) {
        if self.closed.is_some() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| act(self, out))).is_err() {
            self.closed = Some(CloseReason::Panic);
        }
    }
}

/// Interarrival jitter as it is reported (RFC 3550, section 6.4.1).
fn jitter_of(ticks: u32, kind: Kind) -> Duration {
    super::clock::duration(u64::from(ticks), kind.clock_rate())
}

/// What the DTLS library says, without a type of its own, of certificates that it does not take: it knows
/// ECDSA on P-256 and P-384, and a client without such a certificate shows none.
const CERTIFICATE: [&str; 2] = ["unsupported EC curve", "no client certificate received"];

/// Why a session ends over an error of the media engine.
fn broken_by(error: &str0m::RtcError) -> CloseReason {
    let str0m::RtcError::Dtls(error) = error else {
        return CloseReason::Protocol;
    };
    let text = error.to_string();
    if CERTIFICATE.iter().any(|known| text.contains(known)) {
        CloseReason::Certificate
    } else {
        CloseReason::Dtls
    }
}

/// What a peer put out since the engine last looked.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) happened: Vec<Happened>,
    events: Vec<Event>,
}

/// Drains str0m into [`Collected`].
pub(crate) struct Draining<'a> {
    now: Instant,
    out: &'a mut Collected,
    paths: &'a mut Paths,
    repair: &'a mut Repair,
    wake: Instant,
    failed: bool,
}

impl Draining<'_> {
    fn poll(&mut self, rtc: &mut Rtc) {
        loop {
            match rtc.poll_output() {
                Ok(Output::Transmit(t)) => self.transmit(t),
                Ok(Output::Event(event)) => self.out.events.push(event),
                Ok(Output::Timeout(at)) => {
                    self.wake = at;
                    return;
                }
                Err(_) => {
                    self.failed = true;
                    return;
                }
            }
        }
    }
}

impl Draining<'_> {
    fn transmit(&mut self, t: str0m::net::Transmit) {
        let bytes: Vec<u8> = t.contents.into();
        let known = match t.proto {
            Protocol::Udp => Remote::udp(t.destination),
            _ => Remote::tcp(t.destination),
        };
        if !stun::is_stun(&bytes) {
            self.paths.nominate(self.now, known);
        }
        self.repair.pass(Way::Out, &bytes);
        let remote = self.paths.actual(known);
        self.out.transmits.push_back(Transmit {
            transport: remote.transport,
            source: self.paths.source(remote, t.source),
            destination: remote.address,
            bytes,
        });
    }
}

fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    }
}

impl Drain for Draining<'_> {
    fn drain(&mut self, rtc: &mut Rtc) {
        if self.failed || rtc.handle_input(Input::Timeout(self.now)).is_err() {
            self.failed = true;
            return;
        }
        self.poll(rtc);
    }
}
