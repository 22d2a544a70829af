//! The main job: Chromium publishes, everybody watches, a moment changes the picture, the camera is back.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};

const SECONDS: f64 = 5.0;
/// How long a picture may be held up on its way beyond those before it, in seconds. A browser calls it a freeze from
/// about 0.2 s on; a busy machine of two cores decodes and encodes everybody's pictures here.
const STALL: f64 = 0.3;
/// The same where only the time is known at which a player has decoded a picture, which is this machine's time too.
const STALL_DECODED: f64 = 0.7;
const PAGES: [&str; 2] = ["first", "second"];

/// Three moments in a row, seen by two Chromium viewers and one aiortc viewer.
#[tokio::test(flavor = "multi_thread")]
async fn three_moments_are_one_continuous_stream_for_every_viewer() -> Result<()> {
    let server = TestServer::start().await?;
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
    for page in PAGES {
        browser.open(page, &server.url("/watch/show")).await?;
        browser.until(page, "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0").await?;
        // Chromium measures no sound of a muted element.
        browser.ask(json!({ "cmd": "eval", "page": page, "code": "void (document.querySelector('#video').muted = false)" })).await?;
        browser
            .ask(json!({ "cmd": "watch_frames", "page": page, "selector": "#video" }))
            .await?;
    }
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    player
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    let mut before = Vec::new();
    for page in PAGES {
        before.push(browser.stats(page).await?);
    }
    let from = (browser.seen.len(), player.seen.len());

    let mut shown = Vec::new();
    for _ in 0..3 {
        let id = server.moment("show", "debug-invert", SECONDS).await?;
        let moment = server.ended(&id).await?;
        ensure!(moment["state"] == "completed", "{moment}");
        shown.push(moment);
        server
            .channel_until("show", "back on the camera", |c| {
                c["pipeline"]["state"] == "warm"
            })
            .await?;
        // The next moment would begin before a busy browser has presented any picture in between.
        for page in PAGES {
            camera_again(&mut browser, page).await?;
        }
        plain_again(&mut player).await?;
    }

    let mut seen: Vec<(String, Vec<Frame>)> = Vec::new();
    for (page, before) in PAGES.iter().zip(&before) {
        let after = browser.stats(page).await?;
        same_connection(before, &after)?;
        seen.push((
            (*page).to_owned(),
            frames::of_page(&browser.seen[from.0..], page),
        ));
    }
    player.catch_up();
    sound_flowed(&player.seen[from.1..])?;
    seen.push((
        "aiortc".to_owned(),
        frames::of_player(&player.seen[from.1..]),
    ));
    for (name, frames) in &seen {
        println!(
            "{name}: {} pictures, at most {:.2} s apart, held up for at most {:.2} s",
            frames.len(),
            frames::longest_gap(frames),
            frames::longest_stall(frames)
        );
        one_stream(name, frames)?;
    }
    same_pictures(&seen)?;
    browser.has_no_violations()?;
    player.stop().await?;
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

async fn camera_again(browser: &mut Client, page: &str) -> Result<()> {
    browser.catch_up();
    let from = browser.seen.len();
    browser
        .wait_from(from, "the camera's picture", |line| {
            let last = frames::of_page(std::slice::from_ref(line), page).pop();
            last.is_some_and(|f| f.n.is_some() && !f.inverted)
        })
        .await?;
    Ok(())
}

async fn plain_again(player: &mut Client) -> Result<()> {
    player.catch_up();
    let from = player.seen.len();
    player
        .wait_from(from, "the camera's picture", |line| {
            frames::of_player(std::slice::from_ref(line))
                .pop()
                .is_some_and(|f| f.n.is_some() && !f.inverted)
        })
        .await?;
    Ok(())
}

fn same_connection(before: &Value, after: &Value) -> Result<()> {
    ensure!(
        before["peer"] == after["peer"] && before["peers"] == after["peers"],
        "another RTCPeerConnection: {before} {after}"
    );
    let video =
        |stats: &Value, key: &str| stats["inbound"]["video"][key].as_f64().unwrap_or_default();
    ensure!(
        video(after, "framesDecoded") > video(before, "framesDecoded"),
        "nothing was decoded: {after}"
    );
    ensure!(
        before["inbound"]["video"]["ssrc"] == after["inbound"]["video"]["ssrc"],
        "another stream: {after}"
    );
    let audio =
        |stats: &Value, key: &str| stats["inbound"]["audio"][key].as_f64().unwrap_or_default();
    ensure!(
        audio(after, "packetsReceived") > audio(before, "packetsReceived") + 500.0,
        "sound stopped: {after}"
    );
    ensure!(
        audio(after, "totalAudioEnergy") > audio(before, "totalAudioEnergy"),
        "only silence was heard: {after}"
    );
    Ok(())
}

/// Numbers strictly increase, nothing is black or unreadable, and exactly the three moments are inverted.
fn one_stream(name: &str, frames: &[Frame]) -> Result<()> {
    ensure!(
        frames.len() > 300,
        "{name} saw only {} pictures",
        frames.len()
    );
    let faults = frames::faults(frames);
    ensure!(faults.is_empty(), "{name}: {faults:?}");
    let moments = frames::moments(frames);
    ensure!(
        moments.len() == 3,
        "{name} saw these inverted runs: {moments:?}"
    );
    for (first, last, count) in moments {
        ensure!(
            count > 60,
            "{name} saw a moment of only {count} pictures ({first} to {last})"
        );
    }
    let stall = frames::longest_stall(frames);
    let limit = if frames.iter().all(|f| f.received.is_some()) {
        STALL
    } else {
        STALL_DECODED
    };
    ensure!(stall < limit, "{name} was held up for {stall} s");
    Ok(())
}

/// What one viewer saw inverted no other saw plain.
pub(crate) fn same_pictures(seen: &[(String, Vec<Frame>)]) -> Result<()> {
    let (first, reference) = seen.first().context("three viewers")?;
    for (name, frames) in &seen[1..] {
        for frame in frames {
            let same = reference.iter().find(|r| r.n == frame.n);
            let differs = same.is_some_and(|r| r.inverted != frame.inverted);
            ensure!(
                !differs,
                "{first} and {name} saw different pictures of number {:?}",
                frame.n
            );
        }
    }
    Ok(())
}

fn sound_flowed(seen: &[Value]) -> Result<()> {
    let seconds: Vec<f64> = seen
        .iter()
        .filter(|l| l["event"] == "audio")
        .filter_map(|l| l["frames"].as_f64())
        .collect();
    ensure!(
        seconds.len() >= 12,
        "aiortc reported sound {} times",
        seconds.len()
    );
    // 50 Opus frames a second; on a busy machine a report comes late, and then the next one has what it lacks.
    ensure!(
        seconds.windows(2).all(|two| two[0] + two[1] > 80.0),
        "sound had holes: {seconds:?}"
    );
    Ok(())
}
