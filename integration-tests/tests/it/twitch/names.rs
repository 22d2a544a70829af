//! Viewers' names: Twitch's, once a day; and somebody anonymous when Twitch has none to give.

use std::time::Duration;

use anyhow::{Result, ensure};
use reverie_integration_tests::twitch_sim::{Fault, VIEWER};
use tokio::time::Instant;

use super::World;

async fn name(world: &World, user: &str) -> Result<String> {
    let path = format!("/v1/me/credits?channel=show&viewer={user}");
    let answer = world.get(&path).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.json()["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_for_once() -> Result<()> {
    let world = World::start().await?;
    for _ in 0..3 {
        ensure!(name(&world, VIEWER).await? == "Ann");
    }
    ensure!(world.sim.calls("users") == 1);
    ensure!(name(&world, "8").await? == "Bob");
    ensure!(name(&world, "999999").await? == "Anonymous");
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twitch_that_is_down_makes_a_viewer_anonymous_and_keeps_nobody_waiting() -> Result<()> {
    let world = World::start().await?;
    let hanging = Fault {
        times: 1,
        status: 0,
        delay_ms: 60_000,
        after: false,
    };
    world.sim.fault("users", hanging);
    let begin = Instant::now();
    ensure!(name(&world, VIEWER).await? == "Anonymous");
    let waited = begin.elapsed();
    ensure!(waited < Duration::from_secs(8), "it took {waited:?}");
    // The next viewers do not even wait the second.
    ensure!(name(&world, "8").await? == "Anonymous");
    ensure!(world.sim.calls("users") == 1);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twitch_that_refuses_makes_a_viewer_anonymous() -> Result<()> {
    for status in [429, 500, 403] {
        let world = World::start().await?;
        let fault = Fault {
            times: 10,
            status,
            delay_ms: 0,
            after: false,
        };
        world.sim.fault("users", fault);
        ensure!(name(&world, VIEWER).await? == "Anonymous", "{status}");
        world.stop().await;
    }
    Ok(())
}
