//! HTTP connections that send a byte a second, so as to hold what a request holds for as long as it lasts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What a connection is slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drip {
    /// The head of the request.
    Head,
    /// The body of an offer whose length was announced.
    Body,
}

/// Connections that begin again whenever the server ends them; dropped, they are gone.
#[derive(Debug)]
pub struct SlowConnections {
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    opened: AtomicU64,
    ended: AtomicU64,
    longest_ms: AtomicU64,
}

impl SlowConnections {
    /// Opens `count` of them.
    #[must_use]
    pub fn open(target: SocketAddr, drip: Drip, count: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(hold(target, drip, counts.clone()));
        }
        Self { tasks, counts }
    }

    /// Connections opened, those the server ended, and how long the longest of these was held.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64, Duration) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let longest = Duration::from_millis(read(&self.counts.longest_ms));
        (read(&self.counts.opened), read(&self.counts.ended), longest)
    }

    /// Ends all of them.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn hold(target: SocketAddr, drip: Drip, counts: Arc<Counts>) {
    loop {
        let Ok(stream) = TcpStream::connect(target).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        counts.opened.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        trickle(stream, drip).await;
        let held = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.ended.fetch_add(1, Ordering::Relaxed);
        counts.longest_ms.fetch_max(held, Ordering::Relaxed);
    }
}

/// Sends a byte a second until the server says or does something.
async fn trickle(mut stream: TcpStream, drip: Drip) {
    let head = "POST /whip/slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/sdp\r\ncontent-length: 60000\r\n";
    let begin = match drip {
        Drip::Head => head.to_owned(),
        Drip::Body => format!("{head}\r\nv=0\r\n"),
    };
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return;
    }
    let mut answer = [0; 512];
    loop {
        // An answer or the end: the server is done with this one.
        if timeout(Duration::from_secs(1), stream.read(&mut answer))
            .await
            .is_ok()
        {
            return;
        }
        if stream.write_all(b"x").await.is_err() {
            return;
        }
    }
}
