//! The product's own process, killed with SIGKILL in every state of a moment and between any two, on both databases.

mod gates;
#[path = "../../../../moments/tests/support/log.rs"]
mod log;
mod notices;
#[path = "../../../../moments/tests/support/postgres.rs"]
mod postgres;
mod races;
mod soak;
mod states;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::camera::Camera;
use reverie_integration_tests::client::PATIENCE;
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::Binary;
use reverie_integration_tests::twitch_sim::{
    BOT, CLIENT_ID, CLIENT_SECRET, EXTENSION_ID, EXTENSION_SECRET, Notify, Order, TwitchSim,
};
use reverie_moments::MomentId;
use reverie_moments::life::{Limits, Moment, Ms, Policy, State};
use reverie_moments::store::Store;
use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Who asks, where nobody has to say who they are.
const VIEWER: &str = "anybody";
const PRICE: i64 = 100;
/// How long a node is believed to live, in seconds: a busy machine can miss some of the heartbeats, one each second.
const LEASE_S: u64 = 5;

/// What outlives every kill: the database, Twitch, and who looks at both.
struct World {
    sim: TwitchSim,
    store: Store,
    /// What the store does not tell: the tables themselves.
    tables: AnyPool,
    variables: Vec<(String, String)>,
    _folder: TempDir,
}

impl World {
    async fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("moments.sqlite");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        Self::over(&url, folder).await
    }

    async fn postgres() -> Result<Self> {
        Self::over(&postgres::database(false), tempfile::tempdir()?).await
    }

    async fn over(url: &str, folder: TempDir) -> Result<Self> {
        let sim = TwitchSim::start().await?;
        for (route, calls) in [("chat/messages", 100_000), ("users", 100_000)] {
            sim.limit(route, calls, 1);
        }
        let store = Store::open(url, Limits::default()).await?;
        let mut variables: Vec<(String, String)> = [
            ("DATA_DIR", folder.path().display().to_string()),
            ("MEDIA__LISTEN", "127.0.0.1:0".to_owned()),
            // A camera without pictures is still there.
            ("MEDIA__PUBLISHER_SILENCE_S", "60".to_owned()),
            ("MOMENTS__LEASE_S", LEASE_S.to_string()),
            ("MOMENTS__HEARTBEAT_S", "1".to_owned()),
            ("MOMENTS__QUEUE_MAX", "1000".to_owned()),
            ("PIPELINE__MAX_ACTIVE", "100".to_owned()),
            ("TWITCH__CLIENT_ID", CLIENT_ID.to_owned()),
            ("TWITCH__CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("TWITCH__EXTENSION_CLIENT_ID", EXTENSION_ID.to_owned()),
            ("TWITCH__EXTENSION_SECRETS", EXTENSION_SECRET.to_owned()),
            ("TWITCH__BOT_USER_ID", BOT.to_owned()),
            ("TWITCH__HELIX_URL", format!("{}/helix", sim.url())),
            ("TWITCH__ID_URL", format!("{}/oauth2", sim.url())),
            (
                "TWITCH__PRODUCTS",
                format!("short:{PRICE}:1,long:{PRICE}:100"),
            ),
            // A process that is killed again and again has little news.
            ("LOG__LEVEL", "error".to_owned()),
        ]
        .map(|(key, value)| (format!("REVERIE__{key}"), value))
        .into();
        if url.starts_with("postgres") {
            variables.push(("REVERIE__STORE__URL".to_owned(), url.to_owned()));
        }
        Ok(Self {
            sim,
            store,
            tables: AnyPool::connect(url).await?,
            variables,
            _folder: folder,
        })
    }

    /// Sets a key of the configuration for the servers that are started from now on.
    fn set(&mut self, key: &str, value: &str) {
        self.variables
            .push((format!("REVERIE__{key}"), value.to_owned()));
    }

    async fn start(&self) -> Result<Binary> {
        let variables: Vec<_> = self.variables.iter().map(|(k, v)| (&**k, &**v)).collect();
        Binary::start_with(&variables).await
    }

    /// A channel of the streamer with this user id, which is called so.
    async fn channel(&self, channel: &str, broadcaster: &str, policy: Policy) -> Result<()> {
        self.sim.add_user(broadcaster, channel);
        self.store.add_channel(now(), channel, None).await?;
        self.store.set_policy(now(), channel, policy).await?;
        self.store
            .link_channel("twitch", broadcaster, channel)
            .await?;
        Ok(())
    }

    async fn moment(&self, id: &str) -> Result<Moment> {
        Ok(self.store.moment(&MomentId::new(id)).await?)
    }

    /// Waits until the moment is as wanted.
    async fn until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Moment) -> bool,
    ) -> Result<Moment> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let moment = self.moment(id).await?;
            if wanted(&moment) {
                return Ok(moment);
            }
            ensure!(Instant::now() < deadline, "not {what}: {moment:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_state(&self, id: &str, state: State) -> Result<Moment> {
        self.until(id, state.as_str(), |moment| moment.state == state)
            .await
    }

    /// Somebody pays for a moment of this channel; gives the receipt, of which Twitch tells nobody else.
    async fn pay(&self, broadcaster: &str, sku: &str) -> Result<String> {
        let order = Order {
            broadcaster_id: broadcaster.to_owned(),
            user_id: VIEWER.to_owned(),
            sku: sku.to_owned(),
            bits: PRICE,
            notify: Notify::Never,
            ..Order::default()
        };
        Ok(self.sim.pay(order).await?.1)
    }

    /// What a query counts.
    async fn count(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.tables).await?)
    }

    /// Waits until a query counts so many.
    async fn count_until(&self, sql: &'static str, wanted: i64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.count(sql).await?;
            if found == wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{sql} gives {found}, not {wanted}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets mail that a killed process took be due now rather than in half a minute.
    async fn hurry_mail(&self) -> Result<()> {
        sqlx::query("UPDATE outbox SET next_at = $1 WHERE done_at IS NULL")
            .bind(now())
            .execute(&self.tables)
            .await?;
        Ok(())
    }

    /// The lines about this prompt in all chats.
    fn lines(&self, prompt: &str) -> usize {
        let chat = self.sim.chat();
        let about = |line: &&str| line.rsplit(": ").next() == Some(prompt);
        chat.iter()
            .map(|line| line.message.as_str())
            .filter(about)
            .count()
    }

    /// Waits until a prompt stands so often in the chats.
    async fn lines_until(&self, prompt: &str, wanted: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.lines(prompt) != wanted {
            ensure!(
                Instant::now() < deadline,
                "{prompt} is not told {wanted} times: {:?}",
                self.sim.chat()
            );
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Reads the logs of these channels; gives how each moment ended.
    async fn check_logs<S: AsRef<str>>(&self, channels: &[S]) -> Result<BTreeMap<String, State>> {
        let mut ends = BTreeMap::new();
        for channel in channels {
            let events = self.store.events(channel.as_ref(), 0, 1_000_000).await?;
            log::check(&events, &mut ends);
        }
        Ok(ends)
    }

    /// Who paid and was not shown the moment has its price, once, and nobody has anything else.
    async fn check_credits(&self) -> Result<i64> {
        let wrong = "SELECT COUNT(*) FROM moments WHERE (compensation = 'credited') <> (state IN ('failed', 'rejected', 'cancelled', 'expired')
            AND EXISTS (SELECT 1 FROM receipts r WHERE r.moment_id = moments.id))";
        ensure!(self.count(wrong).await? == 0, "credited without need");
        let owed = self
            .count("SELECT COUNT(*) FROM moments WHERE compensation = 'credited'")
            .await?;
        let given = "SELECT COUNT(*) FROM ledger WHERE reason = 'compensation'";
        ensure!(self.count(given).await? == owed);
        let late = "SELECT COUNT(*) FROM ledger WHERE reason <> 'compensation'";
        let late = self.count(late).await?;
        let balances = "SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM accounts";
        let balances = self.count(balances).await?;
        ensure!(
            balances == (owed + late) * PRICE,
            "{balances} for {owed} and {late}"
        );
        Ok(owed)
    }
}

/// A server's API, from one start of its process to its end.
struct Api {
    base: String,
}

impl Api {
    fn of(server: &Binary) -> Self {
        Self {
            base: format!("http://{}", server.http),
        }
    }

    async fn camera(&self, channel: &str) -> Result<Camera> {
        Camera::publish(&format!("{}/whip/{channel}", self.base)).await
    }

    /// Waits until this server has the channel's stream, and the store knows.
    async fn live(&self, world: &World, channel: &str) -> Result<Camera> {
        let camera = self.camera(channel).await?;
        let deadline = Instant::now() + PATIENCE;
        let url = format!("{}/v1/channels/{channel}", self.base);
        loop {
            let held = world.store.stream(now(), channel, "source").await?;
            let answer = http::get(&url).await?;
            if held.is_some() && answer.status.is_success() && answer.json()["live"] == true {
                return Ok(camera);
            }
            ensure!(
                Instant::now() < deadline,
                "{channel} is not live: {answer:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Answer> {
        let json = ("content-type", "application/json");
        let mut headers = vec![json];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let url = format!("{}{path}", self.base);
        send(Method::POST, &url, &headers, body.to_string()).await
    }

    /// Asks for a product in this channel; its prompt makes its idempotency key.
    async fn ask(&self, channel: &str, sku: &str, prompt: &str) -> Result<Answer> {
        let path = format!("/v1/channels/{channel}/moments");
        let body = json!({ "prompt": prompt, "sku": sku });
        self.post(&path, &body, Some(&prompt.replace(' ', "-")))
            .await
    }

    async fn submit(&self, channel: &str, sku: &str, prompt: &str) -> Result<Asked> {
        let answer = self.ask(channel, sku, prompt).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        Asked::of(&answer.json())
    }

    async fn give(&self, asked: &Asked, receipt: &str) -> Result<Answer> {
        let path = format!("/v1/moments/{}/receipt", asked.id);
        let body = json!({ "intent": asked.intent, "receipt": receipt });
        self.post(&path, &body, None).await
    }

    async fn act(&self, id: &str, act: &str) -> Result<Answer> {
        let path = format!("/v1/moments/{id}/{act}");
        let answer = self.post(&path, &json!({}), None).await?;
        ensure!(answer.status == 200, "{act}: {answer:?}");
        Ok(answer)
    }

    async fn queue(&self, channel: &str, act: &str) -> Result<()> {
        let path = format!("/v1/channels/{channel}/queue/{act}");
        let answer = self.post(&path, &Value::Null, None).await?;
        ensure!(answer.status == 200, "{act}: {answer:?}");
        Ok(())
    }

    /// A moment that is paid.
    async fn paid(&self, world: &World, seat: Seat<'_>, sku: &str, prompt: &str) -> Result<String> {
        let asked = self.submit(seat.channel, sku, prompt).await?;
        self.pays(world, seat, sku, asked).await
    }

    /// A moment that is paid while the queue is paused, so that it waits: who asks first is refused.
    async fn held(&self, world: &World, seat: Seat<'_>, sku: &str, prompt: &str) -> Result<String> {
        let asked = self.submit(seat.channel, sku, prompt).await?;
        self.queue(seat.channel, "pause").await?;
        self.pays(world, seat, sku, asked).await
    }

    async fn pays(&self, world: &World, seat: Seat<'_>, sku: &str, asked: Asked) -> Result<String> {
        let receipt = world.pay(seat.broadcaster, sku).await?;
        let answer = self.give(&asked, &receipt).await?;
        ensure!(answer.json()["paid"] == "accepted", "{answer:?}");
        Ok(asked.id)
    }
}

/// Where somebody pays.
#[derive(Clone, Copy)]
struct Seat<'a> {
    channel: &'a str,
    broadcaster: &'a str,
}

/// A moment that waits for its payment.
#[derive(Debug)]
struct Asked {
    id: String,
    intent: String,
}

impl Asked {
    fn of(json: &Value) -> Result<Self> {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        Ok(Self {
            id: text("id").with_context(|| format!("an id: {json}"))?,
            // Gone once it is paid.
            intent: text("intent").unwrap_or_default(),
        })
    }
}

fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Ms::try_from(since.unwrap_or_default().as_millis()).unwrap_or(Ms::MAX)
}
