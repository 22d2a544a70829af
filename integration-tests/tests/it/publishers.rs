//! Publishers that send sound or a picture alone.

use anyhow::{Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http;
use reverie_integration_tests::server::TestServer;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_is_heard_and_cannot_be_transformed() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish_only(&server.url("/whip/radio"), "audio")?;
    let mut player = Client::aiortc_watch(&server.url("/whep/radio"))?;
    player
        .wait_for("sound", |l| {
            l["event"] == "audio" && l["frames"].as_f64() > Some(0.0)
        })
        .await?;
    let channel = server
        .channel_until("radio", "live", |c| c["live"] == true)
        .await?;
    ensure!(
        channel["audio"] == true && channel["video"] == false,
        "{channel}"
    );

    let body = json!({ "prompt": "a test", "duration_s": 5 });
    let answer = http::post(&server.url("/v1/channels/radio/moments"), &body).await?;
    ensure!(
        answer.status == 409 && answer.body.contains("sound only"),
        "{answer:?}"
    );
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_alone_is_seen_and_transformed() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish_only(&server.url("/whip/silent"), "video")?;
    let mut player = Client::aiortc_watch(&server.url("/whep/silent"))?;
    player
        .wait_for("a picture", |l| {
            l["event"] == "frame" && l["inverted"] == false
        })
        .await?;
    let id = server.moment("silent", "debug-invert", 2.0).await?;
    player
        .wait_for("a transformed picture", |l| {
            l["event"] == "frame" && l["inverted"] == true
        })
        .await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}
