//! Accounts by e-mail address and password, and the life of a session.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::Answer;
use serde_json::{Value, json};

use super::{CONTROL, KEY, PASSWORD, People, abused, email, text};
use crate::conformance::is_problem;

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_signed_in_as_the_streamer_of_their_channel() -> Result<()> {
    let people = People::start().await?;
    let (token, _) = people.registered("ann", Some("show")).await?;
    let me = people.get("/v1/me", &token).await?.json();
    ensure!(me["role"] == "streamer" && me["channel"] == "show", "{me}");
    ensure!(me["email"] == "ann@example.org", "{me}");
    ensure!(
        me["roles"] == json!([{ "channel": "show", "role": "streamer" }]),
        "{me}"
    );
    let (viewer, _) = people.registered("bob", None).await?;
    let me = people.get("/v1/me", &viewer).await?.json();
    ensure!(me["role"] == "viewer" && me["channel"].is_null(), "{me}");
    let body =
        |name, channel| json!({ "email": email(name), "password": PASSWORD, "channel": channel });
    for (name, channel, status, says) in [
        ("ANN", None, 409, "has an account"),
        ("cid", Some("show"), 409, "belongs to somebody"),
        ("cid", Some("twitch-1"), 409, "belongs to somebody"),
        ("cid", Some("../show"), 400, "channel name"),
    ] {
        let refused = people
            .post("/v1/auth/register", "", &body(name, channel))
            .await?;
        is_problem(&refused, status, says)?;
    }
    let short = json!({ "email": email("cid"), "password": "too short" });
    is_problem(
        &people.post("/v1/auth/register", "", &short).await?,
        422,
        "at least 10",
    )?;
    let none = json!({ "email": "cid", "password": PASSWORD });
    is_problem(
        &people.post("/v1/auth/register", "", &none).await?,
        422,
        "\"cid\"",
    )?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_address_are_told_the_same() -> Result<()> {
    let people = People::start().await?;
    people.registered("ann", Some("show")).await?;
    let right = login(&people, "ANN@Example.org", PASSWORD).await?;
    ensure!(
        right.status == 200 && right.json()["role"] == "streamer",
        "{right:?}"
    );
    let wrong = login(&people, "ann@example.org", "wrong horse battery").await?;
    let unknown = login(&people, "zoe@example.org", PASSWORD).await?;
    is_problem(&wrong, 401, "address or the password is wrong")?;
    ensure!(
        wrong.body == unknown.body && unknown.status == 401,
        "{wrong:?} {unknown:?}"
    );
    let elsewhere = json!({ "email": email("ann"), "password": PASSWORD, "channel": "other" });
    is_problem(
        &people.post("/v1/auth/login", "", &elsewhere).await?,
        403,
        "\"other\"",
    )?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_found_by_trying() -> Result<()> {
    let people = People::start().await?;
    let mut refused = None;
    for _ in 0..40 {
        let answer = login(&people, "ann@example.org", "wrong horse battery").await?;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        is_problem(&answer, 401, "wrong")?;
    }
    let Some(refused) = refused else {
        anyhow::bail!("forty attempts were taken")
    };
    is_problem(&refused, 429, "ask again in")?;
    ensure!(
        refused.header("retry-after").parse::<u64>()? <= 6,
        "{refused:?}"
    );
    let other = login(&people, "bob@example.org", "wrong horse battery").await?;
    ensure!(other.status == 401, "others are not concerned: {other:?}");
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_gives_the_next_and_its_second_use_ends_the_session() -> Result<()> {
    let people = People::start().await?;
    let (token, refresh) = people.registered("ann", Some("show")).await?;
    let first = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": refresh }))
        .await?;
    ensure!(
        first.status == 200 && first.json()["role"] == "streamer",
        "{first:?}"
    );
    let second = text(&first, "refresh")?;
    ensure!(second != refresh, "it has changed");
    let third = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": second }))
        .await?;
    ensure!(third.status == 200, "{third:?}");
    ensure!(people.get("/v1/me", &token).await?.status == 200, "still");
    // Two behind the good one: no page that asked twice at once has it.
    let stolen = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": refresh }))
        .await?;
    is_problem(&stolen, 401, "not good any more")?;
    let last = text(&third, "refresh")?;
    let good = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": last }))
        .await?;
    is_problem(&good, 401, "not good any more")?;
    let over = people.get("/v1/me", &token).await?;
    is_problem(&over, 401, "the session is over")?;
    for made_up in ["", "x", "a.0.b", &refresh.replace(".0.", ".9.")] {
        let body = json!({ "refresh": made_up });
        is_problem(
            &people.post("/v1/auth/refresh", "", &body).await?,
            401,
            "not good",
        )?;
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_out_at_once_and_only_they() -> Result<()> {
    let people = People::start().await?;
    let (first, refresh) = people.registered("ann", Some("show")).await?;
    let again = login(&people, "ann@example.org", PASSWORD).await?;
    let second = text(&again, "token")?;
    let left = people.post("/v1/auth/logout", &first, &Value::Null).await?;
    ensure!(left.status == 204, "{left:?}");
    is_problem(
        &people.get("/v1/me", &first).await?,
        401,
        "the session is over",
    )?;
    let next = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": refresh }))
        .await?;
    is_problem(&next, 401, "not good")?;
    ensure!(
        people.get("/v1/me", &second).await?.status == 200,
        "another session of theirs"
    );
    let opaque = people.session("viewer", Some("show")).await?;
    ensure!(
        people.get("/v1/me", &opaque).await?.status == 200,
        "one of the extension"
    );
    ensure!(
        people
            .post("/v1/auth/logout", &opaque, &Value::Null)
            .await?
            .status
            == 204,
        "it leaves"
    );
    is_problem(
        &people.get("/v1/me", &opaque).await?,
        401,
        "the session is over",
    )?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_session_token_is_401_and_says_why_without_itself() -> Result<()> {
    let people = People::start().await?;
    let (good, bad) = abused("sessions", KEY).await?;
    ensure!(
        people.get("/v1/me", &good).await?.status == 200,
        "the good one"
    );
    for (name, token) in &bad {
        let answer = people.get("/v1/me", token).await?;
        ensure!(answer.status == 401, "{name}: {answer:?}");
        ensure!(
            token.len() < 9 || !answer.body.contains(token),
            "{name}: {answer:?}"
        );
    }
    for (name, says) in [
        ("expired", "has expired"),
        ("alg RS256 signed by RSA", "HS256"),
        ("alg HS512", "HS256"),
        ("another key", "signature"),
        ("two auds", "malformed"),
        ("sid of no session", "over"),
        ("every channel", "claim"),
    ] {
        is_problem(&people.get("/v1/me", &bad[name]).await?, 401, says)?;
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamer_makes_moderators_and_only_an_admin_the_rest() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (bob, refresh) = people.registered("bob", None).await?;
    let role = |role, channel: Option<&str>| json!({ "email": email("bob"), "role": role, "channel": channel });
    let mine = role("mod", Some("show"));
    ensure!(
        people.post("/v1/roles", &bob, &mine).await?.status == 403,
        "not by themselves"
    );
    let given = people.post("/v1/roles", &ann, &mine).await?;
    ensure!(given.status == 204, "{given:?}");
    let now = people
        .post(
            "/v1/auth/login",
            "",
            &json!({ "email": email("bob"), "password": PASSWORD }),
        )
        .await?;
    ensure!(
        now.json()["role"] == "mod" && now.json()["channel"] == "show",
        "{now:?}"
    );
    let moderator = text(&now, "token")?;
    for (body, says) in [
        (role("streamer", Some("show")), "an admin"),
        (role("admin", None), "an admin"),
        (role("mod", Some("other")), "\"other\""),
    ] {
        is_problem(&people.post("/v1/roles", &ann, &body).await?, 403, says)?;
        is_problem(&people.post("/v1/roles", &moderator, &body).await?, 403, "")?;
    }
    let taken = people.ask(Method::DELETE, "/v1/roles", &ann, &mine).await?;
    ensure!(taken.status == 204, "{taken:?}");
    is_problem(&people.get("/v1/me", &moderator).await?, 401, "over")?;
    let old = people
        .post("/v1/auth/refresh", "", &json!({ "refresh": refresh }))
        .await?;
    is_problem(&old, 401, "not good")?;
    let control = people
        .post("/v1/roles", CONTROL, &role("admin", None))
        .await?;
    ensure!(control.status == 204, "{control:?}");
    let now = people
        .post(
            "/v1/auth/login",
            "",
            &json!({ "email": email("bob"), "password": PASSWORD }),
        )
        .await?;
    ensure!(
        now.json()["role"] == "admin" && now.json()["channel"].is_null(),
        "{now:?}"
    );
    let second = people
        .post("/v1/roles", CONTROL, &role("streamer", Some("show")))
        .await?;
    is_problem(&second, 409, "has a streamer")?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_in_no_file_of_the_store() -> Result<()> {
    let people = People::start().await?;
    let (token, refresh) = people.registered("ann", Some("show")).await?;
    let key = json!({ "kind": "key", "channel": "show" });
    let key = text(&people.post("/v1/tokens", &token, &key).await?, "token")?;
    people.server.stop().await;
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(people.folder.path())? {
        bytes.extend(std::fs::read(entry?.path())?);
    }
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    ensure!(has("$argon2id$v=19$m=19456,t=2,p=1$"), "the hash is kept");
    for secret in [PASSWORD, &token, &refresh, &key, KEY] {
        ensure!(!has(secret), "{secret} is kept");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_keys_nobody_registers_or_signs_in() -> Result<()> {
    let closed = People::start_with(|config| config.auth.registration = false).await?;
    let body = json!({ "email": email("ann"), "password": PASSWORD });
    let refused = closed.post("/v1/auth/register", "", &body).await?;
    is_problem(&refused, 404, "auth.registration")?;
    is_problem(
        &closed.get("/v1/auth/twitch/start", "").await?,
        404,
        "twitch.client_id",
    )?;
    closed.server.stop().await;
    let none = People::start_with(|config| {
        config.auth.session_key = None;
        config.auth.registration = false;
    })
    .await?;
    for path in [
        "/v1/auth/register",
        "/v1/auth/login",
        "/v1/auth/refresh",
        "/v1/auth/twitch-ext",
    ] {
        is_problem(&none.post(path, "", &body).await?, 404, "auth.session_key")?;
    }
    none.server.stop().await;
    Ok(())
}

async fn login(people: &People, email: &str, password: &str) -> Result<Answer> {
    let body = json!({ "email": email, "password": password });
    people.post("/v1/auth/login", "", &body).await
}
