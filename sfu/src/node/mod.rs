//! This server among those that share a store of moments: its name, its clock, and what it does for all of them.

mod clerk;
mod herald;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reverie_config::Config;
use reverie_moments::life::{Limits, Ms};
use reverie_moments::store::Store;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::channel::Channels;
use crate::session::random_name;

/// The file of SQLite below the data directory.
const FILE: &str = "moments.sqlite";
/// How long the end waits for what is to be written.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    /// Another one with every start: what an earlier process held, it has lost.
    pub(crate) id: String,
    pub(crate) store: Store,
    /// True when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Held by everybody who has something to write at the end.
    pub(crate) writers: mpsc::WeakSender<()>,
}

/// Waits for the writers of a node.
#[derive(Debug)]
pub(crate) struct End {
    sender: mpsc::Sender<()>,
    receiver: mpsc::Receiver<()>,
}

impl Node {
    /// The node of this process.
    pub(crate) fn new(store: Store, stopping: watch::Receiver<bool>) -> (Arc<Self>, End) {
        let (sender, receiver) = mpsc::channel(1);
        // Without randomness no session can be made either.
        let id = random_name(12).unwrap_or_else(|_| format!("{:x}", now_ms()));
        let node = Self {
            id,
            store,
            stopping,
            writers: sender.downgrade(),
        };
        (Arc::new(node), End { sender, receiver })
    }

    /// Returns when the server stops.
    pub(crate) async fn stopped(&self) {
        // An error means that it is gone already.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Starts what it does in the background. `url` is where others reach it.
    pub(crate) fn start(self: &Arc<Self>, channels: &Channels, url: String) -> Vec<JoinHandle<()>> {
        let shared = channels.shared.clone();
        vec![
            tokio::spawn(clerk::run(self.clone(), shared, url)),
            tokio::spawn(herald::run(self.clone(), channels.clone())),
        ]
    }
}

impl End {
    /// Returns when everything is written, or could not be in time.
    pub(crate) async fn wait(self) {
        let Self {
            sender,
            mut receiver,
        } = self;
        drop(sender);
        if tokio::time::timeout(LAST_WORDS, receiver.recv())
            .await
            .is_err()
        {
            tracing::warn!("the store took no last word in {LAST_WORDS:?}");
        }
    }
}

/// Opens the store of this configuration; on failure says which key is at fault.
pub(crate) async fn open(config: &Config) -> Result<Store, String> {
    let limits = Limits::from(&config.moments);
    if let Some(url) = &config.store.url {
        let opened = Store::open(url.reveal(), limits).await;
        return opened.map_err(|error| format!("cannot open the store of `store.url`: {error}"));
    }
    let folder = &config.data_dir;
    let wrong = |error: &dyn std::fmt::Display| {
        format!(
            "cannot keep moments in {:?}, below `data_dir`: {error}",
            folder.join(FILE)
        )
    };
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| wrong(&error))?;
    let opened = Store::sqlite(&folder.join(FILE), limits).await;
    opened.map_err(|error| wrong(&error))
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> Ms {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX)
}

/// Logs a fault when it begins and when it is over, not each time.
#[derive(Debug, Default)]
pub(crate) struct Fault(bool);

impl Fault {
    pub(crate) fn is(&mut self, what: &str, error: Option<&dyn std::fmt::Display>) {
        match error {
            Some(error) if !self.0 => tracing::error!(%error, "{what} fails"),
            None if self.0 => tracing::info!("{what} works again"),
            _ => {}
        }
        self.0 = error.is_some();
    }
}
