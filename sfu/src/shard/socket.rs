//! The UDP socket of one shard: batched reads, segmented writes, and the addresses it can be reached at.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use reverie_config::Advertised;
use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::Transmit;

/// Largest datagram the server reads; WebRTC stays below 1500.
const DATAGRAM: usize = 2048;
/// Kernel buffers: half a second of 60 Mbit/s each way.
const KERNEL_BUFFER: usize = 4 << 20;
/// Largest run given to the kernel at once (below the 64 KiB of one UDP message).
const MAX_RUN: usize = 60_000;
/// Addresses of this host that are remembered beside those of its interfaces.
const MAX_SOURCES: usize = 64;

/// See the module. Never blocks.
pub struct Media {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    ip: IpAddr,
    port: u16,
    /// Addresses of this host that may be named as a source: those of its interfaces, and those that
    /// datagrams came to. Empty unless the bind is a wildcard.
    sources: Vec<IpAddr>,
    buffers: Vec<Vec<u8>>,
    meta: Vec<RecvMeta>,
    run: Run,
    counts: Counts,
}

/// Datagrams that went wrong or right; read by metrics.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Datagrams given to the kernel.
    pub(crate) sent: u64,
    /// System calls they took.
    pub(crate) sends: u64,
    /// Datagrams the kernel refused.
    pub(crate) send_errors: u64,
    /// Datagrams read.
    pub(crate) received: u64,
}

/// Datagrams of one size for one destination, to be sent with one call.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    route: Option<(SocketAddr, SocketAddr)>,
}

impl Media {
    /// Binds.
    ///
    /// # Errors
    ///
    /// Whatever the system says of the address.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // One socket for both families, whatever the system's default.
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // The kernel may grant less; that only shortens the burst it absorbs.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let socket = UdpSocket::from_std(socket.into());
        let bound = socket.local_addr()?;
        let segments = state.gro_segments();
        Ok(Self {
            socket,
            ip: bound.ip(),
            port: bound.port(),
            sources: if bound.ip().is_unspecified() {
                interfaces(bound.is_ipv4())
            } else {
                Vec::new()
            },
            buffers: vec![vec![0; DATAGRAM * segments]; BATCH_SIZE],
            meta: vec![RecvMeta::default(); BATCH_SIZE],
            run: Run::default(),
            counts: Counts::default(),
            state,
        })
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Reads one batch and gives each datagram to `take` (source, destination, bytes).
    /// False if nothing was waiting.
    pub(super) fn receive(
        &mut self,
        mut take: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> io::Result<bool> {
        let mut slices: Vec<IoSliceMut<'_>> = self
            .buffers
            .iter_mut()
            .map(|b| IoSliceMut::new(b))
            .collect();
        let count =
            match self
                .state
                .recv(UdpSockRef::from(&self.socket), &mut slices, &mut self.meta)
            {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            };
        for (meta, buffer) in self.meta.iter().zip(&self.buffers).take(count) {
            let ip = meta.dst_ip.map_or(self.ip, canonical);
            if self.ip.is_unspecified()
                && self.sources.len() < MAX_SOURCES
                && !self.sources.contains(&ip)
            {
                self.sources.push(ip);
            }
            let destination = SocketAddr::new(ip, self.port);
            let source = SocketAddr::new(canonical(meta.addr.ip()), meta.addr.port());
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                self.counts.received += 1;
                take(source, destination, datagram);
            }
        }
        Ok(true)
    }

    /// Queues a datagram; runs of one size to one destination leave together.
    pub fn send(&mut self, transmit: &Transmit) {
        let route = (transmit.source, transmit.destination);
        let len = transmit.bytes.len();
        let fits = self.run.route == Some(route)
            && len <= self.run.segment
            && self.run.count < self.state.max_gso_segments()
            && self.run.bytes.len() + len <= MAX_RUN;
        if !fits {
            self.flush();
            self.run.route = Some(route);
            self.run.segment = len;
        }
        self.run.bytes.extend_from_slice(&transmit.bytes);
        self.run.count += 1;
        if len < self.run.segment {
            // Only the last segment of a run may be short.
            self.flush();
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        let Some((source, destination)) = self.run.route.take() else {
            return;
        };
        let count = self.run.count as u64;
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents: &self.run.bytes,
            segment_size: (self.run.count > 1).then_some(self.run.segment),
            // Behind a NAT the candidate is not an address of this host and cannot be a source.
            src_ip: self.sources.contains(&source.ip()).then_some(source.ip()),
        };
        self.counts.sends += 1;
        match self
            .state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
        {
            Ok(()) => self.counts.sent += count,
            Err(_) => self.counts.send_errors += count,
        }
        self.run.bytes.clear();
        self.run.count = 0;
    }

    /// System calls that sent something so far.
    #[must_use]
    pub fn send_calls(&self) -> u64 {
        self.counts.sends
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The addresses that peers are told: the advertised ones, the bound one, or with a wildcard bind
/// every address of this host of the bound families, the loopback last.
pub(super) fn candidates(
    bound: SocketAddr,
    advertise: &[Advertised],
    shard: usize,
) -> Vec<SocketAddr> {
    if !advertise.is_empty() {
        let port = bound.port();
        return advertise.iter().map(|a| a.of_shard(shard, port)).collect();
    }
    let ips = if bound.ip().is_unspecified() {
        interfaces(bound.is_ipv4())
    } else {
        vec![bound.ip()]
    };
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect()
}

fn interfaces(v4_only: bool) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|i| i.ip())
        .filter(|ip| (ip.is_ipv4() || !v4_only) && !is_link_local(*ip))
        .collect();
    ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    ips.dedup();
    if ips.is_empty() {
        ips.push(IpAddr::from([127, 0, 0, 1]));
    }
    ips
}

/// Such an address means something on its own link only, and a candidate cannot say which link that is.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn advertised_addresses_replace_the_bound_one() {
        let advertised = ["203.0.113.5", "198.51.100.1:17000"].map(|a| a.parse().expect("item"));
        assert_eq!(
            candidates(address("0.0.0.0:7001"), &advertised, 1),
            [address("203.0.113.5:7001"), address("198.51.100.1:17001")]
        );
    }

    #[test]
    fn a_wildcard_bind_names_real_addresses_of_its_families() {
        let v4 = candidates(address("0.0.0.0:7000"), &[], 0);
        assert!(
            !v4.is_empty() && v4.iter().all(|a| !a.ip().is_unspecified() && a.is_ipv4()),
            "{v4:?}"
        );
        let both = candidates(address("[::]:7000"), &[], 0);
        assert!(
            both.iter()
                .all(|a| !a.ip().is_unspecified() && !is_link_local(a.ip())),
            "{both:?}"
        );
        assert!(
            v4.iter().all(|a| both.contains(a)),
            "{both:?} lacks one of {v4:?}"
        );
    }

    #[test]
    fn a_wildcard_socket_of_both_families_answers_from_the_address_that_was_asked() {
        let mut media = Media::bind(address("[::]:0")).expect("bind");
        let port = media.local().expect("bound").port();
        for asked in ["127.0.0.1", "127.0.0.2", "::1"] {
            let asked = SocketAddr::new(asked.parse().expect("ip"), port);
            let any = if asked.is_ipv4() {
                "127.0.0.1:0"
            } else {
                "[::1]:0"
            };
            let client = std::net::UdpSocket::bind(any).expect("bind");
            client
                .set_read_timeout(Some(std::time::Duration::from_secs(5)))
                .expect("timeout");
            client.send_to(b"question", asked).expect("sent");
            let (source, destination) = next(&mut media);
            assert_eq!(
                (source, destination),
                (client.local_addr().expect("bound"), asked)
            );
            media.send(&Transmit {
                transport: crate::engine::Transport::Udp,
                source: destination,
                destination: source,
                bytes: b"answer".to_vec(),
            });
            media.flush();
            let mut buffer = [0; 64];
            let (len, from) = client.recv_from(&mut buffer).expect("an answer");
            assert_eq!((&buffer[..len], from), (&b"answer"[..], asked));
        }
    }

    /// The next datagram's source and destination.
    fn next(media: &mut Media) -> (SocketAddr, SocketAddr) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let mut heard = None;
        while heard.is_none() {
            assert!(std::time::Instant::now() < deadline, "no datagram came");
            let _ = media.receive(|source, destination, _| heard = Some((source, destination)));
            std::thread::yield_now();
        }
        heard.expect("the loop ends with one")
    }

    #[test]
    fn a_run_arrives_as_the_datagrams_it_was_made_of() {
        let mut media = Media::bind("127.0.0.1:0".parse().expect("address")).expect("bind");
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        receiver
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .expect("timeout");
        let (source, destination) = (
            media.local().expect("bound"),
            receiver.local_addr().expect("bound"),
        );
        let sizes = [1200, 1200, 1200, 300, 1200, 40];
        for (i, size) in (0_u8..).zip(sizes) {
            media.send(&Transmit {
                transport: crate::engine::Transport::Udp,
                source,
                destination,
                bytes: vec![i; size],
            });
        }
        media.flush();
        let mut buffer = [0; 2000];
        for (i, size) in (0_u8..).zip(sizes) {
            let len = receiver.recv(&mut buffer).expect("datagram");
            assert_eq!((len, buffer[0]), (size, i));
        }
        assert_eq!(media.counts().sent, 6);
        assert!(media.counts().sends < 6, "runs share system calls");
    }
}
