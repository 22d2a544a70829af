//! Servers on one database that are killed at any time while channels are published, and moments asked for, paid and shown.
//!
//! What came of it is read from the event log, the receipts, the ledger and the chats. `REVERIE_SOAK=1` makes it as large as
//! it is promised: 3 servers, 20 channels, 600 moments, 200 kills.

mod channel;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::server::Binary;
use reverie_integration_tests::twitch_sim::{CLIENT_SECRET, OWNER};
use reverie_moments::life::{Policy, State};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use super::{PRICE, World};
use channel::Channel;

/// How long everything that is left may take once nobody is killed any more.
const REST: Duration = Duration::from_secs(150);

/// How long a live moment is looked for before a kill.
const SEARCH: Duration = Duration::from_secs(5);

/// Where each server is; `None` between a kill and the next start.
type Bases = watch::Receiver<Vec<Option<String>>>;

struct Plan {
    servers: usize,
    channels: usize,
    moments: usize,
    kills: usize,
    seed: u64,
}

/// SplitMix64, so that a seed repeats the choices, if not the times.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_on_one_postgres_end_every_moment_once_whenever_they_are_killed() -> Result<()>
{
    let full = std::env::var_os("REVERIE_SOAK").is_some();
    let plan = Plan {
        servers: 3,
        channels: if full { 20 } else { 6 },
        moments: if full { 600 } else { 36 },
        kills: if full { 200 } else { 9 },
        seed: 21,
    };
    run(World::postgres().await?, plan).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_sqlite_ends_every_moment_once_whenever_it_is_killed() -> Result<()> {
    let full = std::env::var_os("REVERIE_SOAK").is_some();
    let plan = Plan {
        servers: 1,
        channels: 4,
        moments: if full { 60 } else { 16 },
        kills: if full { 30 } else { 4 },
        seed: 22,
    };
    run(World::sqlite().await?, plan).await
}

async fn run(mut world: World, plan: Plan) -> Result<()> {
    world.set("TWITCH__EXTENSION_CLIENT_SECRET", CLIENT_SECRET);
    world.set("TWITCH__EXTENSION_OWNER_ID", OWNER);
    // A wish with a number may look like a word that is not taken.
    world.set("MOMENTS__REFUSE_VULGAR", "false");
    for route in ["extensions/pubsub", "extensions/transactions"] {
        world.sim.limit(route, 100_000, 1);
    }
    let channels: Vec<_> = (0..plan.channels).map(Channel::new).collect();
    for channel in &channels {
        let policy = if channel.is_reviewed() {
            Policy::Manual
        } else {
            Policy::Auto
        };
        world
            .channel(&channel.name, &channel.broadcaster, policy)
            .await?;
    }
    let world = Arc::new(world);
    let mut fleet = Fleet::start(&world, &plan).await?;
    let (released, until) = watch::channel(0);
    let (mut cameras, mut asking) = (JoinSet::new(), JoinSet::new());
    for channel in channels.clone() {
        let channel = Arc::new(channel);
        cameras.spawn(channel.clone().publish(fleet.bases.subscribe()));
        let bases = fleet.bases.subscribe();
        asking.spawn(channel.ask_all(world.clone(), bases, until.clone(), plan.share()));
    }
    let began = Instant::now();
    let mut random = Random(plan.seed);
    for kill in 1..=plan.kills {
        released.send_replace(kill * plan.moments / plan.kills);
        // The accident is the point: it comes at no particular time.
        sleep(Duration::from_millis(300 + random.below(3000))).await;
        let any = usize::try_from(random.below(plan.servers as u64))?;
        // Every other one finds a moment that is live, if there is one.
        let shows = match kill % 2 {
            0 => fleet.that_shows(&world).await?,
            _ => None,
        };
        fleet.kill(&world, shows.unwrap_or(any)).await?;
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    all_ended(&world).await?;
    fleet.end(&world, cameras).await?;
    let took = began.elapsed();
    check(&world, &plan, &channels, took).await
}

impl Plan {
    /// How many moments each channel asks for.
    fn share(&self) -> channel::Share {
        channel::Share {
            moments: self.moments,
            channels: self.channels,
        }
    }
}

/// The servers.
struct Fleet {
    servers: Vec<Binary>,
    bases: watch::Sender<Vec<Option<String>>>,
}

impl Fleet {
    async fn start(world: &World, plan: &Plan) -> Result<Self> {
        let mut servers = Vec::new();
        for _ in 0..plan.servers {
            servers.push(world.start().await?);
        }
        let bases = servers.iter().map(|s| Some(base(s))).collect();
        let (bases, _) = watch::channel(bases);
        Ok(Self { servers, bases })
    }

    /// One that shows a moment at this time, or is about to.
    async fn that_shows(&self, world: &World) -> Result<Option<usize>> {
        let deadline = Instant::now() + SEARCH;
        while Instant::now() < deadline {
            let owners: Vec<(String,)> = sqlx::query_as(
                "SELECT n.url FROM moments m JOIN nodes n ON n.node_id = m.owner WHERE m.state IN ('warming', 'active')",
            )
            .fetch_all(&world.tables)
            .await?;
            let shows = |server: &Binary| owners.iter().any(|(url,)| url.contains(&server.http));
            if let Some(slot) = self.servers.iter().position(shows) {
                return Ok(Some(slot));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(None)
    }

    /// Kills one, and starts another in its place.
    async fn kill(&mut self, world: &World, slot: usize) -> Result<()> {
        let server = self.servers.remove(slot);
        server
            .kill()
            .await
            .context("it ended before it was killed")?;
        self.bases.send_modify(|bases| bases[slot] = None);
        let server = world.start().await?;
        let place = Some(base(&server));
        self.servers.insert(slot, server);
        self.bases.send_modify(|bases| bases[slot] = place);
        Ok(())
    }

    /// Kills all, and lets one server send what they took with them.
    async fn end(self, world: &World, mut cameras: JoinSet<()>) -> Result<()> {
        cameras.shutdown().await;
        for server in self.servers {
            server.kill().await?;
        }
        world.hurry_mail().await?;
        let server = world.start().await?;
        let open = "SELECT COUNT(*) FROM outbox WHERE kind = 'chat' AND done_at IS NULL";
        world.count_until(open, 0).await?;
        server.terminate().await?;
        Ok(())
    }
}

fn base(server: &Binary) -> String {
    format!("http://{}", server.http)
}

async fn all_ended(world: &World) -> Result<()> {
    let deadline = Instant::now() + REST;
    let open = "SELECT COUNT(*) FROM moments WHERE ended_at IS NULL";
    loop {
        let left = world.count(open).await?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let open: Vec<(String, String, String)> = sqlx::query_as(
                "SELECT channel_id, id, state FROM moments WHERE ended_at IS NULL ORDER BY channel_id, seq",
            )
            .fetch_all(&world.tables)
            .await?;
            anyhow::bail!("these did not end in {REST:?}: {open:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn check(world: &World, plan: &Plan, channels: &[Channel], took: Duration) -> Result<()> {
    let names: Vec<_> = channels.iter().map(|c| c.name.as_str()).collect();
    let ends = world.check_logs(&names).await?;
    ensure!(ends.len() == plan.moments, "{} ended", ends.len());
    let moments = i64::try_from(plan.moments)?;
    for sql in [
        "SELECT COUNT(*) FROM moments",
        "SELECT COUNT(*) FROM receipts",
        "SELECT COUNT(DISTINCT moment_id) FROM receipts",
    ] {
        ensure!(world.count(sql).await? == moments, "{sql}");
    }
    let credited = world.check_credits().await?;
    let repeats = check_chats(world).await?;
    // Those that ended the run count, too.
    let kills = plan.kills + plan.servers;
    ensure!(repeats <= kills, "{repeats} repeats by {kills} kills");
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for end in ends.values() {
        *states.entry(end.as_str()).or_default() += 1;
    }
    let completed = states.get(State::Completed.as_str()).copied();
    ensure!(
        completed.unwrap_or(0) * 4 > plan.moments,
        "too few were shown: {states:?}"
    );
    let lost = "SELECT COUNT(*) FROM moment_events WHERE body LIKE '%lease_lost%'";
    let lost = world.count(lost).await?;
    ensure!(lost > 0, "no kill found a live moment");
    writeln!(
        std::io::stdout(),
        "{kills} kills of {} servers in {took:.0?}: {states:?}, {lost} live moments lost their server, {credited} times \
         {PRICE} credits, {repeats} notices repeated",
        plan.servers
    )?;
    Ok(())
}

/// What was seen was told, and nothing else; gives how often something was told again.
async fn check_chats(world: &World) -> Result<usize> {
    let seen: Vec<(String,)> = sqlx::query_as(
        "SELECT m.prompt FROM moments m WHERE EXISTS (SELECT 1 FROM moment_events e
            WHERE e.channel_id = m.channel_id AND e.moment_id = m.id AND e.kind = 'moment.active')",
    )
    .fetch_all(&world.tables)
    .await?;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in world.sim.chat() {
        let prompt = line.message.rsplit(": ").next().unwrap_or_default();
        *times.entry(prompt.to_owned()).or_default() += 1;
    }
    for (prompt,) in &seen {
        ensure!(times.contains_key(prompt), "{prompt} was seen and not told");
    }
    ensure!(
        times.len() == seen.len(),
        "told without being seen: {times:?}"
    );
    Ok(times.values().map(|times| times - 1).sum())
}
