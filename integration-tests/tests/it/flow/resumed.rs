//! The bridge goes away in the middle of a moment.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{ANN, DESK, Show};

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_loaded_anew_goes_on_with_the_running_moment() -> Result<()> {
    let mut show = Show::start(0, |config| {
        config.twitch.products = vec!["dream:100:20".parse().expect("a product")];
    })
    .await?;
    show.arrives(ANN).await?;
    show.pays(ANN, "a paper theatre").await?;
    show.decides("a paper theatre", "Approve").await?;
    show.sees(ANN, true).await?;
    let session = "window.reverie.session";
    let before = show.until_at(DESK, "bridge", session).await?;
    show.browsers[DESK]
        .ask(json!({ "cmd": "reload", "page": "bridge" }))
        .await?;
    let browser = &mut show.browsers[DESK];
    let warned = |l: &serde_json::Value| l["event"] == "dialog" && l["kind"] == "beforeunload";
    browser
        .wait_for("a warning that the stream would end", warned)
        .await?;
    let after = show
        .until_at(
            DESK,
            "bridge",
            "window.reverie.state === 'live' && window.reverie.session",
        )
        .await?;
    ensure!(before != after, "another session: {after}");
    let card = "document.querySelector('#now').checkVisibility() && \
                /^Live: \\d+ s left/.test(document.querySelector('#now-state').textContent) && \
                document.querySelector('#now-prompt').textContent === '“a paper theatre”'";
    show.until_at(DESK, "bridge", card).await?;
    show.reads(ANN, r"Live: \d+ s left").await?;
    show.sees(ANN, true).await?;
    show.reads(ANN, "Done").await?;
    show.sees(ANN, false).await?;
    ensure!(show.credits(ANN).await? == 0, "it was shown as promised");
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_stays_away_ends_the_moment_and_its_viewer_gets_the_price_back() -> Result<()>
{
    let mut show = Show::start(0, |config| {
        config.twitch.products = vec!["dream:100:60".parse().expect("a product")];
        config.moments.publisher_gone = std::time::Duration::from_secs(2);
    })
    .await?;
    show.arrives(ANN).await?;
    show.pays(ANN, "a paper theatre").await?;
    show.decides("a paper theatre", "Approve").await?;
    show.sees(ANN, true).await?;
    show.browsers[DESK]
        .ask(json!({ "cmd": "close_page", "page": "bridge" }))
        .await?;
    show.reads(
        ANN,
        "Failed: the publisher was gone\\. 100 credits came back to you for another one\\.",
    )
    .await?;
    let waits = "document.querySelector('#screen-words').checkVisibility() && \
                 document.querySelector('#screen-words').textContent === \
                 'Waiting for the streamer. The picture starts by itself.'";
    show.until(ANN, waits).await?;
    ensure!(show.credits(ANN).await? == 100, "the price came back");
    show.stop().await
}
