//! How long a change of a channel takes to 1000 readers of its events, over a server with real sockets, on both databases.
//!
//! The server has threads of its own in this process. A change is made over its API, and then by somebody else who has the
//! same database open, as another server would. `cargo bench -p reverie-integration-tests --bench fanout`, for which 2100
//! files may be open.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on is none"
)]

#[path = "../../moments/tests/support/postgres.rs"]
mod postgres;

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reverie_config::Secret;
use reverie_integration_tests::http;
use reverie_integration_tests::server::{TestServer, config};
use reverie_moments::life::{Limits, Ms};
use reverie_moments::store::Store;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const CHANNEL: &str = "show";
/// How long a change may take to the last reader before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the event of a pause or its end begins with.
const EVENT: &[u8] = b"event: queue.changed\n";

struct Size {
    readers: usize,
    changes: usize,
}

fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    let (readers, changes) = if full { (1000, 60) } else { (20, 4) };
    let size = Size { readers, changes };
    runtime().block_on(async {
        say(&format!("{}\n", machine().await));
        say("| store | change made by | readers | changes | p50 ms | p99 ms | last reader p50 ms | worst ms |");
        say("|---|---|---|---|---|---|---|---|");
        measure("SQLite", None, &size).await;
        measure("PostgreSQL", Some(postgres::database(true)), &size).await;
    });
}

async fn measure(name: &str, url: Option<String>, size: &Size) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.http.max_event_streams = 2000;
    config.data_dir = folder.path().to_owned();
    config.store.url = url.as_ref().map(|url| Secret::new(url).unwrap());
    let store = match &url {
        Some(url) => Store::open(url, Limits::default()).await,
        None => Store::sqlite(&folder.path().join("moments.sqlite"), Limits::default()).await,
    };
    let store = store.unwrap();
    store.add_channel(now(), CHANNEL, None).await.unwrap();
    let threads = runtime();
    let server = threads.spawn(TestServer::start_with(config)).await;
    let server = server.unwrap().unwrap();
    let readers = Readers::open(server.address(), size.readers).await;
    let mut paused = false;
    let mut over_api = Times::default();
    for _ in 0..size.changes {
        paused = !paused;
        readers.expect();
        let began = Instant::now();
        let act = if paused { "pause" } else { "resume" };
        let url = server.url(&format!("/v1/channels/{CHANNEL}/queue/{act}"));
        let answer = http::post(&url, &Value::Null).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        readers.all(began, &mut over_api).await;
    }
    over_api.row(name, "its API, from the request on", size);
    let mut by_another = Times::default();
    for _ in 0..size.changes {
        paused = !paused;
        readers.expect();
        if paused {
            store.pause(now(), CHANNEL).await.unwrap();
        } else {
            store.resume(now(), CHANNEL).await.unwrap();
        }
        readers.all(Instant::now(), &mut by_another).await;
    }
    by_another.row(name, "another server, from the commit on", size);
    drop(readers);
    threads.spawn(server.stop()).await.unwrap();
    store.close().await;
    threads.shutdown_background();
}

/// Readers of the channel's events.
struct Readers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Those that have not read the present change.
    left: AtomicUsize,
    /// When each of them did.
    read: std::sync::Mutex<Vec<Instant>>,
    all: Notify,
}

impl Readers {
    /// Opens them; returns when each has its first event.
    async fn open(server: SocketAddr, count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        shared.left.store(count, Ordering::SeqCst);
        let mut tasks = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(server).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let request =
                format!("GET /v1/channels/{CHANNEL}/events HTTP/1.1\r\nhost: bench\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            tasks.push(tokio::spawn(read(stream, shared.clone())));
        }
        let readers = Self { shared, tasks };
        readers.wait().await;
        readers
    }

    /// From now on a change is expected.
    fn expect(&self) {
        self.shared.read.lock().unwrap().clear();
        self.shared.left.store(self.tasks.len(), Ordering::SeqCst);
    }

    /// Waits until all have read it, and notes how long each took since `began`.
    async fn all(&self, began: Instant, times: &mut Times) {
        self.wait().await;
        let read = self.shared.read.lock().unwrap();
        let took = read.iter().map(|at| at.saturating_duration_since(began));
        let took: Vec<_> = took.collect();
        times.last.extend(took.iter().max());
        times.each.extend(took);
    }

    async fn wait(&self) {
        let done = async {
            while self.shared.left.load(Ordering::SeqCst) > 0 {
                self.shared.all.notified().await;
            }
        };
        let waited = timeout(PATIENCE, done).await;
        let left = self.shared.left.load(Ordering::SeqCst);
        assert!(
            waited.is_ok(),
            "{left} readers read nothing in {PATIENCE:?}"
        );
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The first event is the snapshot; each later one of the kind is a change.
async fn read(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut text: Vec<u8> = Vec::new();
    let mut wanted: &[u8] = b"event: snapshot\n";
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await.unwrap();
        let at = Instant::now();
        assert!(length > 0, "the server ended a stream");
        text.extend_from_slice(&buffer[..length]);
        while let Some(found) = text.windows(wanted.len()).position(|part| part == wanted) {
            text.drain(..found + wanted.len());
            wanted = EVENT;
            shared.read.lock().unwrap().push(at);
            if shared.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                shared.all.notify_one();
            }
        }
        // What cannot be the beginning of another one.
        let kept = text.len().min(EVENT.len());
        text.drain(..text.len() - kept);
    }
}

#[derive(Default)]
struct Times {
    each: Vec<Duration>,
    /// Of the last reader of each change.
    last: Vec<Duration>,
}

impl Times {
    fn row(mut self, store: &str, by: &str, size: &Size) {
        assert_eq!(self.each.len(), size.readers * size.changes);
        self.each.sort_unstable();
        self.last.sort_unstable();
        say(&format!(
            "| {store} | {by} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            size.readers,
            size.changes,
            percentile(&self.each, 50),
            percentile(&self.each, 99),
            percentile(&self.last, 50),
            percentile(&self.each, 100),
        ));
    }
}

/// In milliseconds, of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted[at].as_secs_f64() * 1000.0
}

/// What the machine is, and what it can do at best.
async fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut trips = round_trips().await;
    trips.sort_unstable();
    format!(
        "{model}, {cores} cores, load {}; {:.0} fdatasync/s; TCP round trip on the loopback p50 {:.3} ms, p99 {:.3} ms",
        load.split(' ').next().unwrap_or("?"),
        syncs(),
        percentile(&trips, 50),
        percentile(&trips, 99),
    )
}

/// How often a second a page is written and is on the disk.
fn syncs() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("page")).unwrap();
    let (began, mut count) = (Instant::now(), 0.0);
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&[1; 4096]).unwrap();
        file.sync_data().unwrap();
        count += 1.0;
    }
    count / began.elapsed().as_secs_f64()
}

async fn round_trips() -> Vec<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0; 1];
        while stream.read_exact(&mut byte).await.is_ok() {
            stream.write_all(&byte).await.unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut trips = Vec::new();
    for _ in 0..2000 {
        let began = Instant::now();
        stream.write_all(&[1]).await.unwrap();
        stream.read_exact(&mut [0; 1]).await.unwrap();
        trips.push(began.elapsed());
    }
    drop(stream);
    echo.await.unwrap();
    trips
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Ms::try_from(since.as_millis()).unwrap()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
