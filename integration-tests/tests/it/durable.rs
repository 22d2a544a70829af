//! Moments are kept: a server that is killed loses none and shows none twice.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::http::{self, Answer};
use reverie_integration_tests::server::{Binary, TestServer, config};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

/// Asks until the answer is as wanted.
async fn until(url: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http::get(url).await?;
        if answer.status.is_success() && wanted(&answer.json()) {
            return Ok(answer.json());
        }
        ensure!(Instant::now() < deadline, "not {what}: {}", answer.body);
        sleep(Duration::from_millis(20)).await;
    }
}

fn id(answer: &Answer) -> Result<String> {
    ensure!(answer.status == 201, "{answer:?}");
    let json = answer.json();
    Ok(json["id"].as_str().context("an id")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_no_moment_and_ends_each_once() -> Result<()> {
    let data = tempfile::tempdir()?;
    let folder = data.path().to_str().context("a path of text")?;
    let variables = [
        ("REVERIE__DATA_DIR", folder),
        ("REVERIE__MOMENTS__LEASE_S", "8"),
        ("REVERIE__MOMENTS__HEARTBEAT_S", "1"),
    ];
    let server = Binary::start_with(&variables).await?;
    let url = |server: &Binary, path: &str| format!("http://{}{path}", server.http);
    let mut publisher = Client::aiortc_publish(&url(&server, "/whip/show"))?;
    let show = url(&server, "/v1/channels/show");
    until(&show, "live", |c| c["live"] == true).await?;
    let moments = url(&server, "/v1/channels/show/moments");
    let body = |prompt| json!({ "prompt": prompt, "pipeline": "debug-invert", "duration_s": 60 });
    let first = id(&http::post(&moments, &body("shown when it is killed")).await?)?;
    let shown = until(&show, "shown", |c| c["moment"]["state"] == "active").await?;
    ensure!(shown["moment"]["id"] == first.as_str(), "{shown}");
    let short = json!({ "prompt": "waits", "pipeline": "debug-invert", "duration_s": 1 });
    let second = id(&http::post(&moments, &short).await?)?;
    server.kill().await?;
    publisher.crash().await?;

    let server = Binary::start_with(&variables).await?;
    let moment = |id: &str| url(&server, &format!("/v1/moments/{id}"));
    let kept = http::get(&moment(&second)).await?.json();
    ensure!(
        kept["state"] == "queued" && kept["prompt"] == "waits" && kept["position"] == 1,
        "{kept}"
    );
    let lost = until(&moment(&first), "over", |m| !m["ended_at"].is_null()).await?;
    ensure!(
        lost["state"] == "failed" && lost["reason"] == "the server that showed it was lost",
        "{lost}"
    );
    let mut publisher = Client::aiortc_publish(&url(&server, "/whip/show"))?;
    let done = until(&moment(&second), "over", |m| !m["ended_at"].is_null()).await?;
    ensure!(done["state"] == "completed", "{done}");
    // Asked for, queued, warming, active and ended is one version each: more would be a life too many.
    for id in [&first, &second] {
        let moment = http::get(&moment(id)).await?.json();
        ensure!(moment["version"] == 4, "{moment}");
    }
    publisher.stop().await?;
    ensure!(server.terminate().await? == Some(0), "it stops as usual");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_gives_its_moment_back_before_it_is_gone() -> Result<()> {
    let data = tempfile::tempdir()?;
    let folder = data.path().to_str().context("a path of text")?;
    let server = Binary::start_with(&[("REVERIE__DATA_DIR", folder)]).await?;
    let url = |server: &Binary, path: &str| format!("http://{}{path}", server.http);
    let mut publisher = Client::aiortc_publish(&url(&server, "/whip/show"))?;
    let show = url(&server, "/v1/channels/show");
    until(&show, "live", |c| c["live"] == true).await?;
    let body = json!({ "prompt": "x", "pipeline": "debug-invert", "duration_s": 60 });
    let asked = http::post(&url(&server, "/v1/channels/show/moments"), &body).await?;
    let moment = id(&asked)?;
    until(&show, "shown", |c| c["moment"]["state"] == "active").await?;
    ensure!(server.terminate().await? == Some(0), "it stops as usual");
    publisher.crash().await?;

    let server = Binary::start_with(&[("REVERIE__DATA_DIR", folder)]).await?;
    let kept = http::get(&url(&server, &format!("/v1/moments/{moment}"))).await?;
    ensure!(
        kept.json()["state"] == "failed" && kept.json()["reason"] == "the publisher was gone",
        "nobody has to wait for the lease: {kept:?}"
    );
    server.terminate().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_asked_of_another_server_is_shown_by_the_one_that_has_the_stream() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut shared = config();
    shared.data_dir = data.path().to_owned();
    let here = TestServer::start_with(shared.clone()).await?;
    let there = TestServer::start_with(shared).await?;
    let mut publisher = Client::aiortc_publish(&here.url("/whip/show"))?;
    here.channel_until("show", "live", |c| c["live"] == true)
        .await?;
    // The first request of this server settles that the store knows of the stream.
    let own = here.moment("show", "debug-invert", 1.0).await?;
    here.ended(&own).await?;
    let events = there.url("/v1/channels/show/events");
    let told = tokio::spawn(async move { http::get(&events).await });
    there
        .metric_until("reverie_events_connections", 1.0)
        .await?;
    let id = there.moment("show", "debug-invert", 1.0).await?;
    let over = here.ended(&id).await?;
    ensure!(over["state"] == "completed", "{over}");
    there
        .channel_until("show", "told", |c| c["last"]["id"] == id.as_str())
        .await?;
    there.stop().await;
    let told = told.await??.body;
    for kind in ["moment.queued", "moment.active", "moment.completed"] {
        ensure!(told.contains(&format!("event: {kind}\n")), "{kind}: {told}");
    }
    publisher.stop().await?;
    here.stop().await;
    Ok(())
}
