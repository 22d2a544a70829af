//! A request for a moment becomes one.

use sqlx::Row as _;

use super::error::Unique;
use super::tx::{Fence, Tx};
use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{self, Moment, Ms, Refused, Room, Source, Submission, Trigger};

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The moment as it is now.
    pub moment: Moment,
    /// Whether this request made it; one with a key that was used before did not.
    pub fresh: bool,
}

impl Store {
    /// Makes a moment of a request. One that is given, and the streamer's own, goes on at once; others wait for their payment.
    /// The same idempotency key gives the same moment back.
    ///
    /// # Errors
    /// What stands against it, as [`life::admit`] says; an id or a key that belongs to another request.
    pub async fn submit(&self, now: Ms, submission: Submission) -> Result<Submitted, Error> {
        let mut tx = self.change(now, &submission.channel).await?;
        if let Some(moment) = tx.by_key(&submission).await? {
            return repeated(moment, &submission);
        }
        let room = tx.room(&submission).await?;
        let moment = life::admit(submission, now, &room, &self.limits)?;
        tx.insert(&moment).await?;
        tx.changed(&moment, None).await?;
        let moment = if moment.source.is_paid() {
            moment
        } else {
            let policy = tx.policy;
            tx.step(&moment, &Trigger::Accepted(policy), Fence::None)
                .await?
        };
        tx.commit().await?;
        Ok(Submitted {
            moment,
            fresh: true,
        })
    }

    /// Pays a moment with its viewer's credits.
    ///
    /// # Errors
    /// When there are not enough, or it is not one that waits for credits of this viewer.
    pub async fn spend(&self, now: Ms, id: &MomentId, viewer: &str) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        if moment.viewer.account() != viewer {
            return Err(Refused::NotYours(id.clone()).into());
        }
        if moment.source != Source::Credit {
            return Err(Refused::NotAllowed {
                id: id.clone(),
                state: moment.state,
                trigger: "paid with credits",
            }
            .into());
        }
        if let Some(until) = tx.banned(&moment.viewer).await? {
            return Err(Refused::Banned { until }.into());
        }
        tx.debit_moment(&moment).await?;
        let policy = tx.policy;
        let moment = tx
            .step(&moment, &Trigger::Accepted(policy), Fence::None)
            .await?;
        tx.commit().await?;
        Ok(moment)
    }
}

fn repeated(moment: Moment, submission: &Submission) -> Result<Submitted, Error> {
    let same = moment.sku == submission.sku
        && moment.source == submission.source
        // The prompt is compared as it was taken in, and is gone after its retention.
        && (moment.prompt == submission.prompt.trim() || moment.prompt.is_empty());
    if !same {
        return Err(Refused::Key { id: moment.id }.into());
    }
    Ok(Submitted {
        moment,
        fresh: false,
    })
}

impl Tx {
    async fn by_key(&mut self, submission: &Submission) -> Result<Option<Moment>, Error> {
        let row = sqlx::query(
            "SELECT * FROM moments WHERE channel_id = $1 AND viewer_opaque = $2 AND idempotency_key = $3",
        )
        .bind(self.channel.as_str())
        .bind(submission.viewer.opaque.as_str())
        .bind(submission.idempotency_key.as_str())
        .fetch_optional(&mut *self.sql)
        .await?;
        row.as_ref().map(row::moment).transpose()
    }

    async fn room(&mut self, submission: &Submission) -> Result<Room, Error> {
        // The first list of states is the one of the index, which keeps ended moments from being looked at.
        let row = sqlx::query(
            "SELECT
                (SELECT COUNT(*) FROM moments WHERE channel_id = $1
                    AND state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active')
                    AND state NOT IN ('warming', 'active')) AS waiting,
                (SELECT MAX(lease_until) FROM streams WHERE channel_id = $1 AND track = $4) AS online_until,
                (SELECT id FROM moments WHERE channel_id = $1 AND viewer_opaque = $2 AND state = 'submitted') AS open,
                (SELECT MAX(created_at) FROM moments WHERE channel_id = $1 AND viewer_opaque = $2 AND created_at > $3
                    AND state NOT IN ('rejected', 'expired', 'failed', 'cancelled')) AS latest,
                (SELECT paused FROM channels WHERE channel_id = $1) AS paused",
        )
        .bind(self.channel.as_str())
        .bind(submission.viewer.opaque.as_str())
        .bind(self.now.saturating_sub(self.limits.viewer_cooldown))
        .bind(super::node::SOURCE)
        .fetch_one(&mut *self.sql)
        .await?;
        let online_until: Option<Ms> = row.try_get("online_until")?;
        let waiting: i64 = row.try_get("waiting")?;
        Ok(Room {
            policy: self.policy,
            paused: row.try_get::<i64, _>("paused")? != 0,
            online: online_until
                .is_some_and(|until| until.saturating_add(self.limits.max_offline) > self.now),
            waiting: usize::try_from(waiting).unwrap_or(usize::MAX),
            open: row.try_get::<Option<String>, _>("open")?.map(MomentId::new),
            latest: row.try_get("latest")?,
            banned: self.banned(&submission.viewer).await?,
            blocklist: self.blocklist().await?,
        })
    }

    async fn insert(&mut self, moment: &Moment) -> Result<(), Error> {
        let inserted = sqlx::query(
            "INSERT INTO moments(id, channel_id, seq, state, viewer_opaque, viewer_id, viewer_name, source, sku, price,
                prompt, params, duration_ms, idempotency_key, deadline, created_at, updated_at, version)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17)",
        )
        .bind(moment.id.as_str())
        .bind(moment.channel.as_str())
        .bind(moment.seq)
        .bind(moment.state.as_str())
        .bind(moment.viewer.opaque.as_str())
        .bind(moment.viewer.id.as_deref())
        .bind(moment.viewer.name.as_deref())
        .bind(moment.source.as_str())
        .bind(moment.sku.as_str())
        .bind(moment.price)
        .bind(moment.prompt.as_str())
        .bind(moment.params.as_str())
        .bind(moment.duration)
        .bind(moment.idempotency_key.as_str())
        .bind(moment.deadline)
        .bind(moment.created_at)
        .bind(moment.version)
        .execute(&mut *self.sql)
        .await;
        let id = moment.id.clone();
        match inserted {
            Ok(_) => Ok(()),
            Err(error) if Unique::MomentId.refused(&error) => Err(Refused::IdInUse { id }.into()),
            Err(error) if Unique::OneSubmitted.refused(&error) => Err(Refused::Open { id }.into()),
            Err(error) if Unique::Idempotency.refused(&error) => Err(Refused::Key { id }.into()),
            Err(error) => Err(error.into()),
        }
    }
}
