//! The section `media`: the UDP sockets and the peers on them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::advertise::Advertised;
use crate::ice::{IceServer, IceServers};
use crate::kind::{Each, Integer, Maybe, Millis, Parsed, SOCKET, Seconds};
use crate::visit::Visitor;

/// The section `media`.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// The UDP address of the first shard; shard `i` binds port + `i`. Port 0 gives every shard a free one.
    pub listen: SocketAddr,
    /// The TCP address of the first shard for clients that no datagram reaches, shard `i` has port + `i`; `None` takes none.
    pub tcp_listen: Option<SocketAddr>,
    /// How many media threads run, each with a socket of its own: 1 to 64.
    pub shards: NonZeroUsize,
    /// The addresses named as ICE candidates; empty names the bound address, or those of the interfaces when it is unspecified.
    pub advertise: Vec<Advertised>,
    /// STUN and TURN servers that clients are told of.
    pub ice_servers: Vec<IceServer>,
    /// How many publishers and viewers may be connected at once.
    pub max_sessions: usize,
    /// How many channels may exist at once.
    pub max_channels: usize,
    /// How long a peer may take from its POST to connected. Key `setup_timeout_s`, whole seconds.
    pub setup_timeout: Duration,
    /// How long a publisher may stay silent before it is gone. Key `publisher_silence_s`, whole seconds.
    pub publisher_silence: Duration,
    /// How long a viewer may stay silent before it is gone. Key `viewer_silence_s`, whole seconds.
    pub viewer_silence: Duration,
    /// The least time between two keyframe requests to one publisher. Key `keyframe_request_interval_ms`, milliseconds.
    pub keyframe_request_interval: Duration,
}

impl Media {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("media.listen", &mut self.listen, Parsed(SOCKET));
        visitor.key(
            "media.tcp_listen",
            &mut self.tcp_listen,
            Maybe(Parsed(SOCKET)),
        );
        visitor.key("media.shards", &mut self.shards, Integer(1..=64));
        visitor.key(
            "media.advertise",
            &mut self.advertise,
            Each(Parsed(
                "an IP address such as 203.0.113.7, or with a mapped port 203.0.113.7:17000",
            )),
        );
        visitor.key("media.ice_servers", &mut self.ice_servers, IceServers);
        visitor.key(
            "media.max_sessions",
            &mut self.max_sessions,
            Integer(1..=1_000_000),
        );
        visitor.key(
            "media.max_channels",
            &mut self.max_channels,
            Integer(1..=1_000_000),
        );
        visitor.key(
            "media.setup_timeout_s",
            &mut self.setup_timeout,
            Seconds(1..=300),
        );
        visitor.key(
            "media.publisher_silence_s",
            &mut self.publisher_silence,
            Seconds(1..=300),
        );
        visitor.key(
            "media.viewer_silence_s",
            &mut self.viewer_silence,
            Seconds(1..=300),
        );
        visitor.key(
            "media.keyframe_request_interval_ms",
            &mut self.keyframe_request_interval,
            Millis(50..=10_000),
        );
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 7000).into(),
            tcp_listen: None,
            shards: NonZeroUsize::MIN,
            advertise: Vec::new(),
            ice_servers: Vec::new(),
            max_sessions: 2000,
            max_channels: 1000,
            setup_timeout: Duration::from_secs(15),
            publisher_silence: Duration::from_secs(5),
            viewer_silence: Duration::from_secs(15),
            keyframe_request_interval: Duration::from_millis(500),
        }
    }
}
