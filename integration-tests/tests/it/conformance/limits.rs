//! Overload, rates, sizes, and the form of errors.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{TestServer, config};

use super::{ENDPOINTS, FRAGMENT, OFFER, SDP, chromium, is_problem, post, session};

fn comes_back(answer: &Answer) -> Result<()> {
    let seconds = answer.header("retry-after").parse::<u32>();
    ensure!(seconds.is_ok_and(|s| (1..=60).contains(&s)), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_a_full_server_says_when_to_come_back() -> Result<()> {
    let mut config = config();
    config.media.max_sessions = 1;
    let server = TestServer::start_with(config).await?;
    let (_, url) = session(&server, "/whip/show", OFFER).await?;
    for (endpoint, role) in ENDPOINTS {
        let refused = post(&server, endpoint, chromium(role)?).await?;
        is_problem(&refused, 503, "1 sessions")?;
        comes_back(&refused)?;
    }
    ensure!(
        send(Method::DELETE, &url, &[], "").await?.status == 200,
        "{url}"
    );
    session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_no_answer_is_a_redirect() -> Result<()> {
    let server = TestServer::start().await?;
    let (_, whip) = session(&server, "/whip/show", OFFER).await?;
    let (_, whep) = session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    let mut urls = vec![
        whip.clone(),
        whep.clone(),
        format!("{whip}/"),
        format!("{whep}/"),
    ];
    let paths = [
        "/whip",
        "/whep",
        "/whip/",
        "/whip/show",
        "/whip/show/",
        "/whep/show",
        "/whep/show/",
        "//whip/show",
        "/whip/../whip/show",
        "/WHIP/show",
    ];
    urls.extend(paths.map(|path| server.url(path)));
    for url in urls {
        for method in [
            Method::GET,
            Method::OPTIONS,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ] {
            let answer = send(method.clone(), &url, &[SDP], OFFER).await?;
            ensure!(
                !answer.status.is_redirection()
                    && answer.header("location").starts_with(['/', 'h']) == (answer.status == 201),
                "{method} {url}: {answer:?}"
            );
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w19_a_body_may_have_64_kib() -> Result<()> {
    let server = TestServer::start().await?;
    for (endpoint, role) in ENDPOINTS {
        let offer = chromium(role)?;
        let padded = |size: usize| {
            let line = "a=x-padding:";
            let rest = size - offer.len() - line.len() - 2;
            format!("{offer}{line}{}\r\n", "x".repeat(rest))
        };
        let whole = post(&server, endpoint, padded(65_536)).await?;
        ensure!(whole.status == 201, "{whole:?}");
        is_problem(
            &post(&server, endpoint, padded(65_537)).await?,
            413,
            "65536",
        )?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w19_every_error_is_a_problem_document() -> Result<()> {
    let server = TestServer::start().await?;
    let post = |path: &str| (Method::POST, server.url(path));
    for ((method, url), status, says) in [
        (post(&format!("/whip/{}", "x".repeat(65))), 400, "1 to 64"),
        (post("/whip/a%20b"), 400, "1 to 64"),
        (post("/whip/%2e%2e"), 400, "1 to 64"),
        (post("/whep/%C3%A4"), 400, "1 to 64"),
        (post("/whep/show?wait=1"), 422, "recvonly"),
        (post("/nothing"), 404, "nothing"),
        ((Method::PUT, server.url("/whip/show")), 405, "Allow"),
        (
            (Method::PATCH, server.url("/whip/show/none")),
            404,
            "session",
        ),
        (
            (Method::DELETE, server.url("/whep/show/none")),
            404,
            "session",
        ),
    ] {
        let answer = send(method, &url, &[SDP], OFFER).await?;
        is_problem(&answer, status, says).map_err(|e| e.context(url))?;
    }
    server.stop().await;
    Ok(())
}

/// A proxy on this machine, so that a test can be any client.
async fn behind_a_proxy(change: impl FnOnce(&mut reverie_config::Http)) -> Result<TestServer> {
    let mut config = config();
    config.http.trusted_proxies = "127.0.0.1".parse().into_iter().collect();
    change(&mut config.http);
    TestServer::start_with(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn w19_a_client_that_asks_too_often_is_429_and_the_others_are_not() -> Result<()> {
    let server = behind_a_proxy(|http| (http.client_rate, http.client_burst) = (1, 3)).await?;
    let url = server.url("/whip/show");
    let from = |client| [SDP, ("x-forwarded-for", client)];
    let mut statuses = Vec::new();
    for method in [Method::POST, Method::PATCH, Method::DELETE, Method::POST] {
        let answer = send(method, &url, &from("203.0.113.9"), "hello").await?;
        statuses.push(answer.status.as_u16());
    }
    ensure!(statuses == [400, 405, 405, 429], "{statuses:?}");
    let refused = send(Method::POST, &url, &from("203.0.113.9"), OFFER).await?;
    is_problem(&refused, 429, "again in")?;
    comes_back(&refused)?;
    ensure!(
        !refused.header("access-control-allow-origin").is_empty(),
        "a page can read it: {refused:?}"
    );
    let reads = send(Method::GET, &url, &from("203.0.113.9"), "").await?;
    ensure!(
        reads.status.is_success(),
        "reading is not limited: {reads:?}"
    );
    let other = send(Method::POST, &url, &from("203.0.113.10"), OFFER).await?;
    ensure!(other.status == 201, "{other:?}");
    for _ in 0..10 {
        let local = send(Method::POST, &url, &[SDP], "hello").await?;
        ensure!(
            local.status == 400,
            "the loopback is not limited: {local:?}"
        );
    }
    server
        .metric_until("reverie_http_requests_total{code=\"429\"", 2.0)
        .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w19_a_session_is_not_patched_too_often_and_can_still_be_ended_later() -> Result<()> {
    let server = behind_a_proxy(|http| (http.session_rate, http.session_burst) = (2, 4)).await?;
    let (_, flooded) = session(&server, "/whip/show", OFFER).await?;
    let (_, other) = session(&server, "/whip/other", OFFER).await?;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = send(Method::PATCH, &flooded, &[FRAGMENT], "no fragment").await?;
        statuses.push(answer.status.as_u16());
    }
    ensure!(
        statuses[..4] == [400; 4] && statuses[4..].contains(&429),
        "{statuses:?}"
    );
    let answer = send(Method::PATCH, &other, &[FRAGMENT], "no fragment").await?;
    is_problem(&answer, 400, "fragment")?;
    let asked = std::time::Instant::now();
    loop {
        let ended = send(Method::DELETE, &flooded, &[], "").await?;
        if ended.status == 200 {
            break;
        }
        is_problem(&ended, 429, "again in")?;
        comes_back(&ended)?;
        ensure!(asked.elapsed().as_secs() < 5, "{ended:?}");
        let wait = ended.header("retry-after").parse()?;
        tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w19_the_defaults_let_a_school_join_at_once() -> Result<()> {
    let server = behind_a_proxy(|_| ()).await?;
    let url = server.url("/whip/show");
    let pupil = [SDP, ("x-forwarded-for", "203.0.113.9")];
    // For each of a thousand the POST, a PATCH and the DELETE, a hundred at a time.
    let mut refused = 0;
    for _ in 0..30 {
        let mut batch = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let url = url.clone();
            batch.spawn(async move { send(Method::POST, &url, &pupil, "hello").await });
        }
        for answer in batch.join_all().await {
            refused += usize::from(answer?.status == 429);
        }
    }
    ensure!(refused == 0, "{refused} of 3000 were refused");
    server.stop().await;
    Ok(())
}
