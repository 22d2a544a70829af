//! The streamer's pages on a bad way to the server: dark, deaf, or through a proxy that knows no WebSocket.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::relay::{Way, Wire};
use serde_json::{Value, json};

use super::{ANN, BOB, DESK, Show, free, now};

const WISH: &str = "a city under water";
const MISSED: &str = "northern lights";
/// Within so many seconds a page says that its line is dead.
const PROMISED: f64 = 10.0;
const SOCKETS: &str = "reverie_events_connections{transport=\"ws\"}";
/// Notes when the badge comes up, by the page's clock.
const NOTE: &str = "(() => { const line = document.querySelector('#line'); \
    const look = () => { if (line.checkVisibility() && /^reconnecting/.test(line.textContent)) \
    window.testAway ??= Date.now() / 1000; }; \
    new MutationObserver(look).observe(line, { attributes: true, childList: true }); look(); })()";
const BADGE_GONE: &str = "document.querySelector('#line').hidden";
const ERROR: &str = "document.querySelector('#moment-error').textContent";

impl Show {
    /// On air, with the streamer's pages on a way that can be cut.
    async fn far() -> Result<Self> {
        let port = free()?;
        let way = Wire::to(port).await?;
        Self::start_at(port, Some(way), 0, |_| ()).await
    }

    fn way(&self) -> Result<&Wire> {
        self.way.as_ref().context("a way of its own")
    }

    /// Ann's wish is in review, the dock shows it, and the pages will note when their badge comes up.
    async fn in_review(&mut self) -> Result<()> {
        self.arrives(ANN).await?;
        self.pays(ANN, WISH).await?;
        self.until_at(DESK, "dock", &reviews(WISH)).await?;
        for page in ["dock", "bridge"] {
            self.finds(page, NOTE).await?;
        }
        Ok(())
    }

    /// A page says in time that its line is dead, so many seconds after it was.
    async fn says_in_time(&mut self, page: &str, since: f64) -> Result<f64> {
        let away = self.until_at(DESK, page, "window.testAway").await?;
        let after = away.as_f64().context("a time")? - since;
        ensure!((0.0..=PROMISED).contains(&after), "{page}: {after:.2} s");
        Ok(after)
    }
}

/// A page lists a moment as in review.
fn reviews(prompt: &str) -> String {
    format!(
        "document.querySelector('#review')?.checkVisibility() && \
         document.querySelector('#review').innerText.includes({})",
        json!(prompt)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_in_the_dark_says_so_in_ten_seconds_and_goes_on_from_its_cursor() -> Result<()> {
    let mut show = Show::far().await?;
    show.arrives(BOB).await?;
    // The silence begins with the last word of the server, and this is one.
    show.in_review().await?;
    show.way()?.set_dark(true);
    let dark = now();
    show.press("Approve").await?;
    show.pays(BOB, MISSED).await?;
    for page in ["dock", "bridge"] {
        let after = show.says_in_time(page, dark).await?;
        println!("{page}: the badge comes up {after:.2} s after the way went dark");
    }
    let sent = show.commanded("dock", "approve");
    ensure!(
        matches!(sent.as_slice(), [at] if *at > dark),
        "sent into the dark once: {sent:?}"
    );
    show.press("Pause queue").await?;
    let refused = format!("{ERROR}.endsWith('nothing was sent.')");
    show.until_at(DESK, "dock", &refused).await?;
    let missed = show.finds("dock", &reviews(MISSED)).await?;
    ensure!(missed == false, "nothing passes in the dark");
    // The server gives the lines up: what is on its way over them can reach nobody any more.
    show.server.metric_until(SOCKETS, 0.0).await?;

    show.way()?.set_dark(false);
    for page in ["dock", "bridge"] {
        show.until_at(DESK, page, BADGE_GONE).await?;
        show.until_at(DESK, page, &reviews(MISSED)).await?;
    }
    let lost = format!("{ERROR} === 'The connection was lost, and “approve” was not carried out.'");
    show.until_at(DESK, "dock", &lost).await?;
    let still = show.finds("dock", &reviews(WISH)).await?;
    ensure!(still == true, "it can be decided about again");
    let sent = show.commanded("dock", "approve").len();
    ensure!(sent == 1, "nothing is sent twice: {sent}");

    // The older one is above the other.
    show.press("Approve").await?;
    show.press("Reject").await?;
    show.sees(ANN, true).await?;
    show.reads(ANN, "Done").await?;
    show.sees(ANN, false).await?;
    let back = "Not approved\\. 100 credits came back to you for another one\\.";
    show.reads(BOB, back).await?;
    ensure!(show.credits(ANN).await? == 0, "it was shown as promised");
    ensure!(show.credits(BOB).await? == 100, "the price came back");
    let over = "window.reverie.channel.last?.state === 'completed'";
    for page in ["dock", "bridge"] {
        show.until_at(DESK, page, over).await?;
        let cursors = show.went_on(page).await?;
        println!("{page}: resumes after the events {cursors:?}");
    }
    show.ended(&[(WISH, 1, "completed"), (MISSED, 0, "rejected")])
        .await?;
    let paused = show.commanded("dock", "pause").len();
    ensure!(paused == 0, "what was refused was never sent");
    let lost = show.finds("bridge", "window.reverie.reconnects").await?;
    ensure!(lost == 0, "the picture takes another way");
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_answer_is_lost_is_made_once_and_shown_as_made() -> Result<()> {
    let mut show = Show::far().await?;
    show.in_review().await?;
    show.press("Approve").await?;
    show.way()?.set_dark_toward(Way::Down, true);
    let dark = now();
    show.sees(ANN, true).await?;
    let unheard = show.finds("dock", &reviews(WISH)).await?;
    ensure!(unheard == true, "the dock was told nothing");
    for page in ["dock", "bridge"] {
        let after = show.says_in_time(page, dark).await?;
        println!("{page}: the badge comes up {after:.2} s after the way went dark");
    }
    // Each has asked for another line, which the server gives up before a word of theirs could follow.
    let silent = "reverie_socket_closes_total{reason=\"silent\"}";
    let both = |count| count >= 2.0;
    show.server.series_until(silent, "two", both).await?;

    show.way()?.set_dark_toward(Way::Down, false);
    let over = "window.reverie.channel.last?.state === 'completed'";
    for page in ["dock", "bridge"] {
        show.until_at(DESK, page, over).await?;
        show.until_at(DESK, page, BADGE_GONE).await?;
        let cursors = show.went_on(page).await?;
        println!("{page}: resumes after the events {cursors:?}");
        let asks = "document.querySelector('#token-form').checkVisibility()";
        let asks = show.finds(page, asks).await?;
        ensure!(asks == false, "{page} asks for no other token");
    }
    let looked_up = |l: &Value| {
        l["event"] == "traffic"
            && l["page"] == "dock"
            && l["method"] == "GET"
            && l["url"]
                .as_str()
                .is_some_and(|url| url.contains("/v1/moments/"))
    };
    show.browsers[DESK]
        .wait_for("a look at what became of it", looked_up)
        .await?;
    let left = show.finds("dock", &reviews(WISH)).await?;
    ensure!(left == false, "it is shown as decided");
    let said = show.finds("dock", ERROR).await?;
    ensure!(said == "", "and nothing went wrong: {said}");
    let sent = show.commanded("dock", "approve");
    ensure!(
        matches!(sent.as_slice(), [at] if *at > dark),
        "sent once: {sent:?}"
    );
    show.reads(ANN, "Done").await?;
    show.ended(&[(WISH, 1, "completed")]).await?;
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_without_upgrades_the_desk_reads_the_stream_and_sends_requests() -> Result<()>
{
    let port = free()?;
    let way = Wire::without_upgrades(port).await?;
    let mut show = Show::start_at(port, Some(way), 0, |_| ()).await?;
    show.arrives(ANN).await?;
    show.pays(ANN, WISH).await?;
    let pressed = show.decides(WISH, "Approve").await?;
    let began = show.sees(ANN, true).await? - pressed;
    println!("first picture {began:.2} s after Approve was pressed, 5 s of them to take it back");
    show.reads(ANN, "Done").await?;
    show.sees(ANN, false).await?;
    let over = "window.reverie.channel.last?.state === 'completed'";
    for page in ["dock", "bridge"] {
        show.until_at(DESK, page, over).await?;
        let hidden = show.finds(page, BADGE_GONE).await?;
        ensure!(hidden == true, "{page} is connected");
        let heard = show.answered(page, "GET", "/v1/channels/show/events");
        ensure!(heard == [200], "{page} reads one stream: {heard:?}");
        let lines = show.lines(page).into_iter();
        let tried = lines.filter(|l| l["method"] == "WebSocket").count();
        ensure!(tried >= 2, "{page} tried a WebSocket {tried} times");
        let over = show.messages(page);
        ensure!(over.is_empty(), "{page} has none: {over:?}");
    }
    let decided = show.answered("dock", "POST", "/approve");
    ensure!(decided == [200], "one decision, by request: {decided:?}");
    show.ended(&[(WISH, 1, "completed")]).await?;

    let (path, pipeline) = (
        "/v1/channels/show/warm",
        json!({ "pipeline": "processors" }),
    );
    let warm = show
        .ask(Method::POST, path, &show.streamer, &pipeline)
        .await?;
    ensure!(warm.status == 202, "{warm:?}");
    show.steers().await?;
    let steered = show.answered("bridge", "PATCH", "/pipeline/params");
    ensure!(steered == [200, 200], "by request: {steered:?}");
    show.stop().await
}
