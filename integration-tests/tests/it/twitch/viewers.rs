//! Viewers of the extension: what is theirs, and what is not.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Secret;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::twitch_sim::{Notify, Order, TwitchSim, VIEWER};
use reverie_moments::life::Moment;
use serde_json::json;

use super::World;
use crate::conformance::is_problem;

const KEY: &str = "0123456789abcdef0123456789abcdef";

async fn world() -> Result<World> {
    World::start_with(TwitchSim::start().await?, |config| {
        config.auth.session_key = Secret::new(KEY).ok();
    })
    .await
}

/// A session of a viewer, in exchange for what the helper gave their panel.
async fn session(world: &World, user: &str, shared: bool) -> Result<String> {
    let body = json!({ "token": world.sim.session(user, shared) });
    let answer = world
        .call(Method::POST, "/v1/auth/twitch-ext", &body)
        .await?;
    ensure!(answer.status.is_success(), "{answer:?}");
    let token = answer.json()["token"].as_str().map(str::to_owned);
    token.context("a token")
}

async fn as_(world: &World, token: &str, method: Method, path: &str) -> Result<Answer> {
    let bearer = format!("Bearer {token}");
    let url = world.server.url(path);
    send(method, &url, &[("authorization", bearer.as_str())], "").await
}

/// A moment of the viewer behind this session, as the server would have made it.
async fn moment_of(world: &World, user: &str) -> Result<Moment> {
    let mut submission = super::submission(user, "own");
    submission.viewer.opaque = format!("twitch-opaque:Uopaque{user}");
    Ok(world.store.submit(super::now(), submission).await?.moment)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_shared_who_they_are_pays_and_sees_what_is_theirs() -> Result<()> {
    let world = world().await?;
    let token = session(&world, VIEWER, true).await?;
    let moment = moment_of(&world, VIEWER).await?;
    let path = format!("/v1/moments/{}/intent", moment.id);
    let answer = as_(&world, &token, Method::POST, &path).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let intent = answer.json()["intent"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let order = Order {
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    let answer = world.give(&moment, &intent, &receipt).await?;
    ensure!(answer.json()["paid"] == "accepted", "{answer:?}");
    let own = as_(&world, &token, Method::GET, "/v1/me/moments").await?;
    let moments = own.json()["moments"].clone();
    ensure!(moments[0]["id"] == moment.id.as_str(), "{own:?}");
    ensure!(
        moments[0]["state"] == "queued" && moments[1].is_null(),
        "{own:?}"
    );
    let credits = as_(&world, &token, Method::GET, "/v1/me/credits").await?;
    let wanted = json!({ "channel": "show", "name": "Ann", "credits": 0 });
    ensure!(credits.json() == wanted, "{credits:?}");
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_asks_pays_and_waits_for_their_turn() -> Result<()> {
    let world = World::start_with(TwitchSim::start().await?, |config| {
        config.auth.session_key = Secret::new(KEY).ok();
        config.twitch.products = vec!["rain:100:15".parse().expect("a product")];
    })
    .await?;
    let token = session(&world, VIEWER, true).await?;
    let bearer = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    let url = world.server.url("/v1/channels/show/moments");
    let ask =
        async |body: &serde_json::Value| send(Method::POST, &url, &headers, body.to_string()).await;
    let wanted = json!({ "prompt": "rain over the city", "sku": "rain" });
    let answer = ask(&wanted).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let moment = answer.json();
    ensure!(
        moment["state"] == "submitted" && moment["viewer"] == "Ann" && moment["price"] == 100,
        "{moment}"
    );
    let order = Order {
        notify: Notify::Never,
        ..Order::default()
    };
    let (_, receipt) = world.sim.pay(order).await?;
    let path = format!(
        "/v1/moments/{}/receipt",
        moment["id"].as_str().unwrap_or_default()
    );
    let body = json!({ "intent": moment["intent"], "receipt": receipt });
    let answer = world.call(Method::POST, &path, &body).await?;
    ensure!(answer.json()["moment"]["state"] == "queued", "{answer:?}");
    // What costs nothing is the streamer's, and what offends is nobody's.
    let own = json!({ "prompt": "rain" });
    ensure!(ask(&own).await?.status == 403);
    let vulgar = json!({ "prompt": "what the fuck", "sku": "rain" });
    is_problem(&ask(&vulgar).await?, 422, "in other words")?;
    let unknown = json!({ "prompt": "rain", "sku": "gold" });
    is_problem(&ask(&unknown).await?, 422, "gold")?;
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_viewers_is_refused() -> Result<()> {
    let world = world().await?;
    let moment = moment_of(&world, VIEWER).await?;
    let other = session(&world, "8", true).await?;
    for act in ["intent", "credit"] {
        let path = format!("/v1/moments/{}/{act}", moment.id);
        let answer = as_(&world, &other, Method::POST, &path).await?;
        ensure!(answer.status == 403, "{act}: {answer:?}");
        let answer = world.call(Method::POST, &path, &json!({})).await?;
        ensure!(answer.status == 401, "{act}: {answer:?}");
    }
    let path = format!("/v1/me/credits?channel=show&viewer={VIEWER}");
    let answer = as_(&world, &other, Method::GET, &path).await?;
    ensure!(answer.status == 403, "{answer:?}");
    let own = as_(&world, &other, Method::GET, "/v1/me/moments").await?;
    ensure!(own.json()["moments"] == json!([]), "{own:?}");
    for path in ["/v1/channels/show/blocklist", "/v1/channels/show/products"] {
        let answer = as_(&world, &other, Method::PUT, path).await?;
        ensure!(answer.status == 403, "{path}: {answer:?}");
    }
    is_problem(&world.get("/v1/me/credits").await?, 401, "Bearer")?;
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_shared_nothing_is_anonymous() -> Result<()> {
    let world = world().await?;
    let token = session(&world, VIEWER, false).await?;
    let credits = as_(&world, &token, Method::GET, "/v1/me/credits").await?;
    ensure!(credits.json()["name"] == "Anonymous", "{credits:?}");
    ensure!(world.sim.calls("users") == 0);
    world.stop().await;
    Ok(())
}
