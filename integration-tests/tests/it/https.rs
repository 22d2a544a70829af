//! HTTPS: the chain, a change of certificate under running sessions, slow clients, and a browser that gets its camera.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use reverie_config::{Config, Secret, Tls};
use reverie_integration_tests::client::{Client, PATIENCE, root};
use reverie_integration_tests::secure::Connection;
use reverie_integration_tests::server::{Binary, TestServer, binary, config};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::conformance::OFFER;

const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// Makes a certificate with the command; returns it in PEM.
pub(crate) async fn certificate(folder: &Path) -> Result<Vec<u8>> {
    let made = Command::new(binary()?)
        .args(["tls", "self-signed", "--out"])
        .arg(folder)
        .output()
        .await?;
    ensure!(made.status.success(), "{made:?}");
    Ok(std::fs::read(folder.join("cert.pem"))?)
}

/// A path as text.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_changes_the_certificate_and_no_session_notices() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let old = certificate(folder.path()).await?;
    let other = tempfile::tempdir()?;
    let new = certificate(other.path()).await?;
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let server = Binary::start_with(&[
        ("REVERIE__HTTP__TLS__CERT", text(&cert)?),
        ("REVERIE__HTTP__TLS__KEY", text(&key)?),
        ("REVERIE__HTTP__TLS__HSTS_MAX_AGE_S", "60"),
    ])
    .await?;
    server
        .metric_line("reverie_tls_certificate_expiry_timestamp_seconds{listener=\"http\"} ")
        .await?;
    let mut running = Connection::open(&server.http, "127.0.0.1", &old).await?;
    let created = running
        .send(
            "POST",
            "/whip/show",
            &[("content-type", "application/sdp")],
            OFFER,
        )
        .await?;
    ensure!(created.status == 201, "{created:?}");
    ensure!(
        created.header("strict-transport-security") == "max-age=60",
        "{created:?}"
    );
    let session = created.header("location").to_owned();

    // Half a file, as an upload leaves it for a moment.
    std::fs::write(&cert, &new[..new.len() / 2])?;
    server.signal("HUP").await?;
    server
        .metric_line("reverie_tls_reloads_total{result=\"failed\"} 1")
        .await?;
    let still = Connection::open(&server.http, "localhost", &old).await?;
    ensure!(
        still.certificate == running.certificate,
        "a broken file keeps the old certificate"
    );

    std::fs::write(&cert, &new)?;
    server.signal("HUP").await?;
    server
        .metric_line("reverie_tls_reloads_total{result=\"failed\"} 2")
        .await?;
    ensure!(
        Connection::open(&server.http, "localhost", &old)
            .await
            .is_ok(),
        "a key of another certificate keeps it too"
    );

    std::fs::copy(other.path().join("key.pem"), &key)?;
    server.signal("HUP").await?;
    server
        .metric_line("reverie_tls_reloads_total{result=\"ok\"} 1")
        .await?;
    let mut fresh = Connection::open(&server.http, "localhost", &new).await?;
    ensure!(
        fresh.certificate != running.certificate,
        "new connections are shown the new one"
    );
    ensure!(
        Connection::open(&server.http, "localhost", &old)
            .await
            .is_err(),
        "and no longer the old one"
    );
    let candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\n\
        a=candidate:1 1 UDP 2113937151 127.0.0.1 9 typ host\r\n";
    let trickled = running
        .send("PATCH", &session, &[FRAGMENT], candidate)
        .await?;
    ensure!(
        trickled.status == 204,
        "the old connection and its session go on: {trickled:?}"
    );
    ensure!(
        fresh.send("DELETE", &session, &[], "").await?.status == 200,
        "the session is the same"
    );
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_without_https_changes_nothing() -> Result<()> {
    let server = Binary::start().await?;
    server.signal("HUP").await?;
    let alive =
        reverie_integration_tests::http::get(&format!("http://{}/healthz", server.http)).await?;
    ensure!(alive.status == 200, "{alive:?}");
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    Ok(())
}

async fn secured() -> Result<(tempfile::TempDir, Vec<u8>, TestServer)> {
    secured_with(config()).await
}

async fn secured_with(mut config: Config) -> Result<(tempfile::TempDir, Vec<u8>, TestServer)> {
    let folder = tempfile::tempdir()?;
    let pem = certificate(folder.path()).await?;
    config.http.tls = Tls {
        cert: Some(folder.path().join("cert.pem")),
        key: Some(folder.path().join("key.pem")),
        ..Tls::default()
    };
    Ok((folder, pem, TestServer::start_with(config).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_finish_their_handshake_are_cut_off_and_keep_nobody_waiting()
-> Result<()> {
    let (_folder, pem, server) = secured().await?;
    let address = server.address().to_string();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&address).await?);
    }
    // A record that promises more than ever comes.
    silent[0].write_all(&[0x16, 3, 1, 2, 0, 1]).await?;
    let mut plain = TcpStream::connect(&address).await?;
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    server
        .metric_until("reverie_tls_handshakes_total{result=\"failed\"}", 1.0)
        .await?;
    let mut good = Connection::open(&address, "127.0.0.1", &pem).await?;
    let page = good.send("GET", "/bridge/show", &[], "").await?;
    ensure!(
        page.status == 200 && page.headers.get("strict-transport-security").is_none(),
        "{page:?}"
    );
    server
        .metric_until("reverie_tls_handshakes_total{result=\"timeout\"}", 100.0)
        .await?;
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, silent[1].read_to_end(&mut rest)).await;
    ensure!(
        matches!(end, Ok(Ok(0) | Err(_))),
        "the silent one was closed: {end:?}"
    );
    // Its connection was idle for as long, so it comes again.
    let mut good = Connection::open(&address, "127.0.0.1", &pem).await?;
    let alive = good.send("GET", "/healthz", &[], "").await?;
    ensure!(alive.status == 200, "the others are not: {alive:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_publishes_its_camera_over_https() -> Result<()> {
    let (_folder, _, server) = secured().await?;
    let own = server.address();
    let at = |page: &str| format!("https://{own}/{page}");
    let mut browser = Client::chromium_with(&["--any-certificate"]).await?;
    browser
        .open(
            "bridge",
            &at("bridge/show?source=camera&autostart=1&size=640x360&fps=30"),
        )
        .await?;
    browser
        .until(
            "bridge",
            "isSecureContext && location.protocol === 'https:' && window.reverie.state === 'live'",
        )
        .await?;
    browser.open("watch", &at("watch/show")).await?;
    browser
        .until(
            "watch",
            "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0",
        )
        .await?;
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

/// The address that packets to elsewhere leave from; `None` on a machine that has none beside the loopback.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent; the address is one of those for documentation.
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback()).then_some(own)
}

/// Browsers give a camera to pages of the loopback in any case, and to those of other addresses by HTTPS alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_another_address_gets_its_camera_by_https_and_not_without() -> Result<()> {
    let Some(own) = own_address() else {
        println!("this machine has no address beside the loopback");
        return Ok(());
    };
    const PUBLISH: &str = "publish-correct-horse";
    const WATCH: &str = "watch-correct-horse";
    let mut open = config();
    open.http.listen = SocketAddr::new(own, 0);
    open.auth.publish_token = Secret::new(PUBLISH).ok();
    open.auth.watch_token = Secret::new(WATCH).ok();
    open.auth.control_token = Secret::new("control-correct-horse").ok();
    let plain = TestServer::start_with(open.clone()).await?;
    let (_folder, _, server) = secured_with(open).await?;
    let tokens = format!("#publish={PUBLISH}&watch={WATCH}");
    let page = format!("bridge/show?source=camera&autostart=1&size=640x360&fps=30{tokens}");
    let mut browser = Client::chromium_with(&["--any-certificate"]).await?;
    browser
        .open("plain", &plain.url(&format!("/{page}")))
        .await?;
    browser
        .until(
            "plain",
            "!isSecureContext && location.hostname !== 'localhost' && window.reverie.state === 'failed'",
        )
        .await?;
    let https = format!("https://{}", server.address());
    browser.open("bridge", &format!("{https}/{page}")).await?;
    browser
        .until(
            "bridge",
            "isSecureContext && window.reverie.state === 'live'",
        )
        .await?;
    browser
        .open("watch", &format!("{https}/watch/show#token={WATCH}"))
        .await?;
    browser
        .until(
            "watch",
            "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0",
        )
        .await?;
    browser.stop().await?;
    plain.stop().await;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn run_with_tls_prints_urls_with_tokens_that_work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let mut child = Command::new(root().join("scripts/run-tls"))
        .arg(binary()?)
        .envs([
            ("REVERIE__HTTP__LISTEN", format!("0.0.0.0:{port}")),
            ("REVERIE__METRICS__LISTEN", "127.0.0.1:0".to_owned()),
            ("REVERIE__MEDIA__LISTEN", "0.0.0.0:0".to_owned()),
            ("REVERIE__DATA_DIR", text(folder.path())?.to_owned()),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
    let mut said = Vec::new();
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await?? {
        let ready = line.starts_with("{\"");
        said.push(line);
        if ready {
            break;
        }
    }
    let all = said.join("\n");
    let part = |name: &str| -> Result<String> {
        let bridge = all
            .split_whitespace()
            .find(|w| w.starts_with("https://") && w.contains("/bridge/"));
        let (_, fragment) = bridge
            .and_then(|b| b.split_once('#'))
            .with_context(|| all.clone())?;
        let found = fragment
            .split('&')
            .find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        Ok(found.with_context(|| all.clone())?.to_owned())
    };
    ensure!(
        all.contains("warn"),
        "the browser's warning is foretold: {all}"
    );
    let pem = std::fs::read(folder.path().join("tls/cert.pem"))?;
    let mut client = Connection::open(&format!("127.0.0.1:{port}"), "127.0.0.1", &pem).await?;
    for (method, path, name, body, status) in [
        ("POST", "/whip/demo", "publish", OFFER, 201),
        ("POST", "/whip/demo", "watch", OFFER, 403),
        ("GET", "/v1/channels", "watch", "", 200),
        ("POST", "/v1/channels/demo/cool", "control", "", 202),
    ] {
        let bearer = format!("Bearer {}", part(name)?);
        let headers = [
            ("content-type", "application/sdp"),
            ("authorization", bearer.as_str()),
        ];
        let answer = client.send(method, path, &headers, body).await?;
        ensure!(answer.status == status, "{path} with {name}: {answer:?}");
    }
    ensure!(
        client
            .send(
                "POST",
                "/whip/demo",
                &[("content-type", "application/sdp")],
                OFFER
            )
            .await?
            .status
            == 401,
        "it is not open"
    );
    let pid = child.id().context("it runs")?.to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await?;
    ensure!(
        timeout(PATIENCE, child.wait()).await??.success(),
        "it ends in order"
    );
    Ok(())
}
