//! What Twitch told nobody, since nobody listened, is asked for.

use anyhow::{Result, ensure};
use reverie_integration_tests::twitch_sim::{Fault, Notify, Order, TwitchSim, VIEWER};
use reverie_moments::life::State;

use super::{CHANNEL, World, free_port};

fn unheard(sku: &str, ago_s: u64) -> Order {
    Order {
        sku: sku.to_owned(),
        ago_s,
        notify: Notify::Never,
        ..Order::default()
    }
}

/// A server whose Twitch has a history; what comes of it is known once the first look is through.
async fn after(history: Vec<Order>, faults: Vec<Fault>) -> Result<World> {
    let sim = TwitchSim::start().await?;
    for order in history {
        sim.pay(order).await?;
    }
    for fault in faults {
        sim.fault("extensions/transactions", fault);
    }
    World::start_with(sim, |_| ()).await
}

async fn looked(world: &World) -> Result<()> {
    let calls = "reverie_twitch_calls_total{call=\"transactions\",result=\"ok\"}";
    world
        .server
        .series_until(calls, "at least 1", |sum| sum >= 1.0)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_a_time_without_a_server_become_credits_once() -> Result<()> {
    let history = vec![unheard("rain", 3000), unheard("rain", 2000)];
    let world = after(history, Vec::new()).await?;
    world
        .server
        .metric_until(
            "reverie_twitch_payments_total{by=\"asked\",result=\"credited\"}",
            2.0,
        )
        .await?;
    ensure!(world.store.balance(CHANNEL, VIEWER).await? == 200);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_heard_of_brings_its_moment_into_the_queue() -> Result<()> {
    // The same data directory for two servers, one after the other.
    let data = tempfile::tempdir()?;
    let folder = data.path().to_owned();
    let first = World::start_with(TwitchSim::start().await?, |config| {
        config.data_dir.clone_from(&folder);
    })
    .await?;
    first.server.stop().await;
    drop(first.sim);
    let store = super::store(data.path().join("moments.sqlite")).await?;
    store.add_channel(super::now(), CHANNEL, None).await?;
    let policy = reverie_moments::life::Policy::Auto;
    store.set_policy(super::now(), CHANNEL, policy).await?;
    store.link_channel("twitch", "42", CHANNEL).await?;
    store
        .hold_stream(super::now(), CHANNEL, "source", super::NODE)
        .await?;
    let moment = super::submit(&store, VIEWER, "down").await?;
    let sim = TwitchSim::start().await?;
    sim.pay(unheard("rain", 1)).await?;
    let second = World::start_with(sim, |config| config.data_dir.clone_from(&folder)).await?;
    let deadline = tokio::time::Instant::now() + reverie_integration_tests::client::PATIENCE;
    while store.moment(&moment.id).await?.state != State::Queued {
        ensure!(tokio::time::Instant::now() < deadline, "it was not paid");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_pages_is_read_to_its_end() -> Result<()> {
    let history = (0..230).map(|n| unheard("rain", 300 - n)).collect();
    let world = after(history, Vec::new()).await?;
    world
        .server
        .metric_until(
            "reverie_twitch_payments_total{by=\"asked\",result=\"credited\"}",
            230.0,
        )
        .await?;
    ensure!(world.store.balance(CHANNEL, VIEWER).await? == 23_000);
    ensure!(world.sim.calls("extensions/transactions") == 3);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_behind_the_last_look_is_not_asked_for_again() -> Result<()> {
    // Older than a day, so from before the first look.
    let history = vec![unheard("rain", 2 * 86_400), unheard("rain", 60)];
    let world = after(history, Vec::new()).await?;
    looked(&world).await?;
    world
        .server
        .metric_until(
            "reverie_twitch_payments_total{by=\"asked\",result=\"credited\"}",
            1.0,
        )
        .await?;
    ensure!(world.store.balance(CHANNEL, VIEWER).await? == 100);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twitch_that_is_down_is_asked_again() -> Result<()> {
    let down = Fault {
        times: 2,
        status: 503,
        delay_ms: 0,
        after: false,
    };
    let limited = Fault {
        times: 1,
        status: 429,
        ..down.clone()
    };
    let world = after(vec![unheard("rain", 60)], vec![down, limited]).await?;
    world
        .server
        .metric_until(
            "reverie_twitch_payments_total{by=\"asked\",result=\"credited\"}",
            1.0,
        )
        .await?;
    ensure!(world.sim.calls("extensions/transactions") == 4);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_by_twitch_serves_all_the_same() -> Result<()> {
    let sim = TwitchSim::start().await?;
    let nowhere = free_port()?;
    let world = World::start_with(sim, |config| {
        config.twitch.helix_url = format!("http://127.0.0.1:{nowhere}/helix");
        config.twitch.id_url = format!("http://127.0.0.1:{nowhere}/oauth2");
    })
    .await?;
    let moment = world.submit(VIEWER).await?;
    let intent = world.intent(&moment).await?;
    let (_, receipt) = world.sim.pay(unheard("rain", 0)).await?;
    let answer = world.give(&moment, &intent, &receipt).await?;
    ensure!(answer.json()["paid"] == "accepted", "{answer:?}");
    world.stop().await;
    Ok(())
}
