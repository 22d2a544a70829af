//! Processes that are killed at any time, on one database: nothing is lost, and nothing happens twice.

mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reverie_moments::life::{Limits, Policy, State};
use reverie_moments::store::Store;
use sqlx::AnyPool;
use tokio::time::{Instant, sleep, timeout};

use crate::model::random::Random;
use crate::{log, postgres};
use worker::{Job, WORKER, now_ms};

/// How long everything that is left may take once nobody is killed any more.
const REST: Duration = Duration::from_secs(60);

pub(crate) fn limits() -> Limits {
    Limits {
        queue_max: 1000,
        lease: 400,
        retry_delay: 50,
        viewer_cooldown: 0,
        cooldown: 0,
        ..Limits::default()
    }
}

struct Plan {
    processes: usize,
    kills: usize,
    moments: usize,
    channels: usize,
    seed: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_postgres_survive_200_kills_with_600_moments() {
    let plan = Plan {
        processes: 3,
        kills: 200,
        moments: 600,
        channels: 20,
        seed: 11,
    };
    run(&postgres::database(false), plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_sqlite_survives_40_kills_with_100_moments() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!(
        "sqlite://{}/moments.sqlite?mode=rwc",
        folder.path().display()
    );
    let plan = Plan {
        processes: 1,
        kills: 40,
        moments: 100,
        channels: 4,
        seed: 12,
    };
    run(&url, plan).await;
}

async fn run(url: &str, plan: Plan) {
    let store = Store::open(url, limits()).await.unwrap();
    for channel in 0..plan.channels {
        let channel = format!("c{channel}");
        store.add_channel(now_ms(), &channel, None).await.unwrap();
        store
            .set_policy(now_ms(), &channel, Policy::Manual)
            .await
            .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    release(folder.path(), 0);
    let start = |slot| {
        start(&Job {
            url: url.to_owned(),
            folder: folder.path().to_owned(),
            slot,
            slots: plan.processes,
            moments: plan.moments,
            channels: plan.channels,
        })
    };
    let mut processes: Vec<_> = (0..plan.processes).map(start).collect();
    let mut random = Random(plan.seed);
    for kill in 1..=plan.kills {
        release(folder.path(), kill * plan.moments / plan.kills);
        // The accident is the point: it comes at no particular time.
        sleep(Duration::from_millis(40 + random.below(180) as u64)).await;
        let slot = random.below(plan.processes);
        end(&mut processes[slot]);
        processes[slot] = start(slot);
    }
    all_ended(&store, &plan).await;
    for process in &mut processes {
        end(process);
    }
    let sent = folder.path().join("sent");
    // What the last ones took with them is due again.
    worker::send_all(&store, &sent, now_ms() + 60_000).await;
    check(&store, url, &plan).await;
    check_mail(url, &sent, plan.kills + plan.processes).await;
}

fn start(job: &Job) -> Child {
    let own = std::env::current_exe().unwrap();
    Command::new(own)
        .args([
            "kill::worker::process",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(WORKER, job.to_text())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// SIGKILL.
fn end(process: &mut Child) {
    if let Some(status) = process.try_wait().unwrap() {
        panic!("a process ended by itself: {status}");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Lets the processes go on to this many moments, so that there is work left at the last kill.
fn release(folder: &Path, moments: usize) {
    let new = folder.join("released.new");
    fs::write(&new, moments.to_string()).unwrap();
    fs::rename(new, folder.join("released")).unwrap();
}

async fn all_ended(store: &Store, plan: &Plan) {
    let mut watch = store.watch().await.unwrap();
    let until = Instant::now() + REST;
    loop {
        // In this order: one that is born after it was missed is open, or has ended.
        let mut unborn = 0;
        for n in 0..plan.moments {
            unborn += usize::from(store.moment(&worker::id(n)).await.is_err());
        }
        let mut open = Vec::new();
        for channel in 0..plan.channels {
            let snapshot = store.snapshot(&format!("c{channel}")).await.unwrap();
            open.extend(snapshot.moments);
        }
        if open.is_empty() && unborn == 0 {
            return;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{unborn} were not asked for, and these did not end: {open:#?}"
        );
        let _ = timeout(left, watch.changed()).await;
    }
}

async fn check(store: &Store, url: &str, plan: &Plan) {
    let mut ends = BTreeMap::new();
    for channel in 0..plan.channels {
        let events = store
            .events(&format!("c{channel}"), 0, 100_000)
            .await
            .unwrap();
        log::check(&events, &mut ends);
    }
    assert_eq!(ends.len(), plan.moments);
    let shown = ends
        .values()
        .filter(|end| **end == State::Completed)
        .count();
    assert!(
        shown * 2 > plan.moments,
        "only {shown} of {} were shown",
        plan.moments
    );
    let tables = AnyPool::connect(url).await.unwrap();
    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(&tables).await.unwrap()
    };
    let moments = plan.moments as i64;
    assert_eq!(count("SELECT COUNT(*) FROM moments").await, moments);
    assert_eq!(
        count("SELECT COUNT(DISTINCT moment_id) FROM receipts").await,
        moments
    );
    assert_eq!(count("SELECT COUNT(*) FROM receipts").await, moments);
    // Who was not shown a moment has its price, and nobody else has anything.
    let failed = moments - shown as i64;
    assert_eq!(
        count("SELECT COUNT(*) FROM moments WHERE compensation = 'credited'").await,
        failed
    );
    assert_eq!(count("SELECT COUNT(*) FROM ledger").await, failed);
    let balances = count("SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM accounts").await;
    assert_eq!(balances, failed * worker::PRICE);
}

/// Every notice of the outbox was sent, and repeated at most once for each process that was killed.
async fn check_mail(url: &str, sent: &Path, kills: usize) {
    let tables = AnyPool::connect(url).await.unwrap();
    let due: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM outbox WHERE kind = 'chat' ORDER BY id")
            .fetch_all(&tables)
            .await
            .unwrap();
    let sent = fs::read_to_string(sent).unwrap();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for line in sent.lines() {
        *times.entry(line).or_default() += 1;
    }
    let due: BTreeSet<_> = due.iter().map(|(id,)| id.as_str()).collect();
    assert_eq!(times.keys().copied().collect::<BTreeSet<_>>(), due);
    let repeated: usize = times.values().map(|times| times - 1).sum();
    assert!(
        repeated <= kills,
        "{repeated} were repeated by {kills} kills"
    );
}
