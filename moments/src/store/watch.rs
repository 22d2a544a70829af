//! Waiting for changes: PostgreSQL tells of them, SQLite is asked again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::tx::NOTIFY;
use super::{Engine, Error, Store};

/// How often a file is asked whether another process changed it.
const POLL: Duration = Duration::from_millis(250);
/// How often PostgreSQL is asked although it said nothing: a connection may have been lost with what it had to say.
const DOUBT: Duration = Duration::from_secs(5);

/// Tells which channels have new events.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    /// The number of each channel's latest event that was told.
    told: BTreeMap<String, i64>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Listener(Box<PgListener>),
    /// This process's own commits are known at once.
    Commits(Arc<Notify>),
}

impl Store {
    /// Begins to watch: what is committed from now on is told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn watch(&self) -> Result<Watch, Error> {
        let source = match self.engine {
            Engine::Postgres => {
                let mut listener = PgListener::connect(&self.url).await?;
                listener.listen(NOTIFY).await?;
                Source::Listener(Box::new(listener))
            }
            Engine::Sqlite => Source::Commits(Arc::clone(&self.committed)),
        };
        let mut watch = Watch {
            store: self.clone(),
            told: BTreeMap::new(),
            source,
        };
        watch.ask().await?;
        Ok(watch)
    }
}

impl Watch {
    /// Waits until channels have events that were not told, and gives each with the number of its latest.
    ///
    /// # Errors
    /// When the database fails; it can be called again.
    pub async fn changed(&mut self) -> Result<Vec<(String, i64)>, Error> {
        loop {
            let changed = match &mut self.source {
                Source::Listener(listener) => match timeout(DOUBT, listener.recv()).await {
                    Ok(notification) => self.heard(notification?.payload()),
                    Err(_) => self.ask().await?,
                },
                Source::Commits(commits) => {
                    let commits = Arc::clone(commits);
                    let commit = commits.notified();
                    tokio::pin!(commit);
                    // Listening before asking, so that no commit falls between.
                    commit.as_mut().enable();
                    let changed = self.ask().await?;
                    if changed.is_empty() {
                        // Whether it was told or the time is over, it asks again.
                        let _ = timeout(POLL, commit).await;
                    }
                    changed
                }
            };
            if !changed.is_empty() {
                return Ok(changed);
            }
        }
    }

    fn heard(&mut self, payload: &str) -> Vec<(String, i64)> {
        let heard = payload
            .split_once(' ')
            .and_then(|(n, channel)| Some((channel.to_owned(), n.parse().ok()?)));
        self.newer(heard)
    }

    async fn ask(&mut self) -> Result<Vec<(String, i64)>, Error> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT channel_id, event_n FROM channels ORDER BY channel_id")
                .fetch_all(&self.store.pool)
                .await?;
        Ok(self.newer(rows))
    }

    fn newer(&mut self, rows: impl IntoIterator<Item = (String, i64)>) -> Vec<(String, i64)> {
        let mut newer = Vec::new();
        for (channel, n) in rows {
            let told = self.told.entry(channel.clone()).or_insert(0);
            if n > *told {
                *told = n;
                newer.push((channel, n));
            }
        }
        newer
    }
}
