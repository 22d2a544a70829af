//! Pages: cookies that no script reads, and writes that only this server's own pages may ask for.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::Answer;
use serde_json::{Value, json};

use super::{PASSWORD, People, email};
use crate::conformance::is_problem;

const JSON: (&str, &str) = ("content-type", "application/json");

/// The cookies that an answer sets, as a browser would send them, and with their attributes.
fn cookies(answer: &Answer) -> (String, Vec<String>) {
    let lines = answer.headers.get_all("set-cookie").iter();
    let lines: Vec<String> = lines
        .filter_map(|line| line.to_str().ok())
        .map(str::to_owned)
        .collect();
    let pairs: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(';').next())
        .collect();
    (pairs.join("; "), lines)
}

async fn signed_in(people: &People, origin: &str) -> Result<Answer> {
    people.registered("ann", Some("show")).await?;
    let body = json!({ "email": email("ann"), "password": PASSWORD, "cookie": true });
    let headers = [JSON, ("origin", origin)];
    people
        .raw(Method::POST, "/v1/auth/login", &headers, &body)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_signed_in_by_cookies_that_no_script_reads() -> Result<()> {
    let people = People::start().await?;
    let own = people.server.url("");
    let answer = signed_in(&people, &own).await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        answer.json()["token"].is_null() && answer.json()["refresh"].is_null(),
        "{answer:?}"
    );
    ensure!(answer.header("cache-control") == "no-store", "{answer:?}");
    let (sent, lines) = cookies(&answer);
    ensure!(lines.len() == 2, "{lines:?}");
    for line in &lines {
        ensure!(
            line.contains("; HttpOnly") && line.contains("; SameSite="),
            "{line}"
        );
        ensure!(!line.contains("Secure"), "there is no TLS here: {line}");
    }
    ensure!(
        lines[1].contains("Path=/v1/auth;") && lines[1].contains("SameSite=Strict"),
        "{lines:?}"
    );
    let me = people
        .raw(Method::GET, "/v1/me", &[("cookie", &sent)], &Value::Null)
        .await?;
    ensure!(me.status == 200 && me.json()["channel"] == "show", "{me:?}");
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_with_a_cookie_comes_from_this_servers_own_pages_only() -> Result<()> {
    let people = People::start().await?;
    let own = people.server.url("");
    let (sent, _) = cookies(&signed_in(&people, &own).await?);
    let body = json!({ "kind": "watch", "channel": "show" });
    let cookie = ("cookie", sent.as_str());
    let own_port = own.replace("http://", "http://evil.");
    for foreign in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", own_port.as_str())],
        vec![
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![],
    ] {
        for path in ["/v1/tokens", "/v1/auth/refresh", "/v1/auth/logout"] {
            let body = if path == "/v1/tokens" {
                &body
            } else {
                &Value::Null
            };
            let headers = [vec![JSON, cookie], foreign.clone()].concat();
            let refused = people.raw(Method::POST, path, &headers, body).await?;
            is_problem(&refused, 403, "own pages")
                .with_context(|| format!("{path} {foreign:?}"))?;
        }
    }
    for at_home in [("origin", own.as_str()), ("sec-fetch-site", "same-origin")] {
        let headers = [JSON, cookie, at_home];
        let made = people
            .raw(Method::POST, "/v1/tokens", &headers, &body)
            .await?;
        ensure!(made.status == 201, "{at_home:?}: {made:?}");
    }
    let login = json!({ "email": email("ann"), "password": PASSWORD, "cookie": true });
    let headers = [JSON, ("origin", "https://evil.example")];
    let foreign = people
        .raw(Method::POST, "/v1/auth/login", &headers, &login)
        .await?;
    is_problem(&foreign, 403, "own pages")?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_stays_signed_in_by_its_refresh_cookie_until_it_leaves() -> Result<()> {
    let people = People::start().await?;
    let own = people.server.url("");
    let (sent, _) = cookies(&signed_in(&people, &own).await?);
    let refresh = sent
        .split("; ")
        .find(|pair| pair.starts_with("reverie_refresh="));
    let refresh = refresh.context("a refresh cookie")?;
    let headers = [("cookie", refresh), ("origin", own.as_str())];
    let next = people
        .raw(Method::POST, "/v1/auth/refresh", &headers, &Value::Null)
        .await?;
    ensure!(
        next.status == 200 && next.json()["token"].is_null(),
        "{next:?}"
    );
    let (sent, lines) = cookies(&next);
    ensure!(lines.len() == 2 && !sent.contains(refresh), "{lines:?}");
    let headers = [("cookie", sent.as_str()), ("origin", own.as_str())];
    let left = people
        .raw(Method::POST, "/v1/auth/logout", &headers, &Value::Null)
        .await?;
    ensure!(left.status == 204, "{left:?}");
    let (emptied, lines) = cookies(&left);
    ensure!(emptied == "reverie_session=; reverie_refresh=", "{emptied}");
    ensure!(
        lines.iter().all(|line| line.contains("Max-Age=0")),
        "{lines:?}"
    );
    let me = people
        .raw(Method::GET, "/v1/me", &[("cookie", &sent)], &Value::Null)
        .await?;
    ensure!(
        me.status == 401,
        "the cookie of a session that is over is none: {me:?}"
    );
    let page = people
        .raw(Method::GET, "/", &[("cookie", &sent)], &Value::Null)
        .await?;
    ensure!(
        page.status == 200,
        "and closes nothing that is open: {page:?}"
    );
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_https_cookies_go_nowhere_else_and_the_public_origin_is_our_own() -> Result<()> {
    let people = People::start_with(|config| {
        config.twitch.public_url = Some("https://live.example".to_owned());
    })
    .await?;
    let answer = signed_in(&people, "https://live.example").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let (_, lines) = cookies(&answer);
    ensure!(
        lines.len() == 2 && lines.iter().all(|line| line.ends_with("; Secure")),
        "{lines:?}"
    );
    people.server.stop().await;
    Ok(())
}
