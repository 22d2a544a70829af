//! GET, HEAD, OPTIONS, CORS and `Link`.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_config::{IceServer, Secret};
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::Value;

use super::{ENDPOINTS, OFFER, SDP, chromium, links, session};

const ORIGIN: (&str, &str) = ("origin", "https://elsewhere.example");

#[tokio::test(flavor = "multi_thread")]
async fn w4_get_and_head_succeed_without_content() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let (_, url) = session(&server, endpoint, &chromium(role)?).await?;
        for url in [server.url(endpoint), url] {
            for method in [Method::GET, Method::HEAD] {
                let answer = send(method, &url, &[], "").await?;
                ensure!(
                    answer.status.is_success() && answer.body.is_empty(),
                    "{url}: {answer:?}"
                );
            }
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_a_player_knows_an_endpoint_by_its_head() -> Result<()> {
    let server = TestServer::start().await?;
    let url = server.url("/whep/show");
    let head = send(Method::HEAD, &url, &[], "").await?;
    let get = send(Method::GET, &url, &[], "").await?;
    for answer in [&head, &get] {
        ensure!(
            answer.status == 200 && answer.header("content-type") == "application/sdp",
            "{answer:?}"
        );
        ensure!(answer.body.is_empty(), "{answer:?}");
    }
    server.stop().await;
    Ok(())
}

/// A server whose every door needs a token.
async fn closed() -> Result<TestServer> {
    let mut config = config();
    config.auth.publish_token = Secret::new("publish-0123456789").ok();
    config.auth.watch_token = Secret::new("watch-0123456789").ok();
    config.media.ice_servers = servers("stun.example.org", "turn.example.org");
    TestServer::start_with(config).await
}

fn servers(stun: &str, turn: &str) -> Vec<IceServer> {
    let texts = [
        format!("stun:{stun}:3478"),
        format!("turn:{turn}?transport=udp alice hunter2"),
    ];
    let servers = texts.iter().filter_map(|text| IceServer::parse(text));
    servers.collect()
}

fn bearer(role: &str) -> (&'static str, &'static str) {
    let token = if role == "publish" {
        "Bearer publish-0123456789"
    } else {
        "Bearer watch-0123456789"
    };
    ("authorization", token)
}

fn lists(answer: &Answer, header: &str, wanted: &[&str]) -> Result<()> {
    let value = answer.header(header).to_lowercase();
    let items: Vec<_> = value.split(',').map(str::trim).collect();
    for item in wanted {
        ensure!(
            items.contains(item),
            "{item} is not in {header}: {answer:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_preflight_needs_no_token_and_allows_what_is_needed() -> Result<()> {
    let server = closed().await?;
    for (path, method) in [
        ("/whip/show", "POST"),
        ("/whep/show", "POST"),
        ("/whip/show/0123", "PATCH"),
        ("/whep/show/0123", "DELETE"),
        ("/whep/show/0123/events", "POST"),
    ] {
        let asked = [
            ORIGIN,
            ("access-control-request-method", method),
            (
                "access-control-request-headers",
                "authorization,content-type,if-match",
            ),
        ];
        let answer = send(Method::OPTIONS, &server.url(path), &asked, "").await?;
        ensure!([200, 204].contains(&answer.status.as_u16()), "{answer:?}");
        ensure!(
            answer.header("access-control-allow-origin") == "*",
            "{answer:?}"
        );
        let methods = ["options", "post", "patch", "delete", "head"];
        lists(&answer, "access-control-allow-methods", &methods)?;
        let headers = ["authorization", "content-type", "if-match"];
        lists(&answer, "access-control-allow-headers", &headers)?;
        if !path.ends_with("/events") {
            ensure!(
                answer.header("accept-post") == "application/sdp",
                "{answer:?}"
            );
        }
        ensure!(
            answer.header("link").is_empty(),
            "RFC 9725, section 4.6: {answer:?}"
        );
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_options_outside_a_browser_say_what_is_accepted() -> Result<()> {
    let server = closed().await?;
    for path in ["/whip/show", "/whep/show"] {
        let answer = send(Method::OPTIONS, &server.url(path), &[], "").await?;
        ensure!([200, 204].contains(&answer.status.as_u16()), "{answer:?}");
        ensure!(
            answer.header("accept-post") == "application/sdp",
            "{answer:?}"
        );
        lists(&answer, "allow", &["options", "get", "head", "post"])?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_page_of_another_origin_reads_every_header_it_needs() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let url = server.url(endpoint);
        let posted = send(Method::POST, &url, &[SDP, ORIGIN], chromium(role)?).await?;
        ensure!(posted.status == 201, "{posted:?}");
        lists(
            &posted,
            "access-control-expose-headers",
            &["location", "etag", "link"],
        )?;
        ensure!(!posted.header("etag").is_empty(), "{posted:?}");
    }
    server.stop().await;
    Ok(())
}

const STUN: &str = "<stun:stun.example.org:3478>; rel=\"ice-server\"";
const TURN: &str = "<turn:turn.example.org?transport=udp>; rel=\"ice-server\"; username=\"alice\"; credential=\"hunter2\"; credential-type=\"password\"";

#[tokio::test(flavor = "multi_thread")]
async fn w16_ice_servers_come_with_the_answer_and_with_options() -> Result<()> {
    let server = closed().await?;
    for (endpoint, role) in ENDPOINTS {
        let url = server.url(endpoint);
        let posted = send(Method::POST, &url, &[SDP, bearer(role)], chromium(role)?).await?;
        ensure!(posted.status == 201, "{posted:?}");
        ensure!(links(&posted, "ice-server") == [STUN, TURN], "{posted:?}");
        let asked = send(Method::OPTIONS, &url, &[bearer(role)], "").await?;
        ensure!(links(&asked, "ice-server") == [STUN, TURN], "{asked:?}");
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w16_nobody_without_a_token_learns_credentials() -> Result<()> {
    let server = closed().await?;
    for (path, other) in [("/whip/show", "watch"), ("/whep/show", "publish")] {
        for headers in [vec![], vec![bearer(other)]] {
            let answer = send(Method::OPTIONS, &server.url(path), &headers, "").await?;
            ensure!(links(&answer, "ice-server") == [STUN], "{answer:?}");
            ensure!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w16_a_publisher_is_told_where_its_stream_is_played() -> Result<()> {
    let server = TestServer::start().await?;
    let (created, _) = session(&server, "/whip/show", OFFER).await?;
    let playback = links(&created, "urn:ietf:params:whip:whep");
    ensure!(
        playback.len() == 1 && playback[0].starts_with("</whep/show>;"),
        "{created:?}"
    );
    ensure!(
        links(&created, "ice-server").is_empty(),
        "none is configured: {created:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w16_the_pages_use_the_servers_they_are_told_of() -> Result<()> {
    let mut config = config();
    config.media.ice_servers = servers("127.0.0.1", "127.0.0.1:3478");
    let server = TestServer::start_with(config).await?;
    let mut browser = Client::chromium().await?;
    for (page, path) in [
        (
            "bridge",
            "/bridge/show?source=canvas&autostart=1&size=640x360&fps=30",
        ),
        ("watch", "/watch/show"),
    ] {
        browser.open(page, &server.url(path)).await?;
        let told =
            "testPeers.length > 0 && JSON.stringify(testPeers[0].getConfiguration().iceServers)";
        let used = browser.until(page, told).await?;
        let used: Value = serde_json::from_str(used.as_str().unwrap_or_default())?;
        ensure!(
            used[0]["urls"][0] == "stun:127.0.0.1:3478"
                && used[1]["urls"][0] == "turn:127.0.0.1:3478?transport=udp"
                && used[1]["username"] == "alice"
                && used[1]["credential"] == "hunter2",
            "{page}: {used}"
        );
    }
    browser.stop().await?;
    server.stop().await;
    Ok(())
}
