//! Kills in the middle of each transition: the process is inside its transaction, has written the new state and the event
//! (and the receipt), and is held before the commit by a lock of the test, through a trigger in the test's own database.

use anyhow::{Context as _, Result, ensure};
use reverie_moments::life::{Policy, State};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use reverie_integration_tests::client::PATIENCE;
use reverie_integration_tests::http::Answer;

use super::{Api, Asked, Seat, World};

/// Who writes an event of this kind in this channel waits for the lock.
const TRIGGER: [&str; 4] = [
    "CREATE TABLE gates(channel_id TEXT NOT NULL, kind TEXT NOT NULL)",
    "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM gates g WHERE g.channel_id = NEW.channel_id AND g.kind = NEW.kind) THEN
            PERFORM pg_advisory_xact_lock_shared(7);
        END IF;
        RETURN NEW; END $$",
    "CREATE TRIGGER gate AFTER INSERT ON moment_events FOR EACH ROW EXECUTE FUNCTION gate()",
    // As above, for mail that is taken.
    "CREATE TRIGGER gate BEFORE UPDATE ON outbox FOR EACH ROW
        WHEN (NEW.attempts > OLD.attempts AND NEW.kind = 'chat') EXECUTE FUNCTION gate_mail()",
];
const MAIL: &str = "CREATE FUNCTION gate_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM gates g WHERE g.channel_id = NEW.target AND g.kind = 'mail') THEN
            PERFORM pg_advisory_xact_lock_shared(7);
        END IF;
        RETURN NEW; END $$";
const HELD: &str = "SELECT COUNT(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// Connections of processes that are no more, until the database has noticed.
const BUSY: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
    AND (wait_event_type = 'Lock' OR state LIKE 'idle in transaction%')";

/// Gates that are shut until it is opened.
pub(super) struct Gates {
    lock: PoolConnection<Any>,
}

impl Gates {
    /// Shuts gates, each a channel and a kind of event, or `mail`.
    pub(super) async fn shut(world: &World, gates: &[(&str, &str)]) -> Result<Self> {
        let mut lock = world.tables.acquire().await?;
        let there = "SELECT COUNT(*) FROM pg_class WHERE relname = 'gates'";
        if world.count(there).await? == 0 {
            for sql in [MAIL].iter().chain(&TRIGGER) {
                run(&mut lock, sql).await?;
            }
        }
        run(&mut lock, "SELECT pg_advisory_lock(7)").await?;
        for (channel, kind) in gates {
            sqlx::query("INSERT INTO gates(channel_id, kind) VALUES($1, $2)")
                .bind(*channel)
                .bind(*kind)
                .execute(&mut *lock)
                .await?;
        }
        Ok(Self { lock })
    }

    /// Waits until so many transactions are held.
    pub(super) async fn held(&self, world: &World, count: i64) -> Result<()> {
        world.count_until(HELD, count).await
    }

    /// Opens them for good, and waits until whoever was held there, and was killed, is gone.
    pub(super) async fn open(mut self, world: &World) -> Result<()> {
        run(&mut self.lock, "DELETE FROM gates").await?;
        run(&mut self.lock, "SELECT pg_advisory_unlock(7)").await?;
        world.count_until(BUSY, 0).await
    }
}

async fn run(connection: &mut AnyConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql)
        .execute(connection)
        .await
        .context(sql)
        .map(drop)
}

/// A request that gets no answer, since its server is killed meanwhile.
fn unanswered(
    api: &Api,
    path: String,
    body: serde_json::Value,
    key: Option<String>,
) -> JoinHandle<Result<Answer>> {
    let api = Api {
        base: api.base.clone(),
    };
    tokio::spawn(async move { api.post(&path, &body, key.as_deref()).await })
}

async fn lost(request: JoinHandle<Result<Answer>>) -> Result<()> {
    let answer = request.await?;
    ensure!(answer.is_err(), "it was answered: {answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_began_and_a_kill_cut_off_did_not_happen_and_can_be_asked_again()
-> Result<()> {
    let world = World::postgres().await?;
    let channels = ["asks", "pays", "approves", "rejects", "cancels"];
    for (n, channel) in channels.iter().enumerate() {
        let policy = match *channel {
            "approves" | "rejects" => Policy::Manual,
            _ => Policy::Auto,
        };
        let broadcaster = format!("{}", 2000 + n);
        world.channel(channel, &broadcaster, policy).await?;
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut cameras = Vec::new();
    for channel in channels {
        cameras.push(api.live(&world, channel).await?);
    }
    let seat = |n: usize, broadcaster| Seat {
        channel: channels[n],
        broadcaster,
    };
    let pays = api.submit("pays", "short", "pays").await?;
    let receipt = world.pay("2001", "short").await?;
    // What is paid or approved stays in the queue.
    api.queue("pays", "pause").await?;
    let approves = api
        .held(&world, seat(2, "2002"), "short", "approves")
        .await?;
    let rejects = api
        .paid(&world, seat(3, "2003"), "short", "rejects")
        .await?;
    let cancels = api
        .held(&world, seat(4, "2004"), "short", "cancels")
        .await?;

    let gates = [
        ("asks", "moment.submitted"),
        ("pays", "moment.queued"),
        ("approves", "moment.queued"),
        ("rejects", "moment.rejected"),
        ("cancels", "moment.cancelled"),
    ];
    let gates = Gates::shut(&world, &gates).await?;
    let body = serde_json::json!({ "prompt": "asks", "sku": "short" });
    let mut requests = vec![
        unanswered(
            &api,
            "/v1/channels/asks/moments".to_owned(),
            body,
            Some("asks".to_owned()),
        ),
        unanswered(
            &api,
            format!("/v1/moments/{}/receipt", pays.id),
            serde_json::json!({ "intent": pays.intent, "receipt": receipt }),
            None,
        ),
    ];
    for (id, act) in [
        (&approves, "approve"),
        (&rejects, "reject"),
        (&cancels, "cancel"),
    ] {
        let path = format!("/v1/moments/{id}/{act}");
        requests.push(unanswered(&api, path, serde_json::json!({}), None));
    }
    gates.held(&world, 5).await?;
    server.kill().await?;
    for request in requests {
        lost(request).await?;
    }
    gates.open(&world).await?;
    drop(cameras);

    // As if they had not been asked for.
    ensure!(
        world
            .count("SELECT COUNT(*) FROM moments WHERE channel_id = 'asks'")
            .await?
            == 0
    );
    ensure!(world.count("SELECT COUNT(*) FROM receipts").await? == 3);
    ensure!(world.count("SELECT COUNT(*) FROM ledger").await? == 0);
    for (id, state) in [
        (&pays.id, State::Submitted),
        (&approves, State::PendingApproval),
        (&rejects, State::PendingApproval),
        (&cancels, State::Queued),
    ] {
        ensure!(world.moment(id).await?.state == state, "{state}");
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    again(&world, &api, &pays, &receipt).await?;
    for (id, act, state) in [
        (&approves, "approve", State::Queued),
        (&rejects, "reject", State::Rejected),
        (&cancels, "cancel", State::Cancelled),
    ] {
        api.act(id, act).await?;
        world.until_state(id, state).await?;
    }
    ensure!(world.check_credits().await? == 2);
    let waiting = ["pays", "approves"];
    for channel in waiting {
        cameras_until_completed(&world, &api, channel).await?;
    }
    world.check_logs(&channels[1..]).await?;
    server.terminate().await?;
    Ok(())
}

/// The same receipt counts now, once; the same key makes one moment.
async fn again(world: &World, api: &Api, pays: &Asked, receipt: &str) -> Result<()> {
    let paid = api.give(pays, receipt).await?;
    ensure!(paid.json()["paid"] == "accepted", "{paid:?}");
    let paid = api.give(pays, receipt).await?;
    ensure!(paid.json()["paid"] == "repeated", "{paid:?}");
    ensure!(world.count("SELECT COUNT(*) FROM receipts").await? == 4);
    let first = api.submit("asks", "short", "asks").await?;
    let second = api.submit("asks", "short", "asks").await?;
    ensure!(first.id == second.id, "{first:?} {second:?}");
    Ok(())
}

async fn cameras_until_completed(world: &World, api: &Api, channel: &str) -> Result<()> {
    let camera = api.camera(channel).await?;
    api.queue(channel, "resume").await?;
    let deadline = Instant::now() + PATIENCE;
    while !world.store.snapshot(channel).await?.moments.is_empty() {
        ensure!(Instant::now() < deadline, "{channel} shows nothing");
        sleep(Duration::from_millis(20)).await;
    }
    drop(camera);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_began_and_a_kill_cut_off_is_taken_up_and_ends_once() -> Result<()> {
    let mut world = World::postgres().await?;
    world.set("MOMENTS__PAYMENT_TIMEOUT_S", "10");
    let channels = ["begins", "appears", "ends", "stops", "expires"];
    for (n, channel) in channels.iter().enumerate() {
        let broadcaster = format!("{}", 2100 + n);
        world.channel(channel, &broadcaster, Policy::Auto).await?;
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut cameras = Vec::new();
    for channel in channels {
        cameras.push(api.live(&world, channel).await?);
    }
    let seat = |n: usize, broadcaster| Seat {
        channel: channels[n],
        broadcaster,
    };
    // Nobody pays it in its ten seconds.
    let expires = api.submit("expires", "short", "expires").await?.id;
    let stops = api.paid(&world, seat(3, "2103"), "long", "stops").await?;
    world.until_state(&stops, State::Active).await?;
    let gates = [
        ("begins", "moment.warming"),
        ("appears", "moment.active"),
        ("ends", "moment.completed"),
        ("stops", "moment.failed"),
        ("expires", "moment.expired"),
    ];
    let gates = Gates::shut(&world, &gates).await?;
    // First, since the reaper waits for each of those that come after it.
    gates.held(&world, 1).await?;
    let begins = api.paid(&world, seat(0, "2100"), "short", "begins").await?;
    let appears = api
        .paid(&world, seat(1, "2101"), "short", "appears")
        .await?;
    let ends = api.paid(&world, seat(2, "2102"), "short", "ends").await?;
    let path = format!("/v1/moments/{stops}/stop");
    let stop = unanswered(&api, path, serde_json::json!({}), None);
    gates.held(&world, 5).await?;
    server.kill().await?;
    lost(stop).await?;
    gates.open(&world).await?;
    drop(cameras);

    for (id, state) in [
        (&begins, State::Queued),
        (&appears, State::Warming),
        (&ends, State::Active),
        (&stops, State::Active),
        (&expires, State::Submitted),
    ] {
        let found = world.moment(id).await?;
        ensure!(found.state == state, "not {state}: {found:?}");
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut cameras = Vec::new();
    for channel in channels {
        cameras.push(api.camera(channel).await?);
    }
    world.until_state(&expires, State::Expired).await?;
    for id in [&begins, &appears] {
        world.until_state(id, State::Completed).await?;
    }
    let over = world
        .until(&ends, "over", |moment| moment.state.is_ended())
        .await?;
    world.until_state(&stops, State::Failed).await?;
    // Whether its node was heard after its last picture decides what it is.
    let owed = 1 + i64::from(over.state == State::Failed);
    ensure!(world.check_credits().await? == owed);
    let ended = world.check_logs(&channels).await?;
    ensure!(ended.len() == 5, "{ended:?}");
    drop(cameras);
    server.terminate().await?;
    Ok(())
}
