//! Tokens of other services, by channel. They come and go sealed; who has the store alone can do nothing with them.

use std::fmt;

use sqlx::Row as _;

use super::{Error, Store};
use crate::life::Ms;

/// A token of another service.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderToken {
    /// The channel it is for.
    pub channel: String,
    /// The service.
    pub provider: String,
    /// Whose it is, as the service names them.
    pub subject: String,
    /// What it allows, with spaces between.
    pub scopes: String,
    /// Itself, sealed.
    pub sealed: String,
    /// From when on the service refuses it.
    pub expires_at: Ms,
}

impl Store {
    /// Keeps a token in the place of the one before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_token(&self, token: &ProviderToken) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "INSERT INTO tokens(channel_id, provider, subject, scopes, sealed, expires_at)
             VALUES($1, $2, $3, $4, $5, $6)
             ON CONFLICT(channel_id, provider) DO UPDATE SET subject = excluded.subject,
             scopes = excluded.scopes, sealed = excluded.sealed, expires_at = excluded.expires_at",
        )
        .bind(token.channel.as_str())
        .bind(token.provider.as_str())
        .bind(token.subject.as_str())
        .bind(token.scopes.as_str())
        .bind(token.sealed.as_str())
        .bind(token.expires_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The token of a channel.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept_token(
        &self,
        channel: &str,
        provider: &str,
    ) -> Result<Option<ProviderToken>, Error> {
        let row = sqlx::query("SELECT * FROM tokens WHERE channel_id = $1 AND provider = $2")
            .bind(channel)
            .bind(provider)
            .fetch_optional(&self.pool)
            .await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(ProviderToken {
                channel: row.try_get("channel_id")?,
                provider: row.try_get("provider")?,
                subject: row.try_get("subject")?,
                scopes: row.try_get("scopes")?,
                sealed: row.try_get("sealed")?,
                expires_at: row.try_get("expires_at")?,
            })
        };
        row.map(read).transpose()
    }
}

impl fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderToken")
            .field("channel", &self.channel)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}
