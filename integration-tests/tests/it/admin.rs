//! What whoever runs the server sees and does: sessions, draining, the configuration, how much it is used.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Secret;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::json;

use crate::conformance::{OFFER, is_problem};

const CONTROL: &str = "control-of-the-whole-server";

async fn ask(server: &TestServer, method: Method, path: &str, body: &str) -> Result<Answer> {
    let bearer = format!("Bearer {CONTROL}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    send(method, &server.url(path), &headers, body.to_owned()).await
}

async fn started() -> Result<TestServer> {
    let mut config = config();
    config.auth.control_token = Secret::new(CONTROL).ok();
    TestServer::start_with(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_every_session_and_ends_one() -> Result<()> {
    let server = started().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let all = ask(&server, Method::GET, "/v1/admin/sessions", "").await?;
    let session = all.json()["sessions"][0].clone();
    ensure!(
        session["protocol"] == "whip" && session["channel"] == "show",
        "{all:?}"
    );
    ensure!(!all.body.contains("/whip/"), "no URL is told: {all:?}");
    let id = session["id"].as_u64().context("a number")?;
    let path = format!("/v1/admin/sessions/{id}");
    let ended = ask(&server, Method::DELETE, &path, "").await?;
    ensure!(ended.status == 204, "{ended:?}");
    let closes = "reverie_session_closes_total{protocol=\"whip\",reason=\"kicked\"}";
    server.series_until(closes, "1", |sum| sum > 0.5).await?;
    server
        .channel_until("show", "offline", |c| c["live"] == false)
        .await?;
    let again = ask(&server, Method::DELETE, &path, "").await?;
    is_problem(&again, 404, "session")?;
    // The publisher has nothing more to say; its process may end by itself.
    let _ = publisher.stop().await;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_server_takes_no_new_sessions_until_it_is_told_to() -> Result<()> {
    let server = started().await?;
    let offer = async || {
        let sdp = [("content-type", "application/sdp")];
        send(Method::POST, &server.url("/whip/show"), &sdp, OFFER).await
    };
    for draining in [true, false] {
        let body = json!({ "draining": draining }).to_string();
        let told = ask(&server, Method::PUT, "/v1/admin/drain", &body).await?;
        ensure!(told.json()["draining"] == draining, "{told:?}");
        let ready = ask(&server, Method::GET, "/readyz", "").await?;
        ensure!(
            ready.json()["checks"]["not_draining"] != draining,
            "{ready:?}"
        );
        let answer = offer().await?;
        ensure!((answer.status == 503) == draining, "{answer:?}");
    }
    let wrong = ask(&server, Method::PUT, "/v1/admin/drain", "{}").await?;
    is_problem(&wrong, 422, "draining")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_shown_without_its_secrets() -> Result<()> {
    let server = started().await?;
    let shown = ask(&server, Method::GET, "/v1/admin/config", "").await?;
    ensure!(
        shown.status == 200 && shown.body.contains("[auth]"),
        "{shown:?}"
    );
    ensure!(shown.body.contains("control_token = "), "{shown:?}");
    ensure!(!shown.body.contains(CONTROL), "{shown:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_viewers_are_counted_by_day_and_no_address_is_told() -> Result<()> {
    let server = started().await?;
    for path in ["/whip/show", "/whep/show?wait=1", "/whep/show?wait=1"] {
        let offer = if path.starts_with("/whep") {
            OFFER.replace("sendonly", "recvonly")
        } else {
            OFFER.to_owned()
        };
        let sdp = [("content-type", "application/sdp")];
        let answer = send(Method::POST, &server.url(path), &sdp, offer).await?;
        ensure!(answer.status == 201, "{answer:?}");
    }
    let told = ask(&server, Method::GET, "/v1/admin/analytics", "").await?;
    let day = told.json()["days"][0].clone();
    ensure!(
        day["streams"] == 1 && day["viewers"] == 1 && day["peak"] == 2,
        "{told:?}"
    );
    ensure!(!told.body.contains("127.0.0.1"), "{told:?}");
    server.stop().await;
    Ok(())
}
