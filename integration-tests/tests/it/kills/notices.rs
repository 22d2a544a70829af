//! Kills between a commit and what the chat hears of it: sent at least once, and repeated at most once for a kill.

use anyhow::{Result, ensure};
use reverie_integration_tests::twitch_sim::Fault;
use reverie_moments::life::{Policy, State};

use super::gates::Gates;
use super::{Api, Seat, World};

const SEAT: Seat<'static> = Seat {
    channel: "show",
    broadcaster: "3000",
};
/// Longer than any test.
const HANGS_MS: u64 = 600_000;

fn hangs(after: bool) -> Fault {
    Fault {
        times: 1,
        status: 0,
        delay_ms: HANGS_MS,
        after,
    }
}

async fn world(world: World) -> Result<World> {
    world
        .channel(SEAT.channel, SEAT.broadcaster, Policy::Auto)
        .await?;
    Ok(world)
}

/// Kills the server once its notice is where `caught` waits for it, and starts another one.
async fn killed(
    world: &World,
    prompt: &str,
    caught: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let server = world.start().await?;
    let api = Api::of(&server);
    let camera = api.live(world, SEAT.channel).await?;
    let id = api.paid(world, SEAT, "short", prompt).await?;
    world
        .until(&id, "seen", |moment| moment.started_at.is_some())
        .await?;
    caught().await?;
    server.kill().await?;
    drop(camera);
    Ok(())
}

/// What the next server does about it.
async fn told(world: &World, prompt: &str, times: usize) -> Result<()> {
    world.hurry_mail().await?;
    let server = world.start().await?;
    let _camera = Api::of(&server).camera(SEAT.channel).await?;
    world.lines_until(prompt, times).await?;
    let open = "SELECT COUNT(*) FROM outbox WHERE kind = 'chat' AND done_at IS NULL";
    world.count_until(open, 0).await?;
    let ended = "SELECT COUNT(*) FROM moments WHERE ended_at IS NULL";
    world.count_until(ended, 0).await?;
    ensure!(world.lines(prompt) == times, "{:?}", world.sim.chat());
    world.check_logs(&[SEAT.channel]).await?;
    let owed = world.check_credits().await?;
    let failed = "SELECT COUNT(*) FROM moments WHERE state = 'failed'";
    ensure!(world.count(failed).await? == owed, "{}", State::Failed);
    server.terminate().await?;
    Ok(())
}

async fn a_kill_before_the_chat_has_it(world: World) -> Result<()> {
    world.sim.fault("chat/messages", hangs(false));
    killed(&world, "on its way", async || {
        until_called(&world, 1).await?;
        ensure!(world.lines("on its way") == 0);
        Ok(())
    })
    .await?;
    told(&world, "on its way", 1).await
}

async fn a_kill_after_the_chat_has_it(world: World) -> Result<()> {
    world.sim.fault("chat/messages", hangs(true));
    killed(&world, "said", async || {
        world.lines_until("said", 1).await?;
        let open = "SELECT COUNT(*) FROM outbox WHERE kind = 'chat' AND done_at IS NULL";
        ensure!(world.count(open).await? == 1, "the store knows already");
        Ok(())
    })
    .await?;
    told(&world, "said", 2).await
}

async fn until_called(world: &World, calls: usize) -> Result<()> {
    let deadline = tokio::time::Instant::now() + reverie_integration_tests::client::PATIENCE;
    while world.sim.calls("chat/messages") != calls {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "the chat is not called"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_a_kill_kept_from_the_chat_is_told_once_on_sqlite() -> Result<()> {
    a_kill_before_the_chat_has_it(world(World::sqlite().await?).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_a_kill_kept_from_the_chat_is_told_once_on_postgres() -> Result<()> {
    a_kill_before_the_chat_has_it(world(World::postgres().await?).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_whose_answer_a_kill_cut_off_is_repeated_once_on_sqlite() -> Result<()> {
    a_kill_after_the_chat_has_it(world(World::sqlite().await?).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_whose_answer_a_kill_cut_off_is_repeated_once_on_postgres() -> Result<()> {
    a_kill_after_the_chat_has_it(world(World::postgres().await?).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_committed_and_not_yet_taken_at_a_kill_is_told_once() -> Result<()> {
    let world = world(World::postgres().await?).await?;
    let gates = Gates::shut(&world, &[(SEAT.channel, "mail")]).await?;
    killed(&world, "committed", async || {
        gates.held(&world, 1).await?;
        ensure!(world.sim.calls("chat/messages") == 0);
        Ok(())
    })
    .await?;
    gates.open(&world).await?;
    told(&world, "committed", 1).await
}
