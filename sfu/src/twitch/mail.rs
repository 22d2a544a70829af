//! Sends what stands in the store to be sent: lines in chats, and pokes. Each at least once, and once if nothing breaks.
//!
//! Twitch being down makes mails wait, and nothing else. A mail for which there is no way in this configuration is dropped:
//! a line about a moment of last week is of no use to the chat that gets a bot today.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reverie_moments::life::Ms;
use reverie_moments::store::{Error, Mail, Store};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Twitch;
use super::chat::{self, Room};
use super::helix::Fault;
use super::payment::broadcaster_of;
use super::pubsub::Spacing;
use crate::node::now_ms;

/// How many mails are on their way at once, so that a slow one does not keep the others.
const AT_ONCE: usize = 8;
/// How long a mail is taken for; longer than Twitch may take to answer.
const TAKEN: Ms = 30_000;
/// How often the store is asked.
const POLL: Duration = Duration::from_millis(250);
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_secs(2);
/// How long mails on their way may take once the server stops.
const LAST: Duration = Duration::from_secs(3);
/// After so many attempts, about a day, a mail is of no use to anybody.
const ATTEMPTS: i64 = 100;

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// To be tried again: after so long, or as long as is usual.
    Later(Option<Duration>),
    /// Never to be sent, and why.
    Dropped(String),
}

/// Runs until the server stops.
pub(super) async fn run(twitch: Arc<Twitch>, store: Store, mut stopping: watch::Receiver<bool>) {
    let spacing = Arc::new(Mutex::new(Spacing::default()));
    let mut going = JoinSet::new();
    while !*stopping.borrow() {
        let pause = match take(&store, &spacing, going.len()).await {
            Ok(Some(mail)) => {
                going.spawn(deliver(
                    twitch.clone(),
                    store.clone(),
                    spacing.clone(),
                    mail,
                ));
                continue;
            }
            Ok(None) => POLL,
            Err(error) => {
                tracing::warn!(%error, "the store gives no mail");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(_) = going.join_next() => {}
            // An error means that the server is gone.
            _ = stopping.changed() => {}
        }
    }
    // What is not sent by then is sent by the next process.
    let rest = async { while going.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST, rest).await;
}

/// A mail that is due and whose channel has its turn.
async fn take(
    store: &Store,
    spacing: &Mutex<Spacing>,
    going: usize,
) -> Result<Option<Mail>, Error> {
    if going >= AT_ONCE {
        return Ok(None);
    }
    while let Some(mail) = store.take_mail(now_ms(), TAKEN).await? {
        if mail.kind != "poke" {
            return Ok(Some(mail));
        }
        let Some(wait) = lock(spacing).rest(&mail.target, Instant::now()) else {
            return Ok(Some(mail));
        };
        // Back, and on to the next one at once: many channels whose pokes rest would keep everything else for seconds.
        store.mail_failed(now_ms(), &mail, Some(ms(wait))).await?;
    }
    Ok(None)
}

async fn deliver(twitch: Arc<Twitch>, store: Store, spacing: Arc<Mutex<Spacing>>, mail: Mail) {
    let outcome = send(&twitch, &store, &mail).await;
    let kind = if mail.kind == "poke" {
        // Before the store hears of it, and gives the next one.
        lock(&spacing).answered(&mail.target, Instant::now());
        "poke"
    } else {
        "chat"
    };
    let result = match &outcome {
        Outcome::Sent => "sent",
        Outcome::Later(_) => "later",
        Outcome::Dropped(_) => "dropped",
    };
    let counts = &twitch.metrics.twitch_mail;
    counts.with_label_values(&[kind, result]).inc();
    let noted = match outcome {
        Outcome::Sent => store.mail_sent(now_ms(), &mail).await,
        Outcome::Later(wait) => store.mail_failed(now_ms(), &mail, wait.map(ms)).await,
        Outcome::Dropped(why) => {
            tracing::debug!(mail = %mail.id, why, "a mail is dropped");
            store.mail_sent(now_ms(), &mail).await
        }
    };
    if let Err(error) = noted {
        // It is taken again in half a minute: sent twice at worst.
        tracing::warn!(%error, mail = %mail.id, "the store does not hear of a mail");
    }
}

async fn send(twitch: &Twitch, store: &Store, mail: &Mail) -> Outcome {
    if mail.attempts > ATTEMPTS {
        return Outcome::Dropped("it was tried for a day".to_owned());
    }
    let broadcaster = match broadcaster_of(store, &mail.target).await {
        Ok(Some(broadcaster)) => broadcaster,
        Ok(None) => return Outcome::Dropped("the channel is none of Twitch".to_owned()),
        Err(_) => return Outcome::Later(None),
    };
    let body: Value = serde_json::from_str(&mail.body).unwrap_or_default();
    let sent = match (mail.kind.as_str(), &twitch.pubsub, &twitch.chat) {
        ("poke", Some(pubsub), _) => pubsub.poke(&broadcaster, &body, now_ms() / 1000).await,
        ("chat", _, Some(chat)) => match chat::line(&body) {
            Some(line) => {
                let room = Room {
                    channel: &mail.target,
                    broadcaster: &broadcaster,
                };
                chat.write(store, room, &line, now_ms()).await
            }
            None => return Outcome::Dropped("there is nothing to say".to_owned()),
        },
        _ => return Outcome::Dropped("there is no way to send it".to_owned()),
    };
    outcome(mail, sent)
}

fn outcome(mail: &Mail, sent: Result<(), Fault>) -> Outcome {
    match sent {
        Ok(()) => Outcome::Sent,
        Err(Fault::Wait(wait)) => Outcome::Later(Some(wait)),
        Err(fault @ Fault::Refused { .. }) => {
            tracing::warn!(channel = %mail.target, kind = %mail.kind, %fault, "Twitch does not take a mail");
            Outcome::Dropped(fault.to_string())
        }
        Err(fault) => {
            tracing::debug!(channel = %mail.target, kind = %mail.kind, %fault, "a mail waits");
            Outcome::Later(None)
        }
    }
}

fn lock(spacing: &Mutex<Spacing>) -> MutexGuard<'_, Spacing> {
    // At worst a poke comes early.
    spacing.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(wait: Duration) -> Ms {
    Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX)
}

#[cfg(test)]
mod tests {
    use reverie_moments::life::{Limits, Policy, Source, Submission, Viewer};

    use super::*;

    /// Brings a given moment of this channel on the screen, as the store sees it.
    async fn show(store: &Store, now: Ms, channel: &str) {
        store.add_channel(now, channel, None).await.unwrap();
        store.set_policy(now, channel, Policy::Auto).await.unwrap();
        let held = store.hold_stream(now, channel, "source", "node").await;
        held.unwrap();
        let submission = Submission {
            id: channel.into(),
            channel: channel.to_owned(),
            viewer: Viewer {
                opaque: "U".to_owned(),
                id: None,
                name: None,
            },
            source: Source::Free,
            sku: "rain".to_owned(),
            price: 0,
            prompt: "rain".to_owned(),
            params: "{}".to_owned(),
            duration: 1000,
            idempotency_key: "k".to_owned(),
        };
        store.submit(now, submission).await.unwrap();
        let claimed = store.claim(now, channel, "node").await.unwrap();
        store.started(now, &claimed.unwrap().0).await.unwrap();
    }

    #[tokio::test]
    async fn pokes_that_rest_keep_no_line_from_a_chat() {
        let store = Store::open("sqlite::memory:", Limits::default());
        let store = store.await.unwrap();
        let spacing = Mutex::new(Spacing::default());
        let began = now_ms() - 1000;
        for n in 0..40 {
            let channel = format!("busy-{n}");
            show(&store, began, &channel).await;
        }
        // Only the pokes of those are due now, and before what follows.
        for _ in 0..40 {
            let line = store.take_mail(began, TAKEN).await.unwrap().unwrap();
            assert_eq!(line.kind, "chat");
            store.mail_sent(began, &line).await.unwrap();
        }
        show(&store, began + 1, "show").await;
        for n in 0..40 {
            lock(&spacing).answered(&format!("busy-{n}"), Instant::now());
        }
        let mail = take(&store, &spacing, 0).await.unwrap().unwrap();
        assert_eq!((mail.kind.as_str(), mail.target.as_str()), ("chat", "show"));
    }
}
