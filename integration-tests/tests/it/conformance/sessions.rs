//! Session URLs: fragments, entity tags.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::send;
use reverie_integration_tests::server::TestServer;

use super::{ENDPOINTS, FRAGMENT, SDP, chromium, is_problem, session};

/// A trickled candidate under the credentials of an offer.
fn fragment(offer: &str) -> String {
    let value = |name: &str| {
        let line = offer.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    format!(
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
         a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\na=candidate:2 1 udp 1 abcd.local 40000 typ host\r\n\
         a=candidate:3 1 tcp 1 192.0.2.2 9 typ host tcptype active\r\na=end-of-candidates\r\n",
        value("a=ice-ufrag:"),
        value("a=ice-pwd:")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_only_fragments_are_taken_by_patch() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let offer = chromium(role)?;
        let (_, url) = session(&server, endpoint, &offer).await?;
        let other = send(Method::PATCH, &url, &[SDP], fragment(&offer)).await?;
        is_problem(&other, 415, "trickle-ice-sdpfrag")?;
        let malformed = send(Method::PATCH, &url, &[FRAGMENT], "not a fragment").await?;
        is_problem(&malformed, 400, "fragment")?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w10_trickled_candidates_are_answered_by_nothing() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let offer = chromium(role)?;
        let (_, url) = session(&server, endpoint, &offer).await?;
        let patched = send(Method::PATCH, &url, &[FRAGMENT], fragment(&offer)).await?;
        ensure!(
            patched.status == 204
                && patched.body.is_empty()
                && patched.headers.get("etag").is_none(),
            "{patched:?}"
        );
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w12_a_session_has_a_strong_entity_tag_that_must_match_where_it_is_named() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let offer = chromium(role)?;
        let (created, url) = session(&server, endpoint, &offer).await?;
        let tag = created.header("etag").to_owned();
        ensure!(
            tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'),
            "{created:?}"
        );
        for (wanted, status) in [(tag.as_str(), 204), ("\"other\"", 412)] {
            let headers = [FRAGMENT, ("if-match", wanted)];
            let answer = send(Method::PATCH, &url, &headers, fragment(&offer)).await?;
            ensure!(answer.status == status, "{wanted}: {answer:?}");
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_a_restart_that_is_refused_keeps_the_session() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let offer = chromium(role)?;
        let (_, url) = session(&server, endpoint, &offer).await?;
        let no_password = "a=ice-ufrag:another1\r\na=ice-pwd:short\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        let refused = send(Method::PATCH, &url, &[FRAGMENT], no_password).await?;
        ensure!([400, 422].contains(&refused.status.as_u16()), "{refused:?}");
        let trickled = send(Method::PATCH, &url, &[FRAGMENT], fragment(&offer)).await?;
        ensure!(
            trickled.status == 204,
            "the old credentials still hold: {trickled:?}"
        );
        let deleted = send(Method::DELETE, &url, &[], "").await?;
        ensure!(deleted.status == 200, "{deleted:?}");
    }
    server.stop().await;
    Ok(())
}
