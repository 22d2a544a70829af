//! A joiner sees a picture at once, before and during a moment.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn joiners_before_and_during_a_moment_get_a_first_frame_and_its_time_is_recorded()
-> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;

    let mut early = Client::aiortc_watch(&server.url("/whep/show"))?;
    let first = early
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    let early_ms = first["ms"].as_f64().context("a time")?;
    let plain = early
        .wait_for("a readable picture", |l| {
            l["event"] == "frame" && l["n"].is_u64()
        })
        .await?;
    ensure!(plain["inverted"] == false, "{plain}");

    let id = server.moment("show", "debug-invert", 20.0).await?;
    server
        .channel_until("show", "styled", |c| c["moment"]["state"] == "active")
        .await?;
    let mut late = Client::aiortc_watch(&server.url("/whep/show"))?;
    let first = late
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    let late_ms = first["ms"].as_f64().context("a time")?;
    let styled = late
        .wait_for("a readable picture", |l| {
            l["event"] == "frame" && l["n"].is_u64()
        })
        .await?;
    ensure!(
        styled["inverted"] == true,
        "the first picture during a moment is the styled one: {styled}"
    );

    // The goal is 200 ms on an idle machine; a test only refuses what no viewer would wait for.
    println!("first frame after POST: {early_ms:.0} ms before, {late_ms:.0} ms during a moment");
    ensure!(
        early_ms < 5_000.0 && late_ms < 5_000.0,
        "{early_ms} ms, {late_ms} ms"
    );
    let recorded = server.metric("reverie_first_picture_seconds_count").await?;
    ensure!(
        (recorded - 2.0).abs() < f64::EPSILON,
        "{recorded} first pictures were recorded"
    );
    let stopped = reverie_integration_tests::http::post(
        &server.url(&format!("/v1/moments/{id}/stop")),
        &serde_json::json!({}),
    )
    .await?;
    ensure!(stopped.status == 200, "{stopped:?}");

    for client in [&mut early, &mut late, &mut publisher] {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}
