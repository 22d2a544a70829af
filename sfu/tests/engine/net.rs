//! A network without sockets or clocks: one engine and its str0m clients, in virtual time.
//!
//! It is one file of more than 600 lines because benchmarks and fuzz targets take it in by its path.

// By its path, since benchmarks take this file by its own.
#[path = "net/client.rs"]
mod client;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reverie_sfu::engine::ids::{PeerId, StreamId};
use reverie_sfu::engine::negotiate::{self, Candidates, Certificate, Identity, Side, Terms};
use reverie_sfu::engine::packet::Track;
use reverie_sfu::engine::{Bus, Command, Engine, Event, Input, Limits, Output};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, IceConnectionState, RtcConfig};
use str0m_netem::{Input as Enter, Netem, NetemConfig};

pub(crate) use client::Client;
use client::{due, passed};

/// Where the engine is reached.
pub(crate) const SERVER: &str = "10.0.0.1:7000";
/// The stream that all tests use.
pub(crate) const STREAM: StreamId = StreamId(1);

/// One packet of a layer.
pub(crate) struct Layered<'a> {
    /// Extended sequence number.
    pub(crate) seq: u64,
    /// Timestamp on the wire.
    pub(crate) timestamp: u32,
    /// When its picture was captured.
    pub(crate) captured: Instant,
    /// The last one of its picture.
    pub(crate) marker: bool,
    /// What it carries.
    pub(crate) payload: &'a [u8],
}

/// One engine, its clients, and the time.
pub(crate) struct Net {
    /// Now.
    pub(crate) now: Instant,
    /// Under test.
    pub(crate) engine: Engine,
    /// By index.
    pub(crate) clients: Vec<Client>,
    /// What the engine told the channel, in order.
    pub(crate) events: Vec<Event>,
    /// What the engine told other shards, in order.
    pub(crate) bus: Vec<Bus>,
    /// Time line zero of the channel.
    pub(crate) epoch: Instant,
    terms: Terms,
    wake: Instant,
    generation: u32,
    server: SocketAddr,
    /// While set, datagrams of clients are kept here and not given to the engine.
    captured: Option<Vec<(SocketAddr, Vec<u8>)>>,
    /// Where datagrams went that found no client.
    astray: Vec<SocketAddr>,
    /// Datagrams on their way to the engine, each with its arrival.
    in_flight: Vec<(Instant, SocketAddr, Vec<u8>)>,
}

impl Net {
    /// An engine without clients.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let server: SocketAddr = SERVER.parse().expect("address");
        let limits = Limits {
            keyframe_interval: Duration::from_millis(500),
            styled_rate: 2_500_000,
        };
        Self {
            now,
            engine: Engine::new(limits, now),
            clients: Vec::new(),
            events: Vec::new(),
            bus: Vec::new(),
            epoch: now,
            terms: terms(server),
            wake: now,
            generation: 0,
            server,
            captured: None,
            astray: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Adds a publisher and waits until it is connected; returns its index.
    pub(crate) fn publisher(&mut self) -> usize {
        self.generation += 1;
        let side = Side::Publish {
            generation: self.generation,
            epoch: self.epoch,
        };
        self.join(side, Direction::SendOnly)
    }

    /// Adds a publisher whose picture has these layers and waits until it is connected; returns its index.
    pub(crate) fn layered_publisher(&mut self, rids: &[&str]) -> usize {
        self.generation += 1;
        let side = Side::Publish {
            generation: self.generation,
            epoch: self.epoch,
        };
        let index = self.begin_as(side, Direction::SendOnly, rids, str::to_owned);
        self.connect(index);
        index
    }

    /// Adds a viewer that gives no feedback of what its way carries, and waits until it is connected.
    pub(crate) fn silent_viewer(&mut self) -> usize {
        let side = Side::Watch(Track::Output);
        let index = self.begin_with(side, Direction::RecvOnly, |offer| {
            let lines = offer.split_inclusive("\r\n");
            lines
                .filter(|l| !l.contains("transport-wide-cc") && !l.contains("transport-cc"))
                .collect()
        });
        self.connect(index);
        index
    }

    /// Adds a viewer and waits until it is connected; returns its index.
    pub(crate) fn viewer(&mut self) -> usize {
        self.join(Side::Watch(Track::Output), Direction::RecvOnly)
    }

    /// Adds a viewer of one track and waits until it is connected; returns its index.
    pub(crate) fn viewer_of(&mut self, track: Track) -> usize {
        self.join(Side::Watch(track), Direction::RecvOnly)
    }

    /// Adds viewers and waits until all are connected; returns their indices.
    pub(crate) fn viewers(&mut self, count: usize) -> Vec<usize> {
        let added: Vec<_> = (0..count)
            .map(|_| self.begin(Side::Watch(Track::Output), Direction::RecvOnly))
            .collect();
        added.iter().for_each(|viewer| self.connect(*viewer));
        added
    }

    /// Hands the engine a viewer and waits for nothing.
    pub(crate) fn offer_viewer(&mut self) {
        self.begin(Side::Watch(Track::Output), Direction::RecvOnly);
    }

    /// Lets a client look at what was changed in it.
    pub(crate) fn wake(&mut self, client: usize) {
        self.step_client(client);
        self.settle();
    }

    /// Where the engine sees a client.
    pub(crate) fn address(&self, client: usize) -> SocketAddr {
        self.clients[client].public
    }

    /// From now on a client's datagrams go through a bad network, to the engine and from it.
    pub(crate) fn worsen(&mut self, client: usize, up: NetemConfig, down: NetemConfig) {
        let client = &mut self.clients[client];
        for (link, config) in [(&mut client.up, up), (&mut client.down, down)] {
            match link {
                Some(link) => link.set_config(config),
                None => *link = Some(Netem::new(config)),
            }
        }
    }

    /// Gives the engine a command.
    pub(crate) fn command(&mut self, command: Command) {
        self.engine.handle(self.now, Input::Command(command));
        self.settle();
    }

    /// Lets time pass, event by event.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let next = self
                .clients
                .iter()
                .flat_map(|c| [Some(c.next), due(&c.up), due(&c.down)])
                .flatten()
                .chain([self.wake])
                .chain(self.in_flight.iter().map(|d| d.0))
                .min()
                .unwrap_or(end);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    /// Writes one RTP packet of a client's video.
    pub(crate) fn write_video(
        &mut self,
        client: usize,
        seq: u64,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) {
        let mid = self.clients[client].video;
        self.write(client, mid, seq, timestamp, marker, payload);
    }

    /// Writes one RTP packet of a client's audio.
    pub(crate) fn write_audio(&mut self, client: usize, seq: u64, timestamp: u32, payload: &[u8]) {
        let mid = self.clients[client].audio;
        self.write(client, mid, seq, timestamp, false, payload);
    }

    /// From now on datagrams of clients do not reach the engine.
    pub(crate) fn capture(&mut self) {
        self.captured = Some(Vec::new());
    }

    /// Ends [`Self::capture`]: sources and datagrams in order.
    pub(crate) fn captured(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.captured.take().unwrap_or_default()
    }

    /// Gives the engine a datagram as from anywhere.
    pub(crate) fn inject(&mut self, source: SocketAddr, bytes: &[u8]) {
        self.reach(source, bytes);
        self.settle();
    }

    /// Datagrams that the engine sent to an address where no client is.
    pub(crate) fn sent_to(&self, address: SocketAddr) -> usize {
        self.astray.iter().filter(|a| **a == address).count()
    }

    /// Stops driving a client, which then neither hears nor says anything.
    pub(crate) fn freeze(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.cut_off = true;
        client.next = self.now + Duration::from_secs(3_600);
    }

    /// Video packets that a client received, in order of their sequence numbers.
    pub(crate) fn video_of(&self, client: usize) -> Vec<&RtpPacket> {
        let pt = self.pt(client, self.clients[client].video);
        let mut packets: Vec<_> = self.clients[client]
            .received
            .iter()
            .filter(|p| p.header.payload_type == pt)
            .collect();
        packets.sort_by_key(|p| p.seq_no);
        packets
    }

    /// Audio packets that a client received, in order of arrival.
    pub(crate) fn audio_of(&self, client: usize) -> Vec<&RtpPacket> {
        let pt = self.pt(client, self.clients[client].audio);
        self.clients[client]
            .received
            .iter()
            .filter(|p| p.header.payload_type == pt)
            .collect()
    }

    fn pt(&self, client: usize, mid: Mid) -> Pt {
        let rtc = &self.clients[client].rtc;
        rtc.media(mid).expect("negotiated").remote_pts()[0]
    }

    fn write(
        &mut self,
        client: usize,
        mid: Mid,
        seq: u64,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) {
        let packet = RtpWrite::new(
            self.pt(client, mid),
            seq.into(),
            timestamp,
            self.now,
            payload.to_vec(),
        );
        self.send(client, mid, None, packet.marker(marker));
    }

    /// Writes one RTP packet of a layer of a client's video.
    pub(crate) fn write_layer(&mut self, client: usize, rid: &str, packet: Layered<'_>) {
        let mid = self.clients[client].video;
        let write = RtpWrite::new(
            self.pt(client, mid),
            packet.seq.into(),
            packet.timestamp,
            packet.captured,
            packet.payload.to_vec(),
        );
        let rid = Rid::from(rid);
        self.send(client, mid, Some(rid), write.marker(packet.marker));
    }

    /// Writes one RTP packet that says more than most; the payload type is filled in.
    pub(crate) fn write_packet(
        &mut self,
        client: usize,
        kind: MediaKind,
        packet: impl FnOnce(Pt) -> RtpWrite,
    ) {
        let mid = match kind {
            MediaKind::Audio => self.clients[client].audio,
            MediaKind::Video => self.clients[client].video,
        };
        let packet = packet(self.pt(client, mid));
        self.send(client, mid, None, packet);
    }

    fn send(&mut self, client: usize, mid: Mid, rid: Option<Rid>, packet: RtpWrite) {
        let rtc = &mut self.clients[client].rtc;
        let mut api = rtc.direct_api();
        let stream = api
            .stream_tx_by_mid(mid, rid)
            .expect("a sending client has streams");
        stream.write_rtp(packet.nackable(true));
        self.step_client(client);
        self.settle();
    }

    fn join(&mut self, side: Side, direction: Direction) -> usize {
        let index = self.begin(side, direction);
        self.connect(index);
        index
    }

    fn begin(&mut self, side: Side, direction: Direction) -> usize {
        self.begin_with(side, direction, str::to_owned)
    }

    /// Adds a client whose offer is changed on its way; does not wait for it.
    pub(crate) fn begin_with(
        &mut self,
        side: Side,
        direction: Direction,
        change: impl FnOnce(&str) -> String,
    ) -> usize {
        self.begin_as(side, direction, &[], change)
    }

    fn begin_as(
        &mut self,
        side: Side,
        direction: Direction,
        rids: &[&str],
        change: impl FnOnce(&str) -> String,
    ) -> usize {
        let index = self.clients.len();
        let address: SocketAddr = format!("10.0.1.{}:{}", index % 250 + 1, 5000 + index)
            .parse()
            .expect("address");
        let mut rtc = config().build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("candidate"));
        let mut api = rtc.sdp_api();
        let one = || Some("client".to_owned());
        let audio = api.add_media(MediaKind::Audio, direction, one(), None, None);
        let layers = (!rids.is_empty()).then(|| Simulcast {
            send: rids.iter().map(|rid| SimulcastLayer::new(rid)).collect(),
            recv: Vec::new(),
        });
        let video = api.add_media(MediaKind::Video, direction, one(), None, layers);
        let (offer, pending) = api.apply().expect("an offer");
        let id = PeerId(index as u64);
        let identity = Identity {
            peer: id,
            stream: STREAM,
            ufrag: format!("server{index:06}"),
            pwd: format!("password-of-the-server-{index:06}"),
            first_seq: 100,
            first_timestamp: 1_000,
        };
        let (peer, answer) = negotiate::accept(
            &self.terms,
            identity,
            side,
            &change(&offer.to_sdp_string()),
            self.now,
        )
        .expect("accepted");
        let text = answer.clone();
        let answer = SdpAnswer::from_sdp_string(&answer).expect("a readable answer");
        rtc.sdp_api()
            .accept_answer(pending, answer)
            .expect("a fitting answer");
        self.clients.push(Client {
            rtc,
            id,
            received: Vec::new(),
            reports: Vec::new(),
            keyframe_requests: 0,
            layers_asked: Vec::new(),
            state: IceConnectionState::New,
            closed: false,
            cut_off: false,
            addressed: 0,
            answer: text,
            public: address,
            uplink: Duration::ZERO,
            address,
            up: None,
            down: None,
            video,
            audio,
            next: self.now,
        });
        self.command(Command::Add(Box::new(peer)));
        index
    }

    /// Waits until a client is connected.
    pub(crate) fn connect(&mut self, index: usize) {
        let id = self.clients[index].id;
        for _ in 0..200 {
            if self
                .events
                .iter()
                .any(|e| matches!(e, Event::Connected(peer, _) if *peer == id))
            {
                return;
            }
            self.run(Duration::from_millis(10));
        }
        panic!("client {index} did not connect in 2 s of virtual time");
    }

    fn tick(&mut self) {
        for i in 0..self.clients.len() {
            self.arrive(i);
            if self.clients[i].next <= self.now {
                self.step_client(i);
            }
        }
        if self.wake <= self.now {
            self.engine.handle(self.now, Input::Timeout);
        }
        let now = self.now;
        for (_, source, bytes) in self.in_flight.extract_if(.., |d| d.0 <= now) {
            let input = Input::Datagram {
                source,
                destination: self.server,
                bytes: &bytes,
            };
            self.engine.handle(now, input);
        }
        self.settle();
    }

    /// Drains the engine and delivers what it sends, until nothing moves.
    fn settle(&mut self) {
        loop {
            match self.engine.poll() {
                Output::Transmit(t) => {
                    let Some(client) = self.clients.iter().position(|c| c.public == t.destination)
                    else {
                        self.astray.push(t.destination);
                        continue;
                    };
                    self.clients[client].addressed += 1;
                    if self.clients[client].cut_off {
                        continue;
                    }
                    match &mut self.clients[client].down {
                        Some(link) => link.handle_input(Enter::Packet(self.now, t.bytes)),
                        None => self.deliver(client, t.source, &t.bytes),
                    }
                }
                Output::Event(_, event) => self.events.push(event),
                Output::Bus(message) => self.bus.push(message),
                Output::Wait(at, _) => {
                    self.wake = at;
                    return;
                }
            }
        }
    }

    fn deliver(&mut self, client: usize, source: SocketAddr, bytes: &[u8]) {
        let target = &mut self.clients[client];
        let Ok(receive) = Receive::new(Protocol::Udp, source, target.address, bytes) else {
            return;
        };
        target
            .rtc
            .handle_input(str0m::Input::Receive(self.now, receive))
            .expect("the engine sends what str0m takes");
        self.drain_client(client);
    }

    fn step_client(&mut self, client: usize) {
        let now = self.now;
        self.clients[client]
            .rtc
            .handle_input(str0m::Input::Timeout(now))
            .expect("time passes");
        self.drain_client(client);
    }

    fn drain_client(&mut self, index: usize) {
        let mut sent = VecDeque::new();
        let client = &mut self.clients[index];
        loop {
            match client.rtc.poll_output().expect("a client that works") {
                str0m::Output::Transmit(t) => sent.push_back(t),
                str0m::Output::Event(event) => client.take(event),
                str0m::Output::Timeout(at) => {
                    client.next = at.max(self.now + Duration::from_micros(1));
                    break;
                }
            }
        }
        if client.cut_off {
            return;
        }
        let (source, uplink) = (client.public, client.uplink);
        if let Some(captured) = &mut self.captured {
            captured.extend(sent.into_iter().map(|t| (source, t.contents.to_vec())));
            return;
        }
        if let Some(link) = &mut self.clients[index].up {
            for t in sent {
                link.handle_input(Enter::Packet(self.now, t.contents.to_vec()));
            }
            return self.arrive(index);
        }
        if !uplink.is_zero() {
            let due = self.now + uplink;
            self.in_flight
                .extend(sent.into_iter().map(|t| (due, source, t.contents.to_vec())));
            return;
        }
        for t in sent {
            self.reach(source, &t.contents);
        }
    }

    fn reach(&mut self, source: SocketAddr, bytes: &[u8]) {
        let input = Input::Datagram {
            source,
            destination: self.server,
            bytes,
        };
        self.engine.handle(self.now, input);
    }

    /// Delivers what has passed a client's links by now.
    fn arrive(&mut self, index: usize) {
        for bytes in passed(&mut self.clients[index].up, self.now) {
            let source = self.clients[index].public;
            self.reach(source, &bytes);
        }
        for bytes in passed(&mut self.clients[index].down, self.now) {
            if !self.clients[index].cut_off {
                self.deliver(index, self.server, &bytes);
            }
        }
    }
}

/// The terms of a shard that is reached at one address.
pub(crate) fn terms(server: SocketAddr) -> Terms {
    Terms {
        candidates: Candidates::udp(&[server]),
        certificate: Certificate::generate().expect("certificate"),
        setup_timeout: Duration::from_secs(15),
        publisher_silence: Duration::from_secs(5),
        viewer_silence: Duration::from_secs(15),
    }
}

fn config() -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_opus(true, false);
    config
        .codec_config()
        .add_h264(96.into(), Some(97.into()), true, 0x42_e01f);
    config
}

/// RTP payloads of one picture: a keyframe is a STAP-A with SPS and PPS and then an IDR in two fragments,
/// any other picture one slice. `tag` makes it recognisable.
pub(crate) fn picture(keyframe: bool, tag: u8) -> Vec<Vec<u8>> {
    if keyframe {
        vec![
            vec![24, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, tag],
            vec![28, 0x85, 0x88, tag, 1],
            vec![28, 0x45, tag, 2, 3],
        ]
    } else {
        vec![vec![0x41, 0x9a, tag, 7]]
    }
}
