//! Sessions of people: until when, their refresh tokens by number, and the end before their time.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Error, Store};
use crate::life::Ms;

/// A session that ended is remembered so long, so that what is said about it stays true for late tokens.
const REMEMBERED: Ms = 86_400_000;

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id; no secret.
    pub id: String,
    /// Who it is.
    pub subject: String,
    /// The role it was begun in, by its name in tokens.
    pub role: String,
    /// The channel it is for.
    pub channel: Option<String>,
    /// From when on it cannot be refreshed.
    pub expires_at: Ms,
    /// The number of the refresh token that is good.
    pub refresh_n: i64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was the good one; the session has the next one now.
    Next(Session),
    /// It was good until a moment ago: two pages asked at once, or an answer was lost. The one that is good now may be
    /// given again.
    Again(Session),
    /// It was used before: somebody else has it. The session is over.
    Reused,
    /// There is no such session any more.
    Gone,
}

impl Store {
    /// Begins a session, and forgets those that ended long ago.
    ///
    /// # Errors
    /// When the id is in use, or the database fails.
    pub async fn open_session(&self, now: Ms, session: &Session) -> Result<(), Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(now.saturating_sub(REMEMBERED))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO sessions(id, subject, role, channel_id, expires_at, refresh_n, refreshed_at)
             VALUES($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(session.id.as_str())
        .bind(session.subject.as_str())
        .bind(session.role.as_str())
        .bind(session.channel.as_deref())
        .bind(session.expires_at)
        .bind(session.refresh_n)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether the session goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_lives(&self, now: Ms, id: &str) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM sessions WHERE id = $1 AND revoked = 0 AND expires_at > $2",
        )
        .bind(id)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }

    /// Whether a session of this id was ended, also where none was begun here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_revoked(&self, id: &str) -> Result<bool, Error> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT revoked FROM sessions WHERE id = $1 AND revoked = 1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Takes the refresh token number `n` of a session for the next one. One that was followed by another at most `grace`
    /// ago gives that one again; an older one ends the session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_session(
        &self,
        now: Ms,
        id: &str,
        n: i64,
        grace: Ms,
    ) -> Result<Refreshed, Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        let next = sqlx::query(
            "UPDATE sessions SET refresh_n = refresh_n + 1, refreshed_at = $3
             WHERE id = $1 AND refresh_n = $2 AND revoked = 0 AND expires_at > $3
             RETURNING id, subject, role, channel_id, expires_at, refresh_n",
        )
        .bind(id)
        .bind(n)
        .bind(now)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = next {
            let session = read(&row)?;
            tx.commit().await?;
            return Ok(Refreshed::Next(session));
        }
        let row =
            sqlx::query("SELECT * FROM sessions WHERE id = $1 AND revoked = 0 AND expires_at > $2")
                .bind(id)
                .bind(now)
                .fetch_optional(&mut *tx)
                .await?;
        let Some(row) = row else {
            return Ok(Refreshed::Gone);
        };
        let (session, at) = (read(&row)?, row.try_get::<Ms, _>("refreshed_at")?);
        if n > session.refresh_n {
            return Ok(Refreshed::Gone);
        }
        if n == session.refresh_n - 1 && now <= at.saturating_add(grace) {
            return Ok(Refreshed::Again(session));
        }
        sqlx::query("UPDATE sessions SET revoked = 1 WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Refreshed::Reused)
    }

    /// Ends a session; `false` if it was over, or there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(&self, id: &str) -> Result<bool, Error> {
        let ended = self
            .end(
                "UPDATE sessions SET revoked = 1 WHERE id = $1 AND revoked = 0",
                id,
            )
            .await?;
        Ok(ended == 1)
    }

    /// Ends a session of somebody; `false` if it is not theirs, was over, or there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session_of(&self, id: &str, subject: &str) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let ended = sqlx::query(
            "UPDATE sessions SET revoked = 1 WHERE id = $1 AND subject = $2 AND revoked = 0",
        )
        .bind(id)
        .bind(subject)
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() == 1)
    }

    /// Ends all sessions of somebody and tells how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_sessions_of(&self, subject: &str) -> Result<u64, Error> {
        self.end(
            "UPDATE sessions SET revoked = 1 WHERE subject = $1 AND revoked = 0",
            subject,
        )
        .await
    }

    async fn end(&self, sql: &'static str, whose: &str) -> Result<u64, Error> {
        let _turn = self.turn().await;
        let ended = sqlx::query(sql).bind(whose).execute(&self.pool).await?;
        Ok(ended.rows_affected())
    }
}

fn read(row: &AnyRow) -> Result<Session, Error> {
    Ok(Session {
        id: row.try_get("id")?,
        subject: row.try_get("subject")?,
        role: row.try_get("role")?,
        channel: row.try_get("channel_id")?,
        expires_at: row.try_get("expires_at")?,
        refresh_n: row.try_get("refresh_n")?,
    })
}
