//! Parameters of a channel's pipeline over HTTP: read, patched, refused, told, and kept over pipelines.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Secret;
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::{TestServer, config};
use reverie_sfu::{Server, StartError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::conformance::{OFFER, SDP, is_problem};

const PARAMS: &str = "/v1/channels/show/pipeline/params";
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// A server on which somebody is about to publish the channel `show`.
async fn with_channel(server: TestServer) -> Result<TestServer> {
    let begun = send(Method::POST, &server.url("/whip/show"), &[SDP], OFFER).await?;
    ensure!(begun.status == 201, "{begun:?}");
    Ok(server)
}

async fn patch(server: &TestServer, patch: &Value) -> Result<Answer> {
    let url = server.url(PARAMS);
    send(Method::PATCH, &url, &[MERGE], patch.to_string()).await
}

/// The patch was followed; returns the whole and its entity tag.
async fn patched(server: &TestServer, wanted: &Value) -> Result<(Value, String)> {
    let answer = patch(server, wanted).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok((answer.json(), answer.header("etag").to_owned()))
}

async fn params(server: &TestServer) -> Result<Value> {
    let answer = http::get(&server.url(PARAMS)).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.json())
}

async fn status(server: &TestServer) -> Result<Value> {
    let url = server.url("/v1/channels/show/pipeline");
    Ok(http::get(&url).await?.json())
}

async fn status_until(
    server: &TestServer,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = status(server).await?;
        if wanted(&now) {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "never {what}: {now}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn warm(server: &TestServer, pipeline: &str) -> Result<()> {
    let url = server.url("/v1/channels/show/warm");
    let answer = http::post(&url, &json!({ "pipeline": pipeline })).await?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(())
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().into_iter().flatten();
    errors.filter_map(|e| e["pointer"].as_str()).collect()
}

/// The events of the channel until the server stopped, by type.
fn events(body: &str) -> Vec<(String, Value)> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|text| serde_json::from_str::<Value>(text).ok())
        .map(|event| {
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            (kind, event["data"].clone())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_read_and_patched_as_a_whole() -> Result<()> {
    let server = TestServer::start().await?;
    is_problem(&http::get(&server.url(PARAMS)).await?, 404, "show")?;
    is_problem(&patch(&server, &json!({})).await?, 404, "show")?;
    let server = with_channel(server).await?;
    let before = params(&server).await?;
    ensure!(
        before["prompt"] == "flowers" && before["t_index_list"] == json!([12, 20, 32]),
        "{before}"
    );
    let wanted = json!({ "prompt": [["winter", 1], ["fire", 0.5]], "guidance_scale": 1.2, "t_index_list": [5, 16] });
    let (after, tag) = patched(&server, &wanted).await?;
    ensure!(
        after["prompt"] == json!([["winter", 1.0], ["fire", 0.5]]),
        "{after}"
    );
    ensure!(after["delta"] == before["delta"], "{after}");
    ensure!(params(&server).await? == after, "it is kept");
    let hash = status(&server).await?["params_hash"].clone();
    ensure!(json!(tag.trim_matches('"')) == hash, "{tag} {hash}");

    let (same, same_tag) = patched(&server, &json!({})).await?;
    ensure!(
        same == after && same_tag == tag,
        "an empty patch changes nothing"
    );
    let (back, _) = patched(
        &server,
        &json!({ "prompt": null, "guidance_scale": null, "t_index_list": null }),
    )
    .await?;
    ensure!(back == before, "null brings back the defaults: {back}");
    let plain = ("content-type", "application/json; charset=utf-8");
    let answer = send(
        Method::PATCH,
        &server.url(PARAMS),
        &[plain],
        r#"{"seed": 5}"#,
    )
    .await?;
    ensure!(
        answer.status == 200 && answer.json()["seed"] == 5,
        "{answer:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_patch_is_refused_with_every_pointer_and_changes_nothing() -> Result<()> {
    let server = with_channel(TestServer::start().await?).await?;
    let before = params(&server).await?;
    let wrong = json!({
        "prompt": "kept out", "guidance_scal": 2, "t_index_list": [60], "width": 500,
        "lora_dict": { "a/../b": 1 }, "processors": [{ "type": "canny", "low_threshold": 0 }],
    });
    let answer = patch(&server, &wrong).await?;
    is_problem(
        &answer,
        422,
        "/guidance_scal: is no parameter; did you mean guidance_scale?",
    )?;
    let problem = answer.json();
    ensure!(
        pointers(&problem)
            == [
                "/guidance_scal",
                "/lora_dict/a~1..~1b",
                "/processors/0/low_threshold",
                "/t_index_list/0",
                "/width"
            ],
        "{problem}"
    );
    let wrong = json!({ "num_inference_steps": 20 });
    let problem = patch(&server, &wrong).await?.json();
    ensure!(
        pointers(&problem) == ["/t_index_list/1", "/t_index_list/2"],
        "{problem}"
    );
    let wrong = json!({ "model_id": "no/such-model", "vae_id": "nor-this" });
    let answer = patch(&server, &wrong).await?;
    is_problem(&answer, 422, "no/such-model is not in")?;
    ensure!(
        pointers(&answer.json()) == ["/model_id", "/vae_id"],
        "{answer:?}"
    );
    for (body, says) in [
        ("{", "EOF"),
        ("[]", "expected an object"),
        ("7", "expected an object"),
    ] {
        let answer = send(Method::PATCH, &server.url(PARAMS), &[MERGE], body).await?;
        is_problem(&answer, 422, says)?;
    }
    let text = ("content-type", "text/plain");
    let answer = send(Method::PATCH, &server.url(PARAMS), &[text], "{}").await?;
    is_problem(&answer, 415, "application/merge-patch+json")?;
    let large = json!({ "prompt": "x".repeat(70_000) });
    is_problem(&patch(&server, &large).await?, 413, "65536")?;
    ensure!(params(&server).await? == before, "nothing was changed");
    ensure!(
        server.metric("reverie_params_patches_total").await? >= 4.0,
        "counted"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_what_has_changed_meanwhile_is_refused() -> Result<()> {
    let server = with_channel(TestServer::start().await?).await?;
    let (_, old) = patched(&server, &json!({ "seed": 1 })).await?;
    let (_, new) = patched(&server, &json!({ "seed": 2 })).await?;
    let url = server.url(PARAMS);
    let answer = send(
        Method::PATCH,
        &url,
        &[MERGE, ("if-match", &old)],
        r#"{"seed": 3}"#,
    )
    .await?;
    is_problem(&answer, 412, &new)?;
    for tag in [new.as_str(), "*"] {
        let answer = send(
            Method::PATCH,
            &url,
            &[MERGE, ("if-match", tag)],
            r#"{"seed": 2}"#,
        )
        .await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_follows_a_patch_and_a_new_pipeline_begins_with_it() -> Result<()> {
    let server = with_channel(TestServer::start().await?).await?;
    let url = server.url("/v1/channels/show/events");
    let listening = tokio::spawn(async move { http::get(&url).await });
    server
        .series_until("reverie_events_connections", "listened to", |n| n > 0.0)
        .await?;
    ensure!(
        status(&server).await?["state"] == "OFFLINE",
        "nothing is loaded"
    );
    patched(&server, &json!({ "seed": 4 })).await?;
    warm(&server, "processors").await?;
    let loaded = status_until(&server, "loaded", |s| s["state"] == "ONLINE").await?;
    ensure!(
        loaded["name"] == "processors" && loaded["phase"] == "warm",
        "{loaded}"
    );
    let (_, tag) = patched(
        &server,
        &json!({ "processors": ["blur"], "prompt": "winter" }),
    )
    .await?;
    let in_force = |tag: &str| {
        let tag = tag.trim_matches('"').to_owned();
        move |s: &Value| s["last_params_hash"] == tag.as_str()
    };
    status_until(&server, "in force", in_force(&tag)).await?;
    http::post(&server.url("/v1/channels/show/cool"), &json!({})).await?;
    let cold = status_until(&server, "unloaded", |s| s["state"] == "OFFLINE").await?;
    ensure!(
        cold["last_params_hash"].is_null() && cold["params_hash"] == tag.trim_matches('"'),
        "{cold}"
    );
    warm(&server, "processors").await?;
    status_until(&server, "in force again", in_force(&tag)).await?;
    server.stop().await;

    let events = events(&listening.await??.body);
    let told: Vec<_> = events
        .iter()
        .filter(|(kind, _)| kind == "pipeline.params")
        .map(|(_, data)| data)
        .collect();
    ensure!(told.len() == 2, "{told:?}");
    ensure!(
        told[0]["applied"] == false
            && told[0]["fields"] == json!(["seed"])
            && told[0]["reason"].is_null(),
        "{told:?}"
    );
    ensure!(
        told[1]["applied"] == true
            && told[1]["fields"] == json!(["prompt", "processors"])
            && told[1]["hash"] == tag.trim_matches('"')
            && told[1]["frame"] == 0,
        "{told:?}"
    );
    let states: Vec<_> = events
        .iter()
        .filter(|(kind, _)| kind == "pipeline.status")
        .filter_map(|(_, data)| data["state"].as_str())
        .collect();
    let mut states = states;
    states.dedup();
    ensure!(
        states == ["LOADING", "ONLINE", "OFFLINE", "LOADING", "ONLINE"],
        "{states:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_lays_its_parameters_over_the_channels_while_it_is_shown() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    // What the stage is to have while the moment is shown.
    let (_, tag) = patched(
        &server,
        &json!({ "processors": ["blur"], "seed": 5, "prompt": "rain" }),
    )
    .await?;
    let (_, own) = patched(
        &server,
        &json!({ "processors": null, "seed": null, "prompt": "rain" }),
    )
    .await?;
    let moments = server.url("/v1/channels/show/moments");
    let ask = |params: Value| {
        let url = &moments;
        let body = json!({ "prompt": "rain", "pipeline": "processors", "duration_s": 60, "params": params });
        async move { http::post(url, &body).await }
    };
    for (params, pointer) in [
        (json!({ "model_id": "other/model" }), "/params/model_id"),
        (json!({ "prompt": "snow" }), "/params/prompt"),
        (json!({ "seeds": 5 }), "/params/seeds"),
    ] {
        let answer = ask(params).await?;
        is_problem(&answer, 422, pointer)?;
        ensure!(pointers(&answer.json()) == [pointer], "{answer:?}");
    }
    let asked = ask(json!({ "processors": ["blur"], "seed": 5 })).await?;
    ensure!(asked.status == 201, "{asked:?}");
    let moment = asked.json();
    ensure!(moment["params"]["seed"] == 5, "{moment}");
    let in_force = |tag: String| move |s: &Value| s["last_params_hash"] == tag.trim_matches('"');
    let shown = status_until(&server, "laid over", in_force(tag)).await?;
    ensure!(shown["params_hash"] == own.trim_matches('"'), "{shown}");
    let id = moment["id"].as_str().context("an id")?.to_owned();
    status_until(&server, "shown", |s| s["phase"] == "active").await?;
    send(
        Method::POST,
        &server.url(&format!("/v1/moments/{id}/stop")),
        &[],
        "",
    )
    .await?;
    server.ended(&id).await?;
    let next = ask(json!({})).await?;
    ensure!(next.status == 201, "{next:?}");
    status_until(&server, "the channel's own again", in_force(own)).await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_shows_in_the_status_and_loading_again_is_counted() -> Result<()> {
    let server = with_channel(TestServer::start().await?).await?;
    for restarts in 0..3 {
        warm(&server, "fail-load").await?;
        let failed = status_until(&server, "failed", |s| {
            s["state"] == "ERROR" && s["restart_count"] == restarts
        })
        .await?;
        let error = failed["last_error"].as_str().unwrap_or_default();
        ensure!(error.contains("the test says so"), "{failed}");
    }
    warm(&server, "passthrough").await?;
    let well = status_until(&server, "loaded", |s| s["state"] == "ONLINE").await?;
    ensure!(well["restart_count"] == 3, "{well}");
    ensure!(
        server
            .series("reverie_pipeline_status{state=\"ONLINE\"}")
            .await?
            == 1.0,
        "one"
    );
    ensure!(
        server
            .series("reverie_pipeline_status{state=\"ERROR\"}")
            .await?
            == 0.0,
        "none"
    );
    ensure!(
        server.metric("reverie_pipeline_restarts_total").await? == 3.0,
        "three"
    );
    // A stage without parameters keeps none of them in force, and the channel keeps them.
    patched(&server, &json!({ "seed": 4 })).await?;
    ensure!(status(&server).await?["last_params_hash"].is_null(), "none");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_describes_what_is_read() -> Result<()> {
    let server = with_channel(TestServer::start().await?).await?;
    let answer = http::get(&server.url(&format!("{PARAMS}/schema"))).await?;
    ensure!(
        answer.status == 200 && answer.header("content-type") == "application/schema+json",
        "{answer:?}"
    );
    let schema = answer.json();
    let properties = schema["properties"].as_object().context("properties")?;
    let params = params(&server).await?;
    let read = params.as_object().context("an object")?;
    ensure!(properties.keys().eq(read.keys()), "{schema}");
    for (name, value) in read {
        ensure!(properties[name]["default"] == *value, "{name}");
    }
    ensure!(
        properties["width"]["x-reload"] == true && properties["prompt"]["x-reload"].is_null(),
        "{schema}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pipeline_is_listed_with_what_it_needs() -> Result<()> {
    let server = TestServer::start().await?;
    let listed = http::get(&server.url("/v1/pipelines")).await?.json();
    let all = listed["pipelines"].as_array().context("a list")?;
    let named = |name: &str| {
        all.iter()
            .find(|p| p["name"] == name)
            .context(name.to_owned())
    };
    for name in ["passthrough", "debug-invert", "processors"] {
        let entry = named(name)?;
        ensure!(
            entry["available"] == true
                && entry["reason"].is_null()
                && entry["min_vram_mb"].is_null(),
            "{entry}"
        );
    }
    let style = named("streamdiffusion")?;
    let says = if cfg!(feature = "torch") {
        "stabilityai/sd-turbo is not in"
    } else {
        "built without libtorch"
    };
    ensure!(
        style["available"] == false && style["reason"].as_str().is_some_and(|r| r.contains(says)),
        "{style}"
    );
    ensure!(
        style["min_vram_mb"].as_u64().is_some_and(|mb| mb > 0),
        "{style}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_takes_the_token_of_the_controls() -> Result<()> {
    let mut config = config();
    config.auth.publish_token = Secret::new("publish-0123456789").ok();
    config.auth.watch_token = Secret::new("watch-0123456789").ok();
    config.auth.control_token = Secret::new("control-0123456789").ok();
    let server = TestServer::start_with(config).await?;
    let bearer = |who: &str| format!("Bearer {who}-0123456789");
    let publish = bearer("publish");
    let begun = send(
        Method::POST,
        &server.url("/whip/show"),
        &[SDP, ("authorization", &publish)],
        OFFER,
    )
    .await?;
    ensure!(begun.status == 201, "{begun:?}");
    let watching = [
        "/v1/channels/show/pipeline",
        "/v1/channels/show/pipeline/params/schema",
        "/v1/pipelines",
    ];
    for (method, path, opens) in [
        (Method::GET, PARAMS, ["watch", "publish"].as_slice()),
        (Method::PATCH, PARAMS, &["control"]),
        (Method::GET, watching[0], &["watch", "publish"]),
        (Method::GET, watching[1], &["watch", "publish"]),
        (Method::GET, watching[2], &["watch", "publish"]),
    ] {
        let url = server.url(path);
        let none = send(method.clone(), &url, &[MERGE], "{}").await?;
        is_problem(&none, 401, "Bearer")?;
        for who in ["watch", "publish", "control"] {
            let token = bearer(who);
            let answer = send(
                method.clone(),
                &url,
                &[MERGE, ("authorization", &token)],
                "{}",
            )
            .await?;
            let wanted = if opens.contains(&who) { 200 } else { 403 };
            ensure!(
                answer.status == wanted,
                "{method} {path} as {who}: {answer:?}"
            );
        }
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_begin_with_the_parameters_of_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("params.json");
    let mut config = config();
    config.diffusion.params = Some(file.clone());
    for (text, says) in [
        (None, "No such file"),
        (Some("{"), "EOF"),
        (Some(r#"{"sed": 1}"#), "did you mean seed?"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text)?;
        }
        match Server::start(config.clone()).await {
            Err(error @ StartError::Params { .. }) => {
                let told = error.to_string();
                ensure!(
                    told.contains("diffusion.params") && told.contains(says),
                    "{told}"
                );
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    std::fs::write(&file, r#"{"seed": 17, "prompt": "winter"}"#)?;
    let server = with_channel(TestServer::start_with(config).await?).await?;
    let before = params(&server).await?;
    ensure!(
        before["seed"] == 17 && before["prompt"] == "winter",
        "{before}"
    );
    let (after, _) = patched(&server, &json!({ "seed": 3 })).await?;
    ensure!(after["seed"] == 3, "{after}");
    let (back, _) = patched(&server, &json!({ "seed": null })).await?;
    ensure!(
        back == before,
        "null brings back the server's defaults: {back}"
    );
    server.stop().await;
    Ok(())
}
