//! Accounts of people, by e-mail address. Passwords come and go as hashes only.

use std::fmt;

use sqlx::Row as _;

use super::roles::claim;
use super::{Error, Store};
use crate::life::Ms;

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Its id, which never changes.
    pub id: String,
    /// Its address, as it was written.
    pub email: String,
    /// The argon2id hash of its password, in the PHC format.
    pub password: String,
    /// When it was made.
    pub created_at: Ms,
}

/// What became of a wish for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It was made.
    Done,
    /// The address has one already, in whatever case.
    EmailTaken,
    /// The channel is another's, or was made without a streamer. No account was made either.
    ChannelTaken,
}

impl Person {
    /// The account wherever somebody is named.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("person:{}", self.id)
    }
}

impl Store {
    /// Makes an account and, with `channel`, the channel whose streamer its subject is: both or none.
    ///
    /// # Errors
    /// When the id is in use, the hash is none of argon2id, or the database fails.
    pub async fn register(
        &self,
        person: &Person,
        channel: Option<&str>,
    ) -> Result<Registered, Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        let added = sqlx::query(
            "INSERT INTO people(id, email, email_key, password, created_at) VALUES($1, $2, $3, $4, $5)
             ON CONFLICT(email_key) DO NOTHING",
        )
        .bind(person.id.as_str())
        .bind(person.email.as_str())
        .bind(key(&person.email))
        .bind(person.password.as_str())
        .bind(person.created_at)
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 0 {
            return Ok(Registered::EmailTaken);
        }
        if let Some(channel) = channel
            && !claim(&mut tx, person.created_at, channel, &person.subject()).await?
        {
            return Ok(Registered::ChannelTaken);
        }
        tx.commit().await?;
        Ok(Registered::Done)
    }

    /// The account with this address, in whatever case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn person_by_email(&self, email: &str) -> Result<Option<Person>, Error> {
        self.find_person("SELECT * FROM people WHERE email_key = $1", &key(email))
            .await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn person(&self, id: &str) -> Result<Option<Person>, Error> {
        self.find_person("SELECT * FROM people WHERE id = $1", id)
            .await
    }

    /// Gives the account another hash; `false` if there is no such account.
    ///
    /// # Errors
    /// When the hash is none of argon2id, or the database fails.
    pub async fn set_password(&self, id: &str, password: &str) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let set = sqlx::query("UPDATE people SET password = $2 WHERE id = $1")
            .bind(id)
            .bind(password)
            .execute(&self.pool)
            .await?;
        Ok(set.rows_affected() == 1)
    }

    async fn find_person(&self, sql: &'static str, by: &str) -> Result<Option<Person>, Error> {
        let row = sqlx::query(sql).bind(by).fetch_optional(&self.pool).await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(Person {
                id: row.try_get("id")?,
                email: row.try_get("email")?,
                password: row.try_get("password")?,
                created_at: row.try_get("created_at")?,
            })
        };
        row.map(read).transpose()
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What two ways to write one address have in common.
fn key(email: &str) -> String {
    email.to_lowercase()
}
