//! RFC 9725 and the WHEP draft, row by row: a test's name begins with its row of `rows.rs`.

mod document;
mod ending;
mod events;
mod headers;
mod limits;
mod offers;
mod rows;
mod sessions;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::root;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::TestServer;

pub(crate) const SDP: (&str, &str) = ("content-type", "application/sdp");
pub(crate) const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// Both endpoints of the channel `show`; a viewer may wait.
const ENDPOINTS: [(&str, &str); 2] = [("/whip/show", "publish"), ("/whep/show?wait=1", "watch")];

/// The smallest WHIP offer there can be.
pub(crate) const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na=setup:actpass\r\na=sendonly\r\n\
    a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

/// Every recorded offer of a role, `publish` or `watch`, with its file's name.
fn recorded(role: &str) -> Result<Vec<(String, String)>> {
    let folder = root().join("integration-tests/fixtures/sdp");
    let mut offers = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(&format!("-{role}.sdp")) {
            offers.push((name.into_owned(), std::fs::read_to_string(&path)?));
        }
    }
    ensure!(!offers.is_empty(), "no offers in {}", folder.display());
    offers.sort();
    Ok(offers)
}

/// What Chromium offers in a role.
fn chromium(role: &str) -> Result<String> {
    let wanted = format!("chromium-{role}.sdp");
    let found = recorded(role)?
        .into_iter()
        .find(|(name, _)| *name == wanted);
    Ok(found.context("an offer of Chromium")?.1)
}

/// `POST` of an offer.
async fn post(server: &TestServer, path: &str, offer: impl Into<String>) -> Result<Answer> {
    send(Method::POST, &server.url(path), &[SDP], offer.into()).await
}

/// A new session: the answer, and the session's URL.
async fn session(server: &TestServer, path: &str, offer: &str) -> Result<(Answer, String)> {
    let created = post(server, path, offer).await?;
    ensure!(created.status == 201, "{path}: {created:?}");
    let url = server.url(created.header("location"));
    Ok((created, url))
}

/// The `Link` headers of a relation.
fn links<'a>(answer: &'a Answer, relation: &str) -> Vec<&'a str> {
    let wanted = format!("rel=\"{relation}\"");
    let all = answer.headers.get_all("link").iter();
    all.filter_map(|v| v.to_str().ok())
        .filter(|v| v.contains(&wanted))
        .collect()
}

/// The answer is a problem document (RFC 9457) of that status, whose detail says so.
pub(crate) fn is_problem(answer: &Answer, status: u16, says: &str) -> Result<()> {
    ensure!(answer.status == status, "wanted {status}: {answer:?}");
    ensure!(
        answer.header("content-type") == "application/problem+json",
        "{answer:?}"
    );
    let body = answer.json();
    ensure!(
        body["status"] == status && body["detail"].as_str().is_some_and(|d| d.contains(says)),
        "wanted {says:?}: {body}"
    );
    Ok(())
}
