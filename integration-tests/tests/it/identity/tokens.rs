//! Links for others and keys for programs.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::{Answer, send};
use serde_json::{Value, json};

use super::{CONTROL, People, text};
use crate::conformance::{OFFER, is_problem};

async fn offer(people: &People, path: &str, token: &str) -> Result<Answer> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/sdp"),
        ("authorization", bearer.as_str()),
    ];
    let offer = if path.starts_with("/whep") {
        OFFER.replace("sendonly", "recvonly")
    } else {
        OFFER.to_owned()
    };
    send(Method::POST, &people.server.url(path), &headers, offer).await
}

async fn made(people: &People, token: &str, kind: &str) -> Result<(String, String)> {
    let body = json!({ "kind": kind, "channel": "show" });
    let answer = people.post("/v1/tokens", token, &body).await?;
    ensure!(answer.status == 201, "{kind}: {answer:?}");
    Ok((text(&answer, "id")?, text(&answer, "token")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_for_one_thing_on_one_channel() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (_, publish) = made(&people, &ann, "publish").await?;
    let (_, watch) = made(&people, &ann, "watch").await?;
    let (_, overlay) = made(&people, &ann, "overlay").await?;
    for (token, path, status) in [
        (&publish, "/whip/show", 201),
        (&publish, "/whip/other", 403),
        (&publish, "/whep/show?wait=1", 403),
        (&watch, "/whep/show?wait=1", 201),
        (&watch, "/whep/other?wait=1", 403),
        (&watch, "/whip/show", 403),
        (&overlay, "/whep/show?wait=1", 201),
        (&overlay, "/whip/show", 403),
    ] {
        let answer = offer(&people, path, token).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
    }
    let again = offer(&people, "/whip/show", &ann).await?;
    ensure!(
        again.status == 201,
        "the streamer takes over from their own link: {again:?}"
    );
    let body = json!({ "prompt": "rain" });
    for token in [&publish, &watch, &overlay] {
        let refused = people
            .post("/v1/channels/show/moments", token, &body)
            .await?;
        is_problem(&refused, 403, "asking for moments")?;
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_streamer_makes_links_and_for_their_own_channel() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (bob, _) = people.registered("bob", Some("other")).await?;
    let moderator = people.session("mod", Some("show")).await?;
    let viewer = people.session("viewer", Some("show")).await?;
    let admin = people.session("admin", None).await?;
    let (_, watch) = made(&people, &ann, "watch").await?;
    for kind in ["publish", "watch", "overlay", "dock", "key"] {
        let body = json!({ "kind": kind, "channel": "show" });
        for token in [&bob, &moderator, &viewer, &watch] {
            let refused = people.post("/v1/tokens", token, &body).await?;
            ensure!(refused.status == 403, "{kind}: {refused:?}");
        }
        is_problem(&people.post("/v1/tokens", "", &body).await?, 401, "Bearer")?;
        let by_admin = people.post("/v1/tokens", &admin, &body).await?;
        ensure!(by_admin.status == 201, "{kind}: {by_admin:?}");
    }
    made(&people, CONTROL, "dock").await?;
    for (body, says) in [
        (json!({ "kind": "crown", "channel": "show" }), "crown"),
        (
            json!({ "kind": "watch", "channel": "show", "ttl_s": 0 }),
            "ttl_s is 0",
        ),
        (
            json!({ "kind": "watch", "channel": "show", "ttl_s": 99_999_999 }),
            "ttl_s is 99999999",
        ),
        (
            json!({ "kind": "watch", "channel": "show", "role": "admin" }),
            "role",
        ),
    ] {
        is_problem(&people.post("/v1/tokens", &ann, &body).await?, 422, says)?;
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_the_page_that_it_is_for_and_hides_its_token_behind_the_fragment() -> Result<()>
{
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    for (kind, page) in [
        ("publish", "/bridge/show"),
        ("watch", "/watch/show"),
        ("overlay", "/overlay/show"),
        ("dock", "/mod/show?dock=1"),
    ] {
        let body = json!({ "kind": kind, "channel": "show" });
        let made = people.post("/v1/tokens", &ann, &body).await?;
        let (url, token) = (text(&made, "url")?, text(&made, "token")?);
        ensure!(url == format!("{page}#token={token}"), "{kind}: {url}");
        let path = url.split('#').next().unwrap_or_default();
        let opened = people.get(path, "").await?;
        ensure!(opened.status == 200, "{path}: {opened:?}");
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dock_moderates_and_no_more_until_it_is_taken_back() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (bob, _) = people.registered("bob", None).await?;
    let (id, dock) = made(&people, &ann, "dock").await?;
    let me = people.get("/v1/me", &dock).await?.json();
    ensure!(me["role"] == "mod" && me["channel"] == "show", "{me}");
    let warm = people
        .post("/v1/channels/show/warm", &dock, &json!({}))
        .await?;
    is_problem(&warm, 403, "the streamer of channel \"show\"")?;
    let path = format!("/v1/tokens/{id}");
    let not_theirs = people
        .ask(Method::DELETE, &path, &bob, &Value::Null)
        .await?;
    is_problem(&not_theirs, 404, "no token")?;
    ensure!(people.get("/v1/me", &dock).await?.status == 200, "still");
    let taken = people
        .ask(Method::DELETE, &path, &ann, &Value::Null)
        .await?;
    ensure!(taken.status == 204, "{taken:?}");
    is_problem(
        &people.get("/v1/me", &dock).await?,
        401,
        "the session is over",
    )?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_streamer_on_its_channel_until_it_is_taken_back() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (id, key) = made(&people, &ann, "key").await?;
    let me = people.get("/v1/me", &key).await?.json();
    ensure!(me["role"] == "streamer" && me["channel"] == "show", "{me}");
    ensure!(
        offer(&people, "/whip/show", &key).await?.status == 201,
        "it publishes"
    );
    ensure!(
        offer(&people, "/whip/other", &key).await?.status == 403,
        "on its channel"
    );
    for wrong in [
        &key[..key.len() - 1],
        &key.to_uppercase(),
        &key.replace("rvk_", "rvk_0"),
    ] {
        ensure!(people.get("/v1/me", wrong).await?.status == 401, "{wrong}");
    }
    let path = format!("/v1/tokens/{id}");
    let taken = people
        .ask(Method::DELETE, &path, &ann, &Value::Null)
        .await?;
    ensure!(taken.status == 204, "{taken:?}");
    ensure!(
        people.get("/v1/me", &key).await?.status == 401,
        "it opens nothing"
    );
    people.server.stop().await;
    Ok(())
}
