//! A publisher that is killed, and one that comes back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames;
use reverie_integration_tests::server::{TestServer, config};

const BRIDGE: &str = "/bridge/show?source=canvas&autostart=1&size=640x360&fps=30";

#[tokio::test(flavor = "multi_thread")]
async fn w8_a_killed_publisher_frees_the_channel_and_viewers_get_the_next_one_without_reloading()
-> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::chromium().await?;
    publisher.open("bridge", &server.url(BRIDGE)).await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut viewer = Client::chromium().await?;
    viewer.open("watch", &server.url("/watch/show")).await?;
    viewer
        .until(
            "watch",
            "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0",
        )
        .await?;
    let before = viewer.stats("watch").await?;

    publisher.kill().await?;
    let killed = Instant::now();
    server
        .channel_until("show", "offline", |c| c["live"] == false)
        .await?;
    let freed = killed.elapsed();
    ensure!(
        freed < Duration::from_secs(6),
        "the channel was freed after {freed:?}"
    );

    let mut publisher = Client::chromium().await?;
    let start = Instant::now();
    publisher.open("bridge", &server.url(BRIDGE)).await?;
    server
        .channel_until("show", "live again", |c| c["live"] == true)
        .await?;
    println!(
        "freed {freed:?} after the kill; live {:?} after the page was opened again",
        start.elapsed()
    );
    viewer
        .ask(serde_json::json!({ "cmd": "watch_frames", "page": "watch", "selector": "#video" }))
        .await?;
    let from = viewer.seen.len();
    viewer
        .wait_from(from, "the new publisher's picture", |line| {
            frames::of_page(std::slice::from_ref(line), "watch")
                .iter()
                .any(|f| f.n.is_some())
        })
        .await?;
    let after = viewer.stats("watch").await?;
    ensure!(
        before["peer"] == after["peer"] && before["peers"] == after["peers"],
        "the page reconnected: {before} {after}"
    );
    publisher.stop().await?;
    viewer.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_publishing_again_works_at_once_while_the_dead_session_lingers() -> Result<()> {
    let mut config = config();
    // Longer than the second one takes to come.
    config.media.publisher_silence = Duration::from_secs(30);
    let server = TestServer::start_with(config).await?;
    let mut first = Client::chromium().await?;
    first.open("bridge", &server.url(BRIDGE)).await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    first.kill().await?;
    let mut second = Client::aiortc_publish(&server.url("/whip/show"))?;
    second
        .wait_for("a connection", |l| {
            l["event"] == "connection" && l["state"] == "connected"
        })
        .await?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    player
        .wait_for("the new picture", |l| {
            l["event"] == "frame" && l["n"].is_u64()
        })
        .await?;
    let replaced = server.metrics().await?;
    ensure!(
        replaced.contains(r#"reverie_session_closes_total{protocol="whip",reason="replaced"} 1"#),
        "{replaced}"
    );
    for client in [&mut player, &mut second] {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}
