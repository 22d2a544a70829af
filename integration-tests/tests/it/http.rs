//! Bad input gets a clear answer and loses nothing.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::json;

const SDP: (&str, &str) = ("content-type", "application/sdp");
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// A WHIP offer as Chromium 156 makes it, with the parts left out that do not matter here.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na=setup:actpass\r\na=sendonly\r\n\
    a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

fn is_problem(answer: &Answer, status: u16, says: &str) -> Result<()> {
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

#[tokio::test(flavor = "multi_thread")]
async fn bad_offers_are_refused_in_words() -> Result<()> {
    let server = TestServer::start().await?;
    for endpoint in ["/whip/show", "/whep/show?wait=1"] {
        let url = server.url(endpoint);
        let other = send(Method::POST, &url, &[("content-type", "text/plain")], OFFER).await?;
        is_problem(&other, 415, "application/sdp")?;
        let garbage = send(Method::POST, &url, &[SDP], "hello").await?;
        is_problem(&garbage, 400, "session description")?;
        let large = send(Method::POST, &url, &[SDP], "x".repeat(70_000)).await?;
        is_problem(&large, 413, "65536")?;
        let binary = send(Method::POST, &url, &[SDP], vec![0xff, 0xfe]).await?;
        is_problem(&binary, 400, "UTF-8")?;
    }
    let backwards = send(
        Method::POST,
        &server.url("/whip/show"),
        &[SDP],
        OFFER.replace("sendonly", "recvonly"),
    )
    .await?;
    is_problem(&backwards, 422, "sendonly")?;
    let vp8 = send(
        Method::POST,
        &server.url("/whip/show"),
        &[SDP],
        OFFER.replace("H264", "VP8"),
    )
    .await?;
    is_problem(&vp8, 406, "VP8")?;
    let twice = format!(
        "{OFFER}{}",
        &OFFER[OFFER.find("m=video").unwrap_or_default()..].replace("mid:0", "mid:1")
    );
    let two = send(Method::POST, &server.url("/whip/show"), &[SDP], twice).await?;
    is_problem(&two, 422, "at most one")?;
    for name in [
        "a b".replace(' ', "%20"),
        "x".repeat(65),
        "%2e%2e".to_owned(),
        "ä".to_owned(),
    ] {
        let name = name.replace('ä', "%C3%A4");
        let answer = send(
            Method::POST,
            &server.url(&format!("/whip/{name}")),
            &[SDP],
            OFFER,
        )
        .await?;
        is_problem(&answer, 400, "1 to 64")?;
    }
    let nobody = send(
        Method::POST,
        &server.url("/whep/empty"),
        &[SDP],
        OFFER.replace("sendonly", "recvonly"),
    )
    .await?;
    is_problem(&nobody, 409, "not live")?;
    ensure!(nobody.header("retry-after") == "2", "{nobody:?}");
    is_problem(&server.channel("never").await?, 404, "never")?;
    is_problem(&http::get(&server.url("/nothing")).await?, 404, "nothing")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_url_takes_good_fragments_and_refuses_bad_ones() -> Result<()> {
    let server = TestServer::start().await?;
    let created = send(
        Method::POST,
        &server.url("/whip/show"),
        &[("content-type", "application/sdp; charset=utf-8")],
        OFFER,
    )
    .await?;
    ensure!(
        created.status == 201 && created.header("content-type") == "application/sdp",
        "{created:?}"
    );
    ensure!(
        created.header("etag").starts_with('"') && created.body.contains("a=candidate:"),
        "{created:?}"
    );
    ensure!(created.header("link").contains("/whep/show"), "{created:?}");
    let session = server.url(created.header("location"));
    let candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\na=candidate:2 1 udp 1 abcd.local 40000 typ host\r\na=end-of-candidates\r\n";
    let patched = send(Method::PATCH, &session, &[FRAGMENT], candidate).await?;
    ensure!(
        patched.status == 204 && patched.body.is_empty() && patched.headers.get("etag").is_none(),
        "{patched:?}"
    );
    is_problem(
        &send(Method::PATCH, &session, &[SDP], candidate).await?,
        415,
        "trickle-ice-sdpfrag",
    )?;
    is_problem(
        &send(Method::PATCH, &session, &[FRAGMENT], "not a fragment").await?,
        400,
        "trickle fragment",
    )?;
    is_problem(
        &send(
            Method::PATCH,
            &session,
            &[FRAGMENT, ("if-match", "\"other\"")],
            candidate,
        )
        .await?,
        412,
        "If-Match",
    )?;
    is_problem(
        &send(
            Method::PATCH,
            &session,
            &[FRAGMENT],
            candidate.replace("abcd\r", "zzzz\r"),
        )
        .await?,
        422,
        "restart",
    )?;
    ensure!(
        http::get(&session).await?.status == 204,
        "GET succeeds without content"
    );
    ensure!(
        send(Method::DELETE, &session, &[], "").await?.status == 200,
        "DELETE ends it"
    );
    is_problem(
        &send(Method::DELETE, &session, &[], "").await?,
        404,
        "session",
    )?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_of_another_origin_may_use_every_header_it_needs() -> Result<()> {
    let server = TestServer::start().await?;
    let preflight = [
        ("origin", "https://elsewhere.example"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let answer = send(Method::OPTIONS, &server.url("/whip/show"), &preflight, "").await?;
    ensure!(answer.status == 200 || answer.status == 204, "{answer:?}");
    ensure!(
        answer.header("accept-post") == "application/sdp",
        "{answer:?}"
    );
    for method in ["OPTIONS", "POST", "PATCH", "DELETE", "HEAD"] {
        ensure!(
            answer
                .header("access-control-allow-methods")
                .contains(method),
            "{method}: {answer:?}"
        );
    }
    for header in ["authorization", "content-type", "if-match"] {
        ensure!(
            answer
                .header("access-control-allow-headers")
                .contains(header),
            "{header}: {answer:?}"
        );
    }
    let posted = send(
        Method::POST,
        &server.url("/whip/show"),
        &[SDP, ("origin", "https://elsewhere.example")],
        OFFER,
    )
    .await?;
    for header in ["location", "etag", "link"] {
        ensure!(
            posted
                .header("access-control-expose-headers")
                .contains(header),
            "{header}: {posted:?}"
        );
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_refused_with_a_reason_and_the_stream_is_not_touched() -> Result<()> {
    let server = TestServer::start().await?;
    let url = server.url("/v1/channels/show/moments");
    is_problem(
        &http::post(&url, &json!({ "prompt": "x" })).await?,
        404,
        "show",
    )?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    for (body, says) in [
        (json!({ "prompt": "  " }), "empty"),
        (json!({ "prompt": "x".repeat(501) }), "500"),
        (json!({ "prompt": "x", "duration_s": 0.1 }), "1 to 120 s"),
        (json!({ "prompt": "x", "duration_s": -4 }), "duration_s"),
        (
            json!({ "prompt": "x", "pipeline": "no-such" }),
            "debug-invert",
        ),
        (json!({ "prompt": "x", "colour": 3 }), "colour"),
        (json!({ "duration_s": 3 }), "prompt"),
    ] {
        is_problem(&http::post(&url, &body).await?, 422, says)?;
    }
    is_problem(
        &send(Method::POST, &url, &[("content-type", "text/plain")], "{}").await?,
        415,
        "application/json",
    )?;
    is_problem(
        &http::post(&server.url("/v1/moments/none/stop"), &json!({})).await?,
        404,
        "none",
    )?;
    is_problem(&send(Method::PUT, &url, &[], "").await?, 405, "accepted")?;
    let channel = server.channel("show").await?.json();
    ensure!(
        channel["live"] == true && channel["moment"].is_null(),
        "{channel}"
    );
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_exactly_what_they_are_for() -> Result<()> {
    let mut config = config();
    let secret = |text: &str| reverie_config::Secret::new(text).ok();
    config.auth.publish_token = secret("publish-0123456789");
    config.auth.watch_token = secret("watch-0123456789");
    config.auth.control_token = secret("control-0123456789");
    config.auth.metrics_token = secret("metrics-0123456789");
    let server = TestServer::start_with(config).await?;
    let whip = server.url("/whip/show");
    let none = send(Method::POST, &whip, &[SDP], OFFER).await?;
    is_problem(&none, 401, "Bearer")?;
    ensure!(
        none.header("www-authenticate").starts_with("Bearer"),
        "{none:?}"
    );
    let wrong = ("authorization", "Bearer watch-0123456789");
    is_problem(
        &send(Method::POST, &whip, &[SDP, wrong], OFFER).await?,
        403,
        "token",
    )?;
    let right = ("authorization", "Bearer publish-0123456789");
    let created = send(Method::POST, &whip, &[SDP, right], OFFER).await?;
    ensure!(created.status == 201, "{created:?}");
    let session = server.url(created.header("location"));
    is_problem(
        &send(Method::DELETE, &session, &[], "").await?,
        401,
        "Bearer",
    )?;
    is_problem(
        &http::get(&server.url("/v1/channels")).await?,
        401,
        "Bearer",
    )?;
    let watch = send(Method::GET, &server.url("/v1/channels"), &[wrong], "").await?;
    ensure!(
        watch.status == 200 && watch.json()["channels"][0]["channel"] == "show",
        "{watch:?}"
    );
    let start = send(
        Method::POST,
        &server.url("/v1/channels/show/moments"),
        &[wrong, ("content-type", "application/json")],
        "{}",
    )
    .await?;
    is_problem(&start, 403, "token")?;
    ensure!(
        !server.metrics().await?.contains("reverie_build_info"),
        "metrics need their token"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_resume_where_they_were_left() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let number = server.channel("show").await?.json()["event"]
        .as_u64()
        .unwrap_or_default();
    let id = server.moment("show", "debug-invert", 1.0).await?;
    server.ended(&id).await?;
    // The stream ends with the server, so the whole of it can be read as one answer.
    let url = server.url("/v1/channels/show/events");
    let resumed = tokio::spawn(async move {
        send(
            Method::GET,
            &url,
            &[("last-event-id", &number.to_string())],
            "",
        )
        .await
    });
    let fresh_url = server.url("/v1/channels/show/events");
    let fresh = tokio::spawn(async move { http::get(&fresh_url).await });
    server
        .channel_until("show", "done", |c| c["last"]["state"] == "completed")
        .await?;
    publisher.stop().await?;
    server
        .channel_until("show", "offline", |c| c["live"] == false)
        .await?;
    server.stop().await;
    let resumed = resumed.await??;
    ensure!(
        resumed.header("content-type") == "text/event-stream",
        "{resumed:?}"
    );
    let of = |body: &str, prefix: &str| -> Vec<String> {
        body.lines()
            .filter_map(|l| l.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    };
    let ids: Vec<u64> = of(&resumed.body, "id: ")
        .iter()
        .filter_map(|i| i.parse().ok())
        .collect();
    ensure!(
        ids.first() == Some(&(number + 1)) && ids.windows(2).all(|p| p[1] == p[0] + 1),
        "{ids:?}"
    );
    let types = of(&resumed.body, "event: ");
    for wanted in [
        "moment.queued",
        "moment.warming",
        "moment.active",
        "moment.completed",
        "stream.offline",
    ] {
        ensure!(
            types.iter().any(|t| t == wanted),
            "{wanted} is missing: {types:?}"
        );
    }
    let fresh = fresh.await??;
    ensure!(
        of(&fresh.body, "event: ")
            .first()
            .is_some_and(|t| t == "snapshot"),
        "{}",
        fresh.body
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_probes_answer_with_their_policies() -> Result<()> {
    let server = TestServer::start().await?;
    for page in ["/", "/bridge/show", "/watch/show"] {
        let answer = http::get(&server.url(page)).await?;
        ensure!(
            answer.status == 200 && answer.header("content-type").starts_with("text/html"),
            "{page}: {answer:?}"
        );
        let policy = answer.header("content-security-policy");
        ensure!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{page}: {policy}"
        );
    }
    let style = http::get(&server.url("/assets/style.css")).await?;
    ensure!(
        style.status == 200 && !style.header("etag").is_empty(),
        "{style:?}"
    );
    let known = [("if-none-match", style.header("etag"))];
    ensure!(
        send(Method::GET, &server.url("/assets/style.css"), &known, "")
            .await?
            .status
            == 304,
        "an unchanged file is not sent again"
    );
    is_problem(
        &http::get(&server.url("/assets/../config.rs")).await?,
        404,
        "path",
    )?;
    ensure!(
        http::get(&server.url("/healthz")).await?.status == 200,
        "alive"
    );
    let ready = http::get(&server.url("/readyz")).await?;
    ensure!(
        ready.status == 200 && ready.json()["ready"] == true,
        "{ready:?}"
    );
    ensure!(
        http::get(&server.url("/version")).await?.json()["name"] == "reverie",
        "version"
    );
    let metrics = server.metrics().await?;
    ensure!(
        metrics.contains("reverie_build_info") && metrics.contains("reverie_http_requests_total"),
        "{metrics}"
    );
    server.stop().await;
    Ok(())
}
