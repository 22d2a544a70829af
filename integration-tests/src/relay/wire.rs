//! A way for TCP that can go dark: nothing passes and nothing is closed, as with a radio that is out of reach. What was on its
//! way stays there and arrives once the way is clear again.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes that are passed on at once.
const PART: usize = 16_384;

/// See the module. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Wire {
    /// Where clients reach the server through it.
    pub address: SocketAddr,
    dark: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Wire {
    /// A way to a server, from a free port of the loopback.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let dark = watch::Sender::new(false);
        let task = tokio::spawn(run(listener, server, dark.subscribe()));
        Ok(Self {
            address,
            dark,
            task,
        })
    }

    /// Lets nothing pass any more, or all of it again.
    pub fn set_dark(&self, dark: bool) {
        self.dark.send_replace(dark);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections end with the task, since they are its own.
async fn run(listener: TcpListener, server: SocketAddr, dark: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let dark = dark.clone();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::join!(
                pass(from_client, to_server, dark.clone()),
                pass(from_server, to_client, dark)
            );
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut dark: watch::Receiver<bool>) {
    let mut part = vec![0; PART];
    loop {
        let read = from.read(&mut part).await;
        // The end waits as well: a connection that closes in the dark is not heard of.
        if dark.wait_for(|dark| !*dark).await.is_err() {
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
