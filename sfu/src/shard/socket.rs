//! The UDP socket of one shard: batched reads, segmented writes, and the addresses it can be reached at.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::Transmit;

/// Largest datagram the server reads; WebRTC stays below 1500.
const DATAGRAM: usize = 2048;
/// Kernel buffers: half a second of 60 Mbit/s each way.
const KERNEL_BUFFER: usize = 4 << 20;
/// Largest run given to the kernel at once (below the 64 KiB of one UDP message).
const MAX_RUN: usize = 60_000;

/// See the module. Never blocks.
pub struct Media {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    ip: IpAddr,
    port: u16,
    /// Addresses of this host that may be named as a source; empty unless the bind is a wildcard.
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
            let destination = SocketAddr::new(meta.dst_ip.map_or(self.ip, canonical), self.port);
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
/// every address of this host of the same family, the loopback last.
pub(super) fn candidates(bound: SocketAddr, advertise: &[IpAddr]) -> Vec<SocketAddr> {
    let ips: Vec<IpAddr> = if !advertise.is_empty() {
        advertise.to_vec()
    } else if bound.ip().is_unspecified() {
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
        .filter(|ip| ip.is_ipv4() || (!v4_only && !is_link_local(*ip)))
        .collect();
    ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    ips.dedup();
    if ips.is_empty() {
        ips.push(IpAddr::from([127, 0, 0, 1]));
    }
    ips
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_addresses_replace_the_bound_one() {
        let bound = "0.0.0.0:7000".parse().expect("address");
        let advertised = ["203.0.113.5".parse().expect("ip")];
        assert_eq!(
            candidates(bound, &advertised),
            ["203.0.113.5:7000".parse().expect("address")]
        );
    }

    #[test]
    fn a_wildcard_bind_names_real_addresses() {
        let named = candidates("0.0.0.0:7000".parse().expect("address"), &[]);
        assert!(
            !named.is_empty()
                && named
                    .iter()
                    .all(|a| !a.ip().is_unspecified() && a.is_ipv4()),
            "{named:?}"
        );
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
