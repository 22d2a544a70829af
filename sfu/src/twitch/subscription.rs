//! Asks Twitch to notify this server of payments.

use std::sync::Arc;

use reverie_config::Twitch as Config;
use serde_json::{Value, json};

use super::app_token::App;
use super::eventsub::TRANSACTION;
use super::helix::Fault;

/// Where Twitch sends notifications, below the public address.
const PATH: &str = "v1/twitch/eventsub";
/// What Twitch answers to what it was asked before.
const CONFLICT: u16 = 409;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Subscription {
    app: Arc<App>,
    request: Request,
}

/// Has a secret in it.
struct Request(Value);

impl Subscription {
    /// `None` where Twitch could not reach this server, or its notifications could not be checked.
    pub(super) fn new(app: Arc<App>, config: &Config) -> Option<Self> {
        let secret = config.eventsub_secret.as_ref()?;
        let url = config.public_url.as_ref()?;
        let request = json!({
            "type": TRANSACTION,
            "version": "1",
            "condition": { "extension_client_id": config.extension_client_id.as_ref()? },
            "transport": {
                "method": "webhook",
                "callback": format!("{url}/{PATH}"),
                "secret": secret.reveal(),
            },
        });
        Some(Self {
            app,
            request: Request(request),
        })
    }

    /// Asks for it; what was asked for before is no fault.
    pub(super) async fn ask(&self) -> Result<(), Fault> {
        let asked: Result<Value, Fault> = self
            .app
            .ask("subscribe", |helix| {
                let url = helix.url("eventsub/subscriptions");
                helix.client.post(url).json(&self.request.0)
            })
            .await;
        match asked {
            Ok(_) => Ok(()),
            Err(Fault::Refused { status, .. }) if status == CONFLICT => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}
