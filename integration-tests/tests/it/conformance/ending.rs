//! How sessions end: by DELETE, and by clients that die.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::send;
use reverie_integration_tests::server::{TestServer, config};

use super::{ENDPOINTS, chromium, is_problem, session};

#[tokio::test(flavor = "multi_thread")]
async fn w7_a_session_is_deleted_once_and_whatever_its_entity_tag() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let (_, url) = session(&server, endpoint, &chromium(role)?).await?;
        let deleted = send(Method::DELETE, &url, &[("if-match", "\"other\"")], "").await?;
        ensure!(deleted.status == 200, "{deleted:?}");
        is_problem(&send(Method::DELETE, &url, &[], "").await?, 404, "session")?;
    }
    let closed = "reverie_session_closes_total{protocol=";
    server.metric_until(closed, 2.0).await?;
    let reasons = server.metrics().await?;
    ensure!(
        reasons
            .lines()
            .filter(|l| l.starts_with(closed))
            .all(|l| l.contains("reason=\"deleted\"")),
        "{reasons}"
    );
    server.stop().await;
    Ok(())
}

/// The URL that a client was given.
async fn session_of(client: &mut Client) -> Result<String> {
    let line = client
        .wait_for("its session", |l| l["event"] == "session")
        .await?;
    Ok(line["url"].as_str().context("a URL")?.to_owned())
}

async fn connected(client: &mut Client) -> Result<()> {
    client
        .wait_for("a connection", |l| {
            l["event"] == "connection" && l["state"] == "connected"
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w7_the_other_side_of_a_deleted_session_is_told_and_its_place_is_free() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    let mut viewer = Client::aiortc_watch(&server.url("/whep/show"))?;
    for client in [&mut publisher, &mut viewer] {
        connected(client).await?;
    }
    server.metric_until("reverie_publishers", 1.0).await?;
    server.metric_until("reverie_subscribers", 1.0).await?;
    for (client, gauge) in [
        (&mut viewer, "reverie_subscribers"),
        (&mut publisher, "reverie_publishers"),
    ] {
        let url = session_of(client).await?;
        let start = Instant::now();
        ensure!(
            send(Method::DELETE, &url, &[], "").await?.status == 200,
            "{url}"
        );
        client
            .wait_for("the end of DTLS", |l| {
                l["event"] == "connection" && l["state"] == "closed"
            })
            .await?;
        let told = start.elapsed();
        ensure!(told < Duration::from_secs(2), "told after {told:?}");
        server.metric_until(gauge, 0.0).await?;
    }
    server
        .channel_until("show", "offline", |c| {
            c["live"] == false && c["viewers"] == 0
        })
        .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_a_dead_viewer_is_released() -> Result<()> {
    let mut config = config();
    config.media.viewer_silence = Duration::from_secs(3);
    let server = TestServer::start_with(config).await?;
    let mut viewer = Client::aiortc_watch(&server.url("/whep/show"))?;
    connected(&mut viewer).await?;
    server.metric_until("reverie_subscribers", 1.0).await?;
    // Killed, not stopped: it sends nothing any more, not even a goodbye.
    drop(viewer);
    let killed = Instant::now();
    server.metric_until("reverie_subscribers", 0.0).await?;
    let released = killed.elapsed();
    println!("released {released:?} after the kill");
    ensure!(
        released < Duration::from_secs(5),
        "released after {released:?}"
    );
    let metrics = server.metrics().await?;
    ensure!(
        metrics.contains(r#"reverie_session_closes_total{protocol="whep",reason="silent"} 1"#),
        "{metrics}"
    );
    server.stop().await;
    Ok(())
}
