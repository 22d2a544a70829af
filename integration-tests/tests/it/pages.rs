//! The pages as people see them: on a phone and on a desk, light and dark; the pictures go to `screenshots/`.

use anyhow::{Result, ensure};
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::server::TestServer;
use serde_json::json;

const SIZES: [(&str, u32, u32); 2] = [("phone", 360, 780), ("desk", 1280, 900)];

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_a_phone_and_a_desk_in_light_and_dark() -> Result<()> {
    let server = TestServer::start().await?;
    let folder = root().join("integration-tests/screenshots");
    std::fs::create_dir_all(&folder)?;
    let mut browser = Client::chromium().await?;
    browser
        .open(
            "bridge",
            &server.url("/bridge/show?source=canvas&autostart=1&size=640x360&fps=30"),
        )
        .await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    browser.open("watch", &server.url("/watch/show")).await?;
    browser
        .until(
            "watch",
            "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0",
        )
        .await?;
    browser.open("index", &server.url("/")).await?;
    let id = server.moment("show", "debug-invert", 60.0).await?;
    server
        .channel_until("show", "styled", |c| c["moment"]["state"] == "active")
        .await?;
    for page in ["index", "bridge", "watch"] {
        for (size, width, height) in SIZES {
            browser
                .ask(json!({ "cmd": "viewport", "page": page, "width": width, "height": height }))
                .await?;
            for scheme in ["light", "dark"] {
                browser
                    .ask(json!({ "cmd": "scheme", "page": page, "value": scheme }))
                    .await?;
                let path = folder.join(format!("{page}-{size}-{scheme}.png"));
                browser
                    .ask(json!({ "cmd": "screenshot", "page": page, "path": path }))
                    .await?;
            }
            let overflow = json!({ "cmd": "eval", "page": page, "code": "document.documentElement.scrollWidth - innerWidth" });
            let overflow = browser.ask(overflow).await?;
            ensure!(
                overflow.as_f64().is_some_and(|o| o <= 0.0),
                "{page} is {overflow} px too wide at {width} px"
            );
        }
    }
    let stop = server.url(&format!("/v1/moments/{id}/stop"));
    ensure!(
        reverie_integration_tests::http::post(&stop, &json!({}))
            .await?
            .status
            == 200,
        "the moment can be stopped"
    );
    let bad: Vec<_> = browser
        .seen
        .iter()
        .filter(|l| l["event"] == "csp" || l["event"] == "page_error")
        .collect();
    ensure!(bad.is_empty(), "{bad:?}");
    browser.stop().await?;
    server.stop().await;
    Ok(())
}
