//! A browser without H264, as Firefox is on some systems: 406 in words, on the pages too.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::TestServer;
use serde_json::json;

/// Takes H264 out of what the browser can do, before the page's own scripts run.
const WITHOUT_H264: &str = "
  for (const kind of [RTCRtpSender, RTCRtpReceiver]) {
    const all = kind.getCapabilities.bind(kind);
    kind.getCapabilities = (media) => {
      const found = all(media);
      return { ...found, codecs: found.codecs.filter(({ mimeType }) => mimeType !== 'video/H264') };
    };
  }
";

async fn says_what_is_missing(path: &str) -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    let open =
        json!({ "cmd": "open", "page": "page", "url": server.url(path), "prelude": WITHOUT_H264 });
    browser.ask(open).await?;
    browser
        .until("page", "window.reverie.state === 'failed'")
        .await?;
    let shown = json!({ "cmd": "eval", "page": "page", "code": "document.querySelector('#link-reason').innerText" });
    let shown = browser.ask(shown).await?;
    let words = shown.as_str().context("words")?;
    for needed in ["H264", "VP8", "another browser"] {
        ensure!(words.contains(needed), "{needed} is not in: {words}");
    }
    let offered = browser
        .ask(json!({ "cmd": "eval", "page": "page", "code": "window.testPeers.length" }))
        .await?;
    ensure!(offered == 1, "it tried {offered} times");
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w18_the_bridge_page_says_that_h264_is_missing_and_what_to_do() -> Result<()> {
    says_what_is_missing("/bridge/show?source=canvas&autostart=1&size=640x360&fps=30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn w18_the_watch_page_says_that_h264_is_missing_and_what_to_do() -> Result<()> {
    says_what_is_missing("/watch/show").await
}
