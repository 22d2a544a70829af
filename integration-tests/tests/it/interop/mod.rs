//! Real clients of other projects, each through the same script: media, a moment, an ICE restart where it
//! has one, a crash and a return, and a leave with DELETE.
//!
//! `make interop` runs all of them, those that need GStreamer too, and writes `docs/interop.md`.

mod browsers;
mod certificates;
mod gstreamer;
mod libraries;
mod programs;
mod row;
mod words;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::frames::{self, Frame};
use reverie_integration_tests::server::TestServer;
use serde_json::{Value, json};

use row::Row;

/// Instead of a status: the client could not use what it was answered.
const UNUSED: u64 = 0;
const SECONDS: f64 = 3.0;
/// A publisher that ignores keyframe requests sends a keyframe each second; nothing may last longer.
const LONGEST_GAP_S: f64 = 1.2;

/// A client under test.
trait Party: Sized {
    /// Its name in the table.
    fn name(&self) -> String;
    /// Its version, as it says itself.
    async fn version(&mut self) -> Result<String>;
    /// Starts it on the channel `show`.
    async fn start(&mut self, server: &TestServer) -> Result<()>;
    /// Ends it as a crash would.
    async fn crash(&mut self) -> Result<()>;
    /// Lets it leave in order; it says DELETE.
    async fn leave(&mut self) -> Result<()>;
    /// Ends what is left of it, once the server has heard the DELETE.
    async fn end(self) -> Result<()> {
        Ok(())
    }
    /// Restarts ICE; the status of its PATCH, or `None` if it has no restart.
    async fn restart_ice(&mut self, _server: &TestServer) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// A party that plays.
trait Player: Party {
    /// Waits for a picture that `wanted` accepts; only those that come from now on count.
    async fn picture(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame>;
    /// Every picture since the start.
    fn pictures(&mut self) -> Vec<Frame>;
    /// Milliseconds from its POST to the first picture.
    async fn first_picture_ms(&mut self) -> Result<f64>;
}

/// The reference player.
struct Aiortc(Client);

impl Aiortc {
    async fn watch(server: &TestServer) -> Result<(Self, f64)> {
        let mut client = Client::aiortc_watch(&server.url("/whep/show"))?;
        let first = client
            .wait_for("a first picture", |l| l["event"] == "first_frame")
            .await?;
        Ok((Self(client), first["ms"].as_f64().context("a time")?))
    }

    async fn picture(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        of_lines(&mut self.0, what, wanted).await
    }
}

/// The next picture of a player that prints one line each.
async fn of_lines(
    client: &mut Client,
    what: &str,
    wanted: impl Fn(&Frame) -> bool,
) -> Result<Frame> {
    client.catch_up();
    let from = client.seen.len();
    let line = client
        .wait_from(from, what, |line| {
            let one = frames::of_player(std::slice::from_ref(line)).pop();
            one.is_some_and(|f| wanted(&f))
        })
        .await?;
    frames::of_player(&[line]).pop().context("a picture")
}

/// Runs a moment; when this returns the server shows the camera again.
async fn moment(server: &TestServer) -> Result<()> {
    let id = server.moment("show", "debug-invert", SECONDS).await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    server
        .channel_until("show", "back on the camera", |c| {
            c["pipeline"]["state"] == "warm"
        })
        .await?;
    Ok(())
}

/// One continuous stream with exactly one moment in it.
fn one_moment(name: &str, seen: &[Frame]) -> Result<()> {
    let faults = frames::faults(seen);
    ensure!(faults.is_empty(), "{name}: {faults:?}");
    let moments = frames::moments(seen);
    ensure!(moments.len() == 1, "{name}: inverted runs {moments:?}");
    // 3 s of 30 pictures, less what a busy machine leaves out.
    ensure!(moments[0].2 > 30, "{name}: a short moment {moments:?}");
    let gap = frames::longest_gap(seen);
    ensure!(gap < LONGEST_GAP_S, "{name}: nothing new for {gap} s");
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1000.0).round()
}

/// Everything a publisher is asked.
async fn publishes(mut party: impl Party) -> Result<()> {
    let server = TestServer::start().await?;
    let name = party.name();
    let mut row = Row::new(&name, "publish");
    let begun = Instant::now();
    party.start(&server).await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    row.set("live_ms", milliseconds(begun));
    row.set("version", party.version().await?);

    let (mut viewer, first) = Aiortc::watch(&server).await?;
    row.set("first_picture_ms", first.round());
    viewer
        .picture("a readable picture", |f| f.n.is_some())
        .await?;
    let from = viewer.0.seen.len();
    moment(&server).await?;
    viewer.picture("the camera", |f| !f.inverted).await?;
    let seen = frames::of_player(&viewer.0.seen[from..]);
    row.pictures(&seen);
    one_moment(&name, &seen)?;

    restarts(&mut party, &server, &mut row, async || {
        viewer.picture("a picture", |f| f.n.is_some()).await?;
        Ok(())
    })
    .await?;

    let before = viewer.picture("a picture", |f| f.n.is_some()).await?;
    party.crash().await?;
    let begun = Instant::now();
    party.start(&server).await?;
    viewer
        .picture("the returned publisher", |f| {
            f.n.is_some() && f.n < before.n
        })
        .await?;
    row.set("reconnect_ms", milliseconds(begun));
    party.leave().await?;
    row.set("delete", deleted(&server, "whip").await?);
    party.end().await?;
    viewer.0.stop().await?;
    server.stop().await;
    row.done()
}

/// Everything a player is asked.
async fn plays(mut party: impl Player) -> Result<()> {
    let server = TestServer::start().await?;
    let name = party.name();
    let mut row = Row::new(&name, "play");
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    party.start(&server).await?;
    party.picture("a first picture", |f| f.n.is_some()).await?;
    let first = party.first_picture_ms().await?;
    row.set("first_picture_ms", first.round());
    row.set("version", party.version().await?);

    let from = party.pictures().len();
    moment(&server).await?;
    party.picture("the camera", |f| !f.inverted).await?;
    let seen = party.pictures().split_off(from);
    row.pictures(&seen);
    one_moment(&name, &seen)?;

    let restarted = party.restart_ice(&server).await?;
    row.set("ice_restart", restart_words(restarted)?);
    party
        .picture("a picture after the restart", |f| f.n.is_some())
        .await?;

    party.crash().await?;
    let begun = Instant::now();
    party.start(&server).await?;
    party
        .picture("a picture after the return", |f| f.n.is_some())
        .await?;
    row.set("reconnect_ms", milliseconds(begun));
    party.leave().await?;
    row.set("delete", deleted(&server, "whep").await?);
    party.end().await?;
    publisher.stop().await?;
    server.stop().await;
    row.done()
}

async fn restarts(
    party: &mut impl Party,
    server: &TestServer,
    row: &mut Row,
    mut goes_on: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let status = party.restart_ice(server).await?;
    row.set("ice_restart", restart_words(status)?);
    goes_on().await
}

/// RFC 9725 section 4.3.3: 200 is a restart; a client that cannot use the answer goes on as it was.
fn restart_words(status: Option<u64>) -> Result<Value> {
    match status {
        None => Ok(Value::Null),
        Some(200) => Ok(json!(true)),
        Some(UNUSED) => Ok(json!(false)),
        Some(status) => bail!("the ICE restart was answered {status}"),
    }
}

/// The status of the DELETE that the server was sent: 200, or 404 where the client's close of DTLS was faster.
/// Either way the session is gone.
async fn deleted(server: &TestServer, protocol: &str) -> Result<Value> {
    if protocol == "whip" {
        server
            .channel_until("show", "offline", |c| c["live"] == false)
            .await?;
    }
    let route = format!(r#"route="/{protocol}/{{channel}}/{{session}}""#);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = server.metrics().await?;
        let said = metrics.lines().find(|line| {
            line.starts_with("reverie_http_requests_total")
                && line.contains(r#"method="DELETE""#)
                && line.contains(&route)
        });
        if let Some(line) = said {
            let code = ["200", "404"].into_iter().find(|code| line.contains(code));
            return Ok(json!(code.with_context(|| line.to_owned())?));
        }
        ensure!(Instant::now() < deadline, "no DELETE came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
