//! Whether a payment is the one that a moment waits for.

use super::{Moment, Refused, State};
use crate::id::MomentId;
use crate::reason::Reason;

/// A payment that its service vouches for: the signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose transaction ids these are, as in `bits`.
    pub source: String,
    /// The transaction, which counts once.
    pub transaction_id: String,
    /// The channel it was paid in.
    pub channel: String,
    /// What it was paid for. None where only the service tells of it: then the viewer's latest open request takes it.
    pub moment: Option<MomentId>,
    /// Who paid.
    pub user_id: String,
    /// The product.
    pub sku: String,
    /// How much.
    pub amount: i64,
    /// What the service signed, for the record.
    pub raw: String,
}

/// Whether the receipt is one for this moment.
///
/// # Errors
/// With the first thing that differs.
pub fn check_receipt(moment: &Moment, receipt: &Receipt) -> Result<(), Refused> {
    let differs = |what, expected: &str, found: &str| {
        Err(Refused::Receipt {
            id: moment.id.clone(),
            what,
            expected: expected.to_owned(),
            found: found.to_owned(),
        })
    };
    if receipt.channel != moment.channel {
        differs("channel", &moment.channel, &receipt.channel)
    } else if receipt.source != moment.source.as_str() {
        differs("source", moment.source.as_str(), &receipt.source)
    } else if receipt.user_id != moment.viewer.account() {
        differs("user", moment.viewer.account(), &receipt.user_id)
    } else if receipt.sku != moment.sku {
        differs("sku", &moment.sku, &receipt.sku)
    } else if receipt.amount != moment.price {
        differs(
            "amount",
            &moment.price.to_string(),
            &receipt.amount.to_string(),
        )
    } else {
        Ok(())
    }
}

/// Whether a moment expired without having been paid, so that a late receipt may revive it.
#[must_use]
pub fn payable_late(moment: &Moment) -> bool {
    moment.state == State::Expired && moment.reason == Some(Reason::NotPaid)
}
