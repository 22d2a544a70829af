//! One client's datagrams between the relay and the server, in both directions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Link, Way, lock};

/// See the module.
pub(super) struct Flow {
    clients: Arc<UdpSocket>,
    client: SocketAddr,
    server: SocketAddr,
    link: Link,
    /// Under way, by the time of arrival; equal times keep their order.
    queue: BinaryHeap<Reverse<Datagram>>,
    count: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    at: Instant,
    order: u64,
    up: bool,
    bytes: Vec<u8>,
}

impl Flow {
    pub(super) fn new(
        clients: Arc<UdpSocket>,
        client: SocketAddr,
        server: SocketAddr,
        link: Link,
    ) -> Self {
        Self {
            clients,
            client,
            server,
            link,
            queue: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Runs until the relay is gone.
    pub(super) async fn run(mut self, mut datagrams: mpsc::Receiver<Vec<u8>>) {
        let mut rebound = self.link.rebound.subscribe();
        let Some(mut socket) = self.outside().await else {
            return;
        };
        let mut buffer = vec![0; 2048];
        loop {
            let next = self.queue.peek().map(|Reverse(d)| d.at);
            tokio::select! {
                datagram = datagrams.recv() => match datagram {
                    Some(bytes) => self.enter(Way::Up, bytes),
                    None => return,
                },
                // An ICMP error says that the server is gone, as silence does.
                Ok(len) = socket.recv(&mut buffer) => self.enter(Way::Down, buffer[..len].to_vec()),
                Ok(()) = rebound.changed() => {
                    let Some(other) = self.outside().await else { return };
                    socket = other;
                }
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
            }
            self.deliver(&socket).await;
        }
    }

    async fn outside(&self) -> Option<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        socket.connect(self.server).await.ok()?;
        Some(socket)
    }

    fn enter(&mut self, way: Way, bytes: Vec<u8>) {
        let now = std::time::Instant::now();
        let arrivals = lock(&self.link.paths)[way as usize].enter(now, &bytes);
        for at in arrivals.into_iter().flatten() {
            self.count += 1;
            self.queue.push(Reverse(Datagram {
                at: at.into(),
                order: self.count,
                up: way == Way::Up,
                bytes: bytes.clone(),
            }));
        }
    }

    async fn deliver(&mut self, socket: &UdpSocket) {
        let now = Instant::now();
        while self.queue.peek().is_some_and(|Reverse(d)| d.at <= now) {
            let Some(Reverse(datagram)) = self.queue.pop() else {
                return;
            };
            // What cannot be sent is lost, as in any network.
            let _ = if datagram.up {
                socket.send(&datagram.bytes).await
            } else {
                self.clients.send_to(&datagram.bytes, self.client).await
            };
        }
    }
}
