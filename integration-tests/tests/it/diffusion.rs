//! A moment with a real model: the prompt is changed while it runs, and the picture follows.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{self, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::{Value, json};

/// What a change may take until the first changed picture is seen, beside the time of one frame.
const CHANGE: f64 = 0.3;
/// Pictures that tell what a prompt looks like.
const LOOK: usize = 8;

/// Mean luma of the 16 parts of a picture, with the time when it was seen in Unix seconds.
struct Seen {
    t: f64,
    tiles: Vec<f64>,
}

/// The pictures among `lines` that a model made: their bar code cannot be read.
fn styled(lines: &[Value]) -> Vec<Seen> {
    let frames = lines
        .iter()
        .filter(|l| l["event"] == "frame" && l["n"].is_null());
    frames
        .map(|frame| Seen {
            t: frame["t"].as_f64().unwrap_or_default(),
            tiles: frame["tiles"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_f64)
                .collect(),
        })
        .collect()
}

fn mean(pictures: &[Seen]) -> Vec<f64> {
    (0..16)
        .map(|tile| pictures.iter().map(|p| p.tiles[tile]).sum::<f64>() / pictures.len() as f64)
        .collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

async fn until_styled(player: &mut Client, count: usize) -> Result<()> {
    let from = player.seen.len();
    while styled(&player.seen[from..]).len() < count {
        let at = player.seen.len();
        player
            .wait_from(at, "a picture of the model", |l| l["event"] == "frame")
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_patched_in_a_moment_changes_the_picture_at_once_without_a_reload() -> Result<()> {
    let mut config = config();
    config.models.dir = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../diffusion/tests/fixtures/models"
    ));
    let server = TestServer::start_with(config).await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    player
        .wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;

    let params = server.url("/v1/channels/show/pipeline/params");
    let merge = ("content-type", "application/merge-patch+json");
    let model = json!({
        "model_id": "turbo", "vae_id": "taesd", "width": 384, "height": 384,
        "t_index_list": [0], "cfg_type": "none", "prompt": "a cat",
    });
    let answer = send(Method::PATCH, &params, &[merge], model.to_string()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let id = server.moment("show", "streamdiffusion", 120.0).await?;
    until_styled(&mut player, LOOK).await?;
    let sessions = server.channel("show").await?.json()["viewers"].clone();

    player.catch_up();
    let from = player.seen.len();
    until_styled(&mut player, LOOK).await?;
    let before = styled(&player.seen[from..]);
    let (patched, at) = (json!({ "prompt": "neon flowers, the dog" }), now());
    let answer = send(Method::PATCH, &params, &[merge], patched.to_string()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let from = player.seen.len();
    // The change, and long after it.
    until_styled(&mut player, 6 * LOOK).await?;
    let seen = styled(&player.seen[from..]);
    let after: Vec<_> = seen.into_iter().filter(|picture| picture.t > at).collect();
    let settled = mean(&after[after.len() - LOOK..]);
    let was = mean(&before);
    let step = distance(&was, &settled);
    let noise = before
        .iter()
        .map(|p| distance(&p.tiles, &was))
        .fold(0.0, f64::max);
    ensure!(
        step > 4.0 * noise,
        "the prompts look alike: {step} of {noise}"
    );
    let waited = after
        .iter()
        .position(|picture| distance(&picture.tiles, &settled) < step / 2.0)
        .context("no picture is changed")?;
    let changed = &after[waited];
    let first = before.first().context("there were pictures")?.t;
    let last = before.last().context("there were pictures")?.t;
    let frame = (last - first) / (before.len() - 1) as f64;
    // The player decodes a picture when the next one begins, which is another frame. Where a frame takes longer than all
    // of this, what counts is that none was begun without the change: one was in work, and the player held one.
    let took = changed.t - at;
    ensure!(
        took <= CHANGE + frame + frame || waited <= 2,
        "the change took {took:.3} s and {waited} pictures at {frame:.3} s a frame"
    );

    let status = http::get(&server.url("/v1/channels/show/pipeline"))
        .await?
        .json();
    ensure!(
        status["last_params_hash"] == status["params_hash"] && status["reload"].is_null(),
        "{status}"
    );
    let url = server.url(&format!("/v1/moments/{id}/stop"));
    ensure!(
        http::post(&url, &json!({})).await?.status.is_success(),
        "the moment is stopped"
    );
    server.ended(&id).await?;
    let from = player.seen.len();
    player
        .wait_from(from, "the camera again", |l| {
            l["event"] == "frame" && !l["n"].is_null()
        })
        .await?;
    let channel = server.channel("show").await?.json();
    ensure!(
        channel["viewers"] == sessions && channel["live"] == true,
        "{channel}"
    );
    for client in [&mut player, &mut publisher] {
        client.stop().await?;
    }
    server.stop().await;
    Ok(())
}
