//! What `/openapi.json` says is what the server answers and takes.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::http::{self, Answer, send};
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::conformance::{OFFER, SDP, is_problem};

/// The document, and what it says.
struct Document(Value);

impl Document {
    async fn of(server: &TestServer) -> Result<Self> {
        let answer = http::get(&server.url("/openapi.json")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.header("content-type") == "application/json");
        Ok(Self(answer.json()))
    }

    /// What is wrong with a value of the schema of this name, as a validator that is not ours says.
    async fn faults(&self, name: &str, value: &Value) -> Result<Vec<String>> {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": self.0["components"],
        });
        let pairs = json!([{ "schema": schema, "value": value }]);
        let mut node = Command::new("node")
            .arg(root().join("integration-tests/clients/schema.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = node.stdin.take().context("its input")?;
        stdin.write_all(pairs.to_string().as_bytes()).await?;
        drop(stdin);
        let output = node.wait_with_output().await?;
        ensure!(output.status.success(), "{output:?}");
        let mut faults: Vec<Vec<String>> = serde_json::from_slice(&output.stdout)?;
        faults.pop().context("an answer")
    }

    /// The answer is what the document says of the operation.
    async fn fits(&self, method: &str, path: &str, answer: &Answer) -> Result<()> {
        let operation = &self.0["paths"][path][method];
        let told = &operation["responses"][answer.status.as_u16().to_string()];
        ensure!(told.is_object(), "{method} {path} has no {}", answer.status);
        let mut forms = told["content"].as_object().into_iter().flatten();
        let Some((media_type, content)) = forms.next() else {
            ensure!(answer.body.is_empty(), "{method} {path}: {answer:?}");
            return Ok(());
        };
        let sent = answer.header("content-type");
        ensure!(sent.starts_with(media_type), "{method} {path}: {sent}");
        if let Some(name) = content["schema"]["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap_or_default();
            let faults = self.faults(name, &answer.json()).await?;
            ensure!(faults.is_empty(), "{method} {path}: {faults:?} {answer:?}");
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_what_the_document_says() -> Result<()> {
    let server = TestServer::start().await?;
    let document = Document::of(&server).await?;
    let begun = send(Method::POST, &server.url("/whip/other"), &[SDP], OFFER).await?;
    document.fits("post", "/whip/{channel}", &begun).await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let channel = "/v1/channels/{channel}";
    for (path, real) in [
        ("/v1/channels".to_owned(), "/v1/channels"),
        (channel.to_owned(), "/v1/channels/show"),
        (format!("{channel}/pipeline"), "/v1/channels/show/pipeline"),
        (
            format!("{channel}/pipeline/params"),
            "/v1/channels/show/pipeline/params",
        ),
        (
            format!("{channel}/pipeline/params/schema"),
            "/v1/channels/show/pipeline/params/schema",
        ),
        ("/v1/pipelines".to_owned(), "/v1/pipelines"),
        (format!("{channel}/queue"), "/v1/channels/show/queue"),
        (format!("{channel}/policy"), "/v1/channels/show/policy"),
        (format!("{channel}/settings"), "/v1/channels/show/settings"),
        (format!("{channel}/products"), "/v1/channels/show/products"),
        (
            format!("{channel}/blocklist"),
            "/v1/channels/show/blocklist",
        ),
        ("/watch/{channel}".to_owned(), "/watch/show"),
        ("/extension.zip".to_owned(), "/extension.zip"),
        ("/healthz".to_owned(), "/healthz"),
        ("/readyz".to_owned(), "/readyz"),
        ("/version".to_owned(), "/version"),
        ("/openapi.json".to_owned(), "/openapi.json"),
    ] {
        document
            .fits("get", &path, &http::get(&server.url(real)).await?)
            .await?;
    }
    let paused = send(
        Method::POST,
        &server.url("/v1/channels/show/queue/pause"),
        &[],
        "",
    )
    .await?;
    document
        .fits("post", "/v1/channels/{channel}/queue/{act}", &paused)
        .await?;
    let wanted = json!({ "prompt": "rain", "params": { "seed": 5 } });
    ensure!(document.faults("NewMoment", &wanted).await?.is_empty());
    let moment = http::post(&server.url("/v1/channels/show/moments"), &wanted).await?;
    document
        .fits("post", "/v1/channels/{channel}/moments", &moment)
        .await?;
    let id = moment.json()["id"].as_str().context("an id")?.to_owned();
    let seen = http::get(&server.url(&format!("/v1/moments/{id}"))).await?;
    document.fits("get", "/v1/moments/{id}", &seen).await?;
    let queue = http::get(&server.url("/v1/channels/show/queue")).await?;
    ensure!(queue.json()["queue"][0]["id"] == id.as_str(), "{queue:?}");
    document
        .fits("get", "/v1/channels/{channel}/queue", &queue)
        .await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_refuses_is_refused_with_its_problem() -> Result<()> {
    let server = TestServer::start().await?;
    let document = Document::of(&server).await?;
    for wanted in [
        json!({}),
        json!({ "prompt": 5 }),
        json!({ "prompt": "rain", "colour": "red" }),
    ] {
        let faults = document.faults("NewMoment", &wanted).await?;
        ensure!(!faults.is_empty(), "{wanted} fits");
        let answer = http::post(&server.url("/v1/channels/show/moments"), &wanted).await?;
        is_problem(&answer, 422, "")?;
        let faults = document.faults("Problem", &answer.json()).await?;
        ensure!(faults.is_empty(), "{faults:?} {answer:?}");
    }
    let answer = http::get(&server.url("/v1/channels/show")).await?;
    ensure!(document.faults("Problem", &answer.json()).await?.is_empty());
    ensure!(
        !document
            .faults("Problem", &json!({ "status": "404" }))
            .await?
            .is_empty(),
        "a schema that takes everything says nothing"
    );
    server.stop().await;
    Ok(())
}
