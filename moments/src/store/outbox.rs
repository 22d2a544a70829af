//! What is to be sent to services outside: written with the change, sent at least once.

use sqlx::Row as _;

use super::{Error, Store};
use crate::life::Ms;

/// The first wait after a failure, and the longest.
const FIRST: Ms = 1000;
const LONGEST: Ms = 15 * 60 * 1000;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its key.
    pub id: String,
    /// `chat` or `poke`.
    pub kind: String,
    /// The channel.
    pub target: String,
    /// What it says, as JSON.
    pub body: String,
    /// How often it has been taken, this time included.
    pub attempts: i64,
}

/// How long to wait after so many attempts: it doubles from 1 s to 15 min.
#[must_use]
pub fn backoff(attempts: i64) -> Ms {
    let doublings = attempts.clamp(1, 20) - 1;
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

impl Store {
    /// Takes one mail that is due, for `patience`: if it is not [sent](Self::mail_sent) by then, it is due again, so one
    /// that its taker died with is repeated. `None` where nothing is due, or another node was quicker.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_mail(&self, now: Ms, patience: Ms) -> Result<Option<Mail>, Error> {
        let due: Option<String> = sqlx::query_scalar(
            "SELECT id FROM outbox WHERE done_at IS NULL AND next_at <= $1 ORDER BY next_at, id LIMIT 1",
        )
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        let Some(id) = due else {
            return Ok(None);
        };
        let _turn = self.turn().await;
        let row = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, next_at = $2
             WHERE id = $3 AND done_at IS NULL AND next_at <= $1 RETURNING *",
        )
        .bind(now)
        .bind(now.saturating_add(patience))
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Mail {
                id: row.try_get("id")?,
                kind: row.try_get("kind")?,
                target: row.try_get("target")?,
                body: row.try_get("body")?,
                attempts: row.try_get("attempts")?,
            })
        })
        .transpose()
    }

    /// Says that a mail was sent. A poke that was renewed meanwhile is due at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mail_sent(&self, now: Ms, mail: &Mail) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "UPDATE outbox SET done_at = CASE WHEN body = $2 THEN $3 END,
                next_at = CASE WHEN body = $2 THEN next_at ELSE $3 END
             WHERE id = $1 AND done_at IS NULL",
        )
        .bind(mail.id.as_str())
        .bind(mail.body.as_str())
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that a mail could not be sent: it is due again after `wait`, which is what the service asked for, or
    /// [`backoff`] of its attempts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mail_failed(&self, now: Ms, mail: &Mail, wait: Option<Ms>) -> Result<(), Error> {
        let _turn = self.turn().await;
        let wait = wait.unwrap_or_else(|| backoff(mail.attempts));
        sqlx::query("UPDATE outbox SET next_at = $2 WHERE id = $1 AND done_at IS NULL")
            .bind(mail.id.as_str())
            .bind(now.saturating_add(wait))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        assert_eq!([1, 2, 3].map(backoff), [1000, 2000, 4000]);
        assert_eq!([11, 99].map(backoff), [900_000, 900_000]);
    }
}
