//! Channels and their settings.

use serde_json::json;
use sqlx::Row as _;

use super::tx::Tx;
use super::{Error, Store, row};
use crate::life::{Ms, Policy, Refused};

/// What a channel is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of its paid moments.
    pub policy: Policy,
    /// Whether nothing is started.
    pub paused: bool,
    /// Everything else, as JSON that the store does not look into.
    pub settings: String,
    /// Counts their changes.
    pub version: i64,
}

impl Store {
    /// Makes the channel, unless it is there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_channel(
        &self,
        now: Ms,
        channel: &str,
        owner: Option<&str>,
    ) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "INSERT INTO channels(channel_id, owner_id, created_at) VALUES($1, $2, $3)
             ON CONFLICT(channel_id) DO NOTHING",
        )
        .bind(channel)
        .bind(owner)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What the channel is set to.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn settings(&self, channel: &str) -> Result<Settings, Error> {
        let row = sqlx::query(
            "SELECT policy, paused, settings, settings_version FROM channels WHERE channel_id = $1",
        )
        .bind(channel)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| Refused::Channel(channel.to_owned()))?;
        Ok(Settings {
            policy: row::policy(&row)?,
            paused: row.try_get::<i64, _>("paused")? != 0,
            settings: row.try_get("settings")?,
            version: row.try_get("settings_version")?,
        })
    }

    /// Sets what becomes of the channel's paid moments from now on.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn set_policy(&self, now: Ms, channel: &str, policy: Policy) -> Result<(), Error> {
        // Without a version this cannot be refused.
        self.change_policy(now, channel, policy, None).await?;
        Ok(())
    }

    /// As [`Store::set_policy`], if it is still what the caller has seen; gives back the new version of the settings.
    ///
    /// # Errors
    /// `None` instead of a version when it is not. When there is no such channel.
    pub async fn change_policy(
        &self,
        now: Ms,
        channel: &str,
        policy: Policy,
        version: Option<i64>,
    ) -> Result<Option<i64>, Error> {
        let mut tx = self.change(now, channel).await?;
        let set: Option<i64> = sqlx::query_scalar(
            "UPDATE channels SET policy = $2, settings_version = settings_version + 1
             WHERE channel_id = $1 AND settings_version = COALESCE($3, settings_version)
             RETURNING settings_version",
        )
        .bind(channel)
        .bind(policy.as_str())
        .bind(version)
        .fetch_optional(&mut *tx.sql)
        .await?;
        if set.is_some() {
            tx.event("settings.changed", None, json!({ "policy": policy }))
                .await?;
            tx.commit().await?;
        }
        Ok(set)
    }

    /// Sets everything else, if it is still what the caller has seen, and gives back the new version.
    ///
    /// # Errors
    /// `None` instead of a version when it is not. When there is no such channel.
    pub async fn set_settings(
        &self,
        now: Ms,
        channel: &str,
        settings: &str,
        version: i64,
    ) -> Result<Option<i64>, Error> {
        let mut tx = self.change(now, channel).await?;
        let set = sqlx::query(
            "UPDATE channels SET settings = $2, settings_version = settings_version + 1
             WHERE channel_id = $1 AND settings_version = $3",
        )
        .bind(channel)
        .bind(settings)
        .bind(version)
        .execute(&mut *tx.sql)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(None);
        }
        tx.event("settings.changed", None, json!({ "version": version + 1 }))
            .await?;
        tx.commit().await?;
        Ok(Some(version + 1))
    }

    /// Starts nothing in the channel from now on; what is live goes on.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn pause(&self, now: Ms, channel: &str) -> Result<(), Error> {
        self.set_paused(self.change(now, channel).await?, true)
            .await
    }

    /// Goes on starting what waits.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn resume(&self, now: Ms, channel: &str) -> Result<(), Error> {
        self.set_paused(self.change(now, channel).await?, false)
            .await
    }

    async fn set_paused(&self, mut tx: Tx, paused: bool) -> Result<(), Error> {
        let changed =
            sqlx::query("UPDATE channels SET paused = $2 WHERE channel_id = $1 AND paused <> $2")
                .bind(tx.channel.clone())
                .bind(i64::from(paused))
                .execute(&mut *tx.sql)
                .await?;
        if changed.rows_affected() == 0 {
            return Ok(());
        }
        tx.event("queue.changed", None, json!({ "paused": paused }))
            .await?;
        tx.commit().await
    }
}
