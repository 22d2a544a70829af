//! Publishers as they come: sound or a picture alone, other sizes and rates, B-frames, stereo.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::frames;
use reverie_integration_tests::http;
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};
use tokio::process::Command;

/// What an aiortc player saw of a moment of `seconds`, from the camera to the camera.
async fn seen_through(
    server: &TestServer,
    channel: &str,
    player: &mut Client,
    seconds: f64,
) -> Result<Vec<Value>> {
    let is_camera = |line: &Value| line["event"] == "frame" && line["inverted"] == false;
    player.wait_for("the camera", is_camera).await?;
    let from = player.seen.len();
    let id = server.moment(channel, "debug-invert", seconds).await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    server
        .channel_until(channel, "back on the camera", |c| {
            c["pipeline"]["state"] == "warm"
        })
        .await?;
    player.catch_up();
    let until = player.seen.len();
    player
        .wait_from(until, "the camera again", is_camera)
        .await?;
    let frames = player.seen[from..].iter().filter(|l| l["event"] == "frame");
    Ok(frames.cloned().collect())
}

/// True for pictures of the moment.
fn is_styled(frame: &Value) -> bool {
    frame["inverted"] == true
}

/// All pictures are there to be read, in order, and one run of them is transformed.
fn one_moment(seen: &[Value]) -> Result<()> {
    let pictures = frames::of_player(seen);
    let faults = frames::faults(&pictures);
    ensure!(faults.is_empty(), "{faults:?}");
    let runs = frames::moments(&pictures);
    ensure!(runs.len() == 1, "{runs:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_changes_its_size_stays_one_stream_through_a_moment() -> Result<()> {
    let server = TestServer::start().await?;
    let sizes = ["--size", "640x360", "480x272"];
    let mut publisher = Client::aiortc_publish_with(&server.url("/whip/show"), &sizes)?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    // Each size has its turn for 1.5 s.
    let seen = seen_through(&server, "show", &mut player, 4.0).await?;
    one_moment(&seen)?;
    let sizes: BTreeSet<String> = seen
        .iter()
        .filter(|frame| is_styled(frame))
        .map(|frame| frame["size"].to_string())
        .collect();
    ensure!(
        sizes == BTreeSet::from(["[480,272]".to_owned(), "[640,360]".to_owned()]),
        "{sizes:?}"
    );
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_and_sixty_pictures_a_second_stay_so_in_a_moment() -> Result<()> {
    let server = TestServer::start().await?;
    for fps in [50_u64, 60] {
        let channel = format!("at{fps}");
        let (url, rate) = (server.url(&format!("/whip/{channel}")), fps.to_string());
        let options = ["--size", "320x180", "--fps", &rate];
        // FFmpeg's muxer ignores requests for keyframes, aiortc answers them.
        let mut publisher = if fps == 50 {
            Client::aiortc_publish_with(&url, &options)?
        } else {
            Client::ffmpeg_publish_with(&url, &options)?
        };
        let mut player = Client::aiortc_watch(&server.url(&format!("/whep/{channel}")))?;
        let seen = seen_through(&server, &channel, &mut player, 2.0).await?;
        one_moment(&seen)?;
        let transformed: Vec<u64> = seen
            .iter()
            .filter(|frame| is_styled(frame))
            .filter_map(|frame| frame["pts"].as_u64())
            .collect();
        let mut steps: Vec<u64> = transformed
            .windows(2)
            .map(|t| t[1].abs_diff(t[0]))
            .collect();
        steps.sort_unstable();
        let median = steps.get(steps.len() / 2).context("pictures")?;
        ensure!(
            median.abs_diff(90_000 / fps) <= 1,
            "at {fps}: a picture every {median} ticks"
        );
        player.stop().await?;
        publisher.stop().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_play_through_a_moment_with_a_warning() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("b_frames.mp4");
    let made = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("integration-tests/clients/make_clip.py"))
        .arg(&clip)
        .args(["--seconds", "20", "--size", "320x180", "--b-frames", "2"])
        .status()
        .await?;
    ensure!(made.success(), "make_clip.py ends with {made}");
    let server = TestServer::start().await?;
    let clip = clip.to_str().context("a path in UTF-8")?;
    let mut publisher = Client::aiortc_publish_with(&server.url("/whip/show"), &["--clip", clip])?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    let seen = seen_through(&server, "show", &mut player, 3.0).await?;
    one_moment(&seen)?;
    let channel = server.channel("show").await?.json();
    ensure!(channel["warnings"] == json!(["b_frames"]), "{channel}");
    player.stop().await?;
    publisher.stop().await?;
    server
        .channel_until("show", "offline without a warning", |c| {
            c["live"] == false && c["warnings"] == json!([])
        })
        .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn left_and_right_stay_apart() -> Result<()> {
    let server = TestServer::start().await?;
    let options = ["--size", "320x180", "--pan", "left"];
    let mut publisher = Client::ffmpeg_publish_with(&server.url("/whip/show"), &options)?;
    let mut player = Client::aiortc_watch(&server.url("/whep/show"))?;
    // A sine at a quarter of full scale, and silence.
    player
        .wait_for("sound on the left alone", |l| {
            let side = |i: usize| l["sides"][i].as_f64().unwrap_or(1.0);
            l["event"] == "audio" && (side(0) - 0.177).abs() < 0.03 && side(1) < 0.01
        })
        .await?;
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_is_heard_and_cannot_be_transformed() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish_only(&server.url("/whip/radio"), "audio")?;
    let mut player = Client::aiortc_watch(&server.url("/whep/radio"))?;
    player
        .wait_for("sound", |l| {
            l["event"] == "audio" && l["frames"].as_f64() > Some(0.0)
        })
        .await?;
    let channel = server
        .channel_until("radio", "live", |c| c["live"] == true)
        .await?;
    ensure!(
        channel["audio"] == true && channel["video"] == false,
        "{channel}"
    );

    let body = json!({ "prompt": "a test", "duration_s": 5 });
    let answer = http::post(&server.url("/v1/channels/radio/moments"), &body).await?;
    ensure!(
        answer.status == 409 && answer.body.contains("sound only"),
        "{answer:?}"
    );
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_alone_is_seen_and_transformed() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish_only(&server.url("/whip/silent"), "video")?;
    let mut player = Client::aiortc_watch(&server.url("/whep/silent"))?;
    player
        .wait_for("a picture", |l| {
            l["event"] == "frame" && l["inverted"] == false
        })
        .await?;
    let id = server.moment("silent", "debug-invert", 2.0).await?;
    player
        .wait_for("a transformed picture", |l| {
            l["event"] == "frame" && l["inverted"] == true
        })
        .await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    player.stop().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}
