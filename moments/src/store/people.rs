//! Accounts of people, by e-mail address. Passwords come and go as hashes only.

use std::fmt;

use sqlx::Row as _;

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

impl Store {
    /// Makes an account; `false` if its address has one already, in whatever case.
    ///
    /// # Errors
    /// When the id is in use, the hash is none of argon2id, or the database fails.
    pub async fn add_person(&self, person: &Person) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let added = sqlx::query(
            "INSERT INTO people(id, email, email_key, password, created_at) VALUES($1, $2, $3, $4, $5)
             ON CONFLICT(email_key) DO NOTHING",
        )
        .bind(person.id.as_str())
        .bind(person.email.as_str())
        .bind(key(&person.email))
        .bind(person.password.as_str())
        .bind(person.created_at)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
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
