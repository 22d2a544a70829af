//! The server's own panel in a page like Twitch's: from its own origin, under Twitch's policy, with the extension's token.

use anyhow::Result;
use reverie_config::Secret;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::twitch_sim::{TwitchSim, VIEWER};
use serde_json::json;

use super::World;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const PUBLISH: &str = "a-token-for-publishing";
const HELPER: &str = "https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js";

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_the_panel_sees_the_picture_and_what_the_channel_sells() -> Result<()> {
    let world = World::start_with(TwitchSim::start().await?, |config| {
        config.auth.session_key = Secret::new(KEY).ok();
        config.auth.publish_token = Secret::new(PUBLISH).ok();
        config.http.allowed_origins = vec!["*".to_owned()];
        config.twitch.products = vec!["rain:100:15".parse().expect("a constant product")];
    })
    .await?;
    let mut publisher = Client::aiortc_publish_as(&world.server.url("/whip/show"), PUBLISH)?;
    let (mut host, served) = Client::extension(&world.server.url("")).await?;
    let mut browser = Client::chromium().await?;
    let twitch = format!(
        "window.testTwitch = {{ token: {}, channelId: '1', userId: '7', server: {}, receipt: () => null, \
         products: [{{ sku: 'rain', displayName: 'Rain', cost: {{ amount: 100, type: 'bits' }} }}] }}",
        json!(world.sim.session(VIEWER, true)),
        json!(world.server.url(""))
    );
    let url = format!(
        "{}/extension/panel.html",
        served["url"].as_str().unwrap_or_default()
    );
    browser
        .ask(json!({
            "cmd": "open", "page": "panel", "url": url, "prelude": twitch, "answers": { HELPER: "twitch_helper.js" },
        }))
        .await?;
    browser
        .until("panel", "document.querySelector('#video').videoWidth > 0")
        .await?;
    browser
        .until(
            "panel",
            "document.querySelector('#live').textContent === 'live'",
        )
        .await?;
    let button =
        "document.querySelector('#products button')?.firstChild.textContent === 'Use 100 Bits'";
    browser.until("panel", button).await?;
    browser.has_no_violations()?;
    browser.stop().await?;
    publisher.stop().await?;
    host.stop().await?;
    world.stop().await;
    Ok(())
}
