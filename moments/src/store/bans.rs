//! Viewers of whom a channel takes nothing for a while, or until they are let in again.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::queue::seen;
use super::tx::{Fence, Tx};
use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{Moment, Ms, Policy, Refused, Source, State, Trigger, Viewer};

/// How many bans of a channel are told, the latest first.
const TOLD: i64 = 1000;

/// That a channel takes nothing of a viewer. It says no id of theirs: who moderates knows people by their moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The moment that was the occasion; it names the ban.
    pub moment: MomentId,
    /// What its viewer was called then.
    pub name: Option<String>,
    /// Since when.
    pub since: Ms,
    /// Until when; `None` until it is lifted.
    pub until: Option<Ms>,
}

impl Store {
    /// Takes nothing more of a moment's viewer for so long, or until it is lifted. What they have in review is rejected and
    /// what they have in the queue is cancelled, both credited; what is live goes on until somebody stops it. A receipt for
    /// what they had asked for before still counts, and is reviewed whatever the channel's policy is.
    ///
    /// Gives the moment as it is now.
    ///
    /// # Errors
    /// When the moment has another version by now, or is the streamer's own.
    pub async fn ban(
        &self,
        now: Ms,
        id: &MomentId,
        version: i64,
        words: &str,
        lasts: Option<Ms>,
    ) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        seen(&moment, version)?;
        if moment.source == Source::Streamer {
            return Err(Refused::NotAllowed {
                id: id.clone(),
                state: moment.state,
                trigger: "a reason to ban: it is the streamer's own",
            }
            .into());
        }
        tx.keep_ban(&moment, lasts.map(|lasts| now.saturating_add(lasts)))
            .await?;
        for waiting in tx.waiting_of(&moment.viewer).await? {
            let trigger = match waiting.state {
                State::PendingApproval => Trigger::Rejected(words.to_owned()),
                _ => Trigger::Cancelled,
            };
            tx.step(&waiting, &trigger, Fence::None).await?;
        }
        tx.tell_bans().await?;
        let moment = tx.moment(id).await?;
        tx.commit().await?;
        Ok(moment)
    }

    /// Takes moments of somebody again whom this moment was the occasion to ban. False when there is no such ban.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn lift(&self, now: Ms, channel: &str, moment: &MomentId) -> Result<bool, Error> {
        let mut tx = self.change(now, channel).await?;
        let lifted = sqlx::query("DELETE FROM bans WHERE channel_id = $1 AND moment_id = $2")
            .bind(channel)
            .bind(moment.as_str())
            .execute(&mut *tx.sql)
            .await?;
        if lifted.rows_affected() == 0 {
            return Ok(false);
        }
        tx.tell_bans().await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The bans that hold now, the latest first, 1000 at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bans(&self, now: Ms, channel: &str) -> Result<Vec<Ban>, Error> {
        let rows = sqlx::query(
            "SELECT moment_id, viewer_name, since, until FROM bans
             WHERE channel_id = $1 AND (until IS NULL OR until > $2)
             ORDER BY since DESC, moment_id LIMIT $3",
        )
        .bind(channel)
        .bind(now)
        .bind(TOLD)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Tx {
    /// Until when the channel takes nothing of this viewer, if it does not: the outer `None` is for everybody else.
    pub(super) async fn banned(&mut self, viewer: &Viewer) -> Result<Option<Option<Ms>>, Error> {
        let row = sqlx::query(
            "SELECT until FROM bans
             WHERE channel_id = $1 AND (viewer_opaque = $2 OR viewer_id = $3) AND (until IS NULL OR until > $4)
             ORDER BY CASE WHEN until IS NULL THEN 0 ELSE 1 END, until DESC LIMIT 1",
        )
        .bind(self.channel.as_str())
        .bind(viewer.opaque.as_str())
        .bind(viewer.id.as_deref())
        .bind(self.now)
        .fetch_optional(&mut *self.sql)
        .await?;
        Ok(row.map(|row| row.try_get("until")).transpose()?)
    }

    /// What becomes of what this viewer pays: somebody looks at it if they are banned.
    pub(super) async fn policy_for(&mut self, viewer: &Viewer) -> Result<Policy, Error> {
        Ok(match self.banned(viewer).await? {
            Some(_) => Policy::Manual,
            None => self.policy,
        })
    }

    async fn keep_ban(&mut self, moment: &Moment, until: Option<Ms>) -> Result<(), Error> {
        let viewer = &moment.viewer;
        sqlx::query(
            "INSERT INTO bans(channel_id, viewer_opaque, viewer_id, viewer_name, moment_id, since, until)
             VALUES($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT(channel_id, viewer_opaque) DO UPDATE SET viewer_id = excluded.viewer_id,
                viewer_name = excluded.viewer_name, moment_id = excluded.moment_id, since = excluded.since,
                until = excluded.until",
        )
        .bind(self.channel.as_str())
        .bind(viewer.opaque.as_str())
        .bind(viewer.id.as_deref())
        .bind(viewer.name.as_deref())
        .bind(moment.id.as_str())
        .bind(self.now)
        .bind(until)
        .execute(&mut *self.sql)
        .await?;
        Ok(())
    }

    /// What a viewer has in review and in the queue, but for what they ask for as the streamer.
    async fn waiting_of(&mut self, viewer: &Viewer) -> Result<Vec<Moment>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM moments WHERE channel_id = $1 AND (viewer_opaque = $2 OR viewer_id = $3)
                AND state IN ('pending_approval', 'queued') AND source <> 'streamer' ORDER BY seq, id",
        )
        .bind(self.channel.as_str())
        .bind(viewer.opaque.as_str())
        .bind(viewer.id.as_deref())
        .fetch_all(&mut *self.sql)
        .await?;
        rows.iter().map(row::moment).collect()
    }

    /// Tells that there are others now, and of whom to nobody.
    async fn tell_bans(&mut self) -> Result<(), Error> {
        let data = serde_json::json!({ "bans": true });
        self.event("settings.changed", None, data).await
    }
}

fn read(row: &AnyRow) -> Result<Ban, Error> {
    Ok(Ban {
        moment: MomentId::new(row.try_get::<String, _>("moment_id")?),
        name: row.try_get("viewer_name")?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
    })
}
