//! The queue of a channel: what moderators and bridges do about moments, each about the version that they saw.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};

use crate::conformance::is_problem;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A server with a live channel, and its publisher.
pub(crate) async fn live() -> Result<(TestServer, Client)> {
    let server = TestServer::start().await?;
    let publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    Ok((server, publisher))
}

async fn put(server: &TestServer, path: &str, body: &Value) -> Result<Answer> {
    let answer = send(Method::PUT, &server.url(path), &[JSON], body.to_string()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer)
}

async fn post(server: &TestServer, path: &str) -> Result<Answer> {
    send(Method::POST, &server.url(path), &[], "").await
}

/// Something about a moment that was seen in this version.
async fn about(server: &TestServer, moment: &Value, act: &str) -> Result<Answer> {
    let id = moment["id"].as_str().context("an id")?;
    let url = server.url(&format!("/v1/moments/{id}/{act}"));
    let tag = format!("\"{}\"", moment["version"]);
    send(Method::POST, &url, &[("if-match", &tag)], "").await
}

pub(crate) async fn ask(server: &TestServer, body: &Value) -> Result<Value> {
    let answer = http::post(&server.url("/v1/channels/show/moments"), body).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.json())
}

/// A free product that a moderator has to look at.
pub(crate) async fn with_product(server: &TestServer, driver: &str) -> Result<()> {
    let settings = json!({ "driver": driver });
    put(server, "/v1/channels/show/settings", &settings).await?;
    let products = json!({ "products": [{ "sku": "wave", "price": 0, "duration_s": 1 }] });
    put(server, "/v1/channels/show/products", &products).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_asks_for_waits_for_a_moderator_and_each_version_is_decided_once()
-> Result<()> {
    let (server, mut publisher) = live().await?;
    with_product(&server, "server").await?;
    let wave = |prompt| json!({ "prompt": prompt, "sku": "wave", "pipeline": "debug-invert" });
    let good = ask(&server, &wave("good")).await?;
    let bad = ask(&server, &wave("bad")).await?;
    for moment in [&good, &bad] {
        ensure!(moment["state"] == "pending_approval", "{moment}");
        ensure!(moment["source"] == "free", "{moment}");
    }
    let queue = http::get(&server.url("/v1/channels/show/queue")).await?;
    let pending = queue.json()["pending"].clone();
    ensure!(pending.as_array().map(Vec::len) == Some(2), "{queue:?}");

    let approved = about(&server, &good, "approve").await?;
    ensure!(approved.status == 200, "{approved:?}");
    let again = about(&server, &good, "approve").await?;
    is_problem(&again, 412, "has version")?;
    let now = &again.json()["moment"];
    ensure!(
        now["id"] == good["id"] && now["version"].as_i64() > good["version"].as_i64(),
        "the refusal tells the moment as it is: {again:?}"
    );
    let id = bad["id"].as_str().context("an id")?;
    let url = server.url(&format!("/v1/moments/{id}/reject"));
    let rejected = http::post(&url, &json!({ "reason": "not today" })).await?;
    ensure!(
        rejected.json()["state"] == "rejected" && rejected.json()["reason"] == "not today",
        "{rejected:?}"
    );
    let late = about(&server, &rejected.json(), "approve").await?;
    is_problem(&late, 409, "cannot be approved")?;
    let done = server.ended(good["id"].as_str().context("an id")?).await?;
    ensure!(done["state"] == "completed", "{done}");
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() -> Result<()> {
    let (server, mut publisher) = live().await?;
    let paused = post(&server, "/v1/channels/show/queue/pause").await?;
    ensure!(paused.json()["paused"] == true, "{paused:?}");
    let body =
        |prompt: &str| json!({ "prompt": prompt, "pipeline": "debug-invert", "duration_s": 1 });
    let mut asked = Vec::new();
    for prompt in ["first", "second", "third"] {
        asked.push(ask(&server, &body(prompt)).await?);
    }
    let place = |moment: &Value| moment["position"].as_u64();
    ensure!(
        asked.iter().map(place).collect::<Vec<_>>() == [Some(1), Some(2), Some(3)],
        "{asked:?}"
    );
    let id = asked[2]["id"].as_str().context("an id")?;
    let url = server.url(&format!("/v1/moments/{id}/move"));
    let moved = http::post(&url, &json!({ "position": 1 })).await?;
    ensure!(place(&moved.json()) == Some(1), "{moved:?}");
    let cancelled = about(&server, &asked[0], "cancel").await?;
    ensure!(cancelled.json()["state"] == "cancelled", "{cancelled:?}");
    server
        .channel_until("show", "told", |c| {
            let prompts = c["queue"].as_array().map(|queue| {
                let prompts = queue.iter().filter_map(|m| m["prompt"].as_str());
                prompts.collect::<Vec<_>>() == ["third", "second"]
            });
            c["paused"] == true && c["moment"].is_null() && prompts == Some(true)
        })
        .await?;
    post(&server, "/v1/channels/show/queue/resume").await?;
    let third = server.ended(id).await?;
    ensure!(third["state"] == "completed", "{third}");
    post(&server, "/v1/channels/show/queue/pause").await?;
    let cleared = post(&server, "/v1/channels/show/queue/clear").await?;
    ensure!(cleared.json()["queue"] == json!([]), "{cleared:?}");
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_takes_the_ai_away_and_starts_nothing_more() -> Result<()> {
    let (server, mut publisher) = live().await?;
    let shown = server.moment("show", "debug-invert", 60.0).await?;
    server.moment("show", "debug-invert", 60.0).await?;
    server
        .channel_until("show", "shown", |c| c["moment"]["state"] == "active")
        .await?;
    let panic = post(&server, "/v1/channels/show/panic").await?;
    ensure!(
        panic.json()["moment"].is_null() && panic.json()["paused"] == true,
        "{panic:?}"
    );
    let hidden = server.ended(&shown).await?;
    ensure!(
        hidden["state"] == "cancelled" && hidden["reason"] == "hidden by a moderator",
        "{hidden}"
    );
    server
        .channel_until("show", "back on the camera", |c| {
            c["pipeline"]["state"] == "warm" && c["queue"].as_array().is_some_and(|q| q.len() == 1)
        })
        .await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_with_one_key_are_one_moment() -> Result<()> {
    let (server, mut publisher) = live().await?;
    let url = server.url("/v1/channels/show/moments");
    let body = json!({ "prompt": "once", "pipeline": "debug-invert", "duration_s": 1 }).to_string();
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (url, body) = (url.clone(), body.clone());
            tokio::spawn(async move {
                let key = ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324");
                send(Method::POST, &url, &[JSON, key], body).await
            })
        })
        .collect();
    let mut ids = Vec::new();
    let mut made = 0;
    for request in requests {
        let answer = request.await??;
        ensure!(answer.status.is_success(), "{answer:?}");
        made += u32::from(answer.status == 201);
        ids.push(answer.json()["id"].clone());
    }
    ids.dedup();
    ensure!(made == 1 && ids.len() == 1, "{made} were made: {ids:?}");
    let other = json!({ "prompt": "another", "pipeline": "debug-invert" }).to_string();
    let key = ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324");
    let reused = send(Method::POST, &url, &[JSON, key], other).await?;
    is_problem(&reused, 409, "idempotency key")?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_bridge_that_drives_a_moment_is_shown_when_it_says_so() -> Result<()> {
    let (server, mut publisher) = live().await?;
    with_product(&server, "bridge").await?;
    let id = server.moment("show", "debug-invert", 60.0).await?;
    let warm = server
        .channel_until("show", "warm", |c| {
            c["moment"]["state"] == "warming" && c["pipeline"]["state"] == "warm"
        })
        .await?;
    let started = about(&server, &warm["moment"], "start").await?;
    ensure!(started.status == 200, "{started:?}");
    let active = server
        .channel_until("show", "shown", |c| c["moment"]["state"] == "active")
        .await?;
    let stopped = about(&server, &active["moment"], "stop").await?;
    ensure!(stopped.json()["state"] == "failed", "{stopped:?}");
    let over = server.ended(&id).await?;
    ensure!(over["reason"] == "stopped early", "{over}");
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_changed_by_who_has_seen_them() -> Result<()> {
    let (server, mut publisher) = live().await?;
    let url = server.url("/v1/channels/show/policy");
    let seen = http::get(&url).await?;
    ensure!(seen.json()["policy"] == "manual", "{seen:?}");
    let auto = put(
        &server,
        "/v1/channels/show/policy",
        &json!({ "policy": "auto" }),
    )
    .await?;
    ensure!(auto.json()["policy"] == "auto", "{auto:?}");
    let stale = [JSON, ("if-match", seen.header("etag"))];
    let settings = server.url("/v1/channels/show/settings");
    let refused = send(Method::PUT, &settings, &stale, r#"{"driver":"bridge"}"#).await?;
    is_problem(&refused, 412, auto.header("etag"))?;
    let unknown = send(Method::PUT, &settings, &[JSON], r#"{"colour":"red"}"#).await?;
    is_problem(&unknown, 422, "colour")?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}
