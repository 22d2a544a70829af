//! API keys, of which only the hash is kept.

use sqlx::Row as _;

use super::{Error, Store};
use crate::life::Ms;

/// A key for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, which is part of it and no secret.
    pub id: String,
    /// Whom it stands for.
    pub subject: String,
    /// As what, by the role's name in tokens.
    pub role: String,
    /// The channel it is for.
    pub channel: Option<String>,
    /// What its owner calls it.
    pub label: String,
    /// From when on it opens nothing; never, when unset.
    pub expires_at: Option<Ms>,
}

impl Store {
    /// Keeps a key by the SHA-256 of its text, in hexadecimal.
    ///
    /// # Errors
    /// When the id is in use, the hash is none, or the database fails.
    pub async fn add_key(&self, now: Ms, key: &ApiKey, hash: &str) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "INSERT INTO api_keys(id, hash, subject, role, channel_id, label, created_at, expires_at)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(key.id.as_str())
        .bind(hash)
        .bind(key.subject.as_str())
        .bind(key.role.as_str())
        .bind(key.channel.as_deref())
        .bind(key.label.as_str())
        .bind(now)
        .bind(key.expires_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The key of this id and hash, while it is good. The hash of a key of 256 random bits may be looked up: what the
    /// time of a comparison tells of it tells nothing of the key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key(&self, now: Ms, id: &str, hash: &str) -> Result<Option<ApiKey>, Error> {
        let row = sqlx::query(
            "SELECT * FROM api_keys WHERE id = $1 AND hash = $2 AND revoked = 0
             AND (expires_at IS NULL OR expires_at > $3)",
        )
        .bind(id)
        .bind(hash)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(ApiKey {
                id: row.try_get("id")?,
                subject: row.try_get("subject")?,
                role: row.try_get("role")?,
                channel: row.try_get("channel_id")?,
                label: row.try_get("label")?,
                expires_at: row.try_get("expires_at")?,
            })
        };
        row.map(read).transpose()
    }

    /// Takes a key back; `false` if it is not theirs, or was taken back before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_key(&self, id: &str, subject: &str) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let gone = sqlx::query(
            "UPDATE api_keys SET revoked = 1 WHERE id = $1 AND subject = $2 AND revoked = 0",
        )
        .bind(id)
        .bind(subject)
        .execute(&self.pool)
        .await?;
        Ok(gone.rows_affected() == 1)
    }
}
