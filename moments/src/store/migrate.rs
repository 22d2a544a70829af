//! Brings the tables up to date, once, however many processes start together.

use super::{Engine, Error, Store};

/// The steps in order; the first is version 1. A step that was released is never changed, only followed by another.
const STEPS: [&str; 4] = [
    include_str!("migrations/1_moments.sql"),
    include_str!("migrations/2_people.sql"),
    include_str!("migrations/4_products.sql"),
    include_str!("migrations/5_bans.sql"),
];

/// Any number that nobody else locks by.
const LOCK: i64 = 0x52_45_56_45_52_49_45;

pub(super) async fn run(store: &Store) -> Result<(), Error> {
    let _turn = store.turn().await;
    let mut tx = store.engine.begin(&store.pool).await?;
    if store.engine == Engine::Postgres {
        // SQLite's transaction has the file for itself already.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query("CREATE TABLE IF NOT EXISTS store_versions(version BIGINT PRIMARY KEY)")
        .execute(&mut *tx)
        .await?;
    let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM store_versions")
        .fetch_one(&mut *tx)
        .await?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for (version, step) in (1..)
        .zip(STEPS)
        .skip_while(|(version, _)| *version <= found)
    {
        sqlx::raw_sql(step).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO store_versions(version) VALUES($1)")
            .bind(version)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}
