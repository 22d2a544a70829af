//! What moderators, streamers and viewers do about moments: each about the version that they saw.

use serde_json::json;
use sqlx::Row as _;

use super::tx::{Fence, Tx};
use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{Moment, Ms, Refused, State, Trigger};

/// The kind of the event by which a moment's node hears that its bridge is ready; its data has the `epoch` meant.
pub const START: &str = "moment.start";

impl Store {
    /// Lets a moment into the queue.
    ///
    /// # Errors
    /// When it has another version by now, or does not wait for approval.
    pub async fn approve(&self, now: Ms, id: &MomentId, version: i64) -> Result<Moment, Error> {
        self.decide(now, id, version, &Trigger::Approved).await
    }

    /// Refuses a moment, in words for its viewer, who is credited.
    ///
    /// # Errors
    /// When it has another version by now, or does not wait for approval.
    pub async fn reject(
        &self,
        now: Ms,
        id: &MomentId,
        version: i64,
        words: &str,
    ) -> Result<Moment, Error> {
        let trigger = Trigger::Rejected(words.to_owned());
        self.decide(now, id, version, &trigger).await
    }

    /// Takes a waiting moment out of the queue; its viewer is credited. `viewer` is who asks, unless it is a moderator.
    ///
    /// # Errors
    /// When it has another version by now, does not wait, or is another viewer's.
    pub async fn cancel(
        &self,
        now: Ms,
        id: &MomentId,
        version: i64,
        viewer: Option<&str>,
    ) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        if viewer.is_some_and(|viewer| viewer != moment.viewer.account()) {
            return Err(Refused::NotYours(id.clone()).into());
        }
        seen(&moment, version)?;
        let moment = tx.step(&moment, &Trigger::Cancelled, Fence::None).await?;
        tx.commit().await?;
        Ok(moment)
    }

    /// Stops a live moment; it is completed if most of it was seen. Its node hears of it by its next heartbeat at the latest.
    ///
    /// # Errors
    /// When it has another version by now, or is not live.
    pub async fn stop(&self, now: Ms, id: &MomentId, version: i64) -> Result<Moment, Error> {
        self.decide(now, id, version, &Trigger::Stopped).await
    }

    /// Stops a live moment that nobody should see.
    ///
    /// # Errors
    /// When it has another version by now, or is not live.
    pub async fn hide(&self, now: Ms, id: &MomentId, version: i64) -> Result<Moment, Error> {
        self.decide(now, id, version, &Trigger::Hidden).await
    }

    /// Lets a moment that waits for its bridge be shown: tells its node, which shows it from the next picture on.
    ///
    /// # Errors
    /// When it has another version by now, or is not warming.
    pub async fn start(&self, now: Ms, id: &MomentId, version: i64) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        seen(&moment, version)?;
        if moment.state != State::Warming {
            return Err(Refused::NotAllowed {
                id: id.clone(),
                state: moment.state,
                trigger: Trigger::FirstFrame.words(),
            }
            .into());
        }
        let data = json!({ "epoch": moment.epoch });
        tx.event(START, Some(&moment), data).await?;
        tx.commit().await?;
        Ok(moment)
    }

    /// Puts a moment that waits or warms to the end of the queue.
    ///
    /// # Errors
    /// When it has another version by now, or is neither.
    pub async fn requeue(&self, now: Ms, id: &MomentId, version: i64) -> Result<Moment, Error> {
        self.decide(now, id, version, &Trigger::Requeued).await
    }

    /// Takes everything that waits out of the queue; who paid is credited. Gives the moments as they are now.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn clear(&self, now: Ms, channel: &str) -> Result<Vec<Moment>, Error> {
        let mut tx = self.change(now, channel).await?;
        let mut cleared = Vec::new();
        for moment in tx.queue().await? {
            cleared.push(tx.step(&moment, &Trigger::Cancelled, Fence::None).await?);
        }
        tx.commit().await?;
        Ok(cleared)
    }

    /// Takes the AI off the channel: hides what is live, if anything, and pauses the queue.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn panic(&self, now: Ms, channel: &str) -> Result<Option<Moment>, Error> {
        self.pause(now, channel).await?;
        let Some(live) = self.live(channel).await? else {
            return Ok(None);
        };
        let (mut tx, moment) = self.change_of(now, &live.id).await?;
        if !moment.state.is_live() {
            return Ok(None);
        }
        let moment = tx.step(&moment, &Trigger::Hidden, Fence::None).await?;
        tx.commit().await?;
        Ok(Some(moment))
    }

    /// Gives a waiting moment the place counted from 0; those between move by one.
    ///
    /// # Errors
    /// When it has another version by now, or does not wait.
    pub async fn move_to(
        &self,
        now: Ms,
        id: &MomentId,
        version: i64,
        place: usize,
    ) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        seen(&moment, version)?;
        if moment.state != State::Queued {
            return Err(Refused::NotAllowed {
                id: id.clone(),
                state: moment.state,
                trigger: "moved",
            }
            .into());
        }
        let place = tx.reorder(id, place).await?;
        let moment = tx.moment(id).await?;
        tx.event("moment.moved", Some(&moment), json!({ "place": place }))
            .await?;
        tx.commit().await?;
        Ok(moment)
    }

    async fn decide(
        &self,
        now: Ms,
        id: &MomentId,
        version: i64,
        trigger: &Trigger,
    ) -> Result<Moment, Error> {
        let (mut tx, moment) = self.change_of(now, id).await?;
        seen(&moment, version)?;
        let moment = tx.step(&moment, trigger, Fence::None).await?;
        tx.commit().await?;
        Ok(moment)
    }
}

/// Whether the request is about the moment as it is.
pub(super) fn seen(moment: &Moment, expected: i64) -> Result<(), Refused> {
    (moment.version == expected)
        .then_some(())
        .ok_or(Refused::Stale {
            id: moment.id.clone(),
            expected,
            found: moment.version,
        })
}

impl Tx {
    async fn queue(&mut self) -> Result<Vec<Moment>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM moments WHERE channel_id = $1 AND state = 'queued' ORDER BY seq",
        )
        .bind(self.channel.as_str())
        .fetch_all(&mut *self.sql)
        .await?;
        rows.iter().map(row::moment).collect()
    }

    /// Deals the places of the queue out anew; only those that change are written.
    async fn reorder(&mut self, id: &MomentId, place: usize) -> Result<usize, Error> {
        let rows = sqlx::query(
            "SELECT id, seq FROM moments WHERE channel_id = $1 AND state = 'queued' ORDER BY seq",
        )
        .bind(self.channel.as_str())
        .fetch_all(&mut *self.sql)
        .await?;
        let mut ids = Vec::with_capacity(rows.len());
        let mut places: Vec<i64> = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.push(row.try_get::<String, _>("id")?);
            places.push(row.try_get("seq")?);
        }
        let before = ids.clone();
        ids.retain(|other| other != id.as_str());
        let place = place.min(ids.len());
        ids.insert(place, id.as_str().to_owned());
        for ((id_there, was), seq) in ids.iter().zip(&before).zip(&places) {
            if id_there != was {
                self.place(id_there, *seq).await?;
            }
        }
        sqlx::query("UPDATE moments SET version = version + 1, updated_at = $2 WHERE id = $1")
            .bind(id.as_str())
            .bind(self.now)
            .execute(&mut *self.sql)
            .await?;
        Ok(place)
    }

    async fn place(&mut self, id: &str, seq: i64) -> Result<(), Error> {
        sqlx::query("UPDATE moments SET seq = $2 WHERE id = $1")
            .bind(id)
            .bind(seq)
            .execute(&mut *self.sql)
            .await?;
        Ok(())
    }
}
