//! Credits: what was given and spent, each once, and what is left.

use sqlx::Row as _;

use super::tx::Tx;
use super::{Error, Store};
use crate::life::{Moment, Refused};

/// The unit of credits: one is worth one Bit.
pub const CREDIT: &str = "credit";

/// One entry.
struct Entry<'a> {
    account: String,
    delta: i64,
    /// What it is for: a moment, or a transaction.
    reference: &'a str,
    reason: &'static str,
}

impl Store {
    /// How many credits a viewer has in a channel. The viewer is named as by [`Viewer::account`](crate::life::Viewer::account).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn balance(&self, channel: &str, viewer: &str) -> Result<i64, Error> {
        let balance: Option<i64> =
            sqlx::query_scalar("SELECT balance FROM accounts WHERE account = $1 AND unit = $2")
                .bind(account(channel, viewer))
                .bind(CREDIT)
                .fetch_optional(&self.pool)
                .await?;
        Ok(balance.unwrap_or(0))
    }
}

/// Bits are paid to one streamer, and so credits are for that streamer's channel.
fn account(channel: &str, viewer: &str) -> String {
    format!("{channel}/{viewer}")
}

impl Tx {
    /// Gives the price of a moment back as credits.
    pub(super) async fn credit_moment(&mut self, moment: &Moment) -> Result<(), Error> {
        self.credit(Entry {
            account: account(&self.channel, moment.viewer.account()),
            delta: moment.price,
            reference: moment.id.as_str(),
            reason: "compensation",
        })
        .await
    }

    /// Turns a receipt for which nothing can be shown any more into credits.
    pub(super) async fn credit_receipt(
        &mut self,
        viewer: &str,
        amount: i64,
        transaction: &str,
    ) -> Result<(), Error> {
        self.credit(Entry {
            account: account(&self.channel, viewer),
            delta: amount,
            reference: transaction,
            reason: "late_receipt",
        })
        .await
    }

    /// Takes the price of a moment from its viewer's credits.
    pub(super) async fn debit_moment(&mut self, moment: &Moment) -> Result<(), Error> {
        let account = account(&self.channel, moment.viewer.account());
        let entry = Entry {
            account: account.clone(),
            delta: -moment.price,
            reference: moment.id.as_str(),
            reason: "spent",
        };
        if !self.enter(&entry).await? {
            return Ok(());
        }
        let row = sqlx::query("SELECT balance FROM accounts WHERE account = $1 AND unit = $2")
            .bind(account.as_str())
            .bind(CREDIT)
            .fetch_optional(&mut *self.sql)
            .await?;
        let balance: i64 = row.map_or(Ok(0), |row| row.try_get("balance"))?;
        if balance < moment.price {
            return Err(Refused::Poor {
                price: moment.price,
                balance,
            }
            .into());
        }
        sqlx::query("UPDATE accounts SET balance = balance + $3 WHERE account = $1 AND unit = $2")
            .bind(account)
            .bind(CREDIT)
            .bind(entry.delta)
            .execute(&mut *self.sql)
            .await?;
        Ok(())
    }

    async fn credit(&mut self, entry: Entry<'_>) -> Result<(), Error> {
        if !self.enter(&entry).await? {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO accounts(account, unit, balance) VALUES($1, $2, $3)
             ON CONFLICT(account, unit) DO UPDATE SET balance = accounts.balance + excluded.balance",
        )
        .bind(entry.account)
        .bind(CREDIT)
        .bind(entry.delta)
        .execute(&mut *self.sql)
        .await?;
        Ok(())
    }

    /// Writes an entry down, and tells whether it was not there yet.
    async fn enter(&mut self, entry: &Entry<'_>) -> Result<bool, Error> {
        let id = format!("{}/{}/{}", entry.account, entry.reference, entry.reason);
        let entered = sqlx::query(
            "INSERT INTO ledger(id, account, delta, unit, ref, reason, at) VALUES($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT(account, unit, ref, reason) DO NOTHING",
        )
        .bind(id)
        .bind(entry.account.as_str())
        .bind(entry.delta)
        .bind(CREDIT)
        .bind(entry.reference)
        .bind(entry.reason)
        .bind(self.now)
        .execute(&mut *self.sql)
        .await?;
        Ok(entered.rows_affected() == 1)
    }
}
