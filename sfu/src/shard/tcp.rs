//! Media over TCP for clients whose network lets no datagram out (RFC 6544, passive side): connections are
//! accepted here, on the shard's thread.
//!
//! A connection lives as long as a session owns the address it comes from; one that does not prove itself
//! in time is closed. Never blocks.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::{Connection, Read};
use crate::engine::Transmit;

/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 256;
/// Connections at once; more are closed as they come.
const MAX_CONNECTIONS: usize = 4096;
/// Connections of one address that have not proved yet that they are a session's.
const MAX_UNPROVED: usize = 32;
/// How long a connection may take to prove that it is a session's, and how long it stays without one.
const UNPROVED: Duration = Duration::from_secs(5);
/// How often connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// Accepted in one turn.
const ACCEPTS_PER_TURN: usize = 64;

/// What happened to connections and frames; read by metrics.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Connections closed at once: too many.
    pub(crate) refused: u64,
    /// Connections closed because no session owned them.
    pub(crate) unproved: u64,
    /// Packets for connections that read too slowly.
    pub(crate) dropped: u64,
}

/// See the module.
pub(super) struct Tcp {
    listener: TcpListener,
    token: Token,
    local: SocketAddr,
    registry: Registry,
    connections: HashMap<Token, Connection>,
    by_address: HashMap<SocketAddr, Token>,
    /// Connections that may have more to read than their turn allowed.
    ready: Vec<Token>,
    pending: bool,
    next: usize,
    swept: Option<Instant>,
    counts: Counts,
}

impl Tcp {
    /// Listens; events of the listener have `token`, those of connections higher ones.
    pub(super) fn bind(address: SocketAddr, registry: Registry, token: Token) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        // A server that starts again is not kept out by connections of the one before.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self {
            local: listener.local_addr()?,
            listener,
            token,
            registry,
            connections: HashMap::new(),
            by_address: HashMap::new(),
            ready: Vec::new(),
            pending: false,
            next: token.0 + 1,
            swept: None,
            counts: Counts::default(),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The poller said something about one of these sockets.
    pub(super) fn wake(&mut self, token: Token, writable: bool) {
        if token == self.token {
            self.pending = true;
        } else if let Some(connection) = self.connections.get_mut(&token) {
            if writable && connection.flush().is_err() {
                self.close(token);
            } else if !self.ready.contains(&token) {
                self.ready.push(token);
            }
        }
    }

    /// Accepts connections and reads each that has something, up to its turn's limit; gives each packet to
    /// `take` (source, destination, bytes). True if there is more already.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        mut take: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> bool {
        if self.pending {
            self.accept(now);
        }
        for token in std::mem::take(&mut self.ready) {
            let Some(connection) = self.connections.get_mut(&token) else {
                continue;
            };
            let (source, destination) = (connection.remote, connection.local);
            match connection.read(|bytes| take(source, destination, bytes)) {
                Read::All => {}
                Read::More => self.ready.push(token),
                Read::Closed => self.close(token),
            }
        }
        self.pending || !self.ready.is_empty()
    }

    /// Queues a packet for its connection, or drops it. Checks of a client's own TCP candidates find none: only
    /// clients connect.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let Some(token) = self.by_address.get(&transmit.destination).copied() else {
            return;
        };
        match self
            .connections
            .get_mut(&token)
            .map(|c| c.send(&transmit.bytes))
        {
            Some(Ok(true)) | None => {}
            Some(Ok(false)) => self.counts.dropped += 1,
            Some(Err(_)) => self.close(token),
        }
    }

    /// Closes, once in a while, the connections that no session owns.
    pub(super) fn sweep(&mut self, now: Instant, owned: impl Fn(SocketAddr) -> bool) {
        let due = self
            .swept
            .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP);
        if !due {
            return;
        }
        self.swept = Some(now);
        self.pending = true;
        let mut gone = Vec::new();
        for (token, connection) in &mut self.connections {
            connection.proved = owned(connection.remote);
            if connection.proved {
                connection.since = now;
            } else if now.saturating_duration_since(connection.since) >= UNPROVED {
                gone.push(*token);
            }
        }
        self.counts.unproved += gone.len() as u64;
        gone.into_iter().for_each(|token| self.close(token));
    }

    /// True if there is a connection, which needs to be looked after.
    pub(super) fn is_busy(&self) -> bool {
        !self.connections.is_empty()
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, remote)) => {
                    let remote = canonical(remote);
                    if self.has_room(remote.ip()) {
                        let token = Token(self.next);
                        self.next += 1;
                        match Connection::new(stream, remote, &self.registry, token, now) {
                            Ok(connection) => self.keep(token, connection),
                            Err(_) => self.counts.refused += 1,
                        }
                    } else {
                        self.counts.refused += 1;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                // Nobody waits; or no descriptor is left, and the next sweep has it tried again.
                Err(_) => {
                    self.pending = false;
                    return;
                }
            }
        }
    }

    fn keep(&mut self, token: Token, connection: Connection) {
        self.counts.accepted += 1;
        self.by_address.insert(connection.remote, token);
        self.connections.insert(token, connection);
        // What came with the handshake raised no event of its own.
        self.ready.push(token);
    }

    fn has_room(&self, from: IpAddr) -> bool {
        let unproved = self
            .connections
            .values()
            .filter(|c| !c.proved && c.remote.ip() == from)
            .count();
        self.connections.len() < MAX_CONNECTIONS && unproved < MAX_UNPROVED
    }

    fn close(&mut self, token: Token) {
        if let Some(mut connection) = self.connections.remove(&token) {
            if self.by_address.get(&connection.remote) == Some(&token) {
                self.by_address.remove(&connection.remote);
            }
            connection.deregister(&self.registry);
        }
    }
}

/// A client of an IPv4 address, also when the socket is for both families.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use mio::{Events, Poll};

    use super::*;
    use crate::engine::Transport;

    const LISTENER: Token = Token(2);

    struct Case {
        poll: Poll,
        tcp: Tcp,
        got: Vec<(SocketAddr, Vec<u8>)>,
    }

    impl Case {
        fn new() -> Self {
            let poll = Poll::new().expect("a poller");
            let registry = poll.registry().try_clone().expect("a registry");
            let address = "127.0.0.1:0".parse().expect("address");
            let tcp = Tcp::bind(address, registry, LISTENER).expect("bind");
            let got = Vec::new();
            Self { poll, tcp, got }
        }

        fn connect(&self) -> TcpStream {
            let client = TcpStream::connect(self.tcp.local()).expect("connected");
            let limit = Some(Duration::from_secs(5));
            client.set_read_timeout(limit).expect("timeout");
            client
        }

        /// Turns until `done`.
        fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
            let deadline = Instant::now() + Duration::from_secs(5);
            let mut events = Events::with_capacity(64);
            while !done(self) {
                assert!(Instant::now() < deadline, "not in time: {what}");
                let wait = Some(Duration::from_millis(10));
                self.poll.poll(&mut events, wait).expect("polled");
                for event in &events {
                    self.tcp.wake(event.token(), event.is_writable());
                }
                let got = &mut self.got;
                self.tcp.receive(Instant::now(), |from, _, bytes| {
                    got.push((from, bytes.to_vec()))
                });
            }
        }

        fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
            self.tcp.send(&Transmit {
                transport: Transport::Tcp,
                source: self.tcp.local(),
                destination: to,
                bytes: bytes.to_vec(),
            });
        }
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).expect("small");
        [&len.to_be_bytes(), payload].concat()
    }

    #[test]
    fn packets_pass_in_frames_however_the_bytes_are_cut() {
        let mut case = Case::new();
        let mut client = case.connect();
        client.set_nodelay(true).expect("set");
        let stream = [framed(b"one"), framed(&[7; 1_400]), framed(b"three")].concat();
        for piece in stream.chunks(701) {
            client.write_all(piece).expect("written");
        }
        case.until("three packets", |c| c.got.len() == 3);
        assert_eq!(case.got[0].1, b"one");
        assert_eq!(case.got[1].1, [7; 1_400]);
        let client_address = client.local_addr().expect("bound");
        assert!(case.got.iter().all(|(from, _)| *from == client_address));

        case.send(client_address, b"answer");
        let mut answer = [0; 8];
        client.read_exact(&mut answer).expect("a frame");
        assert_eq!(answer, *b"\0\x06answer");
    }

    #[test]
    fn one_that_reads_nothing_loses_packets_and_holds_up_nobody() {
        let mut case = Case::new();
        let (slow, mut quick) = (case.connect(), case.connect());
        case.until("two connections", |c| c.tcp.connections.len() == 2);
        let [to_slow, to_quick] = [&slow, &quick].map(|c| c.local_addr().expect("bound"));
        let start = Instant::now();
        for _ in 0..20_000 {
            case.send(to_slow, &[0x80; 1_200]);
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} for 20 000 packets");
        assert!(
            case.tcp.counts().dropped > 10_000,
            "{:?}",
            case.tcp.counts()
        );
        let token = case.tcp.by_address[&to_slow];
        assert!(case.tcp.connections[&token].waiting() < 1 << 20);
        case.send(to_quick, b"quick");
        let mut frame = [0; 7];
        quick.read_exact(&mut frame).expect("a frame");
        assert_eq!(frame, *b"\0\x05quick");
    }

    #[test]
    fn connections_that_prove_nothing_are_closed_and_few_of_them_are_taken() {
        let mut case = Case::new();
        let mut clients: Vec<_> = (0..MAX_UNPROVED + 8).map(|_| case.connect()).collect();
        case.until("all were accepted or refused", |c| {
            let counts = c.tcp.counts();
            counts.accepted + counts.refused == (MAX_UNPROVED + 8) as u64
        });
        assert_eq!(case.tcp.counts().refused, 8);
        let owned = clients[0].local_addr().expect("bound");
        let start = Instant::now();
        case.tcp.sweep(start, |remote| remote == owned);
        case.tcp
            .sweep(start + UNPROVED + SWEEP, |remote| remote == owned);
        assert_eq!(case.tcp.connections.len(), 1);
        assert_eq!(case.tcp.counts().unproved, MAX_UNPROVED as u64 - 1);
        let end = clients[1].read(&mut [0]).expect("the end");
        assert_eq!(end, 0);
    }

    #[test]
    fn a_frame_that_no_packet_has_ends_the_connection() {
        let mut case = Case::new();
        let mut client = case.connect();
        client.write_all(&[0xff, 0xff, 1, 2, 3]).expect("written");
        case.until("one connection", |c| c.tcp.counts().accepted == 1);
        case.until("none", |c| c.tcp.connections.is_empty());
        assert!(case.got.is_empty());
        assert!(!matches!(client.read(&mut [0]), Ok(1..)));
    }
}
