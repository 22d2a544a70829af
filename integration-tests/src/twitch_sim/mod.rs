//! A stand-in for Twitch, as a server of its own: OAuth, the part of Helix that Reverie uses, EventSub by webhook,
//! Bits in an extension, and a page with an extension's panel in it.
//!
//! It keeps Twitch's rules where they can be broken: tokens and who they are for, signatures, lengths, rates. What goes
//! wrong on demand is under `/sim`.

mod admin;
mod answer;
mod bits;
mod eventsub;
mod gate;
mod helix;
mod jwt;
mod oauth;
mod panel;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use bits::{Notify, Order};
pub use eventsub::Delivery;
pub use state::{
    BOT, CLIENT_ID, CLIENT_SECRET, EVENTSUB_SECRET, EXTENSION_ID, EXTENSION_SECRET,
    EXTENSION_SECRET_OLD, Fault, Line, OWNER, Poke, STREAMER, Subscription, Transaction, User,
    VIEWER,
};

use state::State;

/// What the stand-in is told at its start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it is; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the extension's files are, which are of another origin.
    pub panel_listen: SocketAddr,
    /// The folder of the extension's files; a small panel of its own without one.
    pub panel: Option<PathBuf>,
    /// The panel's page in that folder, as its path is named to Twitch.
    pub panel_page: String,
    /// What the extension sells, by SKU and price in Bits; what the server offers without any.
    pub products: Vec<(String, u32)>,
    /// The server that the panel may talk with, without a slash at its end.
    pub server: String,
    /// The channel of the streamer there.
    pub channel: String,
}

impl Default for Setup {
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: free,
            panel_listen: free,
            panel: None,
            panel_page: String::new(),
            products: Vec::new(),
            server: "http://127.0.0.1:8080".to_owned(),
            channel: "show".to_owned(),
        }
    }
}

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct TwitchSim {
    state: Arc<State>,
    address: SocketAddr,
    panel: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl TwitchSim {
    /// Starts with its usual people, on free ports.
    ///
    /// # Errors
    ///
    /// If it cannot bind.
    pub async fn start() -> Result<Self> {
        Self::start_with(Setup::default()).await
    }

    /// Starts as told.
    ///
    /// # Errors
    ///
    /// If it cannot bind.
    pub async fn start_with(setup: Setup) -> Result<Self> {
        let main = TcpListener::bind(setup.listen)
            .await
            .with_context(|| format!("cannot bind {}", setup.listen))?;
        let files = TcpListener::bind(setup.panel_listen)
            .await
            .with_context(|| format!("cannot bind {}", setup.panel_listen))?;
        let (address, panel) = (main.local_addr()?, files.local_addr()?);
        let state = Arc::new(State::new(setup, address, panel));
        let tasks = vec![
            tokio::spawn(serve(main, twitch(state.clone()))),
            tokio::spawn(serve(files, panel::files(state.clone()))),
        ];
        Ok(Self {
            state,
            address,
            panel,
            tasks,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the extension's files are: another host, and so another site for a browser.
    #[must_use]
    pub fn panel_url(&self) -> String {
        format!("http://localhost:{}", self.panel.port())
    }

    /// The configuration of a server that takes this for Twitch.
    ///
    /// # Panics
    ///
    /// Never: the secrets are constants.
    #[must_use]
    pub fn config(&self) -> reverie_config::Twitch {
        let secret = |text: &str| reverie_config::Secret::new(text).expect("a constant secret");
        reverie_config::Twitch {
            client_id: Some(CLIENT_ID.to_owned()),
            client_secret: Some(secret(CLIENT_SECRET)),
            extension_client_id: Some(EXTENSION_ID.to_owned()),
            extension_client_secret: Some(secret(CLIENT_SECRET)),
            extension_secrets: vec![secret(EXTENSION_SECRET), secret(EXTENSION_SECRET_OLD)],
            extension_owner_id: Some(OWNER.to_owned()),
            eventsub_secret: Some(secret(EVENTSUB_SECRET)),
            public_url: None,
            bot_user_id: Some(BOT.to_owned()),
            helix_url: format!("{}/helix", self.url()),
            id_url: format!("{}/oauth2", self.url()),
            products: Vec::new(),
        }
    }

    /// Lets the next calls of a route fail, or come late: `users`, `chat/messages`, `extensions/pubsub`,
    /// `extensions/transactions`, `eventsub/subscriptions`, `token`, `validate`.
    pub fn fault(&self, route: &str, fault: Fault) {
        self.state.lock().add_fault(route, fault);
    }

    /// Lets a route take only so many calls in so many seconds.
    pub fn limit(&self, route: &str, calls: u32, window_s: u64) {
        self.state.lock().set_limit(route, calls, window_s);
    }

    /// Somebody more, of whom Twitch knows from now on.
    pub fn add_user(&self, id: &str, name: &str) {
        self.state.lock().add_user(id, name);
    }

    /// How often a route was called, with success or without.
    #[must_use]
    pub fn calls(&self, route: &str) -> usize {
        self.state.lock().calls(route)
    }

    /// Takes every token back that was given out.
    pub fn revoke_tokens(&self) {
        self.state.lock().tokens.clear();
    }

    /// How long the tokens last that are given out from now on, in seconds.
    pub fn tokens_last(&self, seconds: u64) {
        self.state.lock().life = std::time::Duration::from_secs(seconds);
    }

    /// What stands in the chats, in its order.
    #[must_use]
    pub fn chat(&self) -> Vec<Line> {
        self.state.lock().chat.clone()
    }

    /// The pokes that came, in their order.
    #[must_use]
    pub fn pokes(&self) -> Vec<Poke> {
        self.state.lock().pokes.clone()
    }

    /// Who wants notifications.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.state.lock().subscriptions.clone()
    }

    /// Somebody pays. Gives the transaction and its receipt, and notifies whom it should.
    ///
    /// # Errors
    ///
    /// If a notification cannot be sent.
    pub async fn pay(&self, order: Order) -> Result<(Transaction, String)> {
        bits::pay(&self.state, order).await
    }

    /// What the helper gives the panel of a viewer in the streamer's channel, who has shared who they are or not.
    #[must_use]
    pub fn session(&self, user: &str, shared: bool) -> String {
        admin::token(user, STREAMER, "viewer", shared)
    }

    /// Sends a notification of a transaction to a URL, as told; returns the status of the answer and its body.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn notify(&self, url: &str, delivery: Delivery) -> Result<crate::http::Answer> {
        eventsub::deliver(url, &delivery).await
    }
}

impl TwitchSim {
    /// Like [`Self::notify`], with another value in one header, which was not signed.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn tampered(
        &self,
        url: &str,
        delivery: &Delivery,
        header: &str,
        value: &str,
    ) -> Result<crate::http::Answer> {
        eventsub::deliver_with(url, delivery, Some((header, value))).await
    }
}

impl Drop for TwitchSim {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // It ends with the process or with its task.
    let _ = axum::serve(listener, router).await;
}

fn twitch(state: Arc<State>) -> Router {
    let helix = Router::new()
        .route("/users", get(helix::users))
        .route("/chat/messages", post(helix::chat))
        .route("/extensions/pubsub", post(helix::pubsub))
        .route("/extensions/transactions", get(helix::transactions))
        .route("/eventsub/subscriptions", post(eventsub::subscribe))
        .layer(middleware::from_fn_with_state(state.clone(), gate::gate));
    let oauth = Router::new()
        .route("/authorize", get(oauth::authorize))
        .route("/token", post(oauth::token))
        .route("/validate", get(oauth::validate))
        .route("/revoke", post(oauth::revoke))
        .layer(middleware::from_fn_with_state(state.clone(), gate::gate));
    Router::new()
        .nest("/helix", helix)
        .nest("/oauth2", oauth)
        .nest("/sim", admin::routes())
        .merge(panel::host())
        .with_state(state)
}
