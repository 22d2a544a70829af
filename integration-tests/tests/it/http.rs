//! Bad input gets a clear answer and loses nothing.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{self, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::json;

use crate::conformance::{OFFER, SDP, is_problem};

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_refused_with_a_reason_and_the_stream_is_not_touched() -> Result<()> {
    let server = TestServer::start().await?;
    let url = server.url("/v1/channels/show/moments");
    is_problem(
        &http::post(&url, &json!({ "prompt": "x" })).await?,
        404,
        "show",
    )?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    for (body, says) in [
        (json!({ "prompt": "  " }), "empty"),
        (json!({ "prompt": "x".repeat(501) }), "500"),
        (json!({ "prompt": "x", "duration_s": 0.1 }), "1 to 120 s"),
        (json!({ "prompt": "x", "duration_s": -4 }), "duration_s"),
        (
            json!({ "prompt": "x", "pipeline": "no-such" }),
            "debug-invert",
        ),
        (json!({ "prompt": "x", "colour": 3 }), "colour"),
        (json!({ "duration_s": 3 }), "prompt"),
    ] {
        is_problem(&http::post(&url, &body).await?, 422, says)?;
    }
    is_problem(
        &send(Method::POST, &url, &[("content-type", "text/plain")], "{}").await?,
        415,
        "application/json",
    )?;
    is_problem(
        &http::post(&server.url("/v1/moments/none/stop"), &json!({})).await?,
        404,
        "none",
    )?;
    is_problem(&send(Method::PUT, &url, &[], "").await?, 405, "accepted")?;
    let channel = server.channel("show").await?.json();
    ensure!(
        channel["live"] == true && channel["moment"].is_null(),
        "{channel}"
    );
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_tokens_open_exactly_what_they_are_for() -> Result<()> {
    let mut config = config();
    let secret = |text: &str| reverie_config::Secret::new(text).ok();
    config.auth.publish_token = secret("publish-0123456789");
    config.auth.watch_token = secret("watch-0123456789");
    config.auth.control_token = secret("control-0123456789");
    config.auth.metrics_token = secret("metrics-0123456789");
    let server = TestServer::start_with(config).await?;
    let whip = server.url("/whip/show");
    let none = send(Method::POST, &whip, &[SDP], OFFER).await?;
    is_problem(&none, 401, "Bearer")?;
    ensure!(
        none.header("www-authenticate").starts_with("Bearer"),
        "{none:?}"
    );
    let wrong = ("authorization", "Bearer watch-0123456789");
    is_problem(
        &send(Method::POST, &whip, &[SDP, wrong], OFFER).await?,
        403,
        "token",
    )?;
    let right = ("authorization", "Bearer publish-0123456789");
    let created = send(Method::POST, &whip, &[SDP, right], OFFER).await?;
    ensure!(created.status == 201, "{created:?}");
    let session = server.url(created.header("location"));
    is_problem(
        &send(Method::DELETE, &session, &[], "").await?,
        401,
        "Bearer",
    )?;
    is_problem(
        &http::get(&server.url("/v1/channels")).await?,
        401,
        "Bearer",
    )?;
    let watch = send(Method::GET, &server.url("/v1/channels"), &[wrong], "").await?;
    ensure!(
        watch.status == 200 && watch.json()["channels"][0]["channel"] == "show",
        "{watch:?}"
    );
    let start = send(
        Method::POST,
        &server.url("/v1/channels/show/moments"),
        &[wrong, ("content-type", "application/json")],
        "{}",
    )
    .await?;
    is_problem(&start, 403, "token")?;
    ensure!(
        !server.metrics().await?.contains("reverie_build_info"),
        "metrics need their token"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_resume_where_they_were_left() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let number = server.channel("show").await?.json()["event"]
        .as_u64()
        .unwrap_or_default();
    let id = server.moment("show", "debug-invert", 1.0).await?;
    server.ended(&id).await?;
    // The stream ends with the server, so the whole of it can be read as one answer.
    let url = server.url("/v1/channels/show/events");
    let resumed = tokio::spawn(async move {
        send(
            Method::GET,
            &url,
            &[("last-event-id", &number.to_string())],
            "",
        )
        .await
    });
    let fresh_url = server.url("/v1/channels/show/events");
    let fresh = tokio::spawn(async move { http::get(&fresh_url).await });
    server
        .channel_until("show", "done", |c| c["last"]["state"] == "completed")
        .await?;
    publisher.stop().await?;
    server
        .channel_until("show", "offline", |c| c["live"] == false)
        .await?;
    server.stop().await;
    let resumed = resumed.await??;
    ensure!(
        resumed.header("content-type") == "text/event-stream",
        "{resumed:?}"
    );
    let of = |body: &str, prefix: &str| -> Vec<String> {
        body.lines()
            .filter_map(|l| l.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    };
    let ids: Vec<u64> = of(&resumed.body, "id: ")
        .iter()
        .filter_map(|i| i.parse().ok())
        .collect();
    ensure!(
        ids.first() == Some(&(number + 1)) && ids.windows(2).all(|p| p[1] == p[0] + 1),
        "{ids:?}"
    );
    let types = of(&resumed.body, "event: ");
    for wanted in [
        "moment.queued",
        "moment.warming",
        "moment.active",
        "moment.completed",
        "stream.offline",
    ] {
        ensure!(
            types.iter().any(|t| t == wanted),
            "{wanted} is missing: {types:?}"
        );
    }
    let fresh = fresh.await??;
    ensure!(
        of(&fresh.body, "event: ")
            .first()
            .is_some_and(|t| t == "snapshot"),
        "{}",
        fresh.body
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_probes_answer_with_their_policies() -> Result<()> {
    let server = TestServer::start().await?;
    for page in [
        "/",
        "/bridge/show",
        "/watch/show",
        "/mod/show",
        "/overlay/show",
        "/admin",
        "/account",
    ] {
        let answer = http::get(&server.url(page)).await?;
        ensure!(
            answer.status == 200 && answer.header("content-type").starts_with("text/html"),
            "{page}: {answer:?}"
        );
        let policy = answer.header("content-security-policy");
        ensure!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{page}: {policy}"
        );
    }
    let style = http::get(&server.url("/assets/style.css")).await?;
    ensure!(
        style.status == 200 && !style.header("etag").is_empty(),
        "{style:?}"
    );
    let known = [("if-none-match", style.header("etag"))];
    ensure!(
        send(Method::GET, &server.url("/assets/style.css"), &known, "")
            .await?
            .status
            == 304,
        "an unchanged file is not sent again"
    );
    is_problem(&server.channel("never").await?, 404, "never")?;
    is_problem(&http::get(&server.url("/nothing")).await?, 404, "nothing")?;
    is_problem(
        &http::get(&server.url("/assets/../config.rs")).await?,
        404,
        "path",
    )?;
    ensure!(
        http::get(&server.url("/healthz")).await?.status == 200,
        "alive"
    );
    let ready = http::get(&server.url("/readyz")).await?;
    ensure!(
        ready.status == 200 && ready.json()["ready"] == true,
        "{ready:?}"
    );
    ensure!(
        http::get(&server.url("/version")).await?.json()["name"] == "reverie",
        "version"
    );
    let metrics = server.metrics().await?;
    ensure!(
        metrics.contains("reverie_build_info") && metrics.contains("reverie_http_requests_total"),
        "{metrics}"
    );
    server.stop().await;
    Ok(())
}
