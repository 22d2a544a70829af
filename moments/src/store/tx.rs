//! The one transaction in which a channel changes.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Any, Row as _, Transaction};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::{Engine, Error, Store, row};
use crate::id::MomentId;
use crate::life::{self, Limits, Moment, Ms, Notice, Policy, Refused, Step, Trigger};

/// The channel of PostgreSQL on which commits are told.
pub(super) const NOTIFY: &str = "reverie_moments";

/// A transaction that has its channel's row locked. Dropped before its commit, it has changed nothing.
pub(super) struct Tx {
    pub(super) sql: Transaction<'static, Any>,
    pub(super) now: Ms,
    pub(super) limits: Arc<Limits>,
    pub(super) channel: String,
    pub(super) policy: Policy,
    engine: Engine,
    /// The number of the channel's latest event.
    event_n: i64,
    next_seq: i64,
    ready_at: Ms,
    committed: Arc<Notify>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// What a write of a moment insists on, beside the version that it was read in.
#[derive(Clone, Copy)]
pub(super) enum Fence {
    /// Nothing more.
    None,
    /// That its lease has not been renewed since this time.
    LeaseOver(Ms),
}

impl Store {
    /// This process's turn to write, where the database has one writer.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match &self.turn {
            Some(turn) => Some(Arc::clone(turn).acquire_owned().await.ok()?),
            None => None,
        }
    }

    pub(super) async fn change(&self, now: Ms, channel: &str) -> Result<Tx, Error> {
        let turn = self.turn().await;
        let mut sql = self.engine.begin(&self.pool).await?;
        let row = sqlx::query(
            "UPDATE channels SET event_n = event_n WHERE channel_id = $1
             RETURNING policy, event_n, next_seq, ready_at",
        )
        .bind(channel)
        .fetch_optional(&mut *sql)
        .await?
        .ok_or_else(|| Refused::Channel(channel.to_owned()))?;
        Ok(Tx {
            sql,
            now,
            limits: Arc::clone(&self.limits),
            channel: channel.to_owned(),
            policy: row::policy(&row)?,
            engine: self.engine,
            event_n: row.try_get("event_n")?,
            next_seq: row.try_get("next_seq")?,
            ready_at: row.try_get("ready_at")?,
            committed: Arc::clone(&self.committed),
            _turn: turn,
        })
    }

    /// As [`Store::change`], for the channel of a moment, which is given as it is now that nobody else can change it.
    pub(super) async fn change_of(&self, now: Ms, id: &MomentId) -> Result<(Tx, Moment), Error> {
        let channel = sqlx::query_scalar("SELECT channel_id FROM moments WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        let channel: String = channel.ok_or_else(|| Refused::Unknown(id.clone()))?;
        let mut tx = self.change(now, &channel).await?;
        let moment = tx.moment(id).await?;
        Ok((tx, moment))
    }
}

impl Tx {
    pub(super) async fn moment(&mut self, id: &MomentId) -> Result<Moment, Error> {
        let row = sqlx::query("SELECT * FROM moments WHERE id = $1 AND channel_id = $2")
            .bind(id.as_str())
            .bind(self.channel.as_str())
            .fetch_optional(&mut *self.sql)
            .await?;
        row::moment(&row.ok_or_else(|| Refused::Unknown(id.clone()))?)
    }

    /// Lets the trigger happen to the moment, with all that follows from it, and gives back what became of it.
    pub(super) async fn step(
        &mut self,
        moment: &Moment,
        trigger: &Trigger,
        fence: Fence,
    ) -> Result<Moment, Error> {
        let step = life::next(moment, self.now, trigger, &self.limits)?;
        self.take(moment, step, fence).await
    }

    pub(super) async fn take(
        &mut self,
        moment: &Moment,
        step: Step,
        fence: Fence,
    ) -> Result<Moment, Error> {
        let after = self.write(moment, &step, fence).await?;
        if let Some(until) = step.pause_until {
            self.ready_at = self.ready_at.max(until);
        }
        if after.compensation != moment.compensation {
            self.credit_moment(&after).await?;
        }
        self.changed(&after, Some(moment)).await?;
        Ok(after)
    }

    async fn write(&mut self, moment: &Moment, step: &Step, fence: Fence) -> Result<Moment, Error> {
        let live = step.to.is_live();
        let lease_until = if live {
            self.now.saturating_add(self.limits.lease)
        } else {
            0
        };
        let seq = if step.joins { self.seq() } else { moment.seq };
        let over = match fence {
            Fence::None => Ms::MAX,
            Fence::LeaseOver(at) => at,
        };
        let row = sqlx::query(
            "UPDATE moments SET state = $1, seq = $2, reason = $3, owner = $4, lease_until = $5, attempts = $6,
                not_before = $7, deadline = $8, updated_at = $9, started_at = $10, ended_at = $11, compensation = $12,
                version = version + 1
             WHERE id = $13 AND version = $14 AND epoch = $15 AND lease_until <= $16
             RETURNING *",
        )
        .bind(step.to.as_str())
        .bind(seq)
        .bind(step.reason.as_ref().map(crate::Reason::stored))
        .bind(moment.owner.clone().filter(|_| live))
        .bind(lease_until)
        .bind(step.attempts)
        .bind(step.not_before)
        .bind(step.deadline)
        .bind(self.now)
        .bind(step.started_at)
        .bind(step.ended_at)
        .bind(step.compensation.as_str())
        .bind(moment.id.as_str())
        .bind(moment.version)
        .bind(moment.epoch)
        .bind(over)
        .fetch_optional(&mut *self.sql)
        .await?;
        let Some(row) = row else {
            return Err(Error::LeaseLost {
                id: moment.id.clone(),
                epoch: moment.epoch,
            });
        };
        row::moment(&row)
    }

    /// The next place in the queue.
    pub(super) fn seq(&mut self) -> i64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Writes down that the moment is another one than before, and what is to be sent about it.
    pub(super) async fn changed(
        &mut self,
        moment: &Moment,
        before: Option<&Moment>,
    ) -> Result<(), Error> {
        let data = json!({
            "from": before.map(|before| before.state),
            "state": moment.state,
            "reason": moment.reason.as_ref().map(crate::Reason::label),
            "attempts": moment.attempts,
            "epoch": moment.epoch,
            "ends_at": moment.ends_at(),
            "compensation": moment.compensation,
        });
        self.event(moment.state.event(), Some(moment), data).await?;
        for notice in life::notices(moment) {
            self.send(moment, &notice).await?;
        }
        Ok(())
    }

    /// Writes an event down. Its body has no prompt: it outlives it.
    pub(super) async fn event(
        &mut self,
        kind: &str,
        moment: Option<&Moment>,
        data: Value,
    ) -> Result<(), Error> {
        self.event_n += 1;
        let body = json!({ "version": moment.map(|moment| moment.version), "data": data });
        sqlx::query(
            "INSERT INTO moment_events(n, channel_id, moment_id, kind, body, at) VALUES($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.event_n)
        .bind(self.channel.as_str())
        .bind(moment.map_or("", |moment| moment.id.as_str()))
        .bind(kind)
        .bind(body.to_string())
        .bind(self.now)
        .execute(&mut *self.sql)
        .await?;
        Ok(())
    }

    async fn send(&mut self, moment: &Moment, notice: &Notice) -> Result<(), Error> {
        match notice {
            Notice::Poke => {
                let id = format!("poke/{}", self.channel);
                // One that is being sent at this time is sent again: its body is another by then.
                self.mail(
                    "INSERT INTO outbox(id, kind, target, body, next_at) VALUES($1, 'poke', $2, $3, $4)
                     ON CONFLICT(id) DO UPDATE SET body = excluded.body, attempts = 0, done_at = NULL,
                        next_at = CASE WHEN outbox.done_at IS NULL THEN outbox.next_at ELSE excluded.next_at END",
                    &id,
                    &json!({ "n": self.event_n }),
                )
                .await
            }
            Notice::Chat { kind } => {
                let body = json!({
                    "kind": kind,
                    "moment": moment.id,
                    "name": moment.viewer.name,
                    "prompt": moment.prompt,
                });
                self.mail(
                    "INSERT INTO outbox(id, kind, target, body, next_at) VALUES($1, 'chat', $2, $3, $4)
                     ON CONFLICT(id) DO NOTHING",
                    &format!("chat/{}/{kind}", moment.id),
                    &body,
                )
                .await
            }
        }
    }

    async fn mail(&mut self, sql: &'static str, id: &str, body: &Value) -> Result<(), Error> {
        sqlx::query(sql)
            .bind(id)
            .bind(self.channel.as_str())
            .bind(body.to_string())
            .bind(self.now)
            .execute(&mut *self.sql)
            .await?;
        Ok(())
    }

    /// Makes it true, and tells those who wait for it.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        sqlx::query(
            "UPDATE channels SET event_n = $2, next_seq = $3, ready_at = $4 WHERE channel_id = $1",
        )
        .bind(self.channel.as_str())
        .bind(self.event_n)
        .bind(self.next_seq)
        .bind(self.ready_at)
        .execute(&mut *self.sql)
        .await?;
        if self.engine == Engine::Postgres {
            // Told by the server at the commit, and not at all without one.
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(NOTIFY)
                .bind(format!("{} {}", self.event_n, self.channel))
                .execute(&mut *self.sql)
                .await?;
        }
        self.sql.commit().await?;
        self.committed.notify_waiters();
        Ok(())
    }
}
