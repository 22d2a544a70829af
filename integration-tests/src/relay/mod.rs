//! A bad network as a process would meet it: a UDP relay between clients and the server's media port.
//!
//! The server advertises the relay's address instead of its own. Each address that a client sends from becomes
//! a flow with a socket of its own toward the server, so the server sees each client at an address of the relay,
//! as behind a NAT. Flows belong to the link that was begun last before they appeared; a link has conditions for
//! each direction, which can be changed while it runs, and counts what it did.

mod flow;
mod path;
mod random;
mod wire;

pub use path::{Bursts, Class, Conditions, Counts, Rate};
pub use wire::Wire;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use flow::Flow;
use path::Path;

/// Datagrams that wait for a flow's task.
const WAITING: usize = 4096;

/// See the module. Dropping it ends all flows.
#[derive(Debug)]
pub struct Relay {
    /// Where clients reach it.
    pub address: SocketAddr,
    server: watch::Sender<Option<SocketAddr>>,
    link: Arc<Mutex<Link>>,
    seed: u64,
    task: JoinHandle<()>,
}

/// The flows of one client, or of several.
#[derive(Debug, Clone)]
pub struct Link {
    paths: Arc<Mutex<[Path; 2]>>,
    /// Counts changes of the address that the server sees.
    rebound: watch::Sender<u64>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up = 0,
    /// From the server to the client.
    Down = 1,
}

impl Relay {
    /// Binds on the loopback; everything is lost until [`Self::serve`]. The seed makes chance repeatable.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn bind(seed: u64) -> Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = socket.local_addr()?;
        let (server, target) = watch::channel(None);
        let link = Arc::new(Mutex::new(Link::new(seed)));
        let task = tokio::spawn(run(socket, target, link.clone()));
        Ok(Self {
            address,
            server,
            link,
            seed,
            task,
        })
    }

    /// Names the server's media port.
    pub fn serve(&self, server: SocketAddr) {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        self.server.send_replace(Some(server));
    }

    /// Begins a link: flows that appear from now on belong to it.
    pub fn link(&mut self) -> Link {
        self.seed = self.seed.wrapping_add(1_000);
        let link = Link::new(self.seed);
        *lock(&self.link) = link.clone();
        link
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    fn new(seed: u64) -> Self {
        Self {
            paths: Arc::new(Mutex::new([Path::new(seed), Path::new(seed + 1)])),
            rebound: watch::Sender::new(0),
        }
    }

    /// Changes the conditions of one direction.
    pub fn set(&self, way: Way, conditions: Conditions) {
        lock(&self.paths)[way as usize].conditions = conditions;
    }

    /// Changes the conditions of both directions.
    pub fn set_both(&self, conditions: Conditions) {
        for way in [Way::Up, Way::Down] {
            self.set(way, conditions);
        }
    }

    /// What one direction did so far.
    #[must_use]
    pub fn counts(&self, way: Way) -> Counts {
        lock(&self.paths)[way as usize].counts
    }

    /// Gives every flow another address toward the server; what is sent to the old one is lost.
    pub fn rebind(&self) {
        self.rebound.send_modify(|count| *count += 1);
    }
}

/// Takes datagrams of clients and hands each to the flow of its address.
async fn run(
    socket: Arc<UdpSocket>,
    server: watch::Receiver<Option<SocketAddr>>,
    link: Arc<Mutex<Link>>,
) {
    let mut flows: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        // An ICMP error of an earlier datagram is reported here: that client is gone.
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(server) = *server.borrow() else {
            continue;
        };
        let flow = flows.entry(client).or_insert_with(|| {
            let (sender, datagrams) = mpsc::channel(WAITING);
            let link = lock(&link).clone();
            tasks.spawn(Flow::new(socket.clone(), client, server, link).run(datagrams));
            sender
        });
        // A flow that is so far behind loses datagrams as a full socket would.
        let _ = flow.try_send(buffer[..len].to_vec());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    async fn ask(client: &UdpSocket, server: &UdpSocket) -> SocketAddr {
        client.send(b"question").await.expect("sent");
        let mut buffer = [0; 64];
        let (len, seen) = timeout(SOON, server.recv_from(&mut buffer))
            .await
            .expect("in time")
            .expect("a datagram");
        assert_eq!(&buffer[..len], b"question");
        server.send_to(b"answer", seen).await.expect("sent");
        let len = timeout(SOON, client.recv(&mut buffer))
            .await
            .expect("in time")
            .expect("a datagram");
        assert_eq!(&buffer[..len], b"answer");
        seen
    }

    #[tokio::test]
    async fn datagrams_pass_both_ways_until_it_is_dark_and_from_another_address_after_a_change() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let mut relay = Relay::bind(1).await.expect("bind");
        relay.serve(server.local_addr().expect("bound"));
        let link = relay.link();
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        client.connect(relay.address).await.expect("connected");
        let first = ask(&client, &server).await;
        link.rebind();
        let second = ask(&client, &server).await;
        assert_ne!(first, second);
        link.set(
            Way::Up,
            Conditions {
                dark: true,
                ..Conditions::default()
            },
        );
        client.send(b"lost").await.expect("sent");
        while link.counts(Way::Up).refused == 0 {
            tokio::task::yield_now().await;
        }
        link.set_both(Conditions::default());
        assert_eq!(ask(&client, &server).await, second);
        assert_eq!(link.counts(Way::Down).passed, 3);
    }
}
