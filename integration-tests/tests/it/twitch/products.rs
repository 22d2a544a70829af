//! What a channel offers, and the words it does not want, over HTTP.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::twitch_sim::TwitchSim;
use serde_json::{Value, json};

use super::{CHANNEL, World};
use crate::conformance::is_problem;

const PRODUCTS: &str = "/v1/channels/show/products";
const BLOCKLIST: &str = "/v1/channels/show/blocklist";

async fn put(world: &World, path: &str, body: &Value, version: &str) -> Result<Answer> {
    let headers = [("content-type", "application/json"), ("if-match", version)];
    let url = world.server.url(path);
    send(Method::PUT, &url, &headers, body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_offers_what_the_server_does_until_it_says_otherwise() -> Result<()> {
    let world = World::start_with(TwitchSim::start().await?, |config| {
        config.twitch.products = vec!["rain:100:15".parse().expect("a product")];
    })
    .await?;
    let offered = world.get(PRODUCTS).await?;
    let rain = json!({ "sku": "rain", "name": "rain", "price": 100, "duration_s": 15.0 });
    ensure!(
        offered.json() == json!({ "products": [rain], "version": 0 }),
        "{offered:?}"
    );
    let snow = json!({
        "sku": "snow", "name": "Snow", "price": 200, "duration_s": 7.5, "pipeline": "debug-invert",
        "params": { "seed": 2 },
    });
    let body = json!({ "products": [snow] });
    let answer = put(&world, PRODUCTS, &body, "\"0\"").await?;
    ensure!(
        answer.status == 200 && answer.header("etag") == "\"1\"",
        "{answer:?}"
    );
    let offered = world.get(PRODUCTS).await?;
    ensure!(
        offered.json() == json!({ "products": [snow], "version": 1 }),
        "{offered:?}"
    );
    is_problem(&put(&world, PRODUCTS, &body, "\"0\"").await?, 412, "\"1\"")?;
    is_problem(&put(&world, PRODUCTS, &body, "1").await?, 400, "If-Match")?;
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sold_is_refused_in_words() -> Result<()> {
    let world = World::start().await?;
    let good = json!({ "sku": "rain", "price": 100, "duration_s": 15 });
    let with = |key: &str, value: Value| {
        let mut product = good.clone();
        product[key] = value;
        json!({ "products": [product] })
    };
    for (body, words) in [
        (with("sku", json!("ra in")), "is no SKU"),
        (
            with("price", json!(10_001)),
            "a price of 10001; accepted are 0 to 10000",
        ),
        (with("price", json!(-1)), "a price of -1"),
        (
            with("duration_s", json!(0.5)),
            "a duration_s of 0.5; accepted are 1 to 120",
        ),
        (with("name", json!("")), "a name"),
        (with("pipeline", json!("no-such")), "debug-invert"),
        (with("params", json!([1])), "expected a map"),
        (
            with("params", json!({ "model_id": "other/model" })),
            "/products/0/params/model_id",
        ),
        (with("colour", json!("red")), "colour"),
        (json!({ "products": [good, good] }), "is there twice"),
    ] {
        is_problem(&put(&world, PRODUCTS, &body, "*").await?, 422, words)?;
    }
    ensure!(world.get(PRODUCTS).await?.json()["version"] == 0);
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocklist_is_kept_and_asked_before_anything_is_paid() -> Result<()> {
    let world = World::start().await?;
    let none = world.get(BLOCKLIST).await?;
    ensure!(none.json()["entries"] == json!([]), "{none:?}");
    let answer = put(&world, BLOCKLIST, &json!({ "entries": ["Rain"] }), "\"0\"").await?;
    ensure!(
        answer.status == 200 && answer.header("etag") == "\"1\"",
        "{answer:?}"
    );
    ensure!(world.get(BLOCKLIST).await?.json()["entries"] == json!(["Rain"]));
    let refused = world.submit("7").await.expect_err("a prompt with the word");
    ensure!(refused.to_string().contains("does not take"), "{refused}");
    is_problem(
        &put(&world, BLOCKLIST, &json!({ "entries": ["?!"] }), "\"1\"").await?,
        422,
        "no letter",
    )?;
    is_problem(
        &put(&world, BLOCKLIST, &json!({ "entries": [] }), "\"0\"").await?,
        412,
        "\"1\"",
    )?;
    ensure!(world.store.blocklist(CHANNEL).await?.1 == 1);
    world.stop().await;
    Ok(())
}
