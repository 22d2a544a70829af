//! A node takes the next moment, shows it, and says that it lives; who lost the lease writes nothing.

use super::error::Unique;
use super::node::SOURCE;
use super::tx::Fence;
use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{Moment, Ms, State, Trigger};

/// A claim of one node on one moment. Every later write says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The moment.
    pub id: MomentId,
    /// The node.
    pub node: String,
    /// Which claim of the moment this is.
    pub epoch: i64,
}

/// What a heartbeat said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Until when the lease holds without another.
    pub lease_until: Ms,
}

/// How the attempt of a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was seen for its whole duration.
    Shown,
    /// The bridge stopped it.
    Stopped,
    /// The pipeline failed, in its words.
    PipelineFailed {
        /// Why.
        words: String,
        /// Whether another attempt may do better; means nothing once it was seen.
        retry: bool,
    },
    /// The publisher is gone.
    PublisherGone,
}

impl Store {
    /// Takes the channel's next moment for a node that has its stream, if there is one to start.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn claim(
        &self,
        now: Ms,
        channel: &str,
        node: &str,
    ) -> Result<Option<(Lease, Moment)>, Error> {
        if !self.may_claim(now, channel).await? {
            return Ok(None);
        }
        let mut tx = self.change(now, channel).await?;
        let claimed = sqlx::query(
            "UPDATE moments SET state = 'warming', owner = $2, lease_until = $3, deadline = $4, reason = NULL,
                epoch = epoch + 1, updated_at = $5, version = version + 1
             WHERE state = 'queued' AND not_before <= $5 AND id = (
                SELECT q.id FROM moments q WHERE q.channel_id = $1 AND q.state = 'queued' ORDER BY q.seq LIMIT 1)
             AND EXISTS (SELECT 1 FROM streams s WHERE s.channel_id = $1 AND s.track = $6
                AND s.node_id = $2 AND s.lease_until > $5)
             AND EXISTS (SELECT 1 FROM channels c WHERE c.channel_id = $1 AND c.paused = 0 AND c.ready_at <= $5)
             RETURNING *",
        )
        .bind(channel)
        .bind(node)
        .bind(now.saturating_add(self.limits.lease))
        .bind(now.saturating_add(self.limits.warm))
        .bind(now)
        .bind(SOURCE)
        .fetch_optional(&mut *tx.sql)
        .await;
        let row = match claimed {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            // Another one became live between the look and this.
            Err(error) if Unique::OneLive.refused(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let moment = row::moment(&row)?;
        let before = Moment {
            state: State::Queued,
            ..moment.clone()
        };
        tx.changed(&moment, Some(&before)).await?;
        tx.commit().await?;
        let lease = Lease {
            id: moment.id.clone(),
            node: node.to_owned(),
            epoch: moment.epoch,
        };
        Ok(Some((lease, moment)))
    }

    /// Says that the node lives and still shows the moment.
    ///
    /// # Errors
    /// When the lease is lost: the node stops showing it at once.
    pub async fn heartbeat(&self, now: Ms, lease: &Lease) -> Result<Beat, Error> {
        let _turn = self.turn().await;
        let lease_until = now.saturating_add(self.limits.lease);
        let beaten = sqlx::query(
            "UPDATE moments SET lease_until = $4
             WHERE id = $1 AND owner = $2 AND epoch = $3 AND state IN ('warming', 'active')",
        )
        .bind(lease.id.as_str())
        .bind(lease.node.as_str())
        .bind(lease.epoch)
        .bind(lease_until)
        .execute(&self.pool)
        .await?;
        if beaten.rows_affected() == 0 {
            return Err(lost(lease));
        }
        Ok(Beat { lease_until })
    }

    /// Says that the first transformed frame has been forwarded: the moment's time begins.
    ///
    /// # Errors
    /// When the lease is lost, or it is active already.
    pub async fn started(&self, now: Ms, lease: &Lease) -> Result<Moment, Error> {
        self.leased(now, lease, &Trigger::FirstFrame).await
    }

    /// Says how the node's attempt ended. The moment ends, or goes back to its place in the queue.
    ///
    /// # Errors
    /// When the lease is lost.
    pub async fn finish(&self, now: Ms, lease: &Lease, outcome: Outcome) -> Result<Moment, Error> {
        let trigger = match outcome {
            Outcome::Shown => Trigger::DurationReached,
            Outcome::Stopped => Trigger::Stopped,
            Outcome::PipelineFailed { words, retry } => Trigger::PipelineFailed { words, retry },
            Outcome::PublisherGone => Trigger::PublisherGone,
        };
        self.leased(now, lease, &trigger).await
    }

    async fn leased(&self, now: Ms, lease: &Lease, trigger: &Trigger) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, &lease.id).await?;
        let held = moment.state.is_live()
            && moment.epoch == lease.epoch
            && moment.owner.as_ref() == Some(&lease.node);
        if !held {
            return Err(lost(lease));
        }
        let moment = tx.step(&moment, trigger, Fence::None).await?;
        tx.commit().await?;
        Ok(moment)
    }

    /// A look without a lock, since nodes ask far more often than there is something to start.
    async fn may_claim(&self, now: Ms, channel: &str) -> Result<bool, Error> {
        let ready: Option<i64> = sqlx::query_scalar(
            "SELECT c.event_n FROM channels c WHERE c.channel_id = $1 AND c.paused = 0 AND c.ready_at <= $2
                AND EXISTS (SELECT 1 FROM moments q WHERE q.channel_id = $1 AND q.state = 'queued' AND q.not_before <= $2)
                AND NOT EXISTS (SELECT 1 FROM moments l WHERE l.channel_id = $1 AND l.state IN ('warming', 'active'))",
        )
        .bind(channel)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        Ok(ready.is_some())
    }
}

fn lost(lease: &Lease) -> Error {
    Error::LeaseLost {
        id: lease.id.clone(),
        epoch: lease.epoch,
    }
}
