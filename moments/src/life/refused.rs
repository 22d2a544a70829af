//! What is answered to a request that cannot be granted.

use super::{Ms, State};
use crate::id::MomentId;

/// Why a request was refused. Nothing has changed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The prompt is not accepted.
    #[error(transparent)]
    Prompt(#[from] crate::prompt::Unfit),
    /// The prompt has a word that is not taken.
    #[error(transparent)]
    Unwanted(#[from] crate::filter::Unwanted),
    /// The duration is outside the range.
    #[error("the duration is {} s; {} to {} s are accepted", seconds(.asked), seconds(.min), seconds(.max))]
    Duration {
        /// What was asked for.
        asked: Ms,
        /// The shortest accepted.
        min: Ms,
        /// The longest accepted.
        max: Ms,
    },
    /// Something paid has no price, or something given has one.
    #[error("a price of {price} does not go with {paid_with}")]
    Price {
        /// What it was to be paid with.
        paid_with: &'static str,
        /// The price.
        price: i64,
    },
    /// The channel has no moments of viewers.
    #[error("the channel takes no moments")]
    Off,
    /// While nothing of its queue is started nobody is asked to pay.
    #[error("the channel takes no moments while they are paused")]
    Paused,
    /// Of this viewer the channel takes nothing.
    #[error("the channel takes no moments of yours{}", until_when(.until))]
    Banned {
        /// Until when; `None` until it is lifted.
        until: Option<Ms>,
    },
    /// Nobody publishes.
    #[error("the channel is offline; moments are accepted while it is live")]
    Offline,
    /// The viewer has asked already and not paid yet.
    #[error("the moment {id} is not paid yet; one at a time")]
    Open {
        /// The one that waits for its payment.
        id: MomentId,
    },
    /// As many as may are waiting.
    #[error("the queue is full; at most {limit} moments may wait")]
    Full {
        /// How many may wait.
        limit: usize,
    },
    /// The viewer's latest one is too recent.
    #[error("the next moment can be asked for at {until}, in milliseconds since 1970")]
    Cooldown {
        /// When the next one may be asked for.
        until: Ms,
    },
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used for the moment {id}, which is another request")]
    Key {
        /// The moment of that request.
        id: MomentId,
    },
    /// The id belongs to another moment.
    #[error("the id {id} is in use; a new one is needed")]
    IdInUse {
        /// The id.
        id: MomentId,
    },
    /// There is no such channel.
    #[error("there is no channel {0}")]
    Channel(String),
    /// There is no such moment.
    #[error("there is no moment {0}")]
    Unknown(MomentId),
    /// It has changed since the version that the request is about.
    #[error("the moment {id} has version {found}, not {expected}")]
    Stale {
        /// The moment.
        id: MomentId,
        /// What the request is about.
        expected: i64,
        /// What it has.
        found: i64,
    },
    /// It is another viewer's.
    #[error("the moment {0} is another viewer's")]
    NotYours(MomentId),
    /// This cannot happen to a moment in its state.
    #[error("the moment {id} is {state} and cannot be {trigger}")]
    NotAllowed {
        /// The moment.
        id: MomentId,
        /// Its state.
        state: State,
        /// What was to happen to it.
        trigger: &'static str,
    },
    /// It is not time yet.
    #[error("the moment {id} is not due before {at}, in milliseconds since 1970")]
    Early {
        /// The moment.
        id: MomentId,
        /// When it is.
        at: Ms,
    },
    /// A receipt came so late that the moment is not revived.
    #[error("the receipt for the moment {id} is {late} ms late; at most {limit} ms are honoured")]
    TooLate {
        /// The moment.
        id: MomentId,
        /// How late it is.
        late: Ms,
        /// How late it may be.
        limit: Ms,
    },
    /// The receipt is not one for this moment.
    #[error("the receipt for the moment {id} has the {what} {found}, not {expected}")]
    Receipt {
        /// The moment.
        id: MomentId,
        /// What differs.
        what: &'static str,
        /// What the moment has.
        expected: String,
        /// What the receipt has.
        found: String,
    },
    /// The transaction has counted already, for something else.
    #[error("the transaction {transaction_id} has been used already")]
    Used {
        /// The transaction.
        transaction_id: String,
    },
    /// A product that cannot be offered.
    #[error("the product {sku:?} {why}")]
    Product {
        /// The product.
        sku: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The viewer has not enough credits.
    #[error("the moment costs {price} credits; {balance} are there")]
    Poor {
        /// Its price.
        price: i64,
        /// What the viewer has.
        balance: i64,
    },
    /// Another moment of the channel is live.
    #[error("another moment of the channel {0} is live")]
    Busy(String),
}

/// When something is over, if that is known.
fn until_when(until: &Option<Ms>) -> String {
    until.map_or_else(String::new, |until| {
        format!(" until {until}, in milliseconds since 1970")
    })
}

/// As people count.
fn seconds(ms: &Ms) -> f64 {
    *ms as f64 / 1000.0
}
