//! What time alone does: run it every second, by as many nodes as there are.

use sqlx::Row as _;

use super::node::SOURCE;
use super::tx::Fence;
use super::{Error, Store, row};
use crate::life::{self, Moment, Ms};

/// How many moments one call looks at; the next one goes on.
const BATCH: i64 = 256;

/// What a call of the reaper did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// The moments as they are now.
    pub moments: Vec<Moment>,
}

impl Store {
    /// Does what is due: deadlines, lost leases, streams that are offline. A moment that somebody changed meanwhile is left
    /// for the next call, so two reapers do no more than one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reap(&self, now: Ms) -> Result<Reaped, Error> {
        let rows = sqlx::query(
            "SELECT m.*, (SELECT MAX(s.lease_until) FROM streams s WHERE s.channel_id = m.channel_id AND s.track = $3)
                AS online_until
             FROM moments m
             WHERE m.state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active')
                AND (m.deadline <= $1
                    OR (m.state IN ('warming', 'active') AND m.lease_until <= $1)
                    OR (m.state = 'queued' AND m.updated_at <= $2 AND NOT EXISTS (
                        SELECT 1 FROM streams s WHERE s.channel_id = m.channel_id AND s.track = $3 AND s.lease_until > $2)))
             ORDER BY m.deadline LIMIT $4",
        )
        .bind(now)
        .bind(now.saturating_sub(self.limits.max_offline))
        .bind(SOURCE)
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        let mut reaped = Reaped::default();
        for row in &rows {
            let moment = row::moment(row)?;
            let online_until: Option<Ms> = row.try_get("online_until")?;
            let offline = online_until.unwrap_or(moment.updated_at);
            if let Some(moment) = self.reap_one(now, &moment, offline).await? {
                reaped.moments.push(moment);
            }
        }
        Ok(reaped)
    }

    async fn reap_one(&self, now: Ms, seen: &Moment, offline: Ms) -> Result<Option<Moment>, Error> {
        let (mut tx, moment) = self.change_of(now, &seen.id).await?;
        if moment.version != seen.version {
            return Ok(None);
        }
        let Some(trigger) = life::due(&moment, now, Some(offline), &tx.limits) else {
            return Ok(None);
        };
        let fence = Fence::LeaseOver(moment.lease_until);
        let moment = match tx.step(&moment, &trigger, fence).await {
            Ok(moment) => moment,
            // Its node was heard at this very time.
            Err(Error::LeaseLost { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        tx.commit().await?;
        Ok(Some(moment))
    }

    /// Erases the prompts and names of moments that ended long ago, what was sent about them, and what receipts said in
    /// their own words; what was paid for what is kept. Tells how many moments.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn erase(&self, now: Ms) -> Result<u64, Error> {
        let _turn = self.turn().await;
        let before = now.saturating_sub(self.limits.retention);
        let mut tx = self.engine.begin(&self.pool).await?;
        let erased = sqlx::query(
            "UPDATE moments SET prompt = '', params = '{}', viewer_name = NULL
             WHERE ended_at IS NOT NULL AND ended_at <= $1 AND prompt <> ''",
        )
        .bind(before)
        .execute(&mut *tx)
        .await?;
        // What could not be sent in all this time is of no use to anybody.
        sqlx::query("DELETE FROM outbox WHERE next_at <= $1")
            .bind(before)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM moment_events WHERE at <= $1")
            .bind(before)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE receipts SET raw = '' WHERE seen_at <= $1 AND raw <> ''")
            .bind(before)
            .execute(&mut *tx)
            .await?;
        // A ban that is over a long time ago says of nobody anymore that they had one.
        sqlx::query("DELETE FROM bans WHERE until <= $1")
            .bind(before)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(erased.rows_affected())
    }
}
