//! A stage that fails, panics, hangs or does not load: the camera is back, the moment says why, the stream goes on.

use std::time::Duration;

use anyhow::{Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames;
use reverie_integration_tests::server::{TestServer, config};

async fn the_camera_comes_back_after(stage: &str, reason: &str) -> Result<()> {
    let mut config = config();
    config.pipeline.stall_timeout = Duration::from_secs(2);
    let server = TestServer::start_with(config).await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    player
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;

    let id = server.moment("show", stage, 60.0).await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "failed", "{moment}");
    ensure!(
        moment["reason"]
            .as_str()
            .is_some_and(|r| r.contains(reason)),
        "{moment}"
    );
    let channel = server
        .channel_until("show", "told", |c| c["moment"].is_null())
        .await?;
    ensure!(
        channel["live"] == true && channel["pipeline"]["state"] == "error",
        "{channel}"
    );

    player.catch_up();
    let from = player.seen.len();
    player
        .wait_from(from, "the camera's picture", |l| {
            l["event"] == "frame" && l["inverted"] == false
        })
        .await?;
    let then = player.seen.len();
    player
        .wait_from(then, "two more seconds of pictures", |l| {
            l["event"] == "audio"
        })
        .await?;
    let seen = frames::of_player(&player.seen);
    let faults = frames::faults(&seen);
    ensure!(faults.is_empty(), "{faults:?}");
    if stage != "fail-load" {
        ensure!(
            frames::moments(&seen).len() == 1,
            "{:?}",
            frames::moments(&seen)
        );
    }

    if stage == "fail-stall" {
        server
            .metric_until("reverie_frames_dropped_total{reason=\"detached\"", 1.0)
            .await?;
    }

    let again = server.moment("show", "debug-invert", 2.0).await?;
    let moment = server.ended(&again).await?;
    ensure!(
        moment["state"] == "completed",
        "the next moment is not harmed: {moment}"
    );
    for client in [&mut player, &mut publisher] {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_error_brings_the_camera_back() -> Result<()> {
    the_camera_comes_back_after("fail-error", "the test says so").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_panic_brings_the_camera_back() -> Result<()> {
    the_camera_comes_back_after("fail-panic", "panicked").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_stall_brings_the_camera_back() -> Result<()> {
    the_camera_comes_back_after("fail-stall", "stalled").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_never_loads_leaves_the_camera_alone() -> Result<()> {
    the_camera_comes_back_after("fail-load", "the test says so").await
}
