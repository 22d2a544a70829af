//! The moderator's dock over a network that goes dark without closing anything: people see it, nothing is lost, and what they
//! decided meanwhile is done once or visibly not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{self, send};
use reverie_integration_tests::relay::Wire;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::queue::{ask, live, with_product};

/// Numbers of the events that the dock heard, its first one a snapshot.
const HEARD: &str = "window.reverie.events.map(({ n, type }) => [n, type])";

async fn value(browser: &mut Client, code: &str) -> Result<Value> {
    browser
        .ask(json!({ "cmd": "eval", "page": "mod", "code": code }))
        .await
}

fn pending(id: &Value) -> String {
    format!("document.querySelector('#review [data-id={id}]') !== null")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dock_whose_way_goes_dark_says_so_in_ten_seconds_and_shows_what_it_missed() -> Result<()>
{
    let (server, mut publisher) = live().await?;
    with_product(&server, "bridge").await?;
    let wave = |prompt| json!({ "prompt": prompt, "sku": "wave", "pipeline": "debug-invert" });
    let first = ask(&server, &wave("first")).await?;
    let second = ask(&server, &wave("second")).await?;
    let wire = Wire::to(server.address()).await?;
    let mut browser = Client::chromium().await?;
    let url = format!("http://{}/mod/show?dock=1", wire.address);
    browser.open("mod", &url).await?;
    browser.until("mod", &pending(&second["id"])).await?;
    let sockets = "reverie_events_connections{transport=\"ws\"}";
    ensure!(
        server.series(sockets).await? >= 1.0,
        "the dock has a socket"
    );

    // The silence begins with the last word, so there is one; a paused queue would take no moment that can be missed.
    for (act, pressed) in [("pause", true), ("resume", false)] {
        let url = server.url(&format!("/v1/channels/show/queue/{act}"));
        send(Method::POST, &url, &[], "").await?;
        let shown = format!(
            "document.querySelector('#pause').getAttribute('aria-pressed') === '{pressed}'"
        );
        browser.until("mod", &shown).await?;
    }
    wire.set_dark(true);
    let dark = Instant::now();
    let approve = format!("#review [data-id={}] .primary", first["id"]);
    browser
        .ask(json!({ "cmd": "click", "page": "mod", "selector": approve }))
        .await?;
    let id = second["id"].as_str().context("an id")?;
    let url = server.url(&format!("/v1/moments/{id}/reject"));
    let rejected = http::post(&url, &json!({})).await?;
    ensure!(rejected.status == 200, "{rejected:?}");
    let missed = ask(&server, &wave("missed")).await?;
    // What is approved afterwards waits, and can be looked at.
    let paused = server.url("/v1/channels/show/queue/pause");
    send(Method::POST, &paused, &[], "").await?;

    let badge = "!document.querySelector('#line').hidden \
        && /^reconnecting in \\d+ s$/.test(document.querySelector('#line').textContent)";
    browser.until("mod", badge).await?;
    let told = dark.elapsed();
    ensure!(
        told <= Duration::from_secs(10),
        "the badge came after {told:?}"
    );
    ensure!(
        value(&mut browser, &pending(&second["id"])).await? == true,
        "nothing passes in the dark"
    );
    let path = server.url(&format!(
        "/v1/moments/{}",
        first["id"].as_str().unwrap_or_default()
    ));
    let undecided = http::get(&path).await?.json();
    ensure!(undecided["state"] == "pending_approval", "{undecided}");

    wire.set_dark(false);
    browser
        .until("mod", "document.querySelector('#line').hidden")
        .await?;
    browser.until("mod", &pending(&missed["id"])).await?;
    browser
        .until("mod", &format!("!({})", pending(&second["id"])))
        .await?;
    let words = "document.querySelector('#moment-error').textContent";
    let decided = format!("!({}) || {words} !== ''", pending(&first["id"]));
    browser.until("mod", &decided).await?;
    let moment = http::get(&path).await?.json();
    let said = value(&mut browser, words).await?;
    let shown = value(&mut browser, &pending(&first["id"])).await?;
    match moment["state"].as_str() {
        Some("queued") => ensure!(
            shown == false
                && moment["version"].as_i64() == first["version"].as_i64().map(|v| v + 1),
            "approved once, and the dock says {said}: {moment}"
        ),
        Some("pending_approval") => ensure!(
            shown == true && said.as_str().is_some_and(|said| !said.is_empty()),
            "not approved, and the dock says {said}"
        ),
        _ => anyhow::bail!("{moment}"),
    }
    let heard = value(&mut browser, HEARD).await?;
    let heard = heard.as_array().context("events")?;
    let numbers: Vec<u64> = heard.iter().filter_map(|e| e[0].as_u64()).collect();
    ensure!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the dock went on from its cursor: {heard:?}"
    );
    browser.has_no_violations()?;
    browser.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}
