//! Sees to it that no payment is missed: keeps the subscription to notifications, and asks for those that did not come.

use std::sync::Arc;
use std::time::Duration;

use reverie_moments::store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Twitch;
use super::helix::Fault;
use super::transactions::Broken;
use crate::node::now_ms;

/// How often Twitch is asked for payments.
const LOOK: Duration = Duration::from_secs(60);
/// How often the subscription is asked for anew, should Twitch have ended it.
const SUBSCRIBE: Duration = Duration::from_secs(3600);
/// The pause after the first failure; it doubles up to the usual time.
const FIRST: Duration = Duration::from_secs(1);

/// When something is due that is done again and again.
#[derive(Debug)]
struct Habit {
    every: Duration,
    failures: u32,
    due: Instant,
}

/// Runs until the server stops.
pub(super) async fn run(twitch: Arc<Twitch>, store: Store, mut stopping: watch::Receiver<bool>) {
    let (mut looks, mut subscribes) = (Habit::new(LOOK), Habit::new(SUBSCRIBE));
    loop {
        let due = looks.due.min(subscribes.due);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            // An error means that the server is gone.
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if subscribes.is_due() {
            let wait = subscribe(&twitch).await;
            subscribes.was_done(wait);
        }
        if looks.is_due() {
            let wait = look(&twitch, &store).await;
            looks.was_done(wait);
        }
    }
}

/// After which wait it is to be tried again, if it failed.
async fn subscribe(twitch: &Twitch) -> Result<(), Option<Duration>> {
    let Some(subscription) = &twitch.subscription else {
        return Ok(());
    };
    subscription.ask().await.map_err(|fault| {
        tracing::warn!(%fault, "Twitch does not notify this server of payments");
        told(&fault)
    })
}

async fn look(twitch: &Twitch, store: &Store) -> Result<(), Option<Duration>> {
    let Some(transactions) = &twitch.transactions else {
        return Ok(());
    };
    let looked = transactions.look(store, now_ms()).await;
    looked.map_err(|broken| {
        tracing::warn!(%broken, "Twitch cannot be asked for payments");
        match broken {
            Broken::Twitch(fault) => told(&fault),
            Broken::Store(_) => None,
        }
    })
}

fn told(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Wait(wait) => Some(*wait),
        _ => None,
    }
}

impl Habit {
    fn new(every: Duration) -> Self {
        Self {
            every,
            failures: 0,
            due: Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    fn was_done(&mut self, done: Result<(), Option<Duration>>) {
        let wait = match done {
            Ok(()) => {
                self.failures = 0;
                self.every
            }
            Err(told) => {
                self.failures = (self.failures + 1).min(16);
                let usual = FIRST * 2_u32.pow(self.failures - 1);
                told.unwrap_or(usual).min(self.every)
            }
        };
        self.due = Instant::now() + wait;
    }
}
