//! EventSub: who wants notifications, the challenge, and signed delivery.

use std::sync::Arc;

use anyhow::Result;
use aws_lc_rs::hmac;
use axum::Json;
use axum::extract::State as Of;
use axum::http::HeaderMap;
use axum::response::Response;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::{fine, refused};
use super::helix::authorized;
use super::state::{EXTENSION_ID, State, Subscription, Transaction};
use crate::http::{self, Answer};

const TRANSACTION: &str = "extension.bits_transaction.create";

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    r#type: String,
    version: String,
    condition: Value,
    transport: Transport,
}

#[derive(Debug, Deserialize)]
struct Transport {
    method: String,
    callback: String,
    secret: String,
}

/// A notification, and how it is signed.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its message id.
    pub id: String,
    /// When it was sent, as in RFC 3339.
    pub timestamp: String,
    /// `notification`, `webhook_callback_verification` or `revocation`.
    pub kind: String,
    /// What it says.
    pub body: String,
    /// What it is signed with.
    pub secret: String,
}

impl Delivery {
    /// The notification of a transaction.
    ///
    /// # Errors
    ///
    /// If the time cannot be written.
    pub fn of(transaction: &Transaction, secret: &str, id: &str) -> Result<Self> {
        let body = json!({
            "subscription": {
                "id": "subscription",
                "type": TRANSACTION,
                "version": "1",
                "status": "enabled",
                "condition": { "extension_client_id": EXTENSION_ID },
            },
            "event": {
                "id": transaction.id,
                "extension_client_id": EXTENSION_ID,
                "broadcaster_user_id": transaction.broadcaster_id,
                "broadcaster_user_login": "streamer",
                "broadcaster_user_name": "Streamer",
                "user_id": transaction.user_id,
                "user_login": "viewer",
                "user_name": "Viewer",
                "product": {
                    "name": transaction.sku,
                    "sku": transaction.sku,
                    "bits": transaction.bits,
                    "in_development": transaction.in_development,
                },
            },
        });
        Self::new("notification", &body, secret, id)
    }

    /// Any notification, sent now.
    ///
    /// # Errors
    ///
    /// If the time cannot be written.
    pub fn new(kind: &str, body: &Value, secret: &str, id: &str) -> Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            timestamp: OffsetDateTime::now_utc().format(&Rfc3339)?,
            kind: kind.to_owned(),
            body: body.to_string(),
            secret: secret.to_owned(),
        })
    }

    /// The same, sent so many seconds ago; with a negative number, from the future.
    ///
    /// # Errors
    ///
    /// If the time cannot be written.
    pub fn sent_ago(self, seconds: i64) -> Result<Self> {
        let time = OffsetDateTime::now_utc() - time::Duration::seconds(seconds);
        Ok(Self {
            timestamp: time.format(&Rfc3339)?,
            ..self
        })
    }

    fn signature(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let signed = format!("{}{}{}", self.id, self.timestamp, self.body);
        let tag = hmac::sign(&key, signed.as_bytes());
        let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("sha256={hex}")
    }
}

/// Sends it.
pub(super) async fn deliver(url: &str, delivery: &Delivery) -> Result<Answer> {
    deliver_with(url, delivery, None).await
}

/// Sends it, with another value in one header.
pub(super) async fn deliver_with(
    url: &str,
    delivery: &Delivery,
    changed: Option<(&str, &str)>,
) -> Result<Answer> {
    let signature = delivery.signature();
    let mut headers = [
        ("content-type", "application/json"),
        ("twitch-eventsub-message-id", delivery.id.as_str()),
        (
            "twitch-eventsub-message-timestamp",
            delivery.timestamp.as_str(),
        ),
        ("twitch-eventsub-message-signature", signature.as_str()),
        ("twitch-eventsub-message-type", delivery.kind.as_str()),
        ("twitch-eventsub-message-retry", "0"),
        ("twitch-eventsub-subscription-type", TRANSACTION),
        ("twitch-eventsub-subscription-version", "1"),
    ];
    for header in &mut headers {
        if let Some((_, value)) = changed.filter(|(name, _)| *name == header.0) {
            header.1 = value;
        }
    }
    http::send(Method::POST, url, &headers, delivery.body.clone()).await
}

/// `POST /helix/eventsub/subscriptions`.
pub(super) async fn subscribe(
    Of(state): Of<Arc<State>>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Response {
    let mut world = state.lock();
    let token = match authorized(&world, &headers) {
        Ok(token) => token.clone(),
        Err(why) => return refused(401, why),
    };
    let extension = wanted.condition["extension_client_id"].as_str();
    if token.user.is_some() || extension != Some(token.client_id.as_str()) {
        return refused(403, "The client ID is not the extension's");
    }
    if wanted.r#type != TRANSACTION || wanted.version != "1" || wanted.transport.method != "webhook"
    {
        return refused(400, "The subscription is not one that is known here");
    }
    if !(10..=100).contains(&wanted.transport.secret.len()) {
        return refused(400, "The secret must be 10 to 100 characters");
    }
    let same = |s: &Subscription| {
        s.callback == wanted.transport.callback && s.condition == wanted.condition
    };
    if world.subscriptions.iter().any(same) {
        return refused(409, "subscription already exists");
    }
    let subscription = Subscription {
        id: world.name("subscription"),
        r#type: wanted.r#type,
        condition: wanted.condition,
        callback: wanted.transport.callback,
        status: "webhook_callback_verification_pending".to_owned(),
        secret: wanted.transport.secret,
    };
    world.subscriptions.push(subscription.clone());
    drop(world);
    tokio::spawn(challenge(state.clone(), subscription.clone()));
    fine(202, json!({ "data": [subscription], "total": 1 }))
}

/// Whether the server behind the URL wants it: it answers with the text that it is sent.
async fn challenge(state: Arc<State>, subscription: Subscription) {
    let text = state.lock().name("challenge");
    let body = json!({
        "challenge": text,
        "subscription": {
            "id": subscription.id,
            "type": subscription.r#type,
            "version": "1",
            "status": subscription.status,
            "condition": subscription.condition,
        },
    });
    let kind = "webhook_callback_verification";
    let answered = match Delivery::new(kind, &body, &subscription.secret, &text) {
        Ok(delivery) => deliver(&subscription.callback, &delivery).await.ok(),
        Err(_) => None,
    };
    let verified = answered.is_some_and(|answer| {
        answer.status == 200
            && answer.body == text
            && answer.header("content-type").starts_with("text/plain")
    });
    let mut world = state.lock();
    let kept = world
        .subscriptions
        .iter_mut()
        .find(|kept| kept.id == subscription.id);
    if let Some(kept) = kept {
        kept.status = if verified {
            "enabled".to_owned()
        } else {
            "webhook_callback_verification_failed".to_owned()
        };
    }
}
