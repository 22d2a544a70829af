//! Many requests at once to a running server, on both databases.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::http::Answer;
use reverie_integration_tests::twitch_sim::{Notify, Order};
use reverie_moments::life::{Policy, Source, Submission, Viewer};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Api, Asked, PRICE, World, now};

const RECEIPTS: usize = 400;
const TRANSACTIONS: usize = 50;
const CHANNELS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn of_400_receipts_at_once_over_50_transactions_50_are_accepted_on_sqlite() -> Result<()> {
    receipts(World::sqlite().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_400_receipts_at_once_over_50_transactions_50_are_accepted_on_postgres() -> Result<()> {
    receipts(World::postgres().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_20_posts_at_once_with_one_key_one_makes_a_moment_on_sqlite() -> Result<()> {
    posts(World::sqlite().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_20_posts_at_once_with_one_key_one_makes_a_moment_on_postgres() -> Result<()> {
    posts(World::postgres().await?).await
}

async fn receipts(world: World) -> Result<()> {
    for n in 0..CHANNELS {
        let (channel, broadcaster) = (format!("c{n}"), format!("{}", 4000 + n));
        world.channel(&channel, &broadcaster, Policy::Auto).await?;
        online(&world, &channel).await?;
    }
    let server = world.start().await?;
    let api = Api::of(&server);
    let mut proofs: Vec<(Asked, String)> = Vec::new();
    for n in 0..TRANSACTIONS {
        proofs.push(proof(&world, &api, n).await?);
    }
    let proofs = Arc::new(proofs);
    let mut racing = JoinSet::new();
    for n in 0..RECEIPTS {
        let api = Api::of(&server);
        let proofs = proofs.clone();
        racing.spawn(async move {
            let (asked, receipt) = &proofs[n % TRANSACTIONS];
            api.give(asked, receipt).await
        });
    }
    let answers = racing.join_all().await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_>>()?;
    let of = |word: &str| {
        let answers = answers.iter().filter(|answer| answer.status == 200);
        answers
            .filter(|answer| answer.json()["paid"] == word)
            .count()
    };
    let counts = (of("accepted"), of("repeated"));
    ensure!(
        counts == (TRANSACTIONS, RECEIPTS - TRANSACTIONS),
        "{counts:?}"
    );
    let rows = world
        .count("SELECT COUNT(DISTINCT moment_id) FROM receipts")
        .await?;
    ensure!(rows == 50, "{rows} moments are paid");
    let queued = "SELECT COUNT(*) FROM moments WHERE state = 'queued'";
    ensure!(world.count(queued).await? == 50);
    let events = "SELECT COUNT(*) FROM moment_events WHERE kind = 'moment.queued'";
    ensure!(world.count(events).await? == 50);
    server.terminate().await?;
    Ok(())
}

/// The moment of another viewer, and the receipt for it.
async fn proof(world: &World, api: &Api, n: usize) -> Result<(Asked, String)> {
    let user = format!("viewer-{n}");
    let submission = Submission {
        id: format!("m{n}").as_str().into(),
        channel: format!("c{}", n % CHANNELS),
        viewer: Viewer {
            opaque: format!("U{n}"),
            id: Some(user.clone()),
            name: None,
        },
        source: Source::Bits,
        sku: "short".to_owned(),
        price: PRICE,
        prompt: "rain".to_owned(),
        params: "{}".to_owned(),
        duration: 1000,
        idempotency_key: user.clone(),
    };
    let moment = world.store.submit(now(), submission).await?.moment;
    let path = format!("/v1/moments/{}/intent", moment.id);
    let answer = api.post(&path, &json!({}), None).await?;
    let intent = answer.json()["intent"].as_str().map(str::to_owned);
    let asked = Asked {
        id: moment.id.to_string(),
        intent: intent.with_context(|| format!("an intent: {answer:?}"))?,
    };
    let order = Order {
        broadcaster_id: format!("{}", 4000 + n % CHANNELS),
        user_id: user,
        sku: "short".to_owned(),
        bits: PRICE,
        notify: Notify::Never,
        ..Order::default()
    };
    Ok((asked, world.sim.pay(order).await?.1))
}

async fn posts(world: World) -> Result<()> {
    world.channel("show", "4100", Policy::Auto).await?;
    online(&world, "show").await?;
    let server = world.start().await?;
    let mut racing = JoinSet::new();
    for _ in 0..20 {
        let api = Api::of(&server);
        racing.spawn(async move { api.ask("show", "short", "once").await });
    }
    let answers = racing.join_all().await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_>>()?;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    ensure!(
        answers.iter().all(|answer| answer.status.is_success()),
        "{answers:?}"
    );
    let ids: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.json()["id"].to_string())
        .collect();
    ensure!((made, ids.len()) == (1, 1), "{made} were made: {ids:?}");
    ensure!(world.count("SELECT COUNT(*) FROM moments").await? == 1);
    server.terminate().await?;
    Ok(())
}

/// A stream that some other server has, for as long as this takes.
async fn online(world: &World, channel: &str) -> Result<()> {
    world
        .store
        .hold_stream(now(), channel, "source", "elsewhere")
        .await?;
    Ok(())
}
