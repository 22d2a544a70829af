//! Lips: a flash and a beep of one instant, as far apart as Chromium shows them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};

/// Seconds, and so flashes, of each of three parts (camera, moment, camera), unless `REVERIE_LIPS_SECONDS` says
/// otherwise.
const PART: usize = 7;
/// Flashes until the browser's own synchronisation has settled.
const SETTLING: usize = 6;
/// How far picture and sound may be apart, in milliseconds.
const LIMIT: f64 = 80.0;

/// One flash with its beep: milliseconds by which the picture is shown after the sound.
#[derive(Debug, Clone, Copy)]
struct Pair {
    late: f64,
    inverted: bool,
}

/// Flashes of one side, each with the beep nearest to it.
fn pairs(seen: &[Value], side: &str) -> Vec<Pair> {
    let of = |kind: &'static str| {
        seen.iter()
            .filter(move |l| l["event"] == "flash" && l["side"] == side && l["kind"] == kind)
    };
    let at = |line: &Value| line["at"].as_f64().unwrap_or_default();
    // A flash whose first picture was not looked at says nothing.
    let whole = of("picture").filter(|l| l["missed"] == 0);
    whole
        .filter_map(|picture| {
            let beep = of("sound")
                .map(at)
                .min_by(|a, b| (a - at(picture)).abs().total_cmp(&(b - at(picture)).abs()))?;
            let late = at(picture) - beep;
            (late.abs() < 450.0).then_some(Pair {
                late,
                inverted: picture["inverted"] == true,
            })
        })
        .collect()
}

fn median(pairs: &[Pair]) -> f64 {
    let mut late: Vec<f64> = pairs.iter().map(|p| p.late).collect();
    late.sort_by(f64::total_cmp);
    late.get(late.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Largest distance from a reference.
fn worst(pairs: &[Pair], reference: f64) -> f64 {
    pairs
        .iter()
        .fold(0.0, |worst, p| worst.max((p.late - reference).abs()))
}

/// Before, during and after the moment.
fn parts(pairs: &[Pair]) -> [&[Pair]; 3] {
    let first = pairs.iter().position(|p| p.inverted).unwrap_or(pairs.len());
    let end = pairs
        .iter()
        .rposition(|p| p.inverted)
        .map_or(first, |last| last + 1);
    [&pairs[..first], &pairs[first..end], &pairs[end..]]
}

/// What the browser shows of a pair of connections without a server is as good as it gets, and has the same
/// constant error of measuring.
#[tokio::test(flavor = "multi_thread")]
async fn flash_and_beep_stay_together_through_a_moment() -> Result<()> {
    let part = match std::env::var("REVERIE_LIPS_SECONDS") {
        Ok(seconds) => seconds.parse().context("REVERIE_LIPS_SECONDS")?,
        Err(_) => PART,
    };
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    browser.open("studio", &server.url("/version")).await?;
    browser
        .ask(json!({
            "cmd": "flash", "page": "studio",
            "whip": server.url("/whip/lips"), "whep": server.url("/whep/lips?wait=1"),
        }))
        .await?;
    flashes(&mut browser, SETTLING).await?;
    let from = browser.seen.len();
    flashes(&mut browser, part).await?;
    let seconds = Duration::from_secs(u64::try_from(part)?).as_secs_f64();
    let id = server.moment("lips", "debug-invert", seconds).await?;
    flashes(&mut browser, part + 1).await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    flashes(&mut browser, part).await?;

    let shown = pairs(&browser.seen[from..], "server");
    let straight = pairs(&browser.seen[from..], "straight");
    let reference = median(&straight);
    println!(
        "straight: {} flashes, median {reference:.0} ms, worst {:.0} ms from it",
        straight.len(),
        worst(&straight, reference)
    );
    for (name, part_shown) in ["before", "moment", "after"].iter().zip(parts(&shown)) {
        println!(
            "{name}: {} flashes, median {:.0} ms, from straight {:.0} ms, worst {:.0} ms",
            part_shown.len(),
            median(part_shown),
            median(part_shown) - reference,
            worst(part_shown, reference),
        );
        ensure!(part_shown.len() >= 2, "too few flashes {name}: {shown:?}");
        ensure!(
            worst(part_shown, reference) <= LIMIT,
            "{name}: {shown:?} and straight {straight:?}"
        );
    }
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

/// Waits for as many flashes of the server's side as there are seconds.
async fn flashes(browser: &mut Client, count: usize) -> Result<()> {
    for _ in 0..count {
        let from = browser.seen.len();
        browser
            .wait_from(from, "a flash", |l| {
                l["side"] == "server" && l["kind"] == "picture"
            })
            .await?;
    }
    Ok(())
}
