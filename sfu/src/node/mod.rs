//! This server among those that share a store of moments: the store, and its clock.

use std::time::{SystemTime, UNIX_EPOCH};

use reverie_config::Config;
use reverie_moments::life::{Limits, Ms};
use reverie_moments::store::Store;

/// The file of SQLite below the data directory.
const FILE: &str = "moments.sqlite";

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) store: Store,
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
