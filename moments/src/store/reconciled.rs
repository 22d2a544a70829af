//! How far the payments that a service knows of have been looked through.

use super::{Error, Store};
use crate::life::Ms;

impl Store {
    /// Until when the payments that a service knows of have been taken in; `None` before the first time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconciled(&self, source: &str) -> Result<Option<Ms>, Error> {
        Ok(
            sqlx::query_scalar("SELECT until FROM reconciled WHERE source = $1")
                .bind(source)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Says that they have been taken in until then; an earlier time than the one that is known changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_reconciled(&self, source: &str, until: Ms) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "INSERT INTO reconciled(source, until) VALUES($1, $2)
             ON CONFLICT(source) DO UPDATE SET until = excluded.until WHERE excluded.until > reconciled.until",
        )
        .bind(source)
        .bind(until)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
