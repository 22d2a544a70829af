//! The words that each channel does not want in prompts.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::tx::Tx;
use super::{Error, Store};
use crate::filter::Blocklist;
use crate::life::Ms;

const SELECT: &str = "SELECT entries, version FROM blocklists WHERE channel_id = $1";

impl Store {
    /// The channel's list and its version; empty at version 0 while it has never been set.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn blocklist(&self, channel: &str) -> Result<(Blocklist, i64), Error> {
        let row = sqlx::query(SELECT)
            .bind(channel)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map_or_else(|| Ok(Default::default()), read)
    }

    /// Sets the channel's list, if it still has the version that the caller has seen, and gives back the new one. It is for
    /// prompts to come: those that were taken are judged by moderators.
    ///
    /// # Errors
    /// `None` instead of a version when it has not. When there is no such channel.
    pub async fn set_blocklist(
        &self,
        now: Ms,
        channel: &str,
        list: &Blocklist,
        version: i64,
    ) -> Result<Option<i64>, Error> {
        let mut tx = self.change(now, channel).await?;
        if tx.blocklist_version().await? != version {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO blocklists(channel_id, entries, version, updated_at) VALUES($1, $2, $3, $4)
             ON CONFLICT(channel_id) DO UPDATE SET entries = excluded.entries, version = excluded.version,
                updated_at = excluded.updated_at",
        )
        .bind(channel)
        .bind(serde_json::json!(list.entries()).to_string())
        .bind(version + 1)
        .bind(now)
        .execute(&mut *tx.sql)
        .await?;
        // The words are nobody's business but the moderators'.
        let data = serde_json::json!({ "blocklist": version + 1 });
        tx.event("settings.changed", None, data).await?;
        tx.commit().await?;
        Ok(Some(version + 1))
    }
}

impl Tx {
    pub(super) async fn blocklist(&mut self) -> Result<Blocklist, Error> {
        let row = sqlx::query(SELECT)
            .bind(self.channel.as_str())
            .fetch_optional(&mut *self.sql)
            .await?;
        let list = row.as_ref().map_or_else(|| Ok(Default::default()), read)?;
        Ok(list.0)
    }

    async fn blocklist_version(&mut self) -> Result<i64, Error> {
        let version: Option<i64> =
            sqlx::query_scalar("SELECT version FROM blocklists WHERE channel_id = $1")
                .bind(self.channel.as_str())
                .fetch_optional(&mut *self.sql)
                .await?;
        Ok(version.unwrap_or(0))
    }
}

fn read(row: &AnyRow) -> Result<(Blocklist, i64), Error> {
    let text: String = row.try_get("entries")?;
    let entries = serde_json::from_str::<Vec<String>>(&text).ok();
    let list = entries.and_then(|entries| Blocklist::new(entries).ok());
    let list = list.ok_or(Error::Corrupt {
        column: "entries",
        value: text,
    })?;
    Ok((list, row.try_get("version")?))
}
