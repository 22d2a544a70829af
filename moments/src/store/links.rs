//! Which channel of another service a channel here is.

use super::{Error, Store};

impl Store {
    /// The service's name for a channel here; the other way round is [`Store::linked_channel`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn linked_to(&self, provider: &str, channel: &str) -> Result<Option<String>, Error> {
        let external = sqlx::query_scalar(
            "SELECT external_id FROM channel_links WHERE provider = $1 AND channel_id = $2",
        )
        .bind(provider)
        .bind(channel)
        .fetch_optional(&self.pool)
        .await?;
        Ok(external)
    }
}
