//! What happens to moments in their queue and to whoever serves them, on both databases: turns, leases, time, mail.

use std::time::Duration;

use reverie_moments::Reason;
use reverie_moments::life::{Compensation, Moment, Policy, Source, State, Submission};
use reverie_moments::store::{Error, Lease, Outcome, START, Store};
use tokio::time::timeout;

use crate::on_both;
use crate::promises::{lost, refused};
use crate::world::{CHANNEL, NODE, World, bits, limits};

on_both!(
    a_node_without_the_stream_claims_nothing,
    moments_start_in_their_order_and_in_the_one_they_are_moved_to,
    nothing_starts_in_a_paused_channel_or_during_its_cooldown,
    a_lost_lease_writes_nothing,
    a_moment_whose_node_died_is_tried_again_and_fails_the_third_time,
    two_reapers_do_no_more_than_one,
    the_reaper_ends_what_waits_too_long,
    a_queue_expires_when_its_stream_stays_offline,
    panic_hides_what_is_live_and_pauses_the_queue,
    a_bridge_starts_the_attempt_that_it_saw,
    who_is_put_back_goes_to_the_end_of_the_queue,
    a_cleared_queue_is_empty_and_everybody_is_credited,
    mail_is_due_again_until_it_is_sent,
    a_poke_that_is_renewed_while_it_is_sent_is_sent_again,
    prompts_are_erased_thirty_days_after_the_end,
    a_stream_is_one_nodes_until_its_lease_is_over,
    a_watcher_hears_of_other_processes,
    everything_is_there_after_opening_again,
    settings_are_changed_by_who_has_seen_them,
    the_streamers_own_moment_waits_for_nobody,
    nodes_are_known_while_they_are_heard,
);

async fn a_node_without_the_stream_claims_nothing(world: World) {
    world.queued("ann").await;
    assert_eq!(
        world
            .store
            .claim(world.now(), CHANNEL, "node-2")
            .await
            .unwrap(),
        None
    );
    // Its lease is over, and so is its right.
    world.pass(limits().lease);
    assert_eq!(
        world.store.claim(world.now(), CHANNEL, NODE).await.unwrap(),
        None
    );
    world.claim().await;
}

async fn moments_start_in_their_order_and_in_the_one_they_are_moved_to(world: World) {
    for name in ["a", "b", "c", "d"] {
        world.queued(name).await;
    }
    let order = async || {
        let snapshot = world.store.snapshot(CHANNEL).await.unwrap();
        let names = snapshot
            .moments
            .iter()
            .map(|moment| moment.id.as_str()["m-".len()..].to_owned());
        names.collect::<String>()
    };
    assert_eq!(order().await, "abcd");
    let move_to = async |name: &str, place| {
        let id = format!("m-{name}").as_str().into();
        let version = world.store.moment(&id).await.unwrap().version;
        world
            .store
            .move_to(world.now(), &id, version, place)
            .await
            .unwrap()
    };
    move_to("d", 1).await;
    assert_eq!(order().await, "adbc");
    move_to("a", 99).await;
    assert_eq!(order().await, "dbca");
    let (lease, first) = world.claim().await;
    assert_eq!(first.id.as_str(), "m-d");
    // Back to its place, which is the first.
    let failed = Outcome::PipelineFailed {
        words: "no memory".into(),
        retry: true,
    };
    world
        .store
        .finish(world.now(), &lease, failed)
        .await
        .unwrap();
    assert_eq!(order().await, "dbca");
    assert_eq!(
        world.store.claim(world.now(), CHANNEL, NODE).await.unwrap(),
        None
    );
    world.pass(1000);
    let (lease, first) = world.claim().await;
    assert_eq!((first.id.as_str(), lease.epoch), ("m-d", 2));
}

async fn nothing_starts_in_a_paused_channel_or_during_its_cooldown(world: World) {
    let limits = reverie_moments::life::Limits {
        cooldown: 5000,
        ..limits()
    };
    let store = Store::open(&world.url, limits).await.unwrap();
    world.queued("ann").await;
    world.queued("bob").await;
    store.pause(world.now(), CHANNEL).await.unwrap();
    assert_eq!(store.claim(world.now(), CHANNEL, NODE).await.unwrap(), None);
    store.resume(world.now(), CHANNEL).await.unwrap();
    let (lease, _) = store
        .claim(world.now(), CHANNEL, NODE)
        .await
        .unwrap()
        .unwrap();
    store.started(world.now(), &lease).await.unwrap();
    store
        .finish(world.now(), &lease, Outcome::Shown)
        .await
        .unwrap();
    world.pass(4999);
    assert_eq!(store.claim(world.now(), CHANNEL, NODE).await.unwrap(), None);
    world.pass(1);
    assert!(
        store
            .claim(world.now(), CHANNEL, NODE)
            .await
            .unwrap()
            .is_some()
    );
}

async fn a_lost_lease_writes_nothing(world: World) {
    let ann = world.queued("ann").await;
    let (old, _) = world.claim().await;
    world.pass(limits().lease);
    assert_eq!(
        world.store.reap(world.now()).await.unwrap().moments.len(),
        1
    );
    world.pass(1000);
    let (new, _) = world.claim().await;
    assert_eq!((old.epoch, new.epoch), (1, 2));
    let impostor = Lease {
        node: "node-2".into(),
        ..new.clone()
    };
    for lease in [&old, &impostor] {
        lost(world.store.heartbeat(world.now(), lease).await);
        lost(world.store.started(world.now(), lease).await);
        lost(world.store.finish(world.now(), lease, Outcome::Shown).await);
    }
    assert_eq!(world.state(&ann).await, State::Warming);
    let beat = world.store.heartbeat(world.pass(3000), &new).await.unwrap();
    assert_eq!(beat.lease_until, world.now() + limits().lease);
    world.store.started(world.now(), &new).await.unwrap();
}

async fn a_moment_whose_node_died_is_tried_again_and_fails_the_third_time(world: World) {
    let ann = world.queued("ann").await;
    for attempt in 1..=3 {
        world.claim().await;
        world.pass(limits().lease);
        let reaped = world.store.reap(world.now()).await.unwrap().moments;
        assert_eq!(reaped[0].attempts, attempt);
        world.pass(1000);
    }
    let ended = world.store.moment(&ann.id).await.unwrap();
    assert_eq!(
        (ended.state, ended.reason),
        (State::Failed, Some(Reason::LeaseLost))
    );
    assert_eq!(world.balance("ann").await, 100);
}

async fn two_reapers_do_no_more_than_one(world: World) {
    for name in ["a", "b", "c"] {
        world.paid(name).await;
    }
    world.pass(limits().approval);
    let other = Store::open(&world.url, limits()).await.unwrap();
    let now = world.now();
    let (one, two) = tokio::join!(world.store.reap(now), other.reap(now));
    assert_eq!(one.unwrap().moments.len() + two.unwrap().moments.len(), 3);
    assert_eq!(world.store.reap(now).await.unwrap().moments, []);
    for name in ["a", "b", "c"] {
        assert_eq!(world.balance(name).await, 100);
    }
}

async fn the_reaper_ends_what_waits_too_long(world: World) {
    world.paid("pending").await;
    world.queued("queued").await;
    let (_, active) = world.active_first("active").await;
    let reap = async |at| {
        world.online(CHANNEL).await;
        let reaped = world.store.reap(at).await.unwrap().moments;
        reaped
            .into_iter()
            .map(|moment| (moment.id.to_string(), moment.state))
            .collect::<Vec<_>>()
    };
    let lease = Lease {
        id: active.id.clone(),
        node: NODE.into(),
        epoch: active.epoch,
    };
    // Its node lives, but does not end it.
    world.pass(9000);
    world.store.heartbeat(world.now(), &lease).await.unwrap();
    assert_eq!(reap(world.pass(5999)).await, []);
    assert_eq!(
        reap(world.pass(1)).await,
        [("m-active".to_owned(), State::Completed)]
    );
    world.pass(limits().approval);
    assert_eq!(
        reap(world.now()).await,
        [("m-pending".to_owned(), State::Expired)]
    );
    world.pass(limits().max_wait);
    assert_eq!(
        reap(world.now()).await,
        [("m-queued".to_owned(), State::Expired)]
    );
    assert_eq!(
        (
            world.balance("pending").await,
            world.balance("queued").await
        ),
        (100, 100)
    );
}

async fn a_queue_expires_when_its_stream_stays_offline(world: World) {
    let ann = world.queued("ann").await;
    world.pass(limits().lease + limits().max_offline - 1);
    assert_eq!(world.store.reap(world.now()).await.unwrap().moments, []);
    world.pass(1);
    let reaped = world.store.reap(world.now()).await.unwrap().moments;
    assert_eq!(reaped.len(), 1);
    assert_eq!(
        (&reaped[0].id, &reaped[0].reason),
        (&ann.id, &Some(Reason::StreamOffline))
    );
    refused(
        world.store.submit(world.now(), bits("bob")).await,
        "offline",
    );
}

async fn panic_hides_what_is_live_and_pauses_the_queue(world: World) {
    let (lease, active) = world.active("ann").await;
    world.queued("bob").await;
    let hidden = world
        .store
        .panic(world.now(), CHANNEL)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&hidden.id, hidden.state), (&active.id, State::Cancelled));
    lost(world.store.heartbeat(world.now(), &lease).await);
    assert_eq!(
        world.store.claim(world.now(), CHANNEL, NODE).await.unwrap(),
        None
    );
    assert!(world.store.settings(CHANNEL).await.unwrap().paused);
    assert_eq!(world.store.panic(world.now(), CHANNEL).await.unwrap(), None);
}

async fn mail_is_due_again_until_it_is_sent(world: World) {
    world.active("ann").await;
    let take = async |at| loop {
        match world.store.take_mail(at, 30_000).await.unwrap() {
            Some(mail) if mail.kind == "poke" => world.store.mail_sent(at, &mail).await.unwrap(),
            other => break other,
        }
    };
    let first = take(world.now()).await.unwrap();
    assert_eq!(
        (first.id.as_str(), first.attempts),
        ("chat/m-ann/active", 1)
    );
    let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(
        (&body["name"], &body["prompt"]),
        (&"ANN".into(), &"rain for ann".into())
    );
    assert_eq!(take(world.pass(29_999)).await, None);
    let second = take(world.pass(1)).await.unwrap();
    assert_eq!(second.attempts, 2);
    world
        .store
        .mail_failed(world.now(), &second, None)
        .await
        .unwrap();
    assert_eq!(take(world.pass(1999)).await, None);
    let third = take(world.pass(1)).await.unwrap();
    world.store.mail_sent(world.now(), &third).await.unwrap();
    assert_eq!(take(world.pass(1_000_000)).await, None);
}

async fn a_poke_that_is_renewed_while_it_is_sent_is_sent_again(world: World) {
    world.submit(bits("ann")).await;
    let take = async || world.store.take_mail(world.now(), 30_000).await.unwrap();
    let first = take().await.unwrap();
    assert_eq!(first.id, "poke/show");
    world.submit(bits("bob")).await;
    // The one that is being sent is not taken twice.
    assert_eq!(take().await, None);
    world.store.mail_sent(world.now(), &first).await.unwrap();
    let second = take().await.unwrap();
    assert_ne!(second.body, first.body);
    world.store.mail_sent(world.now(), &second).await.unwrap();
    assert_eq!(take().await, None);
}

async fn prompts_are_erased_thirty_days_after_the_end(world: World) {
    let (lease, _) = world.active("ann").await;
    let done = world
        .store
        .finish(world.pass(10_000), &lease, Outcome::Shown)
        .await
        .unwrap();
    let open = world.paid("bob").await;
    world.pass(limits().retention - 1);
    assert_eq!(world.store.erase(world.now()).await.unwrap(), 0);
    world.pass(1);
    assert_eq!(world.store.erase(world.now()).await.unwrap(), 1);
    let erased = world.store.moment(&done.id).await.unwrap();
    assert_eq!((erased.prompt.as_str(), erased.viewer.name), ("", None));
    assert_eq!(
        world.store.moment(&open.id).await.unwrap().prompt,
        "rain for bob"
    );
    let sent: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE body LIKE '%rain for ann%'")
            .fetch_one(&world.tables().await)
            .await
            .unwrap();
    assert_eq!(sent, 0);
    let receipts: Vec<(String, i64)> = sqlx::query_as("SELECT raw, amount FROM receipts")
        .fetch_all(&world.tables().await)
        .await
        .unwrap();
    assert_eq!(receipts.len(), 2);
    assert!(
        receipts
            .iter()
            .all(|(raw, amount)| raw.is_empty() && *amount > 0)
    );
}

async fn a_stream_is_one_nodes_until_its_lease_is_over(world: World) {
    let held = world
        .store
        .hold_stream(world.now(), CHANNEL, "source", NODE)
        .await
        .unwrap();
    let take = async || {
        world
            .store
            .hold_stream(world.now(), CHANNEL, "source", "node-2")
            .await
    };
    assert!(matches!(take().await, Err(Error::StreamTaken { .. })));
    world.pass(limits().lease);
    let taken = take().await.unwrap();
    assert_eq!(taken.epoch, held.epoch + 1);
    // Who had it before gives nothing up.
    world
        .store
        .release_stream(world.now(), &held)
        .await
        .unwrap();
    let has = world
        .store
        .stream(world.now(), CHANNEL, "source")
        .await
        .unwrap();
    assert_eq!(has, Some(taken.clone()));
    world
        .store
        .release_stream(world.now(), &taken)
        .await
        .unwrap();
    assert_eq!(
        world
            .store
            .stream(world.now(), CHANNEL, "source")
            .await
            .unwrap(),
        None
    );
}

async fn a_watcher_hears_of_other_processes(world: World) {
    let mut watch = world.store.watch().await.unwrap();
    let other = Store::open(&world.url, limits()).await.unwrap();
    other.submit(world.now(), bits("ann")).await.unwrap();
    let n = other.snapshot(CHANNEL).await.unwrap().n;
    let heard = timeout(Duration::from_secs(10), watch.changed()).await;
    assert_eq!(
        heard.expect("told in 10 s").unwrap(),
        [(CHANNEL.to_owned(), n)]
    );
}

async fn everything_is_there_after_opening_again(world: World) {
    let (_, active) = world.active("ann").await;
    world.queued("bob").await;
    let before = world.store.snapshot(CHANNEL).await.unwrap();
    world.store.close().await;
    let again = Store::open(&world.url, limits()).await.unwrap();
    assert_eq!(again.snapshot(CHANNEL).await.unwrap(), before);
    assert_eq!(before.moments[0], active);
    sqlx::query("INSERT INTO store_versions(version) VALUES(99)")
        .execute(&world.tables().await)
        .await
        .unwrap();
    let newer = Store::open(&world.url, limits()).await.unwrap_err();
    let told = "the store has the tables of version 99; this program knows them up to ";
    assert!(newer.to_string().starts_with(told), "{newer}");
}

async fn settings_are_changed_by_who_has_seen_them(world: World) {
    let before = world.store.settings(CHANNEL).await.unwrap();
    let set = async |text, version| {
        world
            .store
            .set_settings(world.now(), CHANNEL, text, version)
            .await
            .unwrap()
    };
    assert_eq!(
        set("{\"a\":1}", before.version).await,
        Some(before.version + 1)
    );
    assert_eq!(set("{\"a\":2}", before.version).await, None);
    assert_eq!(
        world.store.settings(CHANNEL).await.unwrap().settings,
        "{\"a\":1}"
    );
    refused(world.store.settings("nowhere").await, "no channel nowhere");
}

async fn the_streamers_own_moment_waits_for_nobody(world: World) {
    world.channel(CHANNEL, Policy::Off).await;
    refused(
        world.store.submit(world.now(), bits("ann")).await,
        "takes no moments",
    );
    let own = Submission {
        source: Source::Streamer,
        price: 0,
        ..bits("ann")
    };
    let moment = world.submit(own).await;
    assert_eq!((moment.state, moment.version), (State::Queued, 1));
}

async fn nodes_are_known_while_they_are_heard(world: World) {
    let node = reverie_moments::store::Node {
        id: NODE.into(),
        url: "http://10.0.0.1".into(),
        region: "eu".into(),
        capacity: "{}".into(),
        load: "{}".into(),
        draining: true,
        seen_until: world.now() + 1,
    };
    world.store.node_seen(&node).await.unwrap();
    assert_eq!(world.store.nodes(world.now()).await.unwrap(), [node]);
    assert_eq!(world.store.nodes(world.pass(1)).await.unwrap(), []);
}

impl World {
    /// One that is seen before those that waited already.
    async fn active_first(&self, name: &str) -> (Lease, Moment) {
        let queued = self.queued(name).await;
        self.store
            .move_to(self.now(), &queued.id, queued.version, 0)
            .await
            .unwrap();
        let (lease, moment) = self.claim().await;
        assert_eq!(moment.id, queued.id);
        (
            lease.clone(),
            self.store.started(self.now(), &lease).await.unwrap(),
        )
    }
}

async fn a_bridge_starts_the_attempt_that_it_saw(world: World) {
    let queued = world.queued("ann").await;
    let early = world
        .store
        .start(world.now(), &queued.id, queued.version)
        .await;
    refused(early, "cannot be started");
    let (lease, warming) = world.claim().await;
    let before = world.store.snapshot(CHANNEL).await.unwrap().n;
    world
        .store
        .start(world.now(), &lease.id, warming.version)
        .await
        .unwrap();
    let events = world.store.events(CHANNEL, before, 9).await.unwrap();
    assert_eq!((events.len(), events[0].kind.as_str()), (1, START));
    assert!(
        events[0]
            .body
            .contains(&format!("\"epoch\":{}", lease.epoch)),
        "{events:?}"
    );
    let stale = world
        .store
        .start(world.now(), &lease.id, queued.version)
        .await;
    refused(stale, "has version");
}

async fn who_is_put_back_goes_to_the_end_of_the_queue(world: World) {
    for name in ["ann", "bob"] {
        world.queued(name).await;
    }
    let (lease, warming) = world.claim().await;
    let back = world
        .store
        .requeue(world.now(), &lease.id, warming.version)
        .await
        .unwrap();
    assert_eq!((back.state, back.attempts), (State::Queued, 0));
    lost(world.store.heartbeat(world.now(), &lease).await);
    let (next, _) = world.claim().await;
    assert_ne!(next.id, lease.id, "the other one goes first");
}

async fn a_cleared_queue_is_empty_and_everybody_is_credited(world: World) {
    for name in ["ann", "bob"] {
        world.queued(name).await;
    }
    let (lease, _) = world.claim().await;
    world.queued("cat").await;
    let cleared = world.store.clear(world.now(), CHANNEL).await.unwrap();
    assert_eq!(cleared.len(), 2);
    for moment in &cleared {
        assert_eq!(moment.state, State::Cancelled);
        assert_eq!(moment.compensation, Compensation::Credited);
    }
    let left = world.store.snapshot(CHANNEL).await.unwrap().moments;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, lease.id, "what is live goes on");
}
