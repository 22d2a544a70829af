//! A server against the stand-in for Twitch, and the server's store from outside.

mod mail;
mod names;
mod notifications;
mod panel;
mod products;
mod receipts;
mod reconciliation;
mod streamers;
mod viewers;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Config;
use reverie_integration_tests::client::PATIENCE;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use reverie_integration_tests::twitch_sim::{STREAMER, TwitchSim, VIEWER};
use reverie_moments::life::{Limits, Moment, Ms, Policy, Source, State, Submission, Viewer};
use reverie_moments::store::{Outcome, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// The streamer's channel.
const CHANNEL: &str = "show";
/// The node that holds its stream.
const NODE: &str = "a-test";

/// Twitch, a server, and the server's store.
struct World {
    sim: TwitchSim,
    server: TestServer,
    store: Store,
    serial: AtomicU64,
    _data: TempDir,
}

impl World {
    async fn start() -> Result<Self> {
        Self::start_with(TwitchSim::start().await?, |_| ()).await
    }

    /// With more settings, and a Twitch that may have a history.
    async fn start_with(sim: TwitchSim, set: impl FnOnce(&mut Config)) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let store = store(data.path().join("moments.sqlite")).await?;
        store.add_channel(now(), CHANNEL, None).await?;
        store.set_policy(now(), CHANNEL, Policy::Auto).await?;
        store.link_channel("twitch", STREAMER, CHANNEL).await?;
        store.hold_stream(now(), CHANNEL, "source", NODE).await?;
        let mut config = config();
        config.data_dir = data.path().to_owned();
        config.twitch = sim.config();
        set(&mut config);
        Ok(Self {
            sim,
            server: TestServer::start_with(config).await?,
            store,
            serial: AtomicU64::new(0),
            _data: data,
        })
    }

    /// A moment of this viewer that waits for 100 Bits.
    async fn submit(&self, user: &str) -> Result<Moment> {
        submit(&self.store, user, &self.next()).await
    }

    /// One that is being seen, with its notices on their way.
    async fn active(&self, prompt: &str) -> Result<Moment> {
        let mut submission = submission(VIEWER, &self.next());
        (submission.source, submission.price) = (Source::Free, 0);
        submission.prompt = prompt.to_owned();
        self.store
            .hold_stream(now(), CHANNEL, "source", NODE)
            .await?;
        self.store.submit(now(), submission).await?;
        let claimed = self.store.claim(now(), CHANNEL, NODE).await?;
        let (lease, _) = claimed.context("something to claim")?;
        let moment = self.store.started(now(), &lease).await?;
        // The next one can begin at once.
        let gone = Outcome::PublisherGone;
        self.store.finish(now(), &lease, gone).await?;
        Ok(moment)
    }

    fn next(&self) -> String {
        self.serial.fetch_add(1, Ordering::Relaxed).to_string()
    }

    async fn intent(&self, moment: &Moment) -> Result<String> {
        let path = format!("/v1/moments/{}/intent", moment.id);
        let answer = self.call(Method::POST, &path, &json!({})).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()["intent"]
            .as_str()
            .context("an intent")?
            .to_owned())
    }

    async fn give(&self, moment: &Moment, intent: &str, receipt: &str) -> Result<Answer> {
        let path = format!("/v1/moments/{}/receipt", moment.id);
        let body = json!({ "intent": intent, "receipt": receipt });
        self.call(Method::POST, &path, &body).await
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        let json = [("content-type", "application/json")];
        send(method, &self.server.url(path), &json, body.to_string()).await
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        send(Method::GET, &self.server.url(path), &[], "").await
    }

    async fn state(&self, moment: &Moment) -> Result<State> {
        Ok(self.store.moment(&moment.id).await?.state)
    }

    /// Waits until the moment is in this state.
    async fn state_until(&self, moment: &Moment, wanted: State) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state(moment).await?;
            if state == wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} is {state} and not {wanted}",
                moment.id
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many lines stand in the chat, and gives them.
    async fn chat_until(&self, count: usize) -> Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines: Vec<_> = self.sim.chat().into_iter().map(|l| l.message).collect();
            if lines.len() >= count {
                return Ok(lines);
            }
            ensure!(Instant::now() < deadline, "the chat has only {lines:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.server.stop().await;
    }
}

async fn store(path: PathBuf) -> Result<Store> {
    Ok(Store::sqlite(&path, Limits::default()).await?)
}

async fn submit(store: &Store, user: &str, serial: &str) -> Result<Moment> {
    let submission = submission(user, serial);
    Ok(store.submit(now(), submission).await?.moment)
}

fn submission(user: &str, serial: &str) -> Submission {
    Submission {
        id: format!("m-{user}-{serial}").as_str().into(),
        channel: CHANNEL.to_owned(),
        viewer: Viewer {
            opaque: format!("U{user}-{serial}"),
            id: Some(user.to_owned()),
            name: Some("Ann".to_owned()),
        },
        source: Source::Bits,
        sku: "rain".to_owned(),
        price: 100,
        prompt: format!("rain {serial}"),
        params: "{}".to_owned(),
        duration: 10_000,
        idempotency_key: format!("key-{serial}"),
    }
}

fn now() -> Ms {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ms::try_from(since.as_millis()).unwrap_or(Ms::MAX)
}

/// A port that nobody has, for a server that Twitch must know before it starts.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
