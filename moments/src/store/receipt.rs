//! Receipts: each counts once, and one for which nothing can be shown becomes credits.

use super::error::Unique;
use super::tx::{Fence, Tx};
use super::{Error, Store, row};
use crate::id::MomentId;
use crate::life::{self, Moment, Ms, Receipt, Refused, Trigger};

/// What a receipt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// It paid the moment, which goes on.
    Accepted(Moment),
    /// It has paid this moment before.
    Repeated(Moment),
    /// Its moment cannot be paid any more, so the viewer has the amount as credits.
    Credited,
    /// It has become credits before.
    RepeatedCredit,
}

impl Store {
    /// Takes in a receipt whose signature has been checked. One that comes up to an hour late still brings its moment into
    /// the queue.
    ///
    /// # Errors
    /// When it is not one for its moment, or its transaction has been used for another.
    pub async fn accept(&self, now: Ms, receipt: &Receipt) -> Result<Paid, Error> {
        let mut tx = self.change(now, &receipt.channel).await?;
        if let Some(paid) = tx.seen(receipt).await? {
            return Ok(paid);
        }
        let moment = match &receipt.moment {
            Some(id) => Some(tx.moment(id).await?),
            None => tx.open_for(receipt).await?,
        };
        if let Some(moment) = &moment {
            life::check_receipt(moment, receipt)?;
        }
        let payable = match moment {
            Some(moment) => {
                let accepted = Trigger::Accepted(tx.policy_for(&moment.viewer).await?);
                let step = life::next(&moment, now, &accepted, &tx.limits).ok();
                step.map(|step| (moment, step))
            }
            None => None,
        };
        let paid = match payable {
            Some((moment, step)) => {
                tx.keep(receipt, Some(&moment.id)).await?;
                Paid::Accepted(tx.take(&moment, step, Fence::None).await?)
            }
            None => {
                tx.keep(receipt, None).await?;
                let reference = format!("{}:{}", receipt.source, receipt.transaction_id);
                tx.credit_receipt(&receipt.user_id, receipt.amount, &reference)
                    .await?;
                Paid::Credited
            }
        };
        tx.commit().await?;
        Ok(paid)
    }
}

impl Tx {
    /// What the transaction came to before, if it was seen.
    async fn seen(&mut self, receipt: &Receipt) -> Result<Option<Paid>, Error> {
        let row: Option<(Option<String>, String)> = sqlx::query_as(
            "SELECT moment_id, channel_id FROM receipts WHERE source = $1 AND transaction_id = $2",
        )
        .bind(receipt.source.as_str())
        .bind(receipt.transaction_id.as_str())
        .fetch_optional(&mut *self.sql)
        .await?;
        let Some((moment, channel)) = row else {
            return Ok(None);
        };
        let moment = moment.map(MomentId::new);
        let same = receipt.moment.is_none() || moment.is_none() || moment == receipt.moment;
        match moment {
            _ if channel != receipt.channel || !same => Err(used(receipt)),
            Some(id) => Ok(Some(Paid::Repeated(self.moment(&id).await?))),
            None => Ok(Some(Paid::RepeatedCredit)),
        }
    }

    /// The latest request of who paid, for what was paid, that has not been paid.
    async fn open_for(&mut self, receipt: &Receipt) -> Result<Option<Moment>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM moments WHERE channel_id = $1 AND COALESCE(viewer_id, viewer_opaque) = $2
                AND source = $3 AND sku = $4 AND price = $5 AND state IN ('submitted', 'expired')
             ORDER BY created_at DESC, id LIMIT 16",
        )
        .bind(self.channel.as_str())
        .bind(receipt.user_id.as_str())
        .bind(receipt.source.as_str())
        .bind(receipt.sku.as_str())
        .bind(receipt.amount)
        .fetch_all(&mut *self.sql)
        .await?;
        for row in &rows {
            let moment = row::moment(row)?;
            let accepted = Trigger::Accepted(self.policy);
            if life::next(&moment, self.now, &accepted, &self.limits).is_ok() {
                return Ok(Some(moment));
            }
        }
        Ok(None)
    }

    async fn keep(&mut self, receipt: &Receipt, moment: Option<&MomentId>) -> Result<(), Error> {
        let kept = sqlx::query(
            "INSERT INTO receipts(source, transaction_id, moment_id, channel_id, user_id, sku, amount, raw, seen_at)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(receipt.source.as_str())
        .bind(receipt.transaction_id.as_str())
        .bind(moment.map(MomentId::as_str))
        .bind(receipt.channel.as_str())
        .bind(receipt.user_id.as_str())
        .bind(receipt.sku.as_str())
        .bind(receipt.amount)
        .bind(receipt.raw.as_str())
        .bind(self.now)
        .execute(&mut *self.sql)
        .await;
        match kept {
            Ok(_) => Ok(()),
            // Taken by another channel between the look and this.
            Err(error) if Unique::Receipt.refused(&error) => Err(used(receipt)),
            Err(error) if Unique::ReceiptOfMoment.refused(&error) => Err(used(receipt)),
            Err(error) => Err(error.into()),
        }
    }
}

fn used(receipt: &Receipt) -> Error {
    Refused::Used {
        transaction_id: receipt.transaction_id.clone(),
    }
    .into()
}
