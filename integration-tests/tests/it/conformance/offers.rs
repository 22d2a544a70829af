//! Offers, good and bad, and their answers.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::http::send;
use reverie_integration_tests::server::TestServer;

use super::{ENDPOINTS, OFFER, SDP, chromium, is_problem, post, recorded, session};

#[tokio::test(flavor = "multi_thread")]
async fn w1_every_recorded_offer_gets_an_answer_and_a_session_of_its_own() -> Result<()> {
    let server = TestServer::start().await?;
    let mut locations = BTreeSet::new();
    for (endpoint, role) in ENDPOINTS {
        for (name, offer) in recorded(role)? {
            let with_charset = [("content-type", "application/sdp; charset=utf-8")];
            let created = send(Method::POST, &server.url(endpoint), &with_charset, offer).await?;
            ensure!(
                created.status == 201 && created.header("content-type") == "application/sdp",
                "{name}: {created:?}"
            );
            ensure!(created.body.starts_with("v=0\r\n"), "{name}: {created:?}");
            let location = created.header("location").to_owned();
            let id = location.rsplit('/').next().unwrap_or_default();
            let random = id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            ensure!(random, "128 random bits name a session: {location}");
            ensure!(
                locations.insert(location),
                "{name}: a second session of that name"
            );
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_another_content_type_is_415_and_what_is_no_offer_is_400() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, _) in ENDPOINTS {
        let url = server.url(endpoint);
        for other in ["text/plain", "application/json", "application/sdpx", ""] {
            let answer = send(Method::POST, &url, &[("content-type", other)], OFFER).await?;
            is_problem(&answer, 415, "application/sdp")?;
        }
        let none = send(Method::POST, &url, &[], OFFER).await?;
        is_problem(&none, 415, "application/sdp")?;
        is_problem(
            &post(&server, endpoint, "hello").await?,
            400,
            "session description",
        )?;
        is_problem(&post(&server, endpoint, "").await?, 400, "")?;
        let binary = send(Method::POST, &url, &[SDP], vec![0xff, 0xfe]).await?;
        is_problem(&binary, 400, "UTF-8")?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_no_damage_to_an_offer_is_an_error_of_the_server() -> Result<()> {
    let server = TestServer::start().await?;
    let offer = chromium("publish")?;
    let lines: Vec<&str> = offer.split_inclusive("\r\n").collect();
    for at in 0..lines.len() {
        let (before, line, after) = (&lines[..at], lines[at], &lines[at + 1..]);
        let kept: String = line.chars().take(2).collect();
        for damaged in [
            "",
            line.trim_end(),
            &format!("{kept}\r\n"),
            &format!("{kept}999999999999 %\u{1f}\r\n"),
        ] {
            let whole = format!("{}{damaged}{}", before.concat(), after.concat());
            let answer = post(&server, "/whip/show", whole).await?;
            let status = answer.status.as_u16();
            ensure!(
                [201, 400, 406, 422].contains(&status),
                "line {at} as {damaged:?}: {answer:?}"
            );
            if status == 201 {
                let url = server.url(answer.header("location"));
                ensure!(
                    send(Method::DELETE, &url, &[], "").await?.status == 200,
                    "{url}"
                );
            }
        }
    }
    let panics = server.metric("reverie_peer_panics_total").await?;
    ensure!(panics == 0.0, "{panics} panics");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_publishers_may_send_and_not_only_receive() -> Result<()> {
    let server = TestServer::start().await?;
    for direction in ["sendonly", "sendrecv"] {
        let offer = chromium("publish")?.replace("a=sendonly", &format!("a={direction}"));
        let (created, _) = session(&server, "/whip/show", &offer).await?;
        let answered = created.body.matches("a=recvonly\r\n").count();
        ensure!(answered == 2, "{direction}: {}", created.body);
    }
    for direction in ["recvonly", "inactive"] {
        let offer = chromium("publish")?.replace("a=sendonly", &format!("a={direction}"));
        is_problem(&post(&server, "/whip/show", offer).await?, 422, "sendonly")?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_viewers_may_receive_and_not_only_send() -> Result<()> {
    let server = TestServer::start().await?;
    let path = "/whep/show?wait=1";
    for direction in ["recvonly", "sendrecv"] {
        let offer = chromium("watch")?.replace("a=recvonly", &format!("a={direction}"));
        let (created, _) = session(&server, path, &offer).await?;
        let answered = created.body.matches("a=sendonly\r\n").count();
        ensure!(answered == 2, "{direction}: {}", created.body);
    }
    for direction in ["sendonly", "inactive"] {
        let offer = chromium("watch")?.replace("a=recvonly", &format!("a={direction}"));
        is_problem(&post(&server, path, offer).await?, 422, "recvonly")?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_without_a_publisher_a_viewer_is_asked_to_come_back_or_waits() -> Result<()> {
    let server = TestServer::start().await?;
    let offer = chromium("watch")?;
    let refused = post(&server, "/whep/empty", offer.as_str()).await?;
    is_problem(&refused, 409, "not live")?;
    ensure!(
        refused
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|s| s > 0),
        "{refused:?}"
    );
    let waiting = post(&server, "/whep/empty?wait=1", offer.as_str()).await?;
    ensure!(waiting.status == 201, "{waiting:?}");
    let still = post(&server, "/whep/empty", offer).await?;
    is_problem(&still, 409, "not live")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_a_waiting_viewer_starts_by_itself() -> Result<()> {
    let server = TestServer::start().await?;
    // It posts with ?wait=1, once.
    let mut viewer = Client::aiortc_watch(&server.url("/whep/show"))?;
    viewer
        .wait_for("a connection", |l| {
            l["event"] == "connection" && l["state"] == "connected"
        })
        .await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    viewer
        .wait_for("a readable picture", |l| {
            l["event"] == "frame" && l["n"].is_u64()
        })
        .await?;
    for client in [&mut viewer, &mut publisher] {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_an_answer_has_all_candidates_and_an_offer_needs_none() -> Result<()> {
    let server = TestServer::start().await?;
    let recorded = chromium("publish")?;
    let without: String = recorded
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("a=candidate"))
        .collect();
    let strange = without.replace(
        "a=setup",
        "a=candidate:1 1 udp 2122194687 5f2e8a60-6b1c-4f3a-9d0e-1c2b3a4d5e6f.local 47433 typ host\r\n\
         a=candidate:2 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active\r\n\
         a=candidate:3 1 xyz 1 192.0.2.2 9 typ unheard-of\r\na=setup",
    );
    for offer in [without, strange] {
        let (created, _) = session(&server, "/whip/show", &offer).await?;
        let candidates: BTreeSet<_> = created
            .body
            .lines()
            .filter(|line| line.starts_with("a=candidate:"))
            .filter_map(|line| line.split(' ').nth(4))
            .collect();
        ensure!(candidates.contains("127.0.0.1"), "{candidates:?}");
        ensure!(
            candidates.len() > 1 && !candidates.contains("0.0.0.0"),
            "a wildcard bind names real addresses: {candidates:?}"
        );
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w13_one_bundle_one_picture_one_sound_or_the_whole_offer_is_refused() -> Result<()> {
    let server = TestServer::start().await?;
    let offer = chromium("publish")?;
    let (created, _) = session(&server, "/whip/show", &offer).await?;
    ensure!(
        created.body.contains("a=group:BUNDLE 0 1\r\n"),
        "{}",
        created.body
    );
    ensure!(
        created.body.matches("a=rtcp-mux\r\n").count() == 2,
        "{}",
        created.body
    );
    ensure!(
        created.body.matches("\r\nm=").count() == 2 && !created.body.contains(" 0 UDP/TLS"),
        "{}",
        created.body
    );
    let video = &OFFER[OFFER.find("m=video").context("a video section")?..];
    let two = format!("{OFFER}{}", video.replace("mid:0", "mid:1"));
    is_problem(&post(&server, "/whip/show", two).await?, 422, "at most one")?;
    let channel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:7\r\na=setup:actpass\r\na=sctp-port:5000\r\n";
    let answer = post(&server, "/whip/show", format!("{OFFER}{channel}")).await?;
    is_problem(&answer, 422, "application")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w14_every_dtls_role_is_answered_by_its_counterpart() -> Result<()> {
    let server = TestServer::start().await?;
    for (offered, answers) in [
        ("actpass", ["active", "passive"].as_slice()),
        ("active", &["passive"]),
        ("passive", &["active"]),
    ] {
        let offer = OFFER.replace("setup:actpass", &format!("setup:{offered}"));
        let (created, _) = session(&server, "/whip/show", &offer).await?;
        let role = created
            .body
            .lines()
            .find_map(|l| l.strip_prefix("a=setup:"));
        ensure!(
            role.is_some_and(|role| answers.contains(&role)),
            "{offered} was answered {role:?}"
        );
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w18_without_a_common_codec_both_sides_are_named() -> Result<()> {
    let server = TestServer::start().await?;
    let answer = post(&server, "/whip/show", OFFER.replace("H264", "VP8")).await?;
    is_problem(&answer, 406, "VP8")?;
    is_problem(&answer, 406, "H264")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_every_section_belongs_to_one_stream() -> Result<()> {
    let server = TestServer::start().await?;
    let (created, _) = session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    let streams: Vec<_> = created
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("a=msid:")?.split(' ').next())
        .collect();
    ensure!(
        streams.len() == 2 && streams[0] == streams[1] && streams[0] != "-",
        "{streams:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w17_a_simulcast_offer_is_accepted() -> Result<()> {
    let server = TestServer::start().await?;
    let file = root().join("integration-tests/fixtures/sdp/chromium-publish-simulcast.sdp");
    let offer = std::fs::read_to_string(file)?;
    ensure!(offer.contains("a=simulcast:send"), "{offer}");
    let (created, _) = session(&server, "/whip/show", &offer).await?;
    let sections = |sdp: &str| sdp.matches("\r\nm=").count();
    ensure!(
        sections(&created.body) == sections(&offer),
        "{}",
        created.body
    );
    server.stop().await;
    Ok(())
}
