//! What is said in chats and to pages: once, in time, and later when Twitch is down.

use std::time::Duration;

use anyhow::{Result, ensure};
use reverie_integration_tests::twitch_sim::{BOT, Fault, STREAMER, TwitchSim};

use super::{CHANNEL, World};

fn fault(times: u32, status: u16) -> Fault {
    Fault {
        times,
        status,
        delay_ms: 0,
        after: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_that_is_seen_is_told_to_the_chat_once() -> Result<()> {
    let world = World::start().await?;
    for n in 0..3 {
        world.active(&format!("rain {n}")).await?;
    }
    let lines = world.chat_until(3).await?;
    let mut sorted = lines.clone();
    sorted.sort();
    ensure!(
        sorted == [0, 1, 2].map(|n| format!("Ann has changed the picture: rain {n}")),
        "{lines:?}"
    );
    let line = &world.sim.chat()[0];
    ensure!((line.broadcaster_id.as_str(), line.sender_id.as_str()) == (STREAMER, BOT));
    world
        .server
        .metric_until(
            "reverie_twitch_mail_total{kind=\"chat\",result=\"sent\"}",
            3.0,
        )
        .await?;
    ensure!(world.sim.calls("chat/messages") == 3);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_down_or_busy_hears_of_it_later_and_once() -> Result<()> {
    let world = World::start().await?;
    world.sim.fault("chat/messages", fault(2, 503));
    world.sim.fault("chat/messages", fault(1, 429));
    let moment = world.active("rain").await?;
    // Nothing waits for Twitch: the moment has long been seen.
    ensure!(world.store.moment(&moment.id).await?.ended_at.is_some());
    let lines = world.chat_until(1).await?;
    ensure!(lines.len() == 1, "{lines:?}");
    ensure!(world.sim.calls("chat/messages") == 4);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_was_written_while_no_server_ran_is_sent_by_the_next_one() -> Result<()> {
    let data = tempfile::tempdir()?;
    let folder = data.path().to_owned();
    let store = super::store(folder.join("moments.sqlite")).await?;
    store.add_channel(super::now(), CHANNEL, None).await?;
    let policy = reverie_moments::life::Policy::Auto;
    store.set_policy(super::now(), CHANNEL, policy).await?;
    store.link_channel("twitch", STREAMER, CHANNEL).await?;
    store
        .hold_stream(super::now(), CHANNEL, "source", super::NODE)
        .await?;
    let mut submission = super::submission("7", "later");
    (submission.source, submission.price) = (reverie_moments::life::Source::Free, 0);
    store.submit(super::now(), submission).await?;
    if let Some((lease, _)) = store.claim(super::now(), CHANNEL, super::NODE).await? {
        store.started(super::now(), &lease).await?;
    }
    let world = World::start_with(TwitchSim::start().await?, |config| {
        config.data_dir.clone_from(&folder);
    })
    .await?;
    let lines = world.chat_until(1).await?;
    ensure!(
        lines == ["Ann has changed the picture: rain later"],
        "{lines:?}"
    );
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_twitch_holds_back_is_not_repeated() -> Result<()> {
    let world = World::start().await?;
    world.active("AUTOMOD holds this back").await?;
    world.active("rain").await?;
    let lines = world.chat_until(1).await?;
    ensure!(lines == ["Ann has changed the picture: rain"], "{lines:?}");
    world
        .server
        .metric_until(
            "reverie_twitch_mail_total{kind=\"chat\",result=\"dropped\"}",
            1.0,
        )
        .await?;
    ensure!(world.sim.calls("chat/messages") == 2);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_twitch_takes_back_are_asked_for_again() -> Result<()> {
    let world = World::start().await?;
    world.active("rain").await?;
    world.chat_until(1).await?;
    world.sim.revoke_tokens();
    world.active("snow").await?;
    let lines = world.chat_until(2).await?;
    ensure!(lines[1] == "Ann has changed the picture: snow", "{lines:?}");
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_poked_at_most_once_a_second_and_hear_of_the_last_change() -> Result<()> {
    let world = World::start().await?;
    let deadline = tokio::time::Instant::now() + reverie_integration_tests::client::PATIENCE;
    // Changes without a pause: each of them would be a poke.
    let mut changes = 0;
    while world.sim.pokes().len() < 3 {
        world.active("rain").await?;
        changes += 1;
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{changes} changes and {:?}",
            world.sim.pokes()
        );
    }
    let last = world.store.snapshot(CHANNEL).await?.n;
    loop {
        let pokes = world.sim.pokes();
        let heard = pokes.last().map(|poke| poke.message.clone());
        if heard
            .as_ref()
            .is_some_and(|m| m.contains(&format!("\"n\":{last}")))
        {
            break;
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "the last poke is {heard:?}, not of {last}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pokes = world.sim.pokes();
    ensure!(changes > pokes.len(), "{changes} changes, {pokes:?}");
    for pair in pokes.windows(2) {
        let apart = pair[1].at_ms - pair[0].at_ms;
        // Whole milliseconds of the stand-in's clock.
        ensure!(apart >= 999, "two pokes are {apart} ms apart");
    }
    ensure!(pokes.iter().all(|poke| poke.broadcaster_id == STREAMER));
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bot_nothing_is_kept_for_the_chat() -> Result<()> {
    let world = World::start_with(TwitchSim::start().await?, |config| {
        config.twitch.bot_user_id = None;
    })
    .await?;
    world.active("rain").await?;
    world
        .server
        .metric_until(
            "reverie_twitch_mail_total{kind=\"chat\",result=\"dropped\"}",
            1.0,
        )
        .await?;
    ensure!(world.sim.calls("chat/messages") == 0);
    world.stop().await;
    Ok(())
}
