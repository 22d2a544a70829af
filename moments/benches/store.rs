//! Moments per second through the store, on both databases, committed to the disk each time.
//!
//! Each channel has a task of its own, which asks for a few moments, pays them, and shows them one after the other without
//! waiting; the three are timed apart. `cargo bench -p reverie-moments --bench store`.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on is none"
)]

#[path = "../tests/support/postgres.rs"]
mod postgres;

use std::io::Write as _;
use std::time::{Duration, Instant};

use reverie_moments::life::{Limits, Moment, Ms, Policy, Receipt, Source, Submission, Viewer};
use reverie_moments::store::{Outcome, Paid, Store};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// How many moments of a channel wait at once.
const QUEUE: usize = 16;
/// Channels that are busy at the same time.
const CHANNELS: [usize; 3] = [1, 8, 32];
const NODE: &str = "node";

/// How long asking, paying and showing took.
type Times = [Duration; 3];

#[tokio::main]
async fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    say(&format!("{}\n", machine()));
    say("| store | channels | submits/s | receipts/s | queue operations/s |");
    say("|---|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    for channels in CHANNELS {
        let file = folder.path().join(format!("{channels}.sqlite"));
        let sqlite = Store::sqlite(&file, limits()).await.unwrap();
        row("SQLite", &sqlite, channels, full).await;
        let url = postgres::database(true);
        let postgres = Store::open(&url, limits()).await.unwrap();
        row("PostgreSQL", &postgres, channels, full).await;
        postgres.close().await;
    }
}

fn limits() -> Limits {
    Limits {
        lease: 600_000,
        ..Limits::default()
    }
}

async fn row(name: &str, store: &Store, channels: usize, full: bool) {
    let rounds = if full { (24 / channels).max(3) } else { 1 };
    let barrier = std::sync::Arc::new(Barrier::new(channels));
    let mut tasks = JoinSet::new();
    for channel in 0..channels {
        let (store, barrier) = (store.clone(), std::sync::Arc::clone(&barrier));
        tasks.spawn(
            async move { channel_task(&store, format!("c{channel}"), rounds, &barrier).await },
        );
    }
    let all = tasks.join_all().await;
    // They wait for each other before each part, so the slowest is how long it took for all.
    let slowest = |part: usize| {
        all.iter()
            .map(|times| times[part])
            .max()
            .unwrap()
            .as_secs_f64()
    };
    let moments = f64::from(u32::try_from(channels * rounds * QUEUE).unwrap());
    say(&format!(
        "| {name} | {channels} | {:.0} | {:.0} | {:.0} |",
        moments / slowest(0),
        moments / slowest(1),
        // Claim, start and finish.
        3.0 * moments / slowest(2)
    ));
}

async fn channel_task(store: &Store, channel: String, rounds: usize, barrier: &Barrier) -> Times {
    let now: Ms = 1_700_000_000_000;
    store.add_channel(now, &channel, None).await.unwrap();
    store.set_policy(now, &channel, Policy::Auto).await.unwrap();
    store
        .hold_stream(now, &channel, "source", NODE)
        .await
        .unwrap();
    let mut times = [Duration::ZERO; 3];
    for round in 0..rounds {
        barrier.wait().await;
        let start = Instant::now();
        let mut moments = Vec::with_capacity(QUEUE);
        for n in 0..QUEUE {
            let name = format!("{channel}-{round}-{n}");
            moments.push(
                store
                    .submit(now, submission(&channel, &name))
                    .await
                    .unwrap()
                    .moment,
            );
        }
        barrier.wait().await;
        times[0] += start.elapsed();
        let start = Instant::now();
        for moment in &moments {
            let paid = store.accept(now, &receipt(moment)).await.unwrap();
            assert!(matches!(paid, Paid::Accepted(_)));
        }
        barrier.wait().await;
        times[1] += start.elapsed();
        let start = Instant::now();
        for _ in &moments {
            let (lease, _) = store.claim(now, &channel, NODE).await.unwrap().unwrap();
            store.started(now, &lease).await.unwrap();
            store.finish(now, &lease, Outcome::Shown).await.unwrap();
        }
        barrier.wait().await;
        times[2] += start.elapsed();
    }
    times
}

fn submission(channel: &str, name: &str) -> Submission {
    Submission {
        id: name.into(),
        channel: channel.to_owned(),
        viewer: Viewer {
            opaque: name.to_owned(),
            id: None,
            name: None,
        },
        source: Source::Bits,
        sku: "s".to_owned(),
        price: 100,
        prompt: "a street in the rain, at night, in the style of an old film".to_owned(),
        params: "{}".to_owned(),
        duration: 10_000,
        idempotency_key: name.to_owned(),
    }
}

fn receipt(moment: &Moment) -> Receipt {
    Receipt {
        source: "bits".to_owned(),
        transaction_id: moment.id.to_string(),
        channel: moment.channel.clone(),
        moment: Some(moment.id.clone()),
        user_id: moment.viewer.account().to_owned(),
        sku: moment.sku.clone(),
        amount: moment.price,
        raw: "signed".to_owned(),
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{model}, {cores} cores, load {}",
        load.split(' ').next().unwrap_or("?")
    )
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
