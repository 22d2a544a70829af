//! What the two databases do differently: how they are opened, and how a transaction begins.

use std::path::Path;
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, Executor, Transaction};

use super::Error;

/// Connections of a pool of PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Connections of a pool of SQLite: one writes, the others read.
const SQLITE_CONNECTIONS: u32 = 4;
/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// WAL lets readers go on while one writes; FULL means that what is committed survives a power cut.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                       PRAGMA foreign_keys = ON;";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine.
    Sqlite,
    /// A server that several nodes share.
    Postgres,
}

impl Engine {
    pub(super) fn of(url: &str) -> Result<Self, Error> {
        match url.split(':').next() {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            scheme => Err(Error::Url {
                scheme: scheme.unwrap_or_default().to_owned(),
            }),
        }
    }

    pub(super) async fn connect(self, url: &str) -> Result<AnyPool, Error> {
        sqlx::any::install_default_drivers();
        let options = AnyPoolOptions::new().acquire_timeout(PATIENCE);
        // A database in memory lives as long as its one connection.
        let in_memory = url.contains(":memory:");
        let options = match self {
            Self::Postgres => options.max_connections(POSTGRES_CONNECTIONS),
            Self::Sqlite if in_memory => options
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None),
            Self::Sqlite => options.max_connections(SQLITE_CONNECTIONS),
        };
        // A file does not hang up.
        let options = options.test_before_acquire(self == Self::Postgres);
        let options = options.after_connect(move |connection, _| {
            Box::pin(async move {
                if self == Self::Sqlite {
                    connection.execute(sqlx::raw_sql(PRAGMAS)).await?;
                }
                Ok(())
            })
        });
        Ok(options.connect(url).await?)
    }

    /// A transaction that will write. SQLite takes its lock now: one that asks for it later may be refused half-way.
    pub(super) async fn begin(self, pool: &AnyPool) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self {
            Self::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await?,
            Self::Postgres => pool.begin().await?,
        })
    }
}

/// A URL of the file, which is made when it is missing.
pub(super) fn file_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for c in path.to_string_lossy().chars() {
        match c {
            '%' | '?' | '#' => url.push_str(&format!("%{:02X}", u32::from(c))),
            c => url.push(c),
        }
    }
    url + "?mode=rwc"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_signs_of_urls_stays_a_path() {
        let url = file_url(Path::new("/data/50% #1?/moments.sqlite"));
        assert_eq!(url, "sqlite:///data/50%25 %231%3F/moments.sqlite?mode=rwc");
    }

    #[test]
    fn the_scheme_of_a_url_names_the_engine() {
        assert_eq!(Engine::of("postgres://h/d").unwrap(), Engine::Postgres);
        assert_eq!(Engine::of("sqlite::memory:").unwrap(), Engine::Sqlite);
        let refused = Engine::of("mysql://user:secret@h/d")
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("mysql") && !refused.contains("secret"),
            "{refused}"
        );
    }
}
