//! Real clients on bad networks: loss, black-outs, disorder, narrow links, and addresses that change.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::http;
use reverie_integration_tests::relay::{Class, Conditions, Link, Rate, Relay, Way};
use reverie_integration_tests::server::{Binary, Log, TestServer, config};
use serde_json::json;
use tokio::time::{Instant, sleep};

const BRIDGE: &str = "/bridge/show?source=canvas&autostart=1&size=640x360&fps=30";
/// A watching page that presents pictures.
const PLAYING: &str =
    "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0";

/// A WHIP offer whose client does not exist.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na=setup:actpass\r\na=sendonly\r\n\
    a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

/// A server whose clients all reach it through a relay; they hide their own addresses, or its checks would
/// reach them directly.
#[allow(
    clippy::print_stdout,
    reason = "a run that failed is repeated with its seed"
)]
pub(crate) async fn behind_relay(seed: u64) -> Result<(TestServer, Relay)> {
    println!("seed {seed}");
    let relay = Relay::bind(seed).await?;
    let mut config = config();
    config.media.advertise = vec![relay.address.into()];
    let server = TestServer::start_with(config).await?;
    relay.serve(server.media());
    Ok((server, relay))
}

pub(crate) async fn live(server: &TestServer) -> Result<()> {
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    Ok(())
}

/// The watch page in a browser; its pictures are read.
async fn watch(browser: &mut Client, server: &TestServer) -> Result<()> {
    browser.open("watch", &server.url("/watch/show")).await?;
    browser.until("watch", PLAYING).await?;
    browser
        .ask(json!({ "cmd": "watch_frames", "page": "watch", "selector": "#video" }))
        .await?;
    Ok(())
}

/// A browser that publishes and one that watches, each over a link of its own.
struct Scene {
    server: TestServer,
    browser: Client,
    seeing: Link,
    publisher: Client,
    sending: Link,
    /// It carries the links as long as it lives.
    relay: Relay,
}

impl Scene {
    async fn open(seed: u64) -> Result<Self> {
        let (server, mut relay) = behind_relay(seed).await?;
        let sending = relay.link();
        let mut publisher = Client::chromium_hidden().await?;
        publisher.open("bridge", &server.url(BRIDGE)).await?;
        live(&server).await?;
        let seeing = relay.link();
        let mut browser = Client::chromium_hidden().await?;
        watch(&mut browser, &server).await?;
        Ok(Self {
            server,
            browser,
            seeing,
            publisher,
            sending,
            relay,
        })
    }
}

/// Stops everybody in order.
async fn end(server: TestServer, clients: [Client; 2]) -> Result<()> {
    for mut client in clients {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}

/// Pictures of the watch page over a span of time.
async fn pictures(browser: &mut Client, span: Duration) -> Vec<Frame> {
    browser.catch_up();
    let from = browser.seen.len();
    sleep(span).await;
    browser.catch_up();
    frames::of_page(&browser.seen[from..], "watch")
}

/// The first readable picture from now on.
async fn next_picture(browser: &mut Client) -> Result<Frame> {
    browser.catch_up();
    let from = browser.seen.len();
    let readable = |line: &serde_json::Value| {
        let frames = frames::of_page(std::slice::from_ref(line), "watch");
        frames.into_iter().find(|f| f.n.is_some())
    };
    let line = browser
        .wait_from(from, "a picture", |line| readable(line).is_some())
        .await?;
    readable(&line).context("it was just there")
}

/// How many numbers there are from the first picture to the last.
fn span(frames: &[Frame]) -> f64 {
    let mut numbers = frames.iter().filter_map(|f| f.n);
    let first = numbers.next().unwrap_or_default();
    let last = numbers.next_back().unwrap_or(first);
    (last - first + 1) as f64
}

/// Share of those that were seen.
fn share(frames: &[Frame]) -> f64 {
    frames.iter().filter(|f| f.n.is_some()).count() as f64 / span(frames)
}

/// Pictures that the watch page's browser has decoded.
async fn decoded(browser: &mut Client) -> Result<f64> {
    let stats = browser.stats("watch").await?;
    stats["inbound"]["video"]["framesDecoded"]
        .as_f64()
        .with_context(|| stats.to_string())
}

fn losing(loss: f64) -> Conditions {
    Conditions {
        loss,
        delay: Duration::from_millis(10),
        ..Conditions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_pictures_of_ten_arrive_at_three_percent_of_loss_in_both_directions() -> Result<()> {
    let Scene {
        server,
        mut browser,
        seeing,
        publisher,
        sending,
        relay: _relay,
    } = Scene::open(31).await?;
    let clean = share(&pictures(&mut browser, Duration::from_secs(3)).await);
    for link in [&sending, &seeing] {
        link.set_both(losing(0.03));
    }
    let before = decoded(&mut browser).await?;
    let seen = pictures(&mut browser, Duration::from_secs(15)).await;
    let decoded = decoded(&mut browser).await? - before;
    // A browser decodes what came late, and then presents the newest of several that are due.
    let sent = span(&seen);
    println!(
        "decoded {:.1} % of {sent} pictures and presented {:.1} %; without loss presented {:.1} %",
        100.0 * decoded / sent,
        100.0 * share(&seen),
        100.0 * clean
    );
    ensure!(
        sent > 300.0 && decoded / sent >= 0.9,
        "{decoded} of {sent} were decoded"
    );
    ensure!(share(&seen) >= 0.7, "{} were presented", share(&seen));
    let faults = frames::faults(&seen);
    ensure!(faults.is_empty(), "{faults:?}");
    for link in [&sending, &seeing] {
        println!(
            "up {:?} down {:?}",
            link.counts(Way::Up),
            link.counts(Way::Down)
        );
    }
    for series in [
        r#"reverie_rtcp_feedback_total{direction="in",type="nack"}"#,
        r#"reverie_rtcp_feedback_total{direction="out",type="nack"}"#,
        r#"reverie_rtp_retransmissions_total{direction="in"}"#,
        r#"reverie_rtp_retransmissions_total{direction="out"}"#,
        r#"reverie_rtp_packets_lost_total{direction="in"}"#,
        r#"reverie_rtp_packets_lost_total{direction="out"}"#,
    ] {
        let count = server.series(series).await?;
        println!("{series} {count}");
        ensure!(count > 0.0, "{series} is {count}");
    }
    end(server, [browser, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_returns_after_two_dark_seconds_without_a_reload() -> Result<()> {
    let Scene {
        server,
        mut browser,
        seeing,
        publisher,
        sending,
        relay: _relay,
    } = Scene::open(32).await?;
    let before = browser.stats("watch").await?;
    for (name, link) in [("viewer", &seeing), ("publisher", &sending)] {
        next_picture(&mut browser).await?;
        link.set_both(Conditions {
            dark: true,
            ..Conditions::default()
        });
        sleep(Duration::from_secs(2)).await;
        browser.catch_up();
        link.set_both(Conditions::default());
        let light = Instant::now();
        next_picture(&mut browser).await?;
        let back = light.elapsed();
        println!("{name}: a picture {back:?} after the black-out");
        ensure!(back < Duration::from_secs(3), "{name}: {back:?}");
    }
    let seen = pictures(&mut browser, Duration::from_secs(3)).await;
    ensure!(seen.len() > 45, "{} pictures in 3 s", seen.len());
    let after = browser.stats("watch").await?;
    ensure!(before["peers"] == after["peers"], "{before} {after}");
    let faults = frames::faults(&frames::of_page(&browser.seen, "watch"));
    ensure!(faults.is_empty(), "{faults:?}");
    end(server, [browser, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn disorder_jitter_and_doubles_leave_the_pictures_in_order() -> Result<()> {
    let Scene {
        server,
        mut browser,
        seeing,
        publisher,
        sending,
        relay: _relay,
    } = Scene::open(33).await?;
    let rough = Conditions {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(20),
        reorder: 0.05,
        held_back: Duration::from_millis(15),
        duplicate: 0.05,
        ..Conditions::default()
    };
    for link in [&sending, &seeing] {
        link.set_both(rough);
    }
    let seen = pictures(&mut browser, Duration::from_secs(8)).await;
    println!("{} pictures; {:?}", seen.len(), seeing.counts(Way::Down));
    ensure!(
        seen.len() > 120 && share(&seen) > 0.8,
        "{} pictures, {}",
        seen.len(),
        share(&seen)
    );
    let faults = frames::faults(&seen);
    ensure!(faults.is_empty(), "{faults:?}");
    end(server, [browser, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_loses_everything_or_is_slow_costs_the_others_nothing() -> Result<()> {
    let (server, mut relay) = behind_relay(34).await?;
    let _sending = relay.link();
    let mut publisher = Client::aiortc_publish_hidden(&server.url("/whip/show"))?;
    live(&server).await?;
    let mut players = Vec::new();
    for _ in 0..3 {
        let link = relay.link();
        let mut player = Client::aiortc_watch_hidden(&server.url("/whep/show"))?;
        player
            .wait_for("a first frame", |l| l["event"] == "first_frame")
            .await?;
        players.push((player, link));
    }
    let quiet = delays(&mut players[0].0, Duration::from_secs(4)).await;
    players[1].1.set(
        Way::Down,
        Conditions {
            dark: true,
            ..Conditions::default()
        },
    );
    let rate = Rate {
        bytes_per_second: 15_000,
        queue: 15_000,
    };
    players[2].1.set(
        Way::Down,
        Conditions {
            rate: Some(rate),
            ..Conditions::default()
        },
    );
    let beside = delays(&mut players[0].0, Duration::from_secs(8)).await;
    println!(
        "delay of the good viewer's pictures: {quiet:.1?} ms alone, {beside:.1?} ms beside them"
    );
    for (i, (_, link)) in players.iter().enumerate() {
        println!("{i}: {:?}", link.counts(Way::Down));
    }
    ensure!(
        players[2].1.counts(Way::Down).overflowed > 0,
        "the link was too wide to tell"
    );
    ensure!(
        beside.missing == 0,
        "{} pictures are missing",
        beside.missing
    );
    ensure!(beside.median < quiet.median + 20.0, "{quiet:?} {beside:?}");
    for (player, link) in &mut players {
        link.set_both(Conditions::default());
        player.stop().await?;
    }
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

/// From drawn to decoded, in milliseconds, and numbers that did not come.
#[derive(Debug)]
struct Delays {
    median: f64,
    missing: u64,
}

async fn delays(player: &mut Client, span: Duration) -> Delays {
    player.catch_up();
    let from = player.seen.len();
    sleep(span).await;
    player.catch_up();
    let lines = player.seen[from..].iter().filter(|l| l["event"] == "frame");
    let (mut delays, mut numbers) = (Vec::new(), Vec::new());
    for line in lines {
        if let (Some(t), Some(clock), Some(n)) = (
            line["t"].as_f64(),
            line["clock"].as_f64(),
            line["n"].as_u64(),
        ) {
            delays.push((t * 1000.0 - clock).rem_euclid(f64::from(1 << 24)));
            numbers.push(n);
        }
    }
    delays.sort_by(f64::total_cmp);
    let missing = numbers
        .windows(2)
        .map(|w| w[1].saturating_sub(w[0] + 1))
        .sum();
    Delays {
        median: delays.get(delays.len() / 2).copied().unwrap_or(f64::MAX),
        missing,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_goes_on_when_the_address_of_a_publisher_or_a_viewer_changes() -> Result<()> {
    let Scene {
        server,
        mut browser,
        seeing,
        publisher,
        sending,
        relay: _relay,
    } = Scene::open(35).await?;
    let before = browser.stats("watch").await?;
    let moved = server.series("reverie_address_changes_total").await?;
    // A browser that misses a packet for good may wait 3 s before it asks for a keyframe; what the publisher's change
    // costs is known to the server, which asks sooner.
    let changes = [("publisher", &sending, 1.5), ("viewer", &seeing, 4.0)];
    for (i, (name, link, limit)) in changes.into_iter().enumerate() {
        browser.catch_up();
        let from = browser.seen.len();
        link.rebind();
        server
            .metric_until("reverie_address_changes_total", moved + (i + 1) as f64)
            .await?;
        // The address is followed; the picture returns within the limit, and a while of it is looked at.
        sleep(Duration::from_secs_f64(limit + 1.5)).await;
        browser.catch_up();
        let seen = frames::of_page(&browser.seen[from..], "watch");
        let gap = frames::longest_gap(&seen);
        println!("{name}: {} pictures, at most {gap:.2} s apart", seen.len());
        ensure!(
            gap < limit && seen.len() > 30,
            "{name}: {gap} s, {} pictures",
            seen.len()
        );
        let faults = frames::faults(&seen);
        ensure!(faults.is_empty(), "{name}: {faults:?}");
    }
    // Longer than str0m keeps a pair whose remote is gone.
    let seen = pictures(&mut browser, Duration::from_secs(17)).await;
    let gap = frames::longest_gap(&seen);
    ensure!(gap < 4.0, "the picture stood for {gap} s");
    next_picture(&mut browser).await?;
    let after = browser.stats("watch").await?;
    ensure!(before["peers"] == after["peers"], "{before} {after}");
    end(server, [browser, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_hears_no_request_is_asked_again_and_joiners_get_its_group_without_a_storm()
-> Result<()> {
    let (server, mut relay) = behind_relay(36).await?;
    let sending = relay.link();
    let publisher = Client::aiortc_publish_hidden(&server.url("/whip/show"))?;
    live(&server).await?;
    // No request for a keyframe and no NACK reaches the publisher.
    sending.set(
        Way::Down,
        Conditions {
            refuse: Some(Class::Rtcp),
            ..Conditions::default()
        },
    );
    sleep(Duration::from_secs(2)).await;
    let nacks = r#"reverie_rtcp_feedback_total{direction="in",type="nack"}"#;
    let plis = r#"reverie_rtcp_feedback_total{direction="out",type="pli"}"#;
    let asked = server.series(plis).await?;
    let mut player = Client::aiortc_watch_hidden(&server.url("/whep/show"))?;
    let first = player
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    println!("first frame after {} ms", first["ms"]);
    ensure!(first["ms"].as_f64().context("a time")? < 3_000.0, "{first}");
    server
        .series_until(plis, "three more requests", |n| n >= asked + 3.0)
        .await?;
    let from = player.seen.len();
    sleep(Duration::from_secs(5)).await;
    player.catch_up();
    let seen = frames::of_player(&player.seen[from..]);
    ensure!(seen.len() > 100, "{} pictures in 5 s", seen.len());
    let stormed = server.series(nacks).await?;
    println!("{stormed} NACKs of the joiner");
    ensure!(stormed <= 10.0, "{stormed} NACKs of the joiner");

    sending.set(Way::Down, Conditions::default());
    // Heard at last, the publisher sends a keyframe, and the asking ends.
    let mut asked = server.series(plis).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        sleep(Duration::from_secs(2)).await;
        let now = server.series(plis).await?;
        if (now - asked).abs() < f64::EPSILON {
            break;
        }
        asked = now;
        ensure!(
            Instant::now() < deadline,
            "still asking after {asked} requests"
        );
    }
    end(server, [player, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_datagram_passes_media_flows_over_tcp_in_both_directions() -> Result<()> {
    let mut relay = Relay::bind(37).await?;
    let mut config = config();
    config.media.advertise = vec![relay.address.into()];
    config.media.tcp_listen = Some("127.0.0.1:0".parse()?);
    let server = TestServer::start_with(config).await?;
    relay.serve(server.media());
    let blocked = relay.link();
    blocked.set_both(Conditions {
        dark: true,
        ..Conditions::default()
    });
    let mut publisher = Client::chromium_hidden().await?;
    publisher.open("bridge", &server.url(BRIDGE)).await?;
    live(&server).await?;
    let mut browser = Client::chromium_hidden().await?;
    watch(&mut browser, &server).await?;
    next_picture(&mut browser).await?;
    let seen = pictures(&mut browser, Duration::from_secs(6)).await;
    println!("{} pictures in 6 s", seen.len());
    ensure!(seen.len() > 120, "{} pictures in 6 s", seen.len());
    let faults = frames::faults(&seen);
    ensure!(faults.is_empty(), "{faults:?}");
    for (client, page) in [(&mut publisher, "bridge"), (&mut browser, "watch")] {
        let pair = client.stats(page).await?["pair"].clone();
        ensure!(pair["remote"]["protocol"] == "tcp", "{page}: {pair}");
    }
    ensure!(blocked.counts(Way::Down).passed == 0, "a datagram passed");
    let accepted = server
        .series(r#"reverie_tcp_connections_total{result="accepted"}"#)
        .await?;
    ensure!(accepted >= 2.0, "{accepted} connections");
    end(server, [browser, publisher]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_both_families_is_reached_over_ipv6() -> Result<()> {
    if !has_ipv6() {
        println!("this host has no IPv6 address beside ::1, and clients offer none");
        return Ok(());
    }
    let mut config = config();
    config.media.listen = "[::]:0".parse()?;
    config.media.advertise = vec!["::1".parse::<std::net::IpAddr>()?.into()];
    let server = TestServer::start_with(config).await?;
    let publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    live(&server).await?;
    let mut browser = Client::chromium().await?;
    watch(&mut browser, &server).await?;
    next_picture(&mut browser).await?;
    let pair = browser.stats("watch").await?["pair"].clone();
    ensure!(pair["remote"]["address"] == "::1", "{pair}");
    end(server, [browser, publisher]).await
}

/// True if the host has an IPv6 address of global scope (the fourth column of this list of the kernel).
fn has_ipv6() -> bool {
    let list = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    list.lines()
        .any(|line| line.split_ascii_whitespace().nth(3) == Some("00"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_candidates_at_start_and_the_port_that_no_stun_came_to() -> Result<()> {
    let (server, mut log) = Binary::start_logged(&[]).await?;
    let line = wait_for_line(&mut log, "candidates=").await?;
    ensure!(line.contains("127.0.0.1:"), "{line}");
    let answer = http::send(
        Method::POST,
        &format!("http://{}/whip/show", server.http),
        &[("content-type", "application/sdp")],
        OFFER,
    )
    .await?;
    ensure!(answer.status == 201, "{answer:?}");
    let line = wait_for_line(&mut log, "no STUN arrived").await?;
    let port = answer
        .body
        .lines()
        .find_map(|l| l.strip_prefix("a=candidate:")?.split(' ').nth(5))
        .context("a candidate")?;
    ensure!(line.contains(&format!("port={port}")), "{line}");
    server.terminate().await?;
    Ok(())
}

async fn wait_for_line(log: &mut Log, part: &str) -> Result<String> {
    loop {
        let line = tokio::time::timeout(PATIENCE, log.next_line())
            .await
            .with_context(|| format!("no line with {part:?}"))??
            .with_context(|| format!("the log ended without {part:?}"))?;
        if line.contains(part) {
            return Ok(line);
        }
    }
}
