//! Moments in a database: SQLite in a file, or PostgreSQL for several servers.
//!
//! The promises are kept by constraints (`migrations/1_moments.sql`); what the code decides, it decides by
//! [`life`](crate::life). A change of a moment, its event and what is to be sent because of it are one transaction, and
//! every such transaction updates its channel's row first: so a channel's changes have one order, the one of their
//! numbers, and none waits for two channels. Dropping a call half-way, or the process, changes nothing or everything.
//!
//! The time comes in with each call, in milliseconds since the Unix epoch.

mod bans;
mod blocklist;
mod channel;
mod engine;
mod error;
mod keys;
mod lease;
mod ledger;
mod links;
mod migrate;
mod node;
mod outbox;
mod people;
mod products;
mod provider;
mod queue;
mod read;
mod reap;
mod receipt;
mod reconciled;
mod roles;
mod row;
mod sessions;
mod submit;
mod tx;
mod watch;

use std::path::Path;
use std::sync::Arc;

use sqlx::AnyPool;
use tokio::sync::{Notify, Semaphore};

pub use bans::Ban;
pub use channel::Settings;
pub use engine::Engine;
pub use error::Error;
pub use keys::ApiKey;
pub use lease::{Beat, Lease, Outcome};
pub use ledger::CREDIT;
pub use node::{Node, StreamLease};
pub use outbox::{Mail, backoff};
pub use people::{Person, Registered};
pub use products::{Catalogue, MAX_PRODUCTS, Product};
pub use provider::ProviderToken;
pub use queue::START;
pub use read::{Event, Snapshot};
pub use reap::Reaped;
pub use receipt::Paid;
pub use roles::Role;
pub use sessions::{Refreshed, Session};
pub use submit::Submitted;
pub use watch::Watch;

use crate::life::Limits;

/// The moments of all channels. Cheap to clone; all clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    engine: Engine,
    url: Arc<str>,
    limits: Arc<Limits>,
    /// SQLite has one writer: its turn is waited for here, in order, rather than by trying again.
    turn: Option<Arc<Semaphore>>,
    /// Told after each commit of this process.
    committed: Arc<Notify>,
}

impl Store {
    /// Opens the file, or makes it, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn sqlite(path: &Path, limits: Limits) -> Result<Self, Error> {
        Self::open(&engine::file_url(path), limits).await
    }

    /// Opens the database of a URL, `postgres://` or `sqlite:`, and brings its tables up to date.
    ///
    /// # Errors
    /// When the URL is of neither kind, the database cannot be reached, or was written by a newer version.
    pub async fn open(url: &str, limits: Limits) -> Result<Self, Error> {
        let engine = Engine::of(url)?;
        let pool = engine.connect(url).await?;
        let store = Self {
            pool,
            engine,
            url: url.into(),
            limits: Arc::new(limits),
            turn: (engine == Engine::Sqlite).then(|| Arc::new(Semaphore::new(1))),
            committed: Arc::new(Notify::new()),
        };
        migrate::run(&store).await?;
        Ok(store)
    }

    /// Which database this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The limits and times in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Closes every connection; waits for calls that are under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
