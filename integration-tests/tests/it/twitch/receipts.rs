//! Receipts: the right one pays once, and nothing else pays.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::root;
use reverie_integration_tests::twitch_sim::{EXTENSION_SECRET, Notify, Order, VIEWER};
use reverie_moments::life::State;
use serde_json::json;
use tokio::process::Command;

use super::World;
use crate::conformance::is_problem;

/// Receipts of a library that is not the server's, by what is wrong with them.
async fn minted() -> Result<BTreeMap<String, String>> {
    let output = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("integration-tests/clients/mint.py"))
        .args(["receipts", "--key", EXTENSION_SECRET])
        .output()
        .await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_another_library_pays_and_every_abuse_of_it_does_not() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let intent = world.intent(&moment).await?;
    let receipts = minted().await?;
    let (good, bad): (Vec<_>, Vec<_>) = receipts
        .iter()
        .partition(|(name, _)| name.starts_with("good"));
    ensure!(bad.len() > 30, "only {} abuses", bad.len());
    for (name, receipt) in bad {
        let answer = world.give(&moment, &intent, receipt).await?;
        is_problem(&answer, 422, "receipt").with_context(|| name.clone())?;
        ensure!(
            receipt.len() < 9 || !answer.body.contains(receipt.as_str()),
            "{name}: {answer:?}"
        );
        let state = world.state(&moment).await?;
        ensure!(state == State::Submitted, "{name}: it is {state}");
    }
    for (name, receipt) in good {
        let moment = world.submit(VIEWER).await?;
        let intent = world.intent(&moment).await?;
        let answer = world.give(&moment, &intent, receipt).await?;
        ensure!(answer.status == 200, "{name}: {answer:?}");
        ensure!(answer.json()["paid"] == "accepted", "{name}: {answer:?}");
        world.state_until(&moment, State::Queued).await?;
    }
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_counts_once_and_for_its_moment_only() -> Result<()> {
    let world = World::start().await?;
    let (first, second) = (world.submit(VIEWER).await?, world.submit(VIEWER).await?);
    let (one, two) = (world.intent(&first).await?, world.intent(&second).await?);
    let order = Order {
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    let answer = world.give(&first, &one, &receipt).await?;
    ensure!(answer.json()["paid"] == "accepted", "{answer:?}");
    let again = world.give(&first, &one, &receipt).await?;
    ensure!(again.json()["paid"] == "repeated", "{again:?}");
    is_problem(
        &world.give(&second, &two, &receipt).await?,
        409,
        "used already",
    )?;
    ensure!(world.state(&second).await? == State::Submitted);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_signed_with_the_secret_before_is_taken_while_both_are_good() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let intent = world.intent(&moment).await?;
    let order = Order {
        old_secret: true,
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    let answer = world.give(&moment, &intent, &receipt).await?;
    ensure!(answer.status == 200, "{answer:?}");
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_for_one_moment_and_signed_by_this_server() -> Result<()> {
    let world = World::start().await?;
    let (own, other) = (world.submit(VIEWER).await?, world.submit("8").await?);
    let (intent, of_other) = (world.intent(&own).await?, world.intent(&other).await?);
    let order = Order {
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    let changed = format!("{}x", &intent[..intent.len() - 1]);
    for wrong in ["", "a.b.c", &of_other, &changed, &receipt] {
        is_problem(&world.give(&own, wrong, &receipt).await?, 403, "intent")?;
    }
    ensure!(world.give(&own, &intent, &receipt).await?.status == 200);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_for_a_moment_that_is_paid_becomes_credits_which_pay_for_the_next() -> Result<()>
{
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let intent = world.intent(&moment).await?;
    let order = || Order {
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, first) = world.sim.pay(order()).await?;
    let (_, second) = world.sim.pay(order()).await?;
    ensure!(world.give(&moment, &intent, &first).await?.json()["paid"] == "accepted");
    let answer = world.give(&moment, &intent, &second).await?;
    ensure!(answer.json()["paid"] == "credited", "{answer:?}");
    let path = format!("/v1/me/credits?channel=show&viewer={VIEWER}");
    let credits = world.get(&path).await?;
    ensure!(credits.json()["credits"] == 100, "{credits:?}");

    let mut next = super::submission(VIEWER, "credit");
    next.source = reverie_moments::life::Source::Credit;
    let next = world.store.submit(super::now(), next).await?.moment;
    let path = format!("/v1/moments/{}/credit", next.id);
    let answer = world.call(Method::POST, &path, &json!({})).await?;
    ensure!(answer.json()["moment"]["state"] == "queued", "{answer:?}");
    let mut poor = super::submission(VIEWER, "poor");
    poor.source = reverie_moments::life::Source::Credit;
    let poor = world.store.submit(super::now(), poor).await?.moment;
    let path = format!("/v1/moments/{}/credit", poor.id);
    is_problem(
        &world.call(Method::POST, &path, &json!({})).await?,
        402,
        "costs 100 credits; 0 are there",
    )?;
    world.stop().await;
    Ok(())
}
