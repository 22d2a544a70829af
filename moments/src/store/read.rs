//! What is asked of the store: moments, queues, events.

use sqlx::Row as _;

use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{Moment, Ms, Refused};

/// Something that happened in a channel. It has no prompt in it: the moment has, while it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the channel: the next one has the next number.
    pub n: i64,
    /// The moment it is about; empty when about none.
    pub moment: String,
    /// What happened, as in `moment.queued`.
    pub kind: String,
    /// `version` of the moment and `data`, as JSON.
    pub body: String,
    /// When.
    pub at: Ms,
}

/// A channel at the time of its event `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The latest event that is part of it.
    pub n: i64,
    /// Whether nothing is started.
    pub paused: bool,
    /// Nothing is started before.
    pub ready_at: Ms,
    /// What the channel is set to beside its policy, as JSON.
    pub settings: String,
    /// Those that are not ended: the live one first, then the queue in its order, then those in review and unpaid.
    pub moments: Vec<Moment>,
}

impl Store {
    /// A moment.
    ///
    /// # Errors
    /// When there is no such moment.
    pub async fn moment(&self, id: &MomentId) -> Result<Moment, Error> {
        let row = sqlx::query("SELECT * FROM moments WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row::moment(&row.ok_or_else(|| Refused::Unknown(id.clone()))?)
    }

    /// The channel's live moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live(&self, channel: &str) -> Result<Option<Moment>, Error> {
        let row = sqlx::query(
            "SELECT * FROM moments WHERE channel_id = $1 AND state IN ('warming', 'active')",
        )
        .bind(channel)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(row::moment).transpose()
    }

    /// What waits and is live in the channel, and the number of the event after which to go on. One statement, so both are
    /// of one time.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn snapshot(&self, channel: &str) -> Result<Snapshot, Error> {
        let rows = sqlx::query(
            "SELECT c.event_n AS event_n, c.paused AS paused, c.ready_at AS ready_at, c.settings AS settings, m.*
             FROM channels c LEFT JOIN moments m ON m.channel_id = c.channel_id
                AND m.state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active')
             WHERE c.channel_id = $1
             ORDER BY CASE m.state WHEN 'active' THEN 0 WHEN 'warming' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END,
                m.seq, m.created_at, m.id",
        )
        .bind(channel)
        .fetch_all(&self.pool)
        .await?;
        let first = rows
            .first()
            .ok_or_else(|| Refused::Channel(channel.to_owned()))?;
        let n = first.try_get("event_n")?;
        let paused = first.try_get::<i64, _>("paused")? != 0;
        let ready_at = first.try_get("ready_at")?;
        let settings = first.try_get("settings")?;
        let empty = first.try_get::<Option<String>, _>("id")?.is_none();
        let moments = rows
            .iter()
            .filter(|_| !empty)
            .map(row::moment)
            .collect::<Result<_, _>>()?;
        Ok(Snapshot {
            n,
            paused,
            ready_at,
            settings,
            moments,
        })
    }

    /// The moments that a viewer asked for, the latest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_viewer(&self, opaque: &str, limit: u32) -> Result<Vec<Moment>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM moments WHERE viewer_opaque = $1 ORDER BY created_at DESC, id LIMIT $2",
        )
        .bind(opaque)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(row::moment).collect()
    }

    /// Up to `limit` events of the channel after the one of this number, in order. A reader whose number is older than the
    /// first that is kept sees a gap and asks for a [`Snapshot`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(&self, channel: &str, after: i64, limit: u32) -> Result<Vec<Event>, Error> {
        let rows = sqlx::query(
            "SELECT n, moment_id, kind, body, at FROM moment_events WHERE channel_id = $1 AND n > $2 ORDER BY n LIMIT $3",
        )
        .bind(channel)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    n: row.try_get("n")?,
                    moment: row.try_get("moment_id")?,
                    kind: row.try_get("kind")?,
                    body: row.try_get("body")?,
                    at: row.try_get("at")?,
                })
            })
            .collect()
    }
}
