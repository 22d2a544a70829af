//! A stream with a viewer, and somebody who does everything at once to disturb it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::frames;
use reverie_integration_tests::hostile::{Drip, Flood, SlowConnections};
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::{Binary, Cost};

/// How long the attack lasts.
const ATTACK: Duration = Duration::from_secs(30);
/// Datagrams a second.
const RATE: u32 = 10_000;
/// Sessions that are negotiated and never connect.
const HALF_OPEN: usize = 200;
/// Slow connections of each kind.
const SLOW: usize = 200;
/// Set-up time of a session, short so that the test sees its end.
const SETUP: &str = "10";
/// What the attack may leave behind: the allocator keeps the pages of the sessions and connections that were open
/// at once, which were 31 MiB when this was written. Keeping every datagram would be 100 MiB.
const GROWTH_KIB: u64 = 64 * 1024;
/// What as many sessions once more may add to that: they fit where the first ones were.
const AGAIN_KIB: u64 = 8 * 1024;

const SDP: (&str, &str) = ("content-type", "application/sdp");
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");
/// A viewer's offer without a candidate: nobody will ever answer for it.
const OFFER: &str = include_str!("../../src/fuzzing/viewer.sdp");

/// The committed inputs of a fuzz target, in order of their names.
fn corpus(target: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    ensure!(!paths.is_empty(), "{} is empty", folder.display());
    Ok(paths.iter().map(std::fs::read).collect::<Result<_, _>>()?)
}

/// An error of the client is its own; a server that is full says so. Nothing else may be answered.
fn is_calm(answer: &Answer) -> Result<()> {
    let code = answer.status.as_u16();
    ensure!(code < 500 || code == 503, "{answer:?}");
    Ok(())
}

/// Opens sessions that will never connect; returns their URLs and user fragments.
async fn half_open_all(base: &str) -> Result<(Vec<String>, Vec<String>)> {
    let (mut urls, mut ufrags) = (Vec::new(), Vec::new());
    for _ in 0..HALF_OPEN {
        let (url, ufrag) = half_open(base).await?;
        urls.push(url);
        ufrags.push(ufrag);
    }
    Ok((urls, ufrags))
}

/// Posts an offer that will never connect; returns its URL and the user fragment of the answer.
async fn half_open(base: &str) -> Result<(String, String)> {
    let answer = send(Method::POST, &format!("{base}/whep/show"), &[SDP], OFFER).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let ufrag = answer
        .body
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .context("a user fragment")?;
    let url = format!("{base}{}", answer.header("location"));
    Ok((url, ufrag.trim_end().to_owned()))
}

/// Every offer of the corpus to a channel of its own, and every fragment to a half-open session.
async fn post_corpora(base: &str, session: &str) -> Result<usize> {
    let (mut posted, mut refused) = (0, 0);
    for input in corpus("offer")? {
        let Some((side, offer)) = input.split_first() else {
            continue;
        };
        let path = if side % 2 == 0 {
            "/whip/mess"
        } else {
            "/whep/mess?wait=1"
        };
        let answer = send(
            Method::POST,
            &format!("{base}{path}"),
            &[SDP],
            offer.to_vec(),
        )
        .await?;
        is_calm(&answer)?;
        refused += usize::from(!answer.status.is_success());
        posted += 1;
    }
    ensure!(
        refused > 0 && refused < posted,
        "{refused} of {posted} were refused"
    );
    for input in corpus("fragment")? {
        let answer = send(
            Method::PATCH,
            session,
            &[FRAGMENT, ("if-match", "*")],
            input,
        )
        .await?;
        is_calm(&answer)?;
        posted += 1;
    }
    Ok(posted)
}

/// Asks for `/healthz` until the attack is over; returns the longest it took.
async fn health(base: &str, until: Instant) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        let begun = Instant::now();
        let answer = http::get(&format!("{base}/healthz")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(longest)
}

/// Waits until all sessions that never connected are gone.
async fn freed(server: &Binary, at_least: f64) -> Result<f64> {
    let begin = "reverie_session_closes_total{protocol=\"whep\",reason=\"setup_timeout\"}";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let closed = server.metric(begin).await?;
        if closed >= at_least {
            return Ok(closed);
        }
        ensure!(
            Instant::now() < deadline,
            "{closed} sessions were freed, not {at_least}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the server costs once its connections have had their time.
async fn files_closed(server: &Binary, below: usize) -> Result<Cost> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let cost = server.cost()?;
        if cost.files < below {
            return Ok(cost);
        }
        ensure!(
            Instant::now() < deadline,
            "files stay open: {cost:?}, {below} were allowed"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn grown(before: Cost, after: Cost) -> u64 {
    after.resident_kib.saturating_sub(before.resident_kib)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_client_does_not_disturb_a_running_stream() -> Result<()> {
    let server = Binary::start_with(&[("REVERIE__MEDIA__SETUP_TIMEOUT_S", SETUP)]).await?;
    let base = format!("http://{}", server.http);
    let mut publisher = Client::aiortc_publish(&format!("{base}/whip/show"))?;
    let mut viewer = Client::aiortc_watch(&format!("{base}/whep/show"))?;
    viewer
        .wait_for("a picture", |l| l["event"] == "frame" && l["n"].is_u64())
        .await?;
    let quiet = server.cost()?;
    let strays = "reverie_datagrams_total{direction=\"in\",result=\"stray\"}";
    let stray_before = server.metric(strays).await?;

    // The attack.
    let (sessions, ufrags) = half_open_all(&base).await?;
    let mut samples = corpus("engine")?;
    samples.extend(corpus("assembler")?);
    let media = SocketAddr::from(([127, 0, 0, 1], server.media_port));
    let begun = Instant::now();
    let flood = Flood::start(media, RATE, ufrags, samples)?;
    let web: SocketAddr = server.http.parse()?;
    let heads = SlowConnections::open(web, Drip::Head, SLOW);
    let bodies = SlowConnections::open(web, Drip::Body, SLOW);
    let watch = tokio::spawn({
        let base = base.clone();
        async move { health(&base, begun + ATTACK).await }
    });
    let posted = post_corpora(&base, &sessions[0]).await?;
    let slowest = watch.await??;
    let poured = flood.stop();
    let during = server.cost()?;
    for (slow, what) in [(&heads, "head"), (&bodies, "body")] {
        let (opened, ended, longest) = slow.so_far();
        println!(
            "slow {what}: {opened} connections, {ended} ended by the server, held for at most {longest:?}"
        );
        ensure!(
            ended >= SLOW as u64 && longest < Duration::from_secs(20),
            "a slow {what} is cut off: {ended} of {opened}, {longest:?}"
        );
    }
    heads.close().await;
    bodies.close().await;

    // What it did.
    let gone = freed(&server, HALF_OPEN as f64).await?;
    let stray = server.metric(strays).await? - stray_before;
    let after = files_closed(&server, quiet.files + 16).await?;
    println!(
        "{poured:?}; {posted} offers and fragments; {stray} strays counted; {gone} sessions freed"
    );
    println!(
        "/healthz at most {slowest:?}; quiet {quiet:?}, under attack {during:?}, after it {after:?}"
    );
    ensure!(
        poured.sent as f64 > ATTACK.as_secs_f64() * f64::from(RATE) * 0.9,
        "the flood was too thin: {poured:?}"
    );
    ensure!(poured.answered == 0, "strangers were answered: {poured:?}");
    ensure!(
        stray > poured.sent as f64 * 0.9,
        "{stray} of {} strays were counted",
        poured.sent
    );
    ensure!(
        slowest < Duration::from_secs(2),
        "/healthz took {slowest:?}"
    );
    ensure!(
        grown(quiet, after) < GROWTH_KIB,
        "memory grew from {quiet:?} to {after:?}"
    );
    half_open_all(&base).await?;
    freed(&server, gone + HALF_OPEN as f64).await?;
    let again = server.cost()?;
    println!("after as many sessions once more {again:?}");
    ensure!(
        grown(after, again) < AGAIN_KIB,
        "memory grows with every wave: {after:?}, {again:?}"
    );
    let panics = server.metric("reverie_peer_panics_total").await?;
    ensure!(panics == 0.0, "{panics} sessions panicked");

    // What it did not do.
    viewer.catch_up();
    let seen = frames::of_player(&viewer.seen);
    let numbers: Vec<u64> = seen.iter().filter_map(|f| f.n).collect();
    println!(
        "{} pictures, {:?} to {:?}, longest gap {:.3} s",
        seen.len(),
        numbers.first(),
        numbers.last(),
        frames::longest_gap(&seen)
    );
    let faults = frames::faults(&seen);
    ensure!(faults.is_empty(), "{faults:?}");
    ensure!(numbers.len() > 600, "{} pictures in all", numbers.len());
    let missing: Vec<_> = numbers.windows(2).filter(|w| w[1] != w[0] + 1).collect();
    ensure!(missing.is_empty(), "pictures are missing: {missing:?}");

    viewer.stop().await?;
    publisher.stop().await?;
    ensure!(server.terminate().await? == Some(0));
    Ok(())
}
