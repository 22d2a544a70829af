//! EventSub: what Twitch says is heard once, and what anybody else says is not.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::twitch_sim::{
    Delivery, EVENTSUB_SECRET, Notify, Order, Transaction, TwitchSim, VIEWER,
};
use reverie_moments::life::State;
use serde_json::{Value, json};

use super::{CHANNEL, World, free_port};
use crate::conformance::is_problem;

async fn paid(world: &World) -> Result<Transaction> {
    let order = Order {
        notify: Notify::Never,
        ..Order::default()
    };
    Ok(world.sim.pay(order).await?.0)
}

fn url(world: &World) -> String {
    world.server.url("/v1/twitch/eventsub")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_a_page_is_heard_from_twitch_and_finds_its_moment() -> Result<()> {
    let sim = TwitchSim::start().await?;
    let port = free_port()?;
    let world = World::start_with(sim, |config| {
        config.http.listen.set_port(port);
        config.twitch.public_url = Some(format!("http://127.0.0.1:{port}"));
    })
    .await?;
    let deadline = tokio::time::Instant::now() + reverie_integration_tests::client::PATIENCE;
    while world
        .sim
        .subscriptions()
        .first()
        .is_none_or(|s| s.status != "enabled")
    {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            world.sim.subscriptions()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let moment = world.submit(VIEWER).await?;
    let order = Order {
        notify: Notify::Twice,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    ensure!(world.state(&moment).await? == State::Queued);
    // The page is late, and pays nothing twice.
    let intent = world.intent(&moment).await?;
    let answer = world.give(&moment, &intent, &receipt).await?;
    ensure!(answer.json()["paid"] == "repeated", "{answer:?}");
    let heard = world
        .server
        .series("reverie_twitch_notifications_total{result=\"repeated\"}")
        .await?;
    ensure!((heard - 1.0).abs() < f64::EPSILON, "repeated {heard} times");
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_of_anybody_else_is_refused() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let transaction = paid(&world).await?;
    let good = Delivery::of(&transaction, EVENTSUB_SECRET, "message-1")?;
    let wrong = [
        Delivery {
            secret: "another-secret-another".to_owned(),
            ..good.clone()
        },
        Delivery {
            secret: String::new(),
            ..good.clone()
        },
    ];
    for delivery in wrong {
        is_problem(
            &world.sim.notify(&url(&world), delivery).await?,
            403,
            "signature",
        )?;
    }
    // Signed for another text, another id, another time; not signed at all.
    for (name, value) in [
        ("twitch-eventsub-message-id", "message-2"),
        ("twitch-eventsub-message-timestamp", "2026-11-28T12:00:00Z"),
        ("twitch-eventsub-message-signature", "sha256=00"),
        ("twitch-eventsub-message-signature", "sha256=zz"),
        ("twitch-eventsub-message-signature", ""),
    ] {
        let answer = world.sim.tampered(&url(&world), &good, name, value).await?;
        is_problem(&answer, 403, "signature").with_context(|| format!("{name}: {value}"))?;
    }
    ensure!(world.state(&moment).await? == State::Submitted);
    let answer = world.sim.notify(&url(&world), good).await?;
    ensure!(answer.status == 204, "{answer:?}");
    ensure!(world.state(&moment).await? == State::Queued);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_older_than_ten_minutes_is_refused() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let transaction = paid(&world).await?;
    for (ago_s, taken) in [(601, false), (-601, false), (590, true)] {
        let delivery = Delivery::of(&transaction, EVENTSUB_SECRET, "message")?.sent_ago(ago_s)?;
        let answer = world.sim.notify(&url(&world), delivery).await?;
        if taken {
            ensure!(answer.status == 204, "{ago_s} s: {answer:?}");
        } else {
            is_problem(&answer, 403, "10 minutes")?;
        }
        let wanted = if taken {
            State::Queued
        } else {
            State::Submitted
        };
        ensure!(world.state(&moment).await? == wanted, "{ago_s} s");
    }
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_comes_under_many_message_ids_counts_once() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let transaction = paid(&world).await?;
    for id in ["a", "b", "b", "c"] {
        let delivery = Delivery::of(&transaction, EVENTSUB_SECRET, id)?;
        let answer = world.sim.notify(&url(&world), delivery).await?;
        ensure!(answer.status == 204, "{answer:?}");
    }
    ensure!(world.state(&moment).await? == State::Queued);
    ensure!(world.store.balance(CHANNEL, VIEWER).await? == 0);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_only_tried_out_pays_nothing() -> Result<()> {
    let world = World::start().await?;
    let moment = world.submit(VIEWER).await?;
    let order = Order {
        in_development: true,
        notify: Notify::Never,
        ..Order::default()
    };
    let transaction = world.sim.pay(order).await?.0;
    let delivery = Delivery::of(&transaction, EVENTSUB_SECRET, "message")?;
    ensure!(world.sim.notify(&url(&world), delivery).await?.status == 204);
    ensure!(world.state(&moment).await? == State::Submitted);
    ensure!(world.store.balance(CHANNEL, VIEWER).await? == 0);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_is_answered_and_a_revocation_is_heard() -> Result<()> {
    let world = World::start().await?;
    let body = json!({ "challenge": "say-this", "subscription": { "type": "x", "status": "s" } });
    let say = |kind: &str, body: &Value| Delivery::new(kind, body, EVENTSUB_SECRET, kind);
    let challenge = say("webhook_callback_verification", &body)?;
    let answer = world.sim.notify(&url(&world), challenge).await?;
    ensure!(
        (answer.status.as_u16(), answer.body.as_str()) == (200, "say-this"),
        "{answer:?}"
    );
    let gone = say("revocation", &body)?;
    let answer = world.sim.notify(&url(&world), gone).await?;
    ensure!(answer.status == 204, "{answer:?}");
    world
        .server
        .metric_until(
            "reverie_twitch_notifications_total{result=\"revoked\"}",
            1.0,
        )
        .await?;
    let nonsense = say("notification", &json!({ "event": 7 }))?;
    is_problem(
        &world.sim.notify(&url(&world), nonsense).await?,
        422,
        "cannot be read",
    )?;
    world.stop().await;
    Ok(())
}
