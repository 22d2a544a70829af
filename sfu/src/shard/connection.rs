//! One TCP connection: packets in frames of two bytes of length (RFC 4571), and a bounded queue toward the client.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::tcp::canonical;

/// Largest packet a client sends.
const MAX_FRAME: usize = 2048;
/// Bytes read from one connection in one turn.
const BYTES_PER_TURN: usize = 64 << 10;
/// Bytes that wait for a client that reads slowly; about a second of 2 Mbit/s.
const MAX_WAITING: usize = 256 << 10;
/// What the kernel may hold beside them, so that little of the past is sent to a slow client.
const KERNEL_BUFFER: usize = 128 << 10;

/// What [`Connection::read`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing is left for now.
    All,
    /// The turn's limit was reached.
    More,
    /// The connection is over.
    Closed,
}

/// See the module.
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// A session owns its address, as far as the last sweep knows.
    pub(super) proved: bool,
    /// When that was last so, or when it was accepted.
    pub(super) since: Instant,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Of `outgoing`, what the kernel has taken.
    sent: usize,
    /// The queue overflowed: no media until it is empty, and then from a keyframe, which the client asks for.
    skipping: bool,
}

impl Connection {
    pub(super) fn new(
        mut stream: TcpStream,
        remote: SocketAddr,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // The kernel may grant another size; that only changes how late a slow client notices.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(KERNEL_BUFFER);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            local: canonical(stream.local_addr()?),
            stream,
            remote,
            proved: false,
            since: now,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            skipping: false,
        })
    }

    /// Reads what is there, up to a turn's limit, and gives each whole packet to `take`.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8])) -> Read {
        let mut buffer = [0; 16 << 10];
        let mut total = 0;
        while total < BYTES_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Read::Closed,
                Ok(len) => {
                    total += len;
                    self.incoming.extend_from_slice(&buffer[..len]);
                    if !self.unframe(&mut take) {
                        return Read::Closed;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Read::All,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Read::Closed,
            }
        }
        Read::More
    }

    /// Queues a packet and sends what the kernel takes; false if it was dropped.
    pub(super) fn send(&mut self, packet: &[u8]) -> io::Result<bool> {
        let Ok(len) = u16::try_from(packet.len()) else {
            return Ok(false);
        };
        let full = self.waiting() + 2 + packet.len() > MAX_WAITING;
        self.skipping |= full;
        if full || (self.skipping && is_media(packet)) {
            return Ok(false);
        }
        self.outgoing.extend_from_slice(&len.to_be_bytes());
        self.outgoing.extend_from_slice(packet);
        self.flush()?;
        Ok(true)
    }

    /// Sends what the kernel takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.waiting() > 0 {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.sent += len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.waiting() == 0 {
            self.outgoing.clear();
            self.sent = 0;
            self.skipping = false;
        } else if self.sent >= MAX_WAITING {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    /// Bytes that the kernel has not taken yet.
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // It is closed next, which does the same.
        let _ = registry.deregister(&mut self.stream);
    }

    /// Gives whole packets to `take`; false if a frame is larger than any packet.
    fn unframe(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        let mut at = 0;
        while let Some((head, rest)) = self.incoming[at..].split_first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes(*head));
            if len > MAX_FRAME {
                return false;
            }
            let Some(packet) = rest.get(..len) else { break };
            take(packet);
            at += 2 + len;
        }
        self.incoming.drain(..at);
        true
    }
}

/// RTP, which is worth nothing with a hole before it; not RTCP (RFC 5761).
fn is_media(packet: &[u8]) -> bool {
    matches!(packet, [128..=191, kind, ..] if !(64..96).contains(&(kind & 0x7f)))
}
