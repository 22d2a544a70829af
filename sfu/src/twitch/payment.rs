//! A payment that Twitch itself tells of, by EventSub or when asked: it names its channel, and no moment.

use reverie_moments::life::{Ms, Receipt, Refused};
use reverie_moments::store::{Error, Paid, Store};

use super::receipt::BITS;
use crate::identity::{RESERVED, TWITCH, own_channel};

/// Somebody paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) transaction_id: String,
    /// The user id of the streamer whose channel it was paid in.
    pub(crate) broadcaster_id: String,
    /// The user id of who paid.
    pub(crate) user_id: String,
    /// The extension's client id.
    pub(crate) extension: String,
    pub(crate) sku: String,
    /// In Bits.
    pub(crate) amount: i64,
    /// Whether it was only tried out, and nobody paid.
    pub(crate) in_development: bool,
    pub(crate) at: Ms,
    /// What Twitch said, for the record.
    pub(crate) raw: String,
}

/// What a payment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It paid a moment.
    Paid,
    /// No moment waits for it: it became credits.
    Credited,
    /// It was known.
    Known,
    /// It is for nothing of this server.
    Ignored,
}

impl Taken {
    /// For metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Credited => "credited",
            Self::Known => "known",
            Self::Ignored => "ignored",
        }
    }
}

impl Payment {
    /// Takes it in for the extension with this client id.
    ///
    /// # Errors
    /// When the database fails: then it is to be tried again.
    pub(crate) async fn take_in(
        self,
        store: &Store,
        extension: &str,
        now: Ms,
    ) -> Result<Taken, Error> {
        if self.in_development || self.amount <= 0 || self.extension != extension {
            return Ok(Taken::Ignored);
        }
        let channel = store.linked_channel(TWITCH, &self.broadcaster_id).await?;
        let channel = channel.unwrap_or_else(|| own_channel(&self.broadcaster_id));
        let receipt = Receipt {
            source: BITS.to_owned(),
            transaction_id: self.transaction_id,
            channel,
            moment: None,
            user_id: self.user_id,
            sku: self.sku,
            amount: self.amount,
            raw: self.raw,
        };
        match store.accept(now, &receipt).await {
            Ok(Paid::Accepted(_)) => Ok(Taken::Paid),
            Ok(Paid::Credited) => Ok(Taken::Credited),
            Ok(Paid::Repeated(_) | Paid::RepeatedCredit) => Ok(Taken::Known),
            Err(Error::Refused(Refused::Channel(channel))) => {
                tracing::warn!(channel, "a payment in a channel that there is not");
                Ok(Taken::Ignored)
            }
            Err(Error::Refused(refused)) => {
                tracing::warn!(channel = %receipt.channel, transaction = %receipt.transaction_id, %refused, "a payment is not taken");
                Ok(Taken::Ignored)
            }
            Err(error) => Err(error),
        }
    }
}

/// The user id at Twitch of the streamer of a channel; `None` for one that is none of Twitch.
pub(super) async fn broadcaster_of(store: &Store, channel: &str) -> Result<Option<String>, Error> {
    let linked = store.linked_to(TWITCH, channel).await?;
    Ok(linked.or_else(|| channel.strip_prefix(RESERVED).map(str::to_owned)))
}
