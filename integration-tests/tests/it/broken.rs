//! Models that cannot be used, asked for over HTTP: refused in one line with file and key, and everything goes on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::http::{self, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::{Value, json};

use crate::conformance::{OFFER, SDP, is_problem};

const PARAMS: &str = "/v1/channels/show/pipeline/params";
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../diffusion/tests/fixtures/models")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

fn set(path: &Path, key: &str, value: Value) -> Result<()> {
    let mut config: Value = serde_json::from_slice(&fs::read(path)?)?;
    config[key] = value;
    Ok(fs::write(path, config.to_string())?)
}

/// A folder with a whole model and five that are not.
fn models() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for name in ["whole", "missing", "cut", "shape", "prediction", "class"] {
        copy(&fixtures().join("turbo"), &folder.path().join(name))?;
    }
    let at = |name: &str| folder.path().join(name);
    fs::remove_file(at("missing/unet/config.json"))?;
    let weights = at("cut/unet/diffusion_pytorch_model.safetensors");
    let file = fs::OpenOptions::new().write(true).open(&weights)?;
    file.set_len(file.metadata()?.len() - 1)?;
    set(&at("shape/vae/config.json"), "latent_channels", json!(8))?;
    let scheduler = at("prediction/scheduler/scheduler_config.json");
    set(&scheduler, "prediction_type", json!("v_prediction"))?;
    set(
        &at("class/model_index.json"),
        "_class_name",
        json!("FluxPipeline"),
    )?;
    Ok(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_used_is_refused_with_file_and_key_and_the_server_goes_on()
-> Result<()> {
    let folder = models()?;
    let mut config = config();
    config.models.dir = folder.path().to_owned();
    let server = TestServer::start_with(config).await?;
    let begun = send(Method::POST, &server.url("/whip/show"), &[SDP], OFFER).await?;
    ensure!(begun.status == 201, "{begun:?}");
    let before = http::get(&server.url(PARAMS)).await?.json();

    for (model, says) in [
        ("missing", "missing/unet/config.json: "),
        ("cut", "cut/unet/diffusion_pytorch_model.safetensors: "),
        ("shape", "shape/vae/diffusion_pytorch_model.safetensors: "),
        ("prediction", "scheduler_config.json: prediction_type: "),
        ("class", "class/model_index.json: _class_name: "),
    ] {
        let patch = json!({ "model_id": model }).to_string();
        let answer = send(Method::PATCH, &server.url(PARAMS), &[MERGE], patch).await?;
        is_problem(&answer, 422, says)?;
        let problem = answer.json();
        let error = &problem["errors"][0];
        ensure!(error["pointer"] == "/model_id", "{problem}");
        let detail = error["detail"].as_str().unwrap_or_default();
        ensure!(!detail.contains('\n'), "one line: {detail:?}");
    }
    let image =
        |image: &str| json!({ "ip_adapter": { "model_id": "whole", "image": image } }).to_string();
    for (image, says) in [
        (
            image("http://169.254.169.254/a.png"),
            "addresses are not fetched",
        ),
        (image("data:image/png;base64,AAAA"), "neither PNG nor JPEG"),
        (image("whole/model_index.json"), "neither PNG nor JPEG"),
        (image("whole/no.png"), "no.png"),
    ] {
        let answer = send(Method::PATCH, &server.url(PARAMS), &[MERGE], image).await?;
        is_problem(&answer, 422, says)?;
        let problem = answer.json();
        let pointer = &problem["errors"][0]["pointer"];
        ensure!(pointer == "/ip_adapter/image", "{problem}");
    }

    let after = http::get(&server.url(PARAMS)).await?.json();
    ensure!(after == before, "nothing was changed: {after}");
    let patch = json!({ "model_id": "whole" }).to_string();
    let answer = send(Method::PATCH, &server.url(PARAMS), &[MERGE], patch).await?;
    ensure!(answer.status == 200, "{answer:?}");
    server.stop().await;
    Ok(())
}
