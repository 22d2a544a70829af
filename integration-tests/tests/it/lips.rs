//! Lips: a flash and a beep of one instant, as far apart as Chromium shows them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http;
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Flashes, one a second, of each of three parts (camera, moment, camera), unless `REVERIE_LIPS_FLASHES` says
/// otherwise. Those whose first picture the browser did not look at do not count, so a busy machine takes longer.
const PART: usize = 6;
/// How long the flashes of one part may take beyond their number of seconds.
const PART_PATIENCE: Duration = Duration::from_secs(40);
/// Longer than any part: the moment is stopped when it has been seen for long enough.
const MOMENT: f64 = 120.0;
/// Flashes until the browser's own synchronisation has settled.
const SETTLING: usize = 6;
/// How far picture and sound may be apart, in milliseconds.
const LIMIT: f64 = 80.0;
/// Either connection shows a flash with the picture after the one it belongs to as likely as not: between the two lies
/// up to a picture that is nobody's skew, in milliseconds.
const PICTURE: f64 = 1e3 / 30.0;
/// The most that is put down to how unevenly the browser shows single flashes, in milliseconds.
const UNEVEN: f64 = 50.0;

/// How long around a flash the browser's own connection is looked at: its clock of the sound and that of the picture
/// drift apart by tens of milliseconds in a minute, whatever is played.
const AROUND: f64 = 5_000.0;

/// One flash with its beep: milliseconds by which the picture is shown after the sound, and when it is shown.
#[derive(Debug, Clone, Copy)]
struct Pair {
    at: f64,
    late: f64,
    inverted: bool,
}

/// A flash whose first picture was not looked at says nothing.
fn whole(line: &Value) -> bool {
    line["missed"] == 0
}

/// Flashes of one side, each with the beep nearest to it.
fn pairs(seen: &[Value], side: &str) -> Vec<Pair> {
    let of = |kind: &'static str| {
        seen.iter()
            .filter(move |l| l["event"] == "flash" && l["side"] == side && l["kind"] == kind)
    };
    let at = |line: &Value| line["at"].as_f64().unwrap_or_default();
    of("picture")
        .filter(|line| whole(line))
        .filter_map(|picture| {
            let beep = of("sound")
                .map(at)
                .min_by(|a, b| (a - at(picture)).abs().total_cmp(&(b - at(picture)).abs()))?;
            let late = at(picture) - beep;
            (late.abs() < 450.0).then_some(Pair {
                at: at(picture),
                late,
                inverted: picture["inverted"] == true,
            })
        })
        .collect()
}

fn median(pairs: &[Pair]) -> f64 {
    let late: Vec<f64> = pairs.iter().map(|p| p.late).collect();
    middle(&late)
}

fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Flashes of the connection without a server that were shown at about the same time.
fn beside(straight: &[Pair], at: f64) -> Vec<Pair> {
    let near = |p: &&Pair| (p.at - at).abs() <= AROUND;
    straight.iter().filter(near).copied().collect()
}

/// What each flash differs by from those of the connection without a server at that time.
fn differences(pairs: &[Pair], straight: &[Pair]) -> Vec<f64> {
    let of = |p: &Pair| p.late - median(&beside(straight, p.at));
    pairs.iter().map(of).collect()
}

fn worst(differences: &[f64]) -> f64 {
    differences.iter().fold(0.0, |worst, d| worst.max(d.abs()))
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
    let part = match std::env::var("REVERIE_LIPS_FLASHES") {
        Ok(count) => count.parse().context("REVERIE_LIPS_FLASHES")?,
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
    flashes(&mut browser, SETTLING, |_| true).await?;
    let from = browser.seen.len();
    let camera = |l: &Value| whole(l) && l["inverted"] == false;
    let styled = |l: &Value| whole(l) && l["inverted"] == true;
    flashes(&mut browser, part, camera).await?;
    let id = server.moment("lips", "debug-invert", MOMENT).await?;
    flashes(&mut browser, part, styled).await?;
    let stop = server.url(&format!("/v1/moments/{id}/stop"));
    let stopped = http::post(&stop, &json!({})).await?;
    ensure!(stopped.status.is_success(), "{stopped:?}");
    server.ended(&id).await?;
    flashes(&mut browser, part, camera).await?;

    let shown = pairs(&browser.seen[from..], "server");
    let straight = pairs(&browser.seen[from..], "straight");
    let own = worst(&differences(&straight, &straight));
    println!(
        "straight: {} flashes, median {:.0} ms, worst {own:.0} ms from those around it",
        straight.len(),
        median(&straight),
    );
    for (name, part_shown) in ["before", "moment", "after"].iter().zip(parts(&shown)) {
        let differences = differences(part_shown, &straight);
        println!(
            "{name}: {} flashes, median {:.0} ms, at worst {:.0} ms from straight",
            part_shown.len(),
            median(part_shown),
            worst(&differences),
        );
        ensure!(
            part_shown.len() >= part / 2,
            "too few flashes {name}: {shown:?}"
        );
        // A comparison with nothing is no number, and no success either. One flash is measured no better than the
        // browser shows those that no server touched.
        let within = |d: f64, limit: f64| d.abs() <= limit;
        ensure!(
            within(middle(&differences), LIMIT + PICTURE)
                && differences
                    .iter()
                    .all(|d| within(*d, LIMIT + PICTURE + own.min(UNEVEN))),
            "{name}: {differences:?} of {shown:?} and straight {straight:?}"
        );
    }
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

/// Waits for as many flashes of the server's side as are wanted of those that count.
async fn flashes(
    browser: &mut Client,
    count: usize,
    counts: impl Fn(&Value) -> bool,
) -> Result<()> {
    let of_server = |l: &Value| l["side"] == "server" && l["kind"] == "picture";
    let limit = PART_PATIENCE + Duration::from_secs(u64::try_from(count)?);
    let all = async {
        for _ in 0..count {
            let from = browser.seen.len();
            browser
                .wait_from(from, "a flash", |l| of_server(l) && counts(l))
                .await?;
        }
        Ok(())
    };
    timeout(limit, all)
        .await
        .with_context(|| format!("{count} flashes were not looked at in {limit:?}"))?
}
