//! Many at once.

use std::collections::BTreeSet;

use reverie_moments::life::{Policy, State, Submission};
use reverie_moments::store::{Paid, Store};
use tokio::task::JoinSet;

use crate::on_both;
use crate::world::{CHANNEL, NODE, World, bits, receipt};

on_both!(
    of_400_racing_receipts_over_50_transactions_50_are_accepted,
    of_20_posts_with_one_key_one_makes_the_moment,
    of_many_nodes_one_claims_the_moment,
    a_transaction_used_in_two_channels_at_once_counts_in_one,
    processes_that_start_together_make_the_tables_once,
);

async fn of_400_racing_receipts_over_50_transactions_50_are_accepted(world: World) {
    let mut receipts = Vec::new();
    for n in 0..50 {
        let channel = format!("c{}", n % 7);
        world.channel(&channel, Policy::Auto).await;
        let submission = Submission {
            channel,
            ..bits(&n.to_string())
        };
        let moment = world.store.submit(world.now(), submission).await;
        // The queue of a channel is shorter than what this test needs of all of them.
        receipts.push(receipt(&moment.unwrap().moment, &format!("t{n}")));
    }
    let mut racing = JoinSet::new();
    for n in 0..400 {
        let (store, receipt, now) = (world.store.clone(), receipts[n % 50].clone(), world.now());
        racing.spawn(async move { store.accept(now, &receipt).await.unwrap() });
    }
    let paid = racing.join_all().await;
    let accepted: BTreeSet<_> = paid
        .iter()
        .filter_map(|paid| match paid {
            Paid::Accepted(moment) => Some(moment.id.as_str()),
            _ => None,
        })
        .collect();
    let repeated = paid.iter().filter(|paid| matches!(paid, Paid::Repeated(_)));
    assert_eq!((accepted.len(), repeated.count()), (50, 350));
}

async fn of_20_posts_with_one_key_one_makes_the_moment(world: World) {
    let mut posts = JoinSet::new();
    for n in 0..20 {
        let submission = Submission {
            id: format!("id-{n}").as_str().into(),
            ..bits("ann")
        };
        let (store, now) = (world.store.clone(), world.now());
        posts.spawn(async move { store.submit(now, submission).await.unwrap() });
    }
    let answers = posts.join_all().await;
    let fresh = answers.iter().filter(|answer| answer.fresh).count();
    let ids: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.moment.id.as_str())
        .collect();
    assert_eq!((fresh, ids.len()), (1, 1));
}

async fn of_many_nodes_one_claims_the_moment(world: World) {
    world.queued("ann").await;
    world.queued("bob").await;
    let other = Store::open(&world.url, world.store.limits().clone())
        .await
        .unwrap();
    let mut claims = JoinSet::new();
    for n in 0..16 {
        let store = if n % 2 == 0 {
            world.store.clone()
        } else {
            other.clone()
        };
        let now = world.now();
        claims.spawn(async move { store.claim(now, CHANNEL, NODE).await.unwrap() });
    }
    let claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].1.state, State::Warming);
}

async fn a_transaction_used_in_two_channels_at_once_counts_in_one(world: World) {
    let mut racing = JoinSet::new();
    for n in 0..8 {
        let channel = format!("c{n}");
        world.channel(&channel, Policy::Auto).await;
        let submission = Submission {
            channel,
            ..bits(&n.to_string())
        };
        let moment = world.submit(submission).await;
        let (store, now) = (world.store.clone(), world.now());
        racing.spawn(async move { store.accept(now, &receipt(&moment, "one")).await });
    }
    let answers = racing.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    for error in refused {
        assert!(
            error.to_string().contains("has been used already"),
            "{error}"
        );
    }
}

async fn processes_that_start_together_make_the_tables_once(world: World) {
    // Beside the database that is there already: ten open a new one.
    let folder = tempfile::tempdir().unwrap();
    let url = if world.url.starts_with("postgres") {
        crate::postgres::database(false)
    } else {
        format!("sqlite://{}/new.sqlite?mode=rwc", folder.path().display())
    };
    let mut opening = JoinSet::new();
    for _ in 0..10 {
        let url = url.clone();
        opening.spawn(async move { Store::open(&url, crate::world::limits()).await.unwrap() });
    }
    for store in opening.join_all().await {
        store.add_channel(0, "c", None).await.unwrap();
        assert_eq!(store.snapshot("c").await.unwrap().n, 0);
        store.close().await;
    }
}
