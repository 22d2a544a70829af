//! Tokens of publishers and viewers (W15), and who may take over whose place (W8).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::{Config, Role, Scope, Secret, StaticToken};
use reverie_integration_tests::client::{Client, PATIENCE, root};
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::server::{Binary, TestServer, binary, config};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::conformance::{OFFER, is_problem};

const SDP: (&str, &str) = ("content-type", "application/sdp");
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn with_key() -> Config {
    let mut config = config();
    config.auth.token_key = Secret::new(KEY).ok();
    config
}

fn entry(role: Role, channel: &str, token: &str) -> Result<StaticToken> {
    Ok(StaticToken {
        role,
        scope: Scope::named(channel).context("a scope")?,
        secret: Secret::new(token)?,
        last_day: None,
    })
}

pub(crate) async fn python(arguments: &[&str]) -> Result<Value> {
    let output = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("integration-tests/clients/mint.py"))
        .args(arguments)
        .output()
        .await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A token of `reverie token`.
pub(crate) async fn minted(arguments: &[&str]) -> Result<String> {
    Ok(minted_with_id(arguments).await?.0)
}

/// The same with its id, which stands among the claims on standard error.
async fn minted_with_id(arguments: &[&str]) -> Result<(String, String)> {
    let output = Command::new(binary()?)
        .arg("token")
        .args(arguments)
        .env("REVERIE__AUTH__TOKEN_KEY", KEY)
        .output()
        .await?;
    ensure!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout)?.trim_end().to_owned();
    let said = String::from_utf8(output.stderr)?;
    let claims = said
        .lines()
        .find_map(|line| line.strip_prefix("reverie: claims "));
    let claims: Value = serde_json::from_str(claims.context("claims")?)?;
    let id = claims["jti"].as_str().context("an id")?.to_owned();
    Ok((token, id))
}

async fn ask(
    server: &TestServer,
    method: Method,
    path: &str,
    token: &str,
    body: &str,
) -> Result<Answer> {
    let bearer = format!("Bearer {token}");
    let headers = [SDP, ("authorization", bearer.as_str())];
    send(method, &server.url(path), &headers, body.to_owned()).await
}

async fn publish(server: &TestServer, channel: &str, token: &str) -> Result<Answer> {
    ask(
        server,
        Method::POST,
        &format!("/whip/{channel}"),
        token,
        OFFER,
    )
    .await
}

/// 401 with a description (RFC 6750, section 3.1), the same in words, and the token nowhere.
fn is_invalid(name: &str, token: &str, answer: &Answer) -> Result<()> {
    is_problem(answer, 401, "token").with_context(|| name.to_owned())?;
    let challenge = answer.header("www-authenticate");
    let detail = answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let wanted = format!(
        "Bearer realm=\"reverie\", error=\"invalid_token\", error_description=\"{detail}\""
    );
    ensure!(challenge == wanted, "{name}: {challenge}");
    ensure!(
        token.len() < 9 || !answer.body.contains(token),
        "{name}: {answer:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_without_a_token_the_answer_is_401_and_asks_for_one() -> Result<()> {
    let server = TestServer::start_with(with_key()).await?;
    for path in ["/whip/show", "/whep/show", "/whep/show?wait=1"] {
        for headers in [
            vec![SDP],
            vec![SDP, ("authorization", "Basic dTpw")],
            vec![SDP, ("authorization", "Bearer")],
        ] {
            let answer = send(Method::POST, &server.url(path), &headers, OFFER).await?;
            is_problem(&answer, 401, "Bearer")?;
            ensure!(
                answer.header("www-authenticate") == "Bearer realm=\"reverie\"",
                "{answer:?}"
            );
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_every_bad_signed_token_is_401_invalid_token_and_says_why() -> Result<()> {
    let server = TestServer::start_with(with_key()).await?;
    let tokens = python(&["abuse", "--key", KEY]).await?;
    let mut tokens: BTreeMap<String, String> = serde_json::from_value(tokens)?;
    for good in ["good", "other audience among ours"] {
        let token = tokens.remove(good).context("a good one")?;
        let created = publish(&server, "show", &token).await?;
        ensure!(created.status == 201, "{good}: {created:?}");
    }
    let empty = tokens.remove("empty").context("an empty one")?;
    is_problem(&publish(&server, "show", &empty).await?, 401, "Bearer")?;
    ensure!(tokens.len() > 25, "{tokens:?}");
    for (name, token) in &tokens {
        is_invalid(name, token, &publish(&server, "show", token).await?)?;
    }
    for (name, says) in [
        ("expired", "has expired"),
        ("not yet", "not valid yet"),
        ("another key", "signature"),
        ("other aud", "another service"),
        ("alg HS512", "HS256"),
        ("alg RS256 signed by RSA", "HS256"),
        ("no exp", "claim"),
        ("huge", "malformed"),
        ("two parts", "not known"),
    ] {
        let answer = publish(&server, "show", &tokens[name]).await?;
        is_problem(&answer, 401, says).context(name)?;
    }
    let refused = server.metric("reverie_auth_refusals_total").await?;
    ensure!(refused > 30.0, "{refused} refusals were counted");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_a_token_for_another_channel_or_role_is_403_and_says_what_it_is_for() -> Result<()> {
    let server = TestServer::start_with(with_key()).await?;
    let publisher = minted(&["publish", "--channel", "show"]).await?;
    let viewer = minted(&["watch", "--channel", "show", "--ttl", "5m"]).await?;
    let everywhere = minted(&["watch", "--channel", "*", "--subject", "ada"]).await?;
    let created = publish(&server, "show", &publisher).await?;
    ensure!(created.status == 201, "{created:?}");
    let other = publish(&server, "other", &publisher).await?;
    is_problem(
        &other,
        403,
        "the token is for publishing on channel \"show\"; this needs one for publishing on channel \"other\"",
    )?;
    ensure!(
        other
            .header("www-authenticate")
            .contains("error=\"insufficient_scope\""),
        "{other:?}"
    );
    is_problem(
        &publish(&server, "show", &viewer).await?,
        403,
        "watching on channel \"show\"",
    )?;
    let backwards = OFFER.replace("sendonly", "recvonly");
    for (path, token, status) in [
        ("/whep/show?wait=1", &viewer, 201),
        ("/whep/other?wait=1", &viewer, 403),
        ("/whep/other?wait=1", &everywhere, 201),
        ("/whep/show?wait=1", &publisher, 403),
    ] {
        let answer = ask(&server, Method::POST, path, token, &backwards).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
    }
    let listed = async |token: &str| -> Result<Vec<String>> {
        let answer = ask(&server, Method::GET, "/v1/channels", token, "")
            .await?
            .json();
        let channels = answer["channels"].as_array().context("channels")?.clone();
        Ok(channels
            .iter()
            .filter_map(|c| c["channel"].as_str().map(str::to_owned))
            .collect())
    };
    ensure!(listed(&viewer).await? == ["show"], "only its own channel");
    ensure!(
        listed(&everywhere).await? == ["other", "show"],
        "every channel"
    );
    let own = ask(&server, Method::GET, "/v1/channels/show", &publisher, "").await?;
    ensure!(own.status == 200, "{own:?}");
    is_problem(
        &ask(&server, Method::GET, "/v1/channels/other", &viewer, "").await?,
        403,
        "\"show\"",
    )?;
    is_problem(
        &ask(
            &server,
            Method::GET,
            "/v1/channels/other/events",
            &viewer,
            "",
        )
        .await?,
        403,
        "\"show\"",
    )?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_static_tokens_are_scoped_and_beside_them_nothing_is_open() -> Result<()> {
    let mut config = config();
    config.auth.tokens = vec![
        entry(Role::Publish, "a", "publish-a-0123456789")?,
        entry(Role::Watch, "*", "watch-all-0123456789")?,
    ];
    let server = TestServer::start_with(config).await?;
    ensure!(
        publish(&server, "a", "publish-a-0123456789").await?.status == 201,
        "its channel"
    );
    is_problem(
        &publish(&server, "b", "publish-a-0123456789").await?,
        403,
        "channel \"a\"",
    )?;
    is_problem(
        &publish(&server, "a", "watch-all-0123456789").await?,
        403,
        "every channel",
    )?;
    let unknown = publish(&server, "a", "publish-a-0123456780").await?;
    is_invalid("unknown", "publish-a-0123456780", &unknown)?;
    is_problem(
        &send(Method::POST, &server.url("/whip/b"), &[SDP], OFFER).await?,
        401,
        "Bearer",
    )?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_a_session_url_answers_the_credential_that_began_it_only() -> Result<()> {
    let server = TestServer::start_with(with_key()).await?;
    let ada = minted(&["publish", "--channel", "show", "--subject", "ada"]).await?;
    let fresh = minted(&["publish", "--channel", "*", "--subject", "ada"]).await?;
    let bob = minted(&["publish", "--channel", "show", "--subject", "bob"]).await?;
    let viewer = minted(&["watch", "--channel", "show"]).await?;
    let created = publish(&server, "show", &ada).await?;
    let session = created.header("location").to_owned();
    for method in [Method::PATCH, Method::DELETE] {
        let none = send(method.clone(), &server.url(&session), &[], "").await?;
        is_problem(&none, 401, "Bearer")?;
        is_problem(
            &ask(&server, method.clone(), &session, &bob, "").await?,
            403,
            "another token",
        )?;
        is_problem(
            &ask(&server, method, &session, &viewer, "").await?,
            403,
            "watching",
        )?;
    }
    let ended = ask(&server, Method::DELETE, &session, &fresh, "").await?;
    ensure!(
        ended.status == 200,
        "a fresh token of the same subject: {ended:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_another_library_reads_the_token_that_the_command_prints() -> Result<()> {
    let token = minted(&[
        "publish",
        "--channel",
        "show",
        "--ttl",
        "15m",
        "--subject",
        "ada",
    ])
    .await?;
    let read = python(&["read", &token, "--key", KEY]).await?;
    let claims = &read["claims"];
    ensure!(read["header"]["alg"] == "HS256", "{read}");
    ensure!(
        claims["iss"] == "reverie" && claims["aud"] == "reverie-media",
        "{read}"
    );
    ensure!(
        claims["role"] == "publish" && claims["channel"] == "show" && claims["sub"] == "ada",
        "{read}"
    );
    let time = |name: &str| claims[name].as_u64().unwrap_or_default();
    ensure!(time("exp") - time("iat") == 900, "{read}");
    ensure!(
        claims["jti"].as_str().is_some_and(|jti| jti.len() == 32),
        "{read}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_the_same_credential_takes_over_a_live_stream_and_another_gets_409() -> Result<()> {
    let mut config = with_key();
    config.auth.public_watch = true;
    let server = TestServer::start_with(config).await?;
    let ada = minted(&["publish", "--channel", "show", "--subject", "ada"]).await?;
    let again = minted(&["publish", "--channel", "show", "--subject", "ada"]).await?;
    let bob = minted(&["publish", "--channel", "show", "--subject", "bob"]).await?;
    let mut first = Client::aiortc_publish_as(&server.url("/whip/show"), &ada)?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let taken = publish(&server, "show", &bob).await?;
    is_problem(&taken, 409, "another token")?;
    ensure!(taken.header("retry-after") == "2", "{taken:?}");
    ensure!(
        server.channel("show").await?.json()["live"] == true,
        "the stream was not touched"
    );
    let mut second = Client::aiortc_publish_as(&server.url("/whip/show"), &again)?;
    server
        .metric_until(
            "reverie_session_closes_total{protocol=\"whip\",reason=\"replaced\"}",
            1.0,
        )
        .await?;
    server
        .channel_until("show", "live again", |c| c["live"] == true)
        .await?;
    is_problem(&publish(&server, "show", &bob).await?, 409, "another token")?;
    second.stop().await?;
    first.stop().await?;
    free_for(&server, &bob).await?;
    server.stop().await;
    Ok(())
}

/// Waits until the channel `show` takes a publisher with this token.
async fn free_for(server: &TestServer, token: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = publish(server, "show", token).await?;
        if answer.status == 201 {
            return Ok(());
        }
        is_problem(&answer, 409, "another token")?;
        ensure!(
            Instant::now() < deadline,
            "the channel did not become free in {PATIENCE:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_a_publisher_that_still_connects_holds_its_place_and_a_refused_offer_holds_none()
-> Result<()> {
    let mut config = config();
    config.auth.publish_token = Secret::new("everywhere-0123456789").ok();
    config.auth.tokens = vec![entry(Role::Publish, "show", "only-show-0123456789")?];
    let server = TestServer::start_with(config).await?;
    let bad = ask(
        &server,
        Method::POST,
        "/whip/show",
        "only-show-0123456789",
        "v=0",
    )
    .await?;
    ensure!(bad.status == 400, "{bad:?}");
    let created = publish(&server, "show", "everywhere-0123456789").await?;
    ensure!(
        created.status == 201,
        "a refused offer holds no place: {created:?}"
    );
    is_problem(
        &publish(&server, "show", "only-show-0123456789").await?,
        409,
        "another token",
    )?;
    let again = publish(&server, "show", "everywhere-0123456789").await?;
    ensure!(again.status == 201, "the same credential: {again:?}");
    for answer in [created, again] {
        let path = answer.header("location").to_owned();
        let ended = ask(&server, Method::DELETE, &path, "everywhere-0123456789", "").await?;
        ensure!(ended.status == 200, "{ended:?}");
    }
    free_for(&server, "only-show-0123456789").await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_on_an_open_server_anybody_may_take_over() -> Result<()> {
    let server = TestServer::start().await?;
    for _ in 0..3 {
        let created = send(Method::POST, &server.url("/whip/show"), &[SDP], OFFER).await?;
        ensure!(created.status == 201, "{created:?}");
    }
    let with_token = publish(&server, "show", "whatever-somebody-sends").await?;
    ensure!(with_token.status == 201, "{with_token:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_back_ends_its_session_and_opens_nothing_more() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("revoked");
    std::fs::write(&list, "# none yet\n")?;
    let server = Binary::start_with(&[
        ("REVERIE__AUTH__TOKEN_KEY", KEY),
        ("REVERIE__AUTH__REVOKED", list.to_str().context("UTF-8")?),
    ])
    .await?;
    let url = |channel: &str| format!("http://{}/whip/{channel}", server.http);
    let (lost, id) = minted_with_id(&["publish", "--channel", "show"]).await?;
    let other = minted(&["publish", "--channel", "other"]).await?;
    let mut loser = Client::aiortc_publish_as(&url("show"), &lost)?;
    let mut winner = Client::aiortc_publish_as(&url("other"), &other)?;
    for client in [&mut loser, &mut winner] {
        let sends = |l: &Value| l["event"] == "stats";
        client.wait_for("a second of sending", sends).await?;
    }
    std::fs::write(&list, format!("# lent by mistake\n{id}\n"))?;
    server.signal("HUP").await?;
    server
        .metric_line(r#"reverie_session_closes_total{protocol="whip",reason="revoked"} 1"#)
        .await?;
    let bearer = format!("Bearer {lost}");
    let headers = [SDP, ("authorization", bearer.as_str())];
    let again = send(Method::POST, &url("show"), &headers, OFFER).await?;
    is_problem(&again, 401, "revoked")?;
    ensure!(
        server.metric("reverie_publishers ").await? == 1.0,
        "the other one goes on"
    );
    // A list that is gone takes nothing back and gives nothing back.
    std::fs::remove_file(&list)?;
    server.signal("HUP").await?;
    let again = send(Method::POST, &url("show"), &headers, OFFER).await?;
    is_problem(&again, 401, "revoked")?;
    loser.stop().await?;
    winner.stop().await?;
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_back_while_its_offer_is_on_the_way_begins_no_session() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let list = folder.path().join("revoked");
    std::fs::write(&list, "")?;
    let mut config = with_key();
    config.auth.revoked = Some(list.clone());
    let server = TestServer::start_with(config).await?;
    let (token, id) = minted_with_id(&["publish", "--channel", "show"]).await?;
    let mut connection = BufReader::new(TcpStream::connect(server.address()).await?);
    let head = format!(
        "POST /whip/show HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/sdp\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        server.address(),
        OFFER.len()
    );
    connection.write_all(head.as_bytes()).await?;
    let mut line = String::new();
    timeout(PATIENCE, connection.read_line(&mut line)).await??;
    ensure!(
        line.starts_with("HTTP/1.1 100"),
        "the token was good: {line}"
    );
    std::fs::write(&list, format!("{id}\n"))?;
    server.reload().await;
    connection.write_all(OFFER.as_bytes()).await?;
    let mut rest = String::new();
    timeout(PATIENCE, connection.read_to_string(&mut rest)).await??;
    ensure!(
        rest.contains("HTTP/1.1 401") && rest.contains("revoked"),
        "{rest}"
    );
    server.metric_until("reverie_publishers ", 0.0).await?;
    server.stop().await;
    Ok(())
}
