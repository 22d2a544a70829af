//! What a moderator does in the dock, as viewers read and see it.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{ANN, BOB, DESK, Show, now};

const CREDIT: &str = "100 credits came back to you for another one\\.";

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_moment_says_why_and_its_credits_pay_another_one() -> Result<()> {
    let mut show = Show::start(0, |_| ()).await?;
    show.arrives(ANN).await?;
    show.pays(ANN, "fireworks").await?;
    // Taken back in time, it stays in review.
    show.decides("fireworks", "Reject").await?;
    show.press("Undo").await?;
    show.decides("fireworks", "Reject").await?;
    show.press("not today").await?;
    show.reads(ANN, &format!("Not approved: not today\\. {CREDIT}"))
        .await?;
    show.until(
        ANN,
        "document.querySelector('#credits').innerText === 'You have 100 credits.'",
    )
    .await?;
    ensure!(show.credits(ANN).await? == 100, "the server says so too");

    show.asks(ANN, "a calm sea", "credits").await?;
    show.reads(ANN, "In review").await?;
    let asked =
        json!({ "cmd": "eval", "page": "ann", "code": "document.querySelector('#ask').open" });
    ensure!(
        show.browsers[DESK].ask(asked).await? == false,
        "no Bits are asked for"
    );
    ensure!(show.credits(ANN).await? == 0, "they are spent");
    show.decides("a calm sea", "Approve").await?;
    show.reads(ANN, r"Live: \d s left").await?;
    show.sees(ANN, true).await?;
    show.reads(ANN, "Done").await?;
    show.sees(ANN, false).await?;
    show.until(
        ANN,
        "!document.querySelector('#products button[data-unit=credits]')",
    )
    .await?;
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_viewer_asks_in_vain_until_the_ban_is_lifted() -> Result<()> {
    let mut show = Show::start(0, |_| ()).await?;
    show.opens(ANN, "&shared=1").await?;
    show.pays(ANN, "something rude").await?;
    show.decides("something rude", "Ban").await?;
    show.reads(ANN, &format!("Not approved\\. {CREDIT}"))
        .await?;
    show.asks(ANN, "a calm sea", "bits").await?;
    let refused = "Not taken: the channel takes no moments of yours";
    show.reads(ANN, refused).await?;
    show.click(DESK, "dock", "#bans-part summary").await?;
    show.press("Lift").await?;
    let words = "document.querySelector('#ban-words').checkVisibility() && \
                 document.querySelector('#ban-words').textContent === 'Nobody is banned.'";
    show.until_at(DESK, "dock", words).await?;
    show.pays(ANN, "a calm sea").await?;
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ai_now_brings_the_camera_back_to_everybody_and_sells_nothing_until_it_goes_on()
-> Result<()> {
    let mut show = Show::start(0, |config| {
        config.twitch.products = vec!["dream:100:60".parse().expect("a product")];
    })
    .await?;
    for viewer in [ANN, BOB] {
        show.arrives(viewer).await?;
    }
    show.pays(ANN, "lava everywhere").await?;
    show.decides("lava everywhere", "Approve").await?;
    for viewer in [ANN, BOB] {
        show.sees(viewer, true).await?;
    }
    let pressed = now();
    show.press("Stop AI now").await?;
    for viewer in [ANN, BOB] {
        let back = show.sees(viewer, false).await? - pressed;
        println!(
            "{} sees the camera {back:.2} s after Stop AI now",
            viewer.name
        );
    }
    show.reads(
        ANN,
        &format!("Cancelled: hidden by a moderator\\. {CREDIT}"),
    )
    .await?;
    show.until_at(
        DESK,
        "dock",
        "document.querySelector('#pause').textContent === 'Resume queue'",
    )
    .await?;

    show.asks(BOB, "a garden", "bits").await?;
    show.reads(
        BOB,
        "Not taken: the channel takes no moments while they are paused",
    )
    .await?;
    let asked =
        json!({ "cmd": "eval", "page": "bob", "code": "document.querySelector('#ask').open" });
    ensure!(
        show.browsers[DESK].ask(asked).await? == false,
        "nothing is to be paid"
    );
    show.press("Resume queue").await?;
    let queue = "/v1/channels/show/queue";
    show.until_at(
        DESK,
        "dock",
        "document.querySelector('#pause').textContent === 'Pause queue'",
    )
    .await?;
    let told = show
        .ask(Method::GET, queue, &show.dock, &Value::Null)
        .await?;
    ensure!(told.json()["paused"] == false, "{told:?}");
    show.until(
        BOB,
        "document.querySelector('#prompt').value === 'a garden'",
    )
    .await?;
    show.pays(BOB, "").await?;
    show.decides("a garden", "Approve").await?;
    show.sees(BOB, true).await?;
    show.stop().await
}
