//! A process that is to be killed: it asks for moments, pays and approves them, shows them, reaps, and sends mail.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reverie_moments::MomentId;
use reverie_moments::life::{Ms, Receipt, Source, State, Submission, Viewer};
use reverie_moments::store::{Error, Outcome, Paid, Store};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The variable by which a process knows what it is for.
pub(crate) const WORKER: &str = "REVERIE_STORE_WORKER";
pub(crate) const PRICE: i64 = 100;
/// How long a moment is shown.
const DURATION: Ms = 1000;
/// How long a mail that was taken may take.
const PATIENCE: Ms = 3000;

pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) folder: PathBuf,
    pub(crate) slot: usize,
    pub(crate) slots: usize,
    pub(crate) moments: usize,
    pub(crate) channels: usize,
}

impl Job {
    pub(crate) fn to_text(&self) -> String {
        let numbers = [self.slot, self.slots, self.moments, self.channels].map(|n| n.to_string());
        format!(
            "{}\n{}\n{}",
            self.url,
            self.folder.display(),
            numbers.join("\n")
        )
    }

    fn of_text(text: &str) -> Self {
        let lines: Vec<_> = text.lines().collect();
        let number = |line: usize| lines[line].parse().unwrap();
        Self {
            url: lines[0].to_owned(),
            folder: lines[1].into(),
            slot: number(2),
            slots: number(3),
            moments: number(4),
            channels: number(5),
        }
    }

    fn node(&self) -> String {
        format!("node-{}", self.slot)
    }

    fn released(&self) -> usize {
        fs::read_to_string(self.folder.join("released"))
            .unwrap()
            .parse()
            .unwrap()
    }
}

pub(crate) fn now_ms() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Ms::try_from(since.as_millis()).unwrap()
}

pub(crate) fn id(n: usize) -> MomentId {
    MomentId::new(format!("m{n}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the tests beside it"]
async fn process() {
    let job = std::env::var(WORKER).expect("what it is for, from the test that starts it");
    let job: &'static Job = Box::leak(Box::new(Job::of_text(&job)));
    let store = Store::open(&job.url, super::limits()).await.unwrap();
    let mut tasks = JoinSet::new();
    for channel in 0..job.channels {
        tasks.spawn(show(store.clone(), format!("c{channel}"), job.node()));
    }
    tasks.spawn(ask(store.clone(), job));
    tasks.spawn(reap(store.clone()));
    tasks.spawn(mail(store, job.folder.join("sent")));
    // None of them ends but by a panic, which is a failure of the test.
    tasks.join_next().await.unwrap().unwrap();
}

/// Brings every moment of this process's share into the queue; begins again at the first one after a kill.
async fn ask(store: Store, job: &Job) {
    let mut n = job.slot;
    loop {
        if n < job.released() {
            bring(&store, n, job).await;
            n += job.slots;
        } else {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn bring(store: &Store, n: usize, job: &Job) {
    let moment = loop {
        match store.submit(now_ms(), submission(n, job)).await {
            Ok(submitted) => break submitted.moment,
            // Its node has not yet said that it has the stream.
            Err(Error::Refused(_)) => sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    };
    let receipt = Receipt {
        source: "bits".into(),
        transaction_id: format!("t{n}"),
        channel: moment.channel.clone(),
        moment: Some(moment.id.clone()),
        user_id: format!("v{n}"),
        sku: "s".into(),
        amount: PRICE,
        raw: String::new(),
    };
    let moment = match store.accept(now_ms(), &receipt).await.unwrap() {
        Paid::Accepted(moment) | Paid::Repeated(moment) => moment,
        other => panic!("{other:?}"),
    };
    if moment.state == State::PendingApproval {
        store
            .approve(now_ms(), &moment.id, moment.version)
            .await
            .unwrap();
    }
}

fn submission(n: usize, job: &Job) -> Submission {
    Submission {
        id: id(n),
        channel: format!("c{}", n % job.channels),
        viewer: Viewer {
            opaque: format!("v{n}"),
            id: None,
            name: None,
        },
        source: Source::Bits,
        sku: "s".into(),
        price: PRICE,
        prompt: format!("prompt {n}"),
        params: "{}".into(),
        duration: DURATION,
        idempotency_key: "k".into(),
    }
}

/// The node of a channel: holds its stream, takes what waits, and shows it in a hundredth of its duration.
async fn show(store: Store, channel: String, node: String) {
    let mut held_until = 0;
    loop {
        if held_until < now_ms() + 200 {
            match store.hold_stream(now_ms(), &channel, "source", &node).await {
                Ok(held) => held_until = held.lease_until,
                // Until its node is dead for as long as its lease.
                Err(Error::StreamTaken { .. }) => {
                    sleep(Duration::from_millis(250)).await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
        }
        match store.claim(now_ms(), &channel, &node).await.unwrap() {
            None => sleep(Duration::from_millis(30)).await,
            Some((lease, _)) => {
                sleep(Duration::from_millis(3)).await;
                let shown = async {
                    store.heartbeat(now_ms(), &lease).await?;
                    store.started(now_ms(), &lease).await?;
                    sleep(Duration::from_millis(10)).await;
                    store.finish(now_ms(), &lease, Outcome::Shown).await
                };
                match shown.await {
                    // On a busy machine it may have been late: then it stops, as it has to.
                    Ok(_) | Err(Error::LeaseLost { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

async fn reap(store: Store) {
    loop {
        store.reap(now_ms()).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
}

async fn mail(store: Store, sent: PathBuf) {
    loop {
        send_all(&store, &sent, now_ms()).await;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends what is due: a line of a file stands for the service outside.
pub(crate) async fn send_all(store: &Store, sent: &Path, now: Ms) {
    while let Some(mail) = store.take_mail(now, PATIENCE).await.unwrap() {
        if mail.kind == "chat" {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(sent)
                .unwrap();
            file.write_all(format!("{}\n", mail.id).as_bytes()).unwrap();
        }
        store.mail_sent(now, &mail).await.unwrap();
    }
}
