//! Random commands, against a model that does the naive thing with a list in memory.

mod naive;
pub(crate) mod random;

use reverie_moments::life::{Limits, Moment, Ms, Policy, Receipt, Source, Submission, Viewer};
use reverie_moments::store::{Error, Lease, Outcome, Paid, Store};

use crate::postgres;
use naive::Naive;
use random::Random;

/// The node with the stream, and one that only thinks it has it.
pub(crate) const NODES: [&str; 2] = ["node-1", "node-2"];
pub(crate) const PRICE: i64 = 100;
pub(crate) const DURATION: Ms = 2000;

/// Times so short that every one is met.
pub(crate) fn limits(credit_hidden: bool) -> Limits {
    Limits {
        queue_max: 4,
        viewer_cooldown: 0,
        payment: 2000,
        late_receipt: 5000,
        approval: 3000,
        max_wait: 9000,
        max_offline: 2000,
        warm: 1500,
        max_attempts: 3,
        retry_delay: 500,
        end_grace: 500,
        cooldown: 700,
        lease: 1000,
        credit_hidden,
        ..Limits::default()
    }
}

/// What is done, with numbers that mean moments, viewers and claims of this case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Submit {
        viewer: usize,
        source: Source,
        key: usize,
    },
    Pay {
        moment: usize,
        transaction: usize,
    },
    /// The service tells of a payment that nobody handed in.
    Told {
        viewer: usize,
        transaction: usize,
    },
    Spend {
        moment: usize,
    },
    Approve {
        moment: usize,
        stale: bool,
    },
    Reject {
        moment: usize,
        stale: bool,
    },
    Cancel {
        moment: usize,
        stale: bool,
    },
    Ban {
        moment: usize,
        stale: bool,
        lasts: Option<Ms>,
    },
    Lift {
        moment: usize,
    },
    Stop {
        moment: usize,
        stale: bool,
    },
    Hide {
        moment: usize,
        stale: bool,
    },
    Move {
        moment: usize,
        place: usize,
    },
    Claim {
        node: usize,
    },
    Beat {
        claim: usize,
    },
    Start {
        claim: usize,
    },
    Finish {
        claim: usize,
        how: usize,
    },
    Reap,
    Pause(bool),
    Policy(Policy),
    Online,
    Pass(Ms),
}

/// The real store, with what its user remembers.
struct Real {
    store: Store,
    channel: String,
    now: Ms,
    serial: usize,
    ids: Vec<String>,
    leases: Vec<Lease>,
}

#[tokio::test]
async fn sqlite_does_what_the_model_does_in_5000_random_lives() {
    play("sqlite::memory:", 5000, 1, true).await;
}

#[tokio::test]
async fn sqlite_does_what_the_model_does_in_5000_other_lives() {
    play("sqlite::memory:", 5000, 2, false).await;
}

#[tokio::test]
async fn postgres_does_what_the_model_does_in_the_first_of_the_same_random_lives() {
    play(&postgres::database(false), over_a_socket(), 1, true).await;
}

#[tokio::test]
async fn postgres_does_what_the_model_does_in_the_first_of_the_same_other_lives() {
    play(&postgres::database(false), over_a_socket(), 2, false).await;
}

/// How many of the 5000 lives a database plays that is asked over a socket: all of them where there is time.
fn over_a_socket() -> usize {
    match std::env::var_os("REVERIE_SOAK") {
        Some(_) => 5000,
        None => 300,
    }
}

async fn play(url: &str, cases: usize, seed: u64, credit_hidden: bool) {
    let limits = limits(credit_hidden);
    let store = Store::open(url, limits.clone()).await.unwrap();
    let mut now = 1_000_000;
    let mut random = Random(seed);
    let mut ended = [0; 5];
    for case in 0..cases {
        let channel = format!("c{case}");
        let mut real = Real::new(store.clone(), channel, now).await;
        let mut naive = Naive::new(now, limits.clone());
        let mut log = Vec::new();
        let mut begin = random.begin().into_iter();
        for _ in 0..12 + random.below(16) {
            let any = random.command(real.ids.len(), real.leases.len());
            let command = begin.next().unwrap_or(any);
            log.push(command);
            let (expected, found) = (naive.run(command), real.run(command).await);
            assert_eq!(found, expected, "seed {seed}, case {case}: {log:#?}");
        }
        // Everything ends by itself.
        for _ in 0..4 {
            for command in [Command::Pass(20_000), Command::Reap] {
                assert_eq!(
                    real.run(command).await,
                    naive.run(command),
                    "seed {seed}, case {case}: {log:#?}"
                );
            }
        }
        assert_eq!(
            real.all().await,
            naive.all(),
            "seed {seed}, case {case}: {log:#?}"
        );
        for (count, more) in ended.iter_mut().zip(naive.ended()) {
            *count += more;
        }
        now = real.now;
    }
    assert!(
        ended.iter().all(|count| *count * 50 > cases),
        "some ends are too rare: {ended:?}"
    );
}

impl Real {
    async fn new(store: Store, channel: String, now: Ms) -> Self {
        store.add_channel(now, &channel, None).await.unwrap();
        store
            .hold_stream(now, &channel, "source", NODES[0])
            .await
            .unwrap();
        Self {
            store,
            channel,
            now,
            serial: 0,
            ids: Vec::new(),
            leases: Vec::new(),
        }
    }

    /// What the command came to, in words that the model says too.
    async fn run(&mut self, command: Command) -> String {
        let (store, now) = (self.store.clone(), self.now);
        let answer = match command {
            Command::Submit {
                viewer,
                source,
                key,
            } => self.submit(viewer, source, key).await,
            Command::Pay {
                moment,
                transaction,
            } => {
                let paid = self.moment(moment).await;
                let mut receipt = self.receipt(paid.viewer.account(), transaction);
                receipt.moment = Some(paid.id);
                store.accept(now, &receipt).await.map(paid_words)
            }
            Command::Told {
                viewer,
                transaction,
            } => {
                let receipt = self.receipt(&format!("v{viewer}"), transaction);
                store.accept(now, &receipt).await.map(paid_words)
            }
            Command::Spend { moment } => {
                let moment = self.moment(moment).await;
                store
                    .spend(now, &moment.id, moment.viewer.account())
                    .await
                    .map(words)
            }
            Command::Approve { moment, stale } => {
                let moment = self.moment(moment).await;
                store
                    .approve(now, &moment.id, moment.version - i64::from(stale))
                    .await
                    .map(words)
            }
            Command::Reject { moment, stale } => {
                let moment = self.moment(moment).await;
                store
                    .reject(now, &moment.id, moment.version - i64::from(stale), "no")
                    .await
                    .map(words)
            }
            Command::Cancel { moment, stale } => {
                let moment = self.moment(moment).await;
                store
                    .cancel(now, &moment.id, moment.version - i64::from(stale), None)
                    .await
                    .map(words)
            }
            Command::Ban {
                moment,
                stale,
                lasts,
            } => {
                let moment = self.moment(moment).await;
                let version = moment.version - i64::from(stale);
                store
                    .ban(now, &moment.id, version, "x", lasts)
                    .await
                    .map(words)
            }
            Command::Lift { moment } => {
                let moment = self.moment(moment).await;
                let lifted = store.lift(now, &self.channel, &moment.id).await;
                lifted.map(|lifted| lifted.to_string())
            }
            Command::Stop { moment, stale } => {
                let moment = self.moment(moment).await;
                store
                    .stop(now, &moment.id, moment.version - i64::from(stale))
                    .await
                    .map(words)
            }
            Command::Hide { moment, stale } => {
                let moment = self.moment(moment).await;
                store
                    .hide(now, &moment.id, moment.version - i64::from(stale))
                    .await
                    .map(words)
            }
            Command::Move { moment, place } => {
                let moment = self.moment(moment).await;
                store
                    .move_to(now, &moment.id, moment.version, place)
                    .await
                    .map(words)
            }
            Command::Claim { node } => {
                let claimed = store.claim(now, &self.channel, NODES[node]).await;
                claimed.map(|claimed| match claimed {
                    Some((lease, moment)) => {
                        self.leases.push(lease);
                        words(moment)
                    }
                    None => "nothing".to_owned(),
                })
            }
            Command::Beat { claim } => {
                let beat = store.heartbeat(now, &self.leases[claim]).await;
                beat.map(|_| "beaten".to_owned())
            }
            Command::Start { claim } => store.started(now, &self.leases[claim]).await.map(words),
            Command::Finish { claim, how } => {
                let outcome = match how {
                    0 => Outcome::Shown,
                    1 => Outcome::Stopped,
                    2 => Outcome::PublisherGone,
                    n => Outcome::PipelineFailed {
                        words: "x".into(),
                        retry: n == 3,
                    },
                };
                store
                    .finish(now, &self.leases[claim], outcome)
                    .await
                    .map(words)
            }
            Command::Reap => store.reap(now).await.map(|reaped| {
                let mut moments: Vec<_> = reaped.moments.into_iter().map(words).collect();
                moments.sort();
                moments.join("; ")
            }),
            Command::Pause(true) => store
                .pause(now, &self.channel)
                .await
                .map(|()| String::new()),
            Command::Pause(false) => store
                .resume(now, &self.channel)
                .await
                .map(|()| String::new()),
            Command::Policy(policy) => {
                let set = store.set_policy(now, &self.channel, policy).await;
                set.map(|()| String::new())
            }
            Command::Online => {
                let held = store
                    .hold_stream(now, &self.channel, "source", NODES[0])
                    .await;
                held.map(|_| String::new())
            }
            Command::Pass(span) => {
                self.now += span;
                Ok(String::new())
            }
        };
        match answer {
            Ok(words) => words,
            Err(Error::Refused(_)) => "refused".to_owned(),
            Err(Error::LeaseLost { .. }) => "lost".to_owned(),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    async fn submit(&mut self, viewer: usize, source: Source, key: usize) -> Result<String, Error> {
        self.serial += 1;
        let submission = Submission {
            id: format!("{}-{:02}", self.channel, self.serial)
                .as_str()
                .into(),
            channel: self.channel.clone(),
            viewer: Viewer {
                opaque: format!("v{viewer}"),
                id: None,
                name: None,
            },
            source,
            sku: "s".into(),
            price: if source.is_paid() { PRICE } else { 0 },
            prompt: "p".into(),
            params: "{}".into(),
            duration: DURATION,
            idempotency_key: format!("k{key}"),
        };
        let submitted = self.store.submit(self.now, submission).await?;
        if submitted.fresh {
            self.ids.push(submitted.moment.id.to_string());
        }
        Ok(words(submitted.moment))
    }

    async fn moment(&self, index: usize) -> Moment {
        self.store
            .moment(&self.ids[index].as_str().into())
            .await
            .unwrap()
    }

    fn receipt(&self, user: &str, transaction: usize) -> Receipt {
        Receipt {
            source: "bits".into(),
            transaction_id: format!("{}-t{transaction}", self.channel),
            channel: self.channel.clone(),
            moment: None,
            user_id: user.into(),
            sku: "s".into(),
            amount: PRICE,
            raw: String::new(),
        }
    }

    /// Every moment and every balance.
    async fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        for index in 0..self.ids.len() {
            all.push(words(self.moment(index).await));
        }
        for viewer in 0..3 {
            let balance = self
                .store
                .balance(&self.channel, &format!("v{viewer}"))
                .await
                .unwrap();
            all.push(balance.to_string());
        }
        all
    }
}

/// A moment without the channel in its id.
fn words(moment: Moment) -> String {
    let (_, serial) = moment.id.as_str().rsplit_once('-').unwrap();
    naive::words(
        serial.parse().unwrap(),
        moment.state,
        moment.version,
        moment.attempts,
        moment.epoch,
        moment.compensation.as_str() == "credited",
        (moment.started_at, moment.ended_at),
    )
}

fn paid_words(paid: Paid) -> String {
    match paid {
        Paid::Accepted(moment) => words(moment),
        Paid::Repeated(moment) => format!("again {}", words(moment)),
        Paid::Credited => "credited".to_owned(),
        Paid::RepeatedCredit => "again credited".to_owned(),
    }
}
