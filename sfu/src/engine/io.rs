//! What goes into an engine and what comes out of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::pipeline;
use reverie_transcoder::time::Pts;

use super::ids::{LayerId, PeerId, StreamId};
use super::layers::LayerState;
use super::packet::{Packet, StyledUnit};
use super::peer::{Peer, Stats};
use super::restart::{Reply, Restart};

/// What a packet travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A UDP datagram.
    Udp,
    /// A frame of a TCP connection that the client made (RFC 4571, RFC 6544).
    Tcp,
}

/// Where a client is: its address, and what takes packets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remote {
    /// What packets travel in.
    pub transport: Transport,
    /// The other end.
    pub address: SocketAddr,
}

impl Remote {
    /// An address that datagrams come from.
    #[must_use]
    pub fn udp(address: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            address,
        }
    }

    /// The other end of a connection.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self {
            transport: Transport::Tcp,
            address,
        }
    }
}

/// Everything an engine can be told.
#[derive(Debug)]
pub enum Input<'a> {
    /// A UDP datagram.
    Datagram {
        /// Who sent it.
        source: SocketAddr,
        /// The address it was sent to.
        destination: SocketAddr,
        /// Its content.
        bytes: &'a [u8],
    },
    /// A packet from a TCP connection, without its frame.
    Framed {
        /// The other end of the connection.
        source: SocketAddr,
        /// This end of it.
        destination: SocketAddr,
        /// Its content.
        bytes: &'a [u8],
    },
    /// Time passed.
    Timeout,
    /// Somebody decided something.
    Command(Command),
}

/// Decisions from outside.
#[derive(Debug)]
pub enum Command {
    /// A negotiated session.
    Add(Box<Peer>),
    /// End a session.
    Close(PeerId, CloseReason),
    /// Trickled candidates (`candidate:...`).
    Candidates(PeerId, Vec<String>),
    /// ICE restart of a session; the reply says whether it takes it.
    Restart(PeerId, Box<Restart>, Reply),
    /// From another shard, in order.
    Bus(Bus),
    /// A unit of the styled track.
    Styled(StreamId, Arc<StyledUnit>),
    /// Cut the camera after its newest picture; answered by [`Event::Cut`]. Only for the publisher's shard.
    Cut(StreamId),
    /// Show the camera again; `urgent` when no styled picture will come any more. Only for the publisher's shard.
    Camera(StreamId, Urgency),
    /// Feed a pipeline with the camera, or stop. Only for the publisher's shard.
    Tap(StreamId, Option<pipeline::Input>),
    /// Ask the publisher for a keyframe of its best layer.
    WantKeyframe(StreamId),
    /// A viewer asks for a layer by name, or leaves the choice to the server again.
    Layer(PeerId, Option<LayerId>),
    /// End every session.
    CloseAll(CloseReason),
}

/// How soon the camera is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// The styled picture goes on until the camera's keyframe.
    Smooth,
    /// The styled picture has stopped.
    Now,
}

/// What one shard tells all others; order is kept.
#[derive(Debug, Clone)]
pub enum Bus {
    /// Packets of a publisher.
    Packets(StreamId, Vec<Arc<Packet>>),
    /// The camera is cut at this time (ticks of 90 kHz).
    Cut(StreamId, u64),
    /// See [`Command::Camera`].
    Camera(StreamId, Urgency),
    /// The publisher is gone.
    Orphan(StreamId),
    /// A viewer elsewhere needs a keyframe of the camera: of this layer, or of the best one.
    WantKeyframe(StreamId, Option<LayerId>),
}

impl Bus {
    /// The stream it is about.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Packets(s, _)
            | Self::Cut(s, _)
            | Self::Camera(s, _)
            | Self::Orphan(s)
            | Self::WantKeyframe(s, _) => *s,
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// DELETE of its URL.
    Deleted,
    /// The other side closed (DTLS close_notify or BYE).
    Remote,
    /// Nothing was heard for too long.
    Silent,
    /// ICE consent was lost (RFC 7675).
    Consent,
    /// ICE or DTLS did not finish in time.
    SetupTimeout,
    /// Another publisher of the same credential took over.
    Replaced,
    /// The token that it was begun with was revoked.
    Revoked,
    /// Whoever runs the server ended it.
    Kicked,
    /// The server stops.
    Shutdown,
    /// The other side broke the protocol.
    Protocol,
    /// The DTLS handshake failed.
    Dtls,
    /// The other side's DTLS certificate is not ECDSA on P-256 or P-384, or it showed none.
    Certificate,
    /// A bug: the peer's engine panicked.
    Panic,
}

impl CloseReason {
    /// Stable name for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Remote => "remote",
            Self::Silent => "silent",
            Self::Consent => "consent",
            Self::SetupTimeout => "setup_timeout",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Kicked => "kicked",
            Self::Shutdown => "shutdown",
            Self::Protocol => "protocol",
            Self::Dtls => "dtls",
            Self::Certificate => "certificate",
            Self::Panic => "panic",
        }
    }
}

/// What an engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a packet.
    Transmit(Transmit),
    /// Tell the channel.
    Event(StreamId, Event),
    /// Tell all other shards.
    Bus(Bus),
    /// Nothing more until new input, or until this instant for this reason.
    Wait(Instant, &'static str),
}

/// A packet to send.
#[derive(Debug)]
pub struct Transmit {
    /// What it travels in.
    pub transport: Transport,
    /// The candidate it is sent from.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// Content.
    pub bytes: Vec<u8>,
}

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session finished ICE and DTLS after this time.
    Connected(PeerId, Duration),
    /// A session ended.
    Closed(PeerId, CloseReason),
    /// The publisher's first complete keyframe arrived.
    Live(PeerId),
    /// The H264 `profile-level-id` that a publisher sends, at its first parameter set and when it changes.
    Profile(PeerId, u32),
    /// A viewer was sent its first picture, this long after its offer.
    FirstPicture(PeerId, Duration),
    /// The camera was cut: the styled picture must continue with a keyframe at or after this time.
    Cut(Pts),
    /// From now on viewers get the styled picture.
    ShowsStyled,
    /// From now on viewers get the camera.
    ShowsCamera,
    /// A viewer needs a keyframe of the styled track.
    WantStyledKeyframe,
    /// New statistics of a session.
    Stats(PeerId, Stats),
    /// A publisher's picture has B-frames: it is shown later than it need be, and not transformed smoothly.
    BFrames(PeerId),
    /// What the way to a viewer of the styled picture carries, in bits per second; about once a second.
    Estimate(PeerId, u64),
    /// The layers of a publisher's picture in rising order, when something about them changed; never told without
    /// simulcast.
    Layers(Vec<LayerState>),
    /// How much later the picture of one instant leaves than its sound, in seconds.
    Skew {
        /// False for the camera, true for the styled picture.
        styled: bool,
        /// Negative if the sound is later.
        seconds: f64,
    },
    /// No datagram of a session came for five seconds.
    NothingHeard(PeerId),
    /// A session's media goes to another address of the client from now on.
    Moved(PeerId),
}

/// Counts since the start; the shard reads and exports them.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Media packets taken from publishers.
    pub received: [u64; 2],
    /// Bytes of payload of them.
    pub received_bytes: [u64; 2],
    /// Media packets written to viewers.
    pub sent: [u64; 2],
    /// Bytes of payload of them.
    pub sent_bytes: [u64; 2],
    /// Packets refused because they are not H264.
    pub refused: u64,
    /// Packets of streams that are not the one taken.
    pub ignored: u64,
    /// Datagrams of nobody, checks that are not signed with the password of the session they name, and RTP that
    /// can only be forged.
    pub stray: u64,
    /// Keyframe requests sent to publishers.
    pub keyframes_asked: u64,
    /// Keyframe requests of viewers.
    pub keyframes_wanted: u64,
    /// Sessions ended by a panic of their engine.
    pub panics: u64,
    /// Packets of publishers that had not come when a later one did.
    pub missing: u64,
    /// Retransmitted packets: from publishers, and to viewers.
    pub resent: [u64; 2],
    /// Sessions that went on at another address of their client.
    pub moved: u64,
    /// Viewers that went on with another layer of the picture: up, and down.
    pub switches: [u64; 2],
}
