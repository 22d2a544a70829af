//! ICE restarts over HTTP, and by a real browser.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::{Value, json};

const SDP: (&str, &str) = ("content-type", "application/sdp");
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");
const ANY: (&str, &str) = ("if-match", "*");
const OFFER: &str = include_str!("../../fixtures/sdp/chromium-publish.sdp");

fn fragment(ufrag: &str, pwd: &str) -> String {
    format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
         a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\na=end-of-candidates\r\n"
    )
}

const PWD: &str = "abcdefghijklmnopqrstuvwx";

fn of<'a>(sdp: &'a str, name: &str) -> Result<&'a str> {
    sdp.lines()
        .find_map(|l| l.strip_prefix(name))
        .with_context(|| format!("no {name} in {sdp}"))
}

async fn patch(url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let headers = [&[FRAGMENT], headers].concat();
    send(Method::PATCH, url, &headers, body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_a_restart_is_answered_with_new_credentials_and_a_new_entity_tag() -> Result<()> {
    let server = TestServer::start().await?;
    let created = send(Method::POST, &server.url("/whip/show"), &[SDP], OFFER).await?;
    ensure!(created.status == 201, "{created:?}");
    let session = server.url(created.header("location"));
    let mut etags = vec![created.header("etag").to_owned()];
    let mut ufrags = vec![of(&created.body, "a=ice-ufrag:")?.to_owned()];
    for ufrag in ["first", "second"] {
        let answer = patch(&session, &[ANY], &fragment(ufrag, PWD)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.header("content-type") == FRAGMENT.1, "{answer:?}");
        etags.push(answer.header("etag").to_owned());
        ufrags.push(of(&answer.body, "a=ice-ufrag:")?.to_owned());
        ensure!(of(&answer.body, "a=ice-pwd:")?.len() >= 22, "{answer:?}");
        let candidate = of(&created.body, "a=candidate:")?;
        let candidate = candidate.split(" ufrag ").next().unwrap_or_default();
        ensure!(answer.body.contains(candidate), "{answer:?}");
    }
    for names in [&etags, &ufrags] {
        ensure!(
            names[0] != names[1] && names[1] != names[2] && names[0] != names[2],
            "{names:?}"
        );
    }
    ensure!(etags[2].starts_with('"') && etags[2].ends_with('"'));

    let trickled = patch(
        &session,
        &[("if-match", &etags[2])],
        &fragment("second", PWD),
    )
    .await?;
    ensure!(
        trickled.status == 204 && trickled.body.is_empty(),
        "{trickled:?}"
    );
    ensure!(trickled.headers.get("etag").is_none(), "{trickled:?}");
    for (wrong, status) in [
        // The tag of before a restart, and candidates of before it.
        (
            patch(
                &session,
                &[("if-match", &etags[1])],
                &fragment("second", PWD),
            )
            .await?,
            412,
        ),
        (patch(&session, &[], &fragment("first", PWD)).await?, 412),
        // A restart that changes half of it, and one without a password.
        (
            patch(
                &session,
                &[ANY],
                &fragment("second", &PWD.replace('a', "b")),
            )
            .await?,
            400,
        ),
        (patch(&session, &[ANY], "a=ice-ufrag:third\r\n").await?, 400),
        (
            patch(&session, &[ANY], &fragment("third", "short")).await?,
            400,
        ),
    ] {
        ensure!(wrong.status == status, "wanted {status}: {wrong:?}");
        ensure!(wrong.header("content-type") == "application/problem+json");
    }
    let still = patch(
        &session,
        &[("if-match", &etags[2])],
        &fragment("second", PWD),
    )
    .await?;
    ensure!(
        still.status == 204,
        "a refused restart changes nothing: {still:?}"
    );
    let ended = send(Method::DELETE, &session, &[("if-match", "\"wrong\"")], "").await?;
    ensure!(ended.status == 200, "DELETE ignores If-Match: {ended:?}");
    let gone = patch(&session, &[ANY], &fragment("third", PWD)).await?;
    ensure!(gone.status == 404, "{gone:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w12_a_strict_server_wants_a_precondition() -> Result<()> {
    let mut config = config();
    config.http.strict_etags = true;
    let server = TestServer::start_with(config).await?;
    let created = send(Method::POST, &server.url("/whip/show"), &[SDP], OFFER).await?;
    let session = server.url(created.header("location"));
    let ufrag = of(OFFER, "a=ice-ufrag:")?;
    let candidate = fragment(ufrag, of(OFFER, "a=ice-pwd:")?);
    let etag = created.header("etag").to_owned();
    for (headers, body, status) in [
        (&[][..], candidate.as_str(), 428),
        (&[("if-match", "\"wrong\"")], &candidate, 412),
        (&[("if-match", etag.as_str())], &candidate, 204),
        (&[], &fragment("again", PWD), 428),
        (&[ANY], &fragment("again", PWD), 200),
    ] {
        let answer = patch(&session, headers, body).await?;
        ensure!(answer.status == status, "wanted {status}: {answer:?}");
    }
    server.stop().await;
    Ok(())
}

/// What a page does by hand: a WHIP publisher of a moving canvas, a WHEP viewer, and an ICE restart of either.
const PAGE: &str = r#"
window.hand = {
  async post(url, transceivers) {
    const pc = window.hand.pc = new RTCPeerConnection();
    for (const [what, init] of transceivers) pc.addTransceiver(what, init);
    await pc.setLocalDescription(await pc.createOffer());
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(url, { method: 'POST', headers, body: pc.localDescription.sdp });
    if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
    window.hand.session = response.headers.get('location');
    window.hand.etag = response.headers.get('etag');
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  },
  publish(url) {
    const canvas = document.createElement('canvas');
    canvas.width = 320; canvas.height = 240;
    const context = canvas.getContext('2d');
    let n = 0;
    setInterval(() => { context.fillStyle = `hsl(${(n += 7) % 360} 90% 50%)`; context.fillRect(0, 0, 320, 240); }, 40);
    const [track] = canvas.captureStream(25).getVideoTracks();
    return window.hand.post(url, [[track, { direction: 'sendonly' }]]);
  },
  watch(url) { return window.hand.post(url, [['video', { direction: 'recvonly' }]]); },
  async restart() {
    const { pc, session, etag } = window.hand;
    pc.restartIce();
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    const of = (sdp, name) => sdp.match(new RegExp(`a=${name}:([^\r\n]*)`))[1];
    const lines = ['ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${of(offer.sdp, name)}\r\n`).join('');
    const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' };
    const body = `${lines}m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n`;
    const response = await fetch(session, { method: 'PATCH', headers, body });
    const fragment = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${fragment}`);
    if (response.headers.get('etag') === etag) throw new Error('the same entity tag');
    window.hand.etag = response.headers.get('etag');
    let sdp = pc.currentRemoteDescription.sdp;
    for (const name of ['ice-ufrag', 'ice-pwd'])
      sdp = sdp.replace(new RegExp(`a=${name}:[^\r\n]*`, 'g'), `a=${name}:${of(fragment, name)}`);
    await pc.setRemoteDescription({ type: 'answer', sdp });
  },
  async stats() {
    const all = [...(await window.hand.pc.getStats()).values()];
    const rtp = all.find((s) => /^(in|out)bound-rtp$/.test(s.type) && s.kind === 'video') ?? {};
    const transport = all.find((s) => s.type === 'transport') ?? {};
    return {
      ssrc: rtp.ssrc, packets: rtp.packetsReceived ?? rtp.packetsSent, lost: rtp.packetsLost ?? 0,
      frames: rtp.framesDecoded ?? rtp.framesSent, ufrag: transport.iceLocalUsernameFragment,
      ice: window.hand.pc.iceConnectionState, dtls: transport.dtlsState,
    };
  },
}; true
"#;

async fn eval(browser: &mut Client, page: &str, code: &str) -> Result<Value> {
    browser
        .ask(json!({ "cmd": "eval", "page": page, "code": code }))
        .await
}

/// Waits until a page has 25 frames more than it had.
async fn goes_on(browser: &mut Client, page: &str, frames: &Value) -> Result<Value> {
    let code = format!("hand.stats().then((s) => s.frames >= {frames} + 25)");
    browser.until(page, &code).await?;
    eval(browser, page, "hand.stats()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_a_browser_restarts_ice_and_the_same_connection_goes_on() -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    for page in ["publisher", "viewer"] {
        browser.open(page, &server.url("/")).await?;
        eval(&mut browser, page, PAGE).await?;
    }
    eval(&mut browser, "publisher", "hand.publish('/whip/show')").await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    eval(&mut browser, "viewer", "hand.watch('/whep/show')").await?;
    let mut seen = goes_on(&mut browser, "viewer", &json!(0)).await?;
    for page in ["publisher", "viewer", "publisher"] {
        let before = eval(&mut browser, page, "hand.stats()").await?;
        eval(&mut browser, page, "hand.restart()").await?;
        browser
            .until(
                page,
                "['connected', 'completed'].includes(hand.pc.iceConnectionState)",
            )
            .await?;
        let changed = format!("hand.stats().then((s) => s.ufrag !== {})", before["ufrag"]);
        browser.until(page, &changed).await?;
        let after = goes_on(&mut browser, page, &before["frames"]).await?;
        ensure!(after["ssrc"] == before["ssrc"], "{before} {after}");
        ensure!(after["dtls"] == "connected", "{after}");
        let now = goes_on(&mut browser, "viewer", &seen["frames"]).await?;
        ensure!(
            now["ssrc"] == seen["ssrc"] && now["lost"] == 0,
            "{seen} {now}"
        );
        seen = now;
    }
    let channel = server.channel("show").await?.json();
    ensure!(
        channel["live"] == true && channel["viewers"] == 1,
        "{channel}"
    );
    let closed = server.metrics().await?;
    let closed = closed
        .lines()
        .find(|l| l.starts_with("reverie_session_closes_total") && !l.ends_with(" 0"));
    ensure!(closed.is_none(), "nobody left: {closed:?}");
    browser.stop().await?;
    server.stop().await;
    Ok(())
}
