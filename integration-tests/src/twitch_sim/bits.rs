//! Bits: a payment, its receipt, and who is told of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::eventsub::{self, Delivery};
use super::jwt;
use super::state::{
    EXTENSION_ID, EXTENSION_SECRET, EXTENSION_SECRET_OLD, STREAMER, State, Transaction, VIEWER, now,
};

/// How long a receipt lasts.
const LIFE: Duration = Duration::from_secs(3600);

/// How subscribers are told of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Once.
    #[default]
    Once,
    /// Twice, with one message id.
    Twice,
    /// Not at all: Twitch lost it, or nobody listened.
    Never,
}

/// What somebody pays for.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// In whose channel.
    pub broadcaster_id: String,
    /// Who pays.
    pub user_id: String,
    /// What for.
    pub sku: String,
    /// How much.
    pub bits: i64,
    /// Whether it is only tried out.
    pub in_development: bool,
    /// How long ago, in seconds.
    pub ago_s: u64,
    /// Whether the receipt is signed with the secret before the present one.
    pub old_secret: bool,
    /// How subscribers are told.
    pub notify: Notify,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            broadcaster_id: STREAMER.to_owned(),
            user_id: VIEWER.to_owned(),
            sku: "rain".to_owned(),
            bits: 100,
            in_development: false,
            ago_s: 0,
            old_secret: false,
            notify: Notify::Once,
        }
    }
}

/// Makes the transaction, signs its receipt, and notifies.
pub(super) async fn pay(state: &Arc<State>, order: Order) -> Result<(Transaction, String)> {
    let time = OffsetDateTime::now_utc() - Duration::from_secs(order.ago_s);
    let (transaction, subscribers) = {
        let mut world = state.lock();
        let transaction = Transaction {
            id: world.name("transaction"),
            timestamp: time.format(&Rfc3339)?,
            broadcaster_id: order.broadcaster_id.clone(),
            user_id: order.user_id.clone(),
            sku: order.sku.clone(),
            bits: order.bits,
            in_development: order.in_development,
        };
        world.transactions.push(transaction.clone());
        (transaction, world.subscriptions.clone())
    };
    let secret = if order.old_secret {
        EXTENSION_SECRET_OLD
    } else {
        EXTENSION_SECRET
    };
    let receipt = receipt(&transaction, secret);
    let times = match order.notify {
        Notify::Once => 1,
        Notify::Twice => 2,
        Notify::Never => 0,
    };
    let message = state.lock().name("message");
    for subscription in subscribers.iter().filter(|s| s.status == "enabled") {
        for _ in 0..times {
            let delivery = Delivery::of(&transaction, &subscription.secret, &message)?;
            let answer = eventsub::deliver(&subscription.callback, &delivery).await?;
            anyhow::ensure!(answer.status.is_success(), "{answer:?}");
        }
    }
    Ok((transaction, receipt))
}

fn receipt(transaction: &Transaction, secret: &str) -> String {
    let claims = json!({
        "topic": "bits_transaction_receipt",
        "exp": (now() + LIFE).as_secs(),
        "data": {
            "transactionId": transaction.id,
            "time": transaction.timestamp,
            "userId": transaction.user_id,
            "product": {
                "domainId": format!("twitch.ext.{EXTENSION_ID}"),
                "sku": transaction.sku,
                "displayName": transaction.sku,
                "cost": { "amount": transaction.bits, "type": "bits" },
            },
        },
    });
    jwt::sign(secret, &claims)
}
