//! A way for TCP that can go dark: nothing passes and nothing is closed, as with a radio that is out of reach. What was on its
//! way stays there and arrives once the way is clear again. It can lead through a proxy that knows no WebSocket.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::Way;

/// Bytes that are passed on at once.
const PART: usize = 16_384;
/// The longest head of a request that the proxy takes.
const HEAD: usize = 65_536;

/// See the module. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Wire {
    /// Where clients reach the server through it.
    pub address: SocketAddr,
    /// By [`Way`].
    dark: watch::Sender<[bool; 2]>,
    task: JoinHandle<()>,
}

impl Wire {
    /// A way to a server, from a free port of the loopback.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        Self::begin(server, false).await
    }

    /// Through a proxy that knows HTTP and no upgrade: it leaves out of a request what is for one hop alone (RFC 9110,
    /// section 7.6.1). It looks at the first request of each connection, since browsers open one more for each WebSocket.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn without_upgrades(server: SocketAddr) -> Result<Self> {
        Self::begin(server, true).await
    }

    async fn begin(server: SocketAddr, proxy: bool) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let dark = watch::Sender::new([false; 2]);
        let task = tokio::spawn(run(listener, server, dark.subscribe(), proxy));
        Ok(Self {
            address,
            dark,
            task,
        })
    }

    /// Lets nothing pass any more, or all of it again.
    pub fn set_dark(&self, dark: bool) {
        self.dark.send_replace([dark; 2]);
    }

    /// The same for one direction; the other one stays as it is.
    pub fn set_dark_toward(&self, way: Way, dark: bool) {
        self.dark.send_modify(|both| both[way as usize] = dark);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections end with the task, since they are its own.
async fn run(
    listener: TcpListener,
    server: SocketAddr,
    dark: watch::Receiver<[bool; 2]>,
    proxy: bool,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let dark = dark.clone();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let ((mut from_client, to_client), (from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            if proxy {
                let Some(first) = first(&mut from_client).await else {
                    return;
                };
                if to_server.write_all(&passed_on(&first)).await.is_err() {
                    return;
                }
            }
            tokio::join!(
                pass(from_client, to_server, Way::Up, dark.clone()),
                pass(from_server, to_client, Way::Down, dark)
            );
        });
    }
}

/// What a connection begins with, at least the head of its first request.
async fn first(client: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while head_of(&read).is_none() && read.len() < HEAD {
        let count = client.read_buf(&mut read).await.ok()?;
        if count == 0 {
            return None;
        }
    }
    Some(read)
}

/// Bytes of the head, with the empty line that ends it.
fn head_of(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    Some(end + 4)
}

/// A request without the fields that are for one hop alone.
fn passed_on(request: &[u8]) -> Vec<u8> {
    let (head, rest) = request.split_at(head_of(request).unwrap_or_default());
    let lines = head.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case(b"connection") && !name.eq_ignore_ascii_case(b"upgrade")
    });
    [&lines.collect::<Vec<_>>().concat(), rest].concat()
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut dark: watch::Receiver<[bool; 2]>,
) {
    let mut part = vec![0; PART];
    loop {
        let read = from.read(&mut part).await;
        // The end waits as well: a connection that closes in the dark is not heard of.
        if dark.wait_for(|dark| !dark[way as usize]).await.is_err() {
            return;
        }
        match read {
            Ok(count) if count > 0 => {
                if to.write_all(&part[..count]).await.is_err() {
                    return;
                }
            }
            _ => {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn one_direction_is_dark_while_the_other_is_not() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = server.local_addr().expect("bound");
        let wire = Wire::to(address).await.expect("bind");
        let mut client = TcpStream::connect(wire.address).await.expect("connected");
        let (mut served, _) = server.accept().await.expect("a connection");
        wire.set_dark_toward(Way::Down, true);
        served.write_all(b"answer").await.expect("sent");
        client.write_all(b"question").await.expect("sent");
        let mut heard = [0; 8];
        served
            .read_exact(&mut heard)
            .await
            .expect("upward it is light");
        assert_eq!(&heard, b"question");
        let early = timeout(Duration::from_millis(100), client.read(&mut heard)).await;
        assert!(early.is_err(), "downward it is dark: {early:?}");
        wire.set_dark_toward(Way::Down, false);
        client
            .read_exact(&mut heard[..6])
            .await
            .expect("light again");
        assert_eq!(&heard[..6], b"answer");
    }

    #[test]
    fn a_proxy_leaves_out_what_is_for_one_hop() {
        let asked = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nconnection: Upgrade\r\n\r\nUpgrade: no";
        let passed = "GET /ws HTTP/1.1\r\nHost: a\r\n\r\nUpgrade: no";
        assert_eq!(passed_on(asked.as_bytes()), passed.as_bytes());
    }
}
