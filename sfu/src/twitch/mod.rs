//! Everything that is said to Twitch and heard from it. Knows nothing of HTTP servers.
//!
//! Each part is there once its keys are: receipts and intents by the extension's secrets, notifications by EventSub's,
//! names and chat by the application's, pokes and the list of payments by the extension's. Whatever Twitch does, no moment
//! waits for it: what is to be sent stands in the store until it is, and what was missed is asked for.

mod app_token;
pub(crate) mod catalogue;
mod chat;
pub(crate) mod eventsub;
mod helix;
pub(crate) mod intent;
mod keys;
mod lookout;
mod mail;
mod names;
pub(crate) mod payment;
mod pubsub;
pub(crate) mod receipt;
mod streamers;
mod subscription;
mod transactions;

use std::sync::Arc;

use reverie_config::{Config, Secret, Twitch as Section};
use reverie_moments::life::{Moment, Ms};
use reverie_moments::store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::metrics::Metrics;
use app_token::App;
use chat::Chat;
use eventsub::EventSub;
use helix::Helix;
use intent::Intents;
use keys::Keys;
use names::{ANONYMOUS, Names};
use pubsub::PubSub;
use receipt::Receipts;
use streamers::Streamers;
use subscription::Subscription;
use transactions::Transactions;

/// See the module.
#[derive(Debug)]
pub(crate) struct Twitch {
    metrics: Arc<Metrics>,
    /// The extension, once payments can be checked.
    pub(crate) extension: Option<Extension>,
    /// Notifications, once they can be checked.
    pub(crate) eventsub: Option<EventSub>,
    names: Option<Names>,
    chat: Option<Chat>,
    pubsub: Option<PubSub>,
    transactions: Option<Transactions>,
    subscription: Option<Subscription>,
}

/// What is needed to be paid by Bits.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) receipts: Receipts,
    pub(crate) intents: Intents,
}

impl Twitch {
    /// What this configuration has the keys for. Nothing is sent yet.
    pub(crate) fn new(whole: &Config, metrics: &Arc<Metrics>) -> Self {
        let config = &whole.twitch;
        let keys = Keys::of(&config.extension_secrets);
        let helix = is_used(config).then(|| helix(config, metrics)).flatten();
        let app = |client_id: &Option<String>, secret: Option<&Secret>| {
            let (client_id, secret) = (client_id.as_deref()?, secret?);
            let app = App::new(helix.as_ref()?, &config.id_url, client_id, secret);
            Some(Arc::new(app))
        };
        let application = app(&config.client_id, config.client_secret.as_ref());
        let same = config.client_id == config.extension_client_id;
        let own = config.extension_client_secret.as_ref();
        let secret = own.or(config.client_secret.as_ref().filter(|_| same));
        let of_extension = app(&config.extension_client_id, secret);
        let chat = match (&application, &config.bot_user_id, &helix) {
            (Some(app), Some(bot), _) => Some(Chat::Bot {
                app: app.clone(),
                id: bot.clone(),
            }),
            (Some(_), None, Some(helix)) => Streamers::new(whole, helix).map(Chat::Streamer),
            _ => None,
        };
        Self {
            metrics: metrics.clone(),
            extension: extension(config, keys.as_ref()),
            eventsub: config.eventsub_secret.as_ref().map(EventSub::new),
            names: application.map(Names::new),
            chat,
            pubsub: pubsub(config, helix.as_ref(), keys.as_ref()),
            subscription: of_extension
                .clone()
                .and_then(|app| Subscription::new(app, config)),
            transactions: of_extension
                .zip(config.extension_client_id.as_deref())
                .map(|(app, extension)| Transactions::new(app, extension, metrics)),
        }
    }

    /// Begins to send what is to be sent, and to ask for what was missed. Both end with `stopping`.
    pub(crate) fn start(
        self: &Arc<Self>,
        store: &Store,
        stopping: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let mail = mail::run(self.clone(), store.clone(), stopping.clone());
        let lookout = lookout::run(self.clone(), store.clone(), stopping.clone());
        vec![tokio::spawn(mail), tokio::spawn(lookout)]
    }

    /// What the viewer with this user id is called; one who did not share it is anonymous. Takes two seconds at most.
    pub(crate) async fn name(&self, user_id: Option<&str>) -> String {
        match user_id.zip(self.names.as_ref()) {
            Some((user_id, names)) => names.of(user_id).await,
            None => ANONYMOUS.to_owned(),
        }
    }

    /// What a page gives back with its receipt; `None` where nobody can pay.
    pub(crate) fn intent(&self, moment: &Moment, now: Ms) -> Option<String> {
        self.extension.as_ref()?.intents.sign(moment, now)
    }

    /// Counts what became of a payment, by how it was heard of.
    pub(crate) fn count_payment(&self, by: &'static str, result: &str) {
        let payments = &self.metrics.twitch_payments;
        payments.with_label_values(&[by, result]).inc();
    }

    /// Counts what became of a notification.
    pub(crate) fn count_notification(&self, result: &str) {
        let notifications = &self.metrics.twitch_notifications;
        notifications.with_label_values(&[result]).inc();
    }
}

fn is_used(config: &Section) -> bool {
    config.client_id.is_some() || config.extension_client_id.is_some()
}

fn helix(config: &Section, metrics: &Arc<Metrics>) -> Option<Helix> {
    match Helix::new(&config.helix_url, metrics) {
        Ok(helix) => Some(helix),
        Err(error) => {
            tracing::error!(%error, "nothing can be asked of Twitch");
            None
        }
    }
}

fn extension(config: &Section, keys: Option<&Keys>) -> Option<Extension> {
    let (client_id, keys) = (config.extension_client_id.as_deref()?, keys?);
    Some(Extension {
        receipts: Receipts::new(keys, client_id),
        intents: Intents::new(keys),
    })
}

fn pubsub(config: &Section, helix: Option<&Helix>, keys: Option<&Keys>) -> Option<PubSub> {
    let client_id = config.extension_client_id.as_deref()?;
    let owner = config.extension_owner_id.as_deref()?;
    Some(PubSub::new(helix?, client_id, owner, keys?))
}
