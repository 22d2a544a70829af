//! The WHEP extension "server-sent events".

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::http::{Answer, get, send};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{chromium, is_problem, links, session};

const EXTENSION: &str = "urn:ietf:params:whep:ext:core:server-sent-events";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A waiting viewer that never connects, kept for as long as a test takes.
async fn start(setup: Duration) -> Result<(TestServer, String, String)> {
    let mut config = config();
    config.media.setup_timeout = setup;
    let server = TestServer::start_with(config).await?;
    let (created, viewer) = session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    let link = links(&created, EXTENSION);
    ensure!(link.len() == 1, "{created:?}");
    let target = link[0].strip_prefix('<').and_then(|l| l.split('>').next());
    let events = server.url(target.context("a target")?);
    Ok((server, viewer, events))
}

/// A stream of all events, or of those in the body; its URL.
async fn subscribe(server: &TestServer, events: &str, body: &str) -> Result<String> {
    let made = send(Method::POST, events, &[JSON], body.to_owned()).await?;
    ensure!(made.status == 201, "{made:?}");
    Ok(server.url(made.header("location")))
}

/// Reads a stream to its end, which its session or the server makes.
async fn read(server: &TestServer, url: &str) -> Result<JoinHandle<Result<Answer>>> {
    let url = url.to_owned();
    let reader = tokio::spawn(async move { get(&url).await });
    server
        .metric_until("reverie_events_connections", 1.0)
        .await?;
    Ok(reader)
}

/// Names and data of the events of a whole stream.
fn told(stream: &Answer) -> Result<Vec<(String, Value)>> {
    ensure!(
        stream.status == 200 && stream.header("content-type") == "text/event-stream",
        "{stream:?}"
    );
    let blocks = stream.body.split("\n\n").filter(|b| b.contains("data:"));
    blocks
        .map(|block| {
            let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name));
            let kind = field("event: ").context("a type")?.to_owned();
            Ok((
                kind,
                serde_json::from_str(field("data: ").context("data")?)?,
            ))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_a_viewer_is_told_of_the_stream_and_of_moments() -> Result<()> {
    let (server, viewer, events) = start(Duration::from_secs(60)).await?;
    let stream = subscribe(&server, &events, "").await?;
    let some = subscribe(&server, &events, r#"["active","moment"]"#).await?;
    let number = server.channel("show").await?.json()["event"].to_string();
    let all = read(&server, &stream).await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut watching = Client::aiortc_watch(&server.url("/whep/show"))?;
    server
        .channel_until("show", "watched", |c| c["viewers"] == 1)
        .await?;
    let id = server.moment("show", "debug-invert", 1.0).await?;
    server.ended(&id).await?;
    watching.stop().await?;
    publisher.stop().await?;
    server
        .channel_until("show", "offline", |c| c["live"] == false)
        .await?;
    let late =
        tokio::spawn(
            async move { send(Method::GET, &some, &[("last-event-id", &number)], "").await },
        );
    server
        .metric_until("reverie_events_connections", 2.0)
        .await?;
    ensure!(
        send(Method::DELETE, &viewer, &[], "").await?.status == 200,
        "{viewer}"
    );

    let told = told(&all.await??)?;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    ensure!(
        kinds.first() == Some(&"viewercount"),
        "no first inactive: {kinds:?}"
    );
    let active = kinds
        .iter()
        .position(|k| *k == "active")
        .context("active")?;
    let inactive = kinds
        .iter()
        .position(|k| *k == "inactive")
        .context("inactive")?;
    ensure!(active < inactive, "{kinds:?}");
    let counts: Vec<_> = told
        .iter()
        .filter(|(k, _)| k == "viewercount")
        .map(|(_, d)| &d["viewercount"])
        .collect();
    ensure!(counts.contains(&&Value::from(1)), "{counts:?}");
    let states: Vec<_> = told
        .iter()
        .filter(|(kind, data)| kind == "moment" && data["id"] == id.as_str())
        .filter_map(|(_, data)| data["state"].as_str())
        .collect();
    ensure!(
        states.contains(&"active") && states.last() == Some(&"completed"),
        "{states:?}"
    );
    ensure!(
        !kinds.contains(&"reconnect"),
        "the viewer itself ended it: {kinds:?}"
    );

    let late = self::told(&late.await??)?;
    ensure!(
        late.first().is_some_and(|(kind, _)| kind == "active")
            && late.len() > 2
            && late[1..].iter().all(|(kind, _)| kind == "moment"),
        "what was missed, and only what was asked for: {late:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_the_link_names_its_events_and_others_are_refused() -> Result<()> {
    let (server, viewer, events) = start(Duration::from_secs(60)).await?;
    let (created, _) = session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    let link = links(&created, EXTENSION)[0].to_owned();
    let listed = link
        .split("events=\"")
        .nth(1)
        .and_then(|l| l.split('"').next());
    let listed: Vec<_> = listed.context("events")?.split(',').collect();
    for wanted in [
        "active",
        "inactive",
        "layers",
        "viewercount",
        "reconnect",
        "moment",
    ] {
        ensure!(listed.contains(&wanted), "{link}");
    }
    let whole = serde_json::to_string(&listed)?;
    subscribe(&server, &events, &whole).await?;
    let unknown = send(Method::POST, &events, &[JSON], r#"["active","scte35"]"#).await?;
    is_problem(&unknown, 400, "scte35")?;
    let other = send(
        Method::POST,
        &events,
        &[("content-type", "text/plain")],
        "active",
    )
    .await?;
    is_problem(&other, 415, "application/json")?;
    ensure!(
        send(Method::DELETE, &viewer, &[], "").await?.status == 200,
        "{viewer}"
    );
    let gone = send(Method::POST, &events, &[JSON], whole).await?;
    is_problem(&gone, 404, "session")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_a_deleted_event_stream_ends_and_is_gone() -> Result<()> {
    let (server, viewer, events) = start(Duration::from_secs(60)).await?;
    let stream = subscribe(&server, &events, "").await?;
    let reader = read(&server, &stream).await?;
    ensure!(
        send(Method::DELETE, &stream, &[], "").await?.status == 200,
        "{stream}"
    );
    reader.await??;
    is_problem(
        &send(Method::DELETE, &stream, &[], "").await?,
        404,
        "session",
    )?;
    is_problem(&get(&stream).await?, 404, "session")?;
    let (second, third) = (subscribe(&server, &events, "").await?, stream);
    ensure!(second != third, "a new stream has a new name");
    ensure!(
        send(Method::DELETE, &viewer, &[], "").await?.status == 200,
        "{viewer}"
    );
    is_problem(&get(&second).await?, 404, "session")?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_a_session_the_server_ends_is_told_to_reconnect() -> Result<()> {
    let (server, _, events) = start(Duration::from_secs(5)).await?;
    let stream = subscribe(&server, &events, "").await?;
    // The viewer never connects, and that ends its session.
    let told = told(&get(&stream).await?)?;
    ensure!(
        told.last().is_some_and(|(kind, _)| kind == "reconnect"),
        "{told:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_viewers_of_a_stopping_server_are_told_to_reconnect() -> Result<()> {
    let (server, _, events) = start(Duration::from_secs(60)).await?;
    let stream = subscribe(&server, &events, r#"["reconnect"]"#).await?;
    let reader = read(&server, &stream).await?;
    server.stop().await;
    let told = told(&reader.await??)?;
    ensure!(told.len() == 1 && told[0].0 == "reconnect", "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_layer_selection_is_linked_and_says_what_is_wrong() -> Result<()> {
    let server = TestServer::start().await?;
    let (created, viewer) = session(&server, "/whep/show?wait=1", &chromium("watch")?).await?;
    let link = links(&created, "urn:ietf:params:whep:ext:core:layer");
    let target = link.first().and_then(|l| l.strip_prefix('<'));
    let target = target.and_then(|l| l.split('>').next());
    let layer = server.url(target.context("a link")?);
    ensure!(layer == format!("{viewer}/layer"), "{layer}");
    let post = async |body: &str| send(Method::POST, &layer, &[JSON], body.to_owned()).await;
    let nothing = post(r#"{"encodingId":"h"}"#).await?;
    is_problem(&nothing, 422, "it sends none")?;
    let other = post(r#"{"mediaId":"77","encodingId":"h"}"#).await?;
    is_problem(&other, 422, "mediaId")?;
    is_problem(&post("[]").await?, 400, "selection")?;
    let plain = send(
        Method::POST,
        &layer,
        &[("content-type", "text/plain")],
        "{}",
    )
    .await?;
    is_problem(&plain, 415, "application/json")?;
    let freed = send(Method::DELETE, &layer, &[], "").await?;
    ensure!(
        freed.status == 200,
        "nothing was chosen, and that is no error: {freed:?}"
    );
    let gone = server.url("/whep/show/0123/layer");
    let gone = send(Method::DELETE, &gone, &[], "").await?;
    ensure!(gone.status == 404, "{gone:?}");
    server.stop().await;
    Ok(())
}
