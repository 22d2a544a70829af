//! The WebSocket of a channel: the same events as the stream, commands as the routes carry them out, and its bounds.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use reverie_integration_tests::http::{self, send};
use reverie_integration_tests::server::{TestServer, config};
use reverie_integration_tests::socket::{Heard, Socket};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::queue::{ask, live, with_product};

/// A channel without a publisher: it begins with who listens.
async fn quiet(server: &TestServer) -> Result<Socket> {
    Socket::open(server, "show", &json!({})).await
}

/// Something that is told as one event.
async fn toggle(server: &TestServer, act: &str) -> Result<()> {
    let url = server.url(&format!("/v1/channels/show/queue/{act}"));
    let answer = send(Method::POST, &url, &[], "").await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// Reads on until the queue is told to be paused, or not.
async fn told(socket: &mut Socket, paused: bool) -> Result<Value> {
    let wanted = |m: &Value| m["type"] == "queue.changed" && m["data"]["paused"] == paused;
    socket.until("the queue is told", wanted).await
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|e| e["n"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_tells_the_same_events_as_the_stream() -> Result<()> {
    let (server, mut publisher) = live().await?;
    with_product(&server, "server").await?;
    let mut socket = quiet(&server).await?;
    let first = socket.until("a snapshot", |m| m["n"].is_u64()).await?;
    ensure!(first["type"] == "snapshot", "{first}");
    let id = server.moment("show", "debug-invert", 1.0).await?;
    server.ended(&id).await?;
    let last = socket
        .until("its end", |m| m["type"] == "moment.completed")
        .await?;
    let url = server.url("/v1/channels/show/events");
    let resumed = format!("{url}?last_event_id={}", first["n"]);
    let streamed = streamed(&server, &resumed, last["n"].as_u64().context("n")?).await?;
    ensure!(
        streamed == socket.events[1..],
        "{streamed:#?} was streamed, {:#?} came over the socket",
        &socket.events[1..]
    );
    publisher.stop().await?;
    socket.leave().await?;
    server.stop().await;
    Ok(())
}

/// The events of a stream up to a number.
async fn streamed(server: &TestServer, url: &str, last: u64) -> Result<Vec<Value>> {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let path = url.strip_prefix(&server.url("")).context("a path")?;
    let mut tcp = tokio::net::TcpStream::connect(server.address()).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(tcp).lines();
    let mut events = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(data)?;
        let n = event["n"].as_u64();
        events.push(event);
        if n >= Some(last) {
            return Ok(events);
        }
    }
    bail!("the stream ended: {events:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_comes_back_hears_what_it_missed_once() -> Result<()> {
    let server = TestServer::start().await?;
    let mut before = quiet(&server).await?;
    toggle(&server, "pause").await?;
    let heard = told(&mut before, true).await?;
    let (n, name) = (heard["n"].clone(), before.name.clone());
    let mut events = before.events.clone();
    before.cut();
    toggle(&server, "resume").await?;
    toggle(&server, "pause").await?;
    let hello = json!({ "resume": n, "replaces": name });
    let mut after = Socket::open(&server, "show", &hello).await?;
    told(&mut after, false).await?;
    told(&mut after, true).await?;
    toggle(&server, "resume").await?;
    told(&mut after, false).await?;
    ensure!(after.name != name, "a socket has a name of its own");
    events.extend(after.events.clone());
    let all = numbers(&events);
    ensure!(
        all.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "a hole or a double: {all:?}"
    );
    let snapshots = events.iter().filter(|e| e["type"] == "snapshot").count();
    ensure!(snapshots == 1, "only the first one: {events:?}");
    after.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_any_more_is_told_as_a_snapshot() -> Result<()> {
    let server = TestServer::start().await?;
    let mut kept = quiet(&server).await?;
    let first = kept.until("a snapshot", |m| m["n"].is_u64()).await?;
    for resume in [json!(1), json!(first["n"].as_u64().unwrap_or(0) + 1_000)] {
        let mut socket = Socket::open(&server, "show", &json!({ "resume": resume })).await?;
        let told = socket.until("an event", |m| m["n"].is_u64()).await?;
        ensure!(told["type"] == "snapshot", "after {resume}: {told}");
        socket.leave().await?;
    }
    // The same over a socket that is open.
    kept.say(&json!({ "resume": 1 })).await?;
    let again = kept.until("an event", |m| m["n"].is_u64()).await?;
    ensure!(again["type"] == "snapshot", "{again}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_whose_place_is_taken_is_told_and_heard_no_more() -> Result<()> {
    let server = TestServer::start().await?;
    let mut before = quiet(&server).await?;
    let hello = json!({ "replaces": before.name });
    let mut after = Socket::open(&server, "show", &hello).await?;
    let (code, reason) = before.closed().await?;
    ensure!(
        code == 4409 && reason.contains("took the place"),
        "{code} {reason}"
    );
    // Also of one that is open: its first message may have come late.
    let mut late = quiet(&server).await?;
    late.say(&json!({ "replaces": after.name })).await?;
    ensure!(after.closed().await?.0 == 4409, "its place is taken");
    late.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_decided_by_commands_each_version_once() -> Result<()> {
    let (server, mut publisher) = live().await?;
    with_product(&server, "bridge").await?;
    let mut socket = quiet(&server).await?;
    let wave = |prompt| json!({ "prompt": prompt, "sku": "wave", "pipeline": "debug-invert" });
    let (good, bad) = (
        ask(&server, &wave("good")).await?,
        ask(&server, &wave("bad")).await?,
    );
    let about = |cmd: &str, moment: &Value| json!({ "cmd": cmd, "moment": moment["id"], "version": moment["version"] });

    let paused = socket.command(json!({ "cmd": "pause" })).await?;
    ensure!(
        paused["ok"] == true && paused["data"]["paused"] == true,
        "{paused}"
    );
    let approved = socket.command(about("approve", &good)).await?;
    ensure!(
        approved["ok"] == true && approved["data"]["state"] == "queued",
        "{approved}"
    );
    ensure!(
        approved["version"] == approved["data"]["version"],
        "{approved}"
    );
    let stale = socket.command(about("approve", &good)).await?;
    ensure!(
        stale["error"]["status"] == 409 && stale["version"] == approved["version"],
        "{stale}"
    );
    ensure!(stale["error"]["moment"]["state"] == "queued", "{stale}");
    let snapshot = &stale["snapshot"];
    ensure!(
        snapshot["type"] == "snapshot" && snapshot["data"]["channel"] == "show",
        "{stale}"
    );
    let mut rejection = about("reject", &bad);
    rejection["reason"] = "not today".into();
    let rejected = socket.command(rejection).await?;
    ensure!(rejected["data"]["reason"] == "not today", "{rejected}");
    let late = socket.command(about("approve", &rejected["data"])).await?;
    ensure!(late["error"]["status"] == 409, "{late}");

    let second = ask(
        &server,
        &json!({ "prompt": "second", "pipeline": "debug-invert", "duration_s": 60 }),
    )
    .await?;
    let mut moving = about("move", &second);
    moving["position"] = 1.into();
    let moved = socket.command(moving).await?;
    ensure!(moved["data"]["position"] == 1, "{moved}");
    let resumed = socket.command(json!({ "cmd": "resume" })).await?;
    ensure!(resumed["data"]["paused"] == false, "{resumed}");
    let warming = socket
        .until("it warms", |m| {
            m["type"] == "moment.warming" && m["data"]["id"] == second["id"]
        })
        .await?;
    let started = socket.command(about("start", &warming["data"])).await?;
    ensure!(started["ok"] == true, "{started}");
    let active = socket
        .until("it is shown", |m| m["type"] == "moment.active")
        .await?;
    let stopped = socket.command(about("stop", &active["data"])).await?;
    ensure!(
        stopped["ok"] == true && !stopped["data"]["ended_at"].is_null(),
        "{stopped}"
    );
    publisher.stop().await?;
    socket.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pipeline_is_warmed_and_steered_by_commands() -> Result<()> {
    let (server, mut publisher) = live().await?;
    let mut socket = quiet(&server).await?;
    let warm = socket
        .command(json!({ "cmd": "warm", "pipeline": "debug-invert" }))
        .await?;
    ensure!(
        warm["ok"] == true && warm["data"]["pipeline"].is_object(),
        "{warm}"
    );
    let none = socket
        .command(json!({ "cmd": "warm", "pipeline": "no-such" }))
        .await?;
    ensure!(none["error"]["status"] == 422, "{none}");
    let url = server.url("/v1/channels/show/pipeline/params");
    let tag = http::get(&url)
        .await?
        .header("etag")
        .trim_matches('"')
        .to_owned();
    let patch = json!({ "cmd": "params", "version": tag, "params": { "seed": 7 } });
    let done = socket.command(patch.clone()).await?;
    ensure!(done["ok"] == true && done["data"]["seed"] == 7, "{done}");
    let now = http::get(&url).await?;
    ensure!(
        now.header("etag") == format!("{}", done["version"]),
        "{done} {now:?}"
    );
    let stale = socket.command(patch).await?;
    ensure!(
        stale["error"]["status"] == 409 && stale["snapshot"].is_object(),
        "{stale}"
    );
    let bad = socket
        .command(json!({ "cmd": "params", "params": { "seed": "x" } }))
        .await?;
    ensure!(
        bad["error"]["errors"][0].is_object(),
        "each with its place: {bad}"
    );
    let ping = socket.command(json!({ "cmd": "ping" })).await?;
    ensure!(ping["ok"] == true && ping["version"].is_null(), "{ping}");
    publisher.stop().await?;
    socket.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_the_socket_goes_on() -> Result<()> {
    let server = TestServer::start().await?;
    let mut socket = quiet(&server).await?;
    for (said, id, status) in [
        ("{", Value::Null, 422),
        ("[]", Value::Null, 422),
        (r#"{"id":"a","cmd":"dance"}"#, "a".into(), 422),
        (r#"{"id":"b","cmd":"approve"}"#, "b".into(), 422),
        (
            r#"{"id":"c","cmd":"approve","moment":"none"}"#,
            "c".into(),
            404,
        ),
        (
            r#"{"id":"d","cmd":"approve","moment":"../x"}"#,
            "d".into(),
            404,
        ),
        (r#"{"id":"e","cmd":"ping","extra":1}"#, "e".into(), 422),
    ] {
        socket.send(Message::text(said)).await?;
        let answer = socket
            .until("an answer", |m| m["error"].is_object())
            .await?;
        ensure!(
            answer["id"] == id && answer["error"]["status"] == status,
            "{said}: {answer}"
        );
        ensure!(answer["error"]["detail"].is_string(), "{answer}");
    }
    let ping = socket.command(json!({ "cmd": "ping" })).await?;
    ensure!(ping["ok"] == true, "{ping}");
    socket.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_no_text_ends_the_socket_with_a_reason() -> Result<()> {
    let server = TestServer::start().await?;
    let mut large = quiet(&server).await?;
    // What is closed meanwhile need not take all of it.
    let _ = large.send(Message::text("x".repeat(70_000))).await;
    let (code, reason) = large.closed().await?;
    ensure!(
        code == 1009 && reason.contains("too long"),
        "{code} {reason}"
    );
    let mut binary = quiet(&server).await?;
    binary.send(Message::binary(vec![1, 2, 3])).await?;
    let (code, reason) = binary.closed().await?;
    ensure!(code == 1003 && reason.contains("text"), "{code} {reason}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_too_many_commands_is_refused_for_a_while() -> Result<()> {
    let server = TestServer::start().await?;
    let mut socket = quiet(&server).await?;
    for id in 0..60 {
        socket.say(&json!({ "id": id, "cmd": "ping" })).await?;
    }
    let mut refused = 0;
    for id in 0..60 {
        let answer = socket.until("an answer", |m| m["id"] == id).await?;
        refused += usize::from(answer["error"]["status"] == 429);
    }
    ensure!((1..=40).contains(&refused), "{refused} of 60 were refused");
    socket.leave().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_closed_and_told_why() -> Result<()> {
    let (server, mut publisher) = live().await?;
    toggle(&server, "pause").await?;
    let prompt = "a long prompt ".repeat(30);
    for _ in 0..15 {
        let body = json!({ "prompt": prompt, "pipeline": "debug-invert" });
        ask(&server, &body).await?;
    }
    let mut quick = quiet(&server).await?;
    let first = quick.until("a snapshot", |m| m["n"].is_u64()).await?;
    for act in ["resume", "pause"].repeat(10) {
        toggle(&server, act).await?;
    }
    let path = "/v1/channels/show/ws";
    let opened = Socket::connect_with(&server, path, &[], Some(4_096)).await?;
    let Ok(mut slow) = opened else {
        bail!("no socket: {opened:?}");
    };
    // Each of these asks for all of it again: more than any buffer on the way holds.
    for _ in 0..20 {
        slow.say(&json!({ "resume": first["n"] })).await?;
    }
    let closed = "reverie_socket_closes_total{reason=\"slow\"}";
    server.metric_until(closed, 1.0).await?;
    let (code, reason) = slow.closed().await?;
    ensure!(
        code == 4408 && reason.contains("too slowly"),
        "{code} {reason}"
    );
    let ping = quick.command(json!({ "cmd": "ping" })).await?;
    ensure!(ping["ok"] == true, "others are served: {ping}");
    quick.leave().await?;
    publisher.stop().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_before_it_closes() -> Result<()> {
    let server = TestServer::start().await?;
    let mut socket = quiet(&server).await?;
    let waiting = Socket::connect(&server, "/v1/channels/show/ws", &[]).await?;
    let Ok(mut waiting) = waiting else {
        bail!("no socket: {waiting:?}");
    };
    let stopping = tokio::spawn(server.stop());
    socket
        .until("it is told", |m| m["type"] == "node.draining")
        .await?;
    for socket in [&mut socket, &mut waiting] {
        let (code, reason) = socket.closed().await?;
        ensure!(
            code == 1001 && reason.contains("stopping"),
            "{code} {reason}"
        );
    }
    stopping.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_something_every_five_seconds() -> Result<()> {
    let server = TestServer::start().await?;
    let mut socket = quiet(&server).await?;
    let mut last = tokio::time::Instant::now();
    for _ in 0..2 {
        socket.until("a ping", |m| m["type"] == "ping").await?;
        let now = tokio::time::Instant::now();
        ensure!(
            now - last < Duration::from_secs(9),
            "after {:?}",
            now - last
        );
        last = now;
    }
    ensure!(
        server
            .series("reverie_events_connections{transport=\"ws\"}")
            .await?
            == 1.0
    );
    socket.leave().await?;
    server
        .metric_until("reverie_events_connections{transport=\"ws\"}", 0.0)
        .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_so_many_sockets_and_no_more() -> Result<()> {
    let server = TestServer::start().await?;
    let mut sockets = Vec::new();
    for _ in 0..32 {
        sockets.push(quiet(&server).await?);
    }
    let opened = Socket::connect(&server, "/v1/channels/show/ws", &[]).await?;
    let Ok(mut more) = opened else {
        bail!("no socket: {opened:?}");
    };
    more.say(&json!({})).await?;
    let (code, reason) = more.closed().await?;
    ensure!(
        code == 1013 && reason.contains("as many sockets"),
        "{code} {reason}"
    );
    Socket::open(&server, "other", &json!({}))
        .await?
        .leave()
        .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_hears_a_snapshot_where_everybody_may_look() -> Result<()> {
    let server = TestServer::start().await?;
    let opened = Socket::connect(&server, "/v1/channels/show/ws", &[]).await?;
    let Ok(mut socket) = opened else {
        bail!("no socket: {opened:?}");
    };
    socket.welcome().await?;
    let first = socket.next().await?;
    ensure!(
        matches!(&first, Heard::Message(m) if m["type"] == "snapshot"),
        "{first:?}"
    );
    let plain = http::get(&server.url("/v1/channels/show/ws")).await?;
    ensure!(
        plain.status == 426 && plain.header("upgrade") == "websocket",
        "{plain:?}"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_origin_that_may_not_call_opens_no_socket() -> Result<()> {
    let mut config = config();
    config.http.allowed_origins = vec!["https://friend.example".to_owned()];
    let server = TestServer::start_with(config).await?;
    let own = server.url("");
    for (origin, allowed) in [
        ("https://friend.example", true),
        (own.as_str(), true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let opened =
            Socket::connect(&server, "/v1/channels/show/ws", &[("origin", origin)]).await?;
        match opened {
            Ok(_) => ensure!(allowed, "{origin}"),
            Err((status, body)) => {
                ensure!(
                    !allowed && status == 403 && body.contains("allowed_origins"),
                    "{origin}: {body}"
                );
            }
        }
    }
    server.stop().await;
    Ok(())
}
