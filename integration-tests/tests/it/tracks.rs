//! `?track=`: who asks for the source never sees a moment.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use reverie_integration_tests::frames;
use reverie_integration_tests::http::send;
use reverie_integration_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn e6_the_source_stays_untouched_while_the_output_shows_a_moment() -> Result<()> {
    let server = TestServer::start().await?;
    let mut publisher = Client::aiortc_publish(&server.url("/whip/show"))?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    let mut output = Client::aiortc_watch(&server.url("/whep/show?track=output"))?;
    let mut source = Client::aiortc_watch(&server.url("/whep/show?track=source"))?;
    for player in [&mut output, &mut source] {
        player
            .wait_for("a first frame", |l| l["event"] == "first_frame")
            .await?;
    }
    let id = server.moment("show", "debug-invert", 2.0).await?;
    let inverted = output
        .wait_for("an inverted picture", |l| l["inverted"] == true)
        .await?;
    // One who comes in the middle of the moment.
    let mut late = Client::aiortc_watch(&server.url("/whep/show?track=source"))?;
    late.wait_for("a first frame", |l| l["event"] == "first_frame")
        .await?;
    let moment = server.ended(&id).await?;
    ensure!(moment["state"] == "completed", "{moment}");
    server
        .channel_until("show", "back on the camera", |c| {
            c["pipeline"]["state"] == "warm"
        })
        .await?;
    output.catch_up();
    let from = output.seen.len();
    output
        .wait_from(from, "the camera's picture", |l| {
            l["event"] == "frame" && l["inverted"] == false
        })
        .await?;

    let shown = frames::of_player(&output.seen);
    let moments = frames::moments(&shown);
    ensure!(moments.len() == 1 && moments[0].2 > 30, "{moments:?}");
    let (first, last, _) = moments[0];
    for (name, player) in [("source", &mut source), ("late", &mut late)] {
        player
            .wait_for("a picture after the moment", |l| {
                l["n"].as_u64().is_some_and(|n| n > last)
            })
            .await?;
        let seen = frames::of_player(&player.seen);
        let faults = frames::faults(&seen);
        ensure!(faults.is_empty(), "{name}: {faults:?}");
        ensure!(
            seen.iter().all(|f| !f.inverted),
            "{name} saw the moment: {:?}",
            frames::moments(&seen)
        );
        // Half a second of pictures; a busy machine may take longer for them.
        let numbers: Vec<u64> = seen.iter().filter_map(|f| f.n).collect();
        let step = numbers.windows(2).map(|w| w[1] - w[0]).max();
        let step = step.context("two pictures")?;
        ensure!(step < 15, "{name} went on {step} pictures later");
        let gap = frames::longest_gap(&seen);
        ensure!(gap < 3.0, "{name} saw nothing new for {gap} s");
    }
    let n = inverted["n"].as_u64().context("a number")?;
    ensure!((first..=last).contains(&n), "{inverted}");
    let plain = frames::of_player(&source.seen)
        .iter()
        .filter(|f| f.n.is_some_and(|n| (first..=last).contains(&n)))
        .count();
    ensure!(plain > 30, "only {plain} pictures of the moment's time");
    for player in [&mut output, &mut source, &mut late, &mut publisher] {
        player.stop().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_an_unknown_track_is_refused_in_words() -> Result<()> {
    let server = TestServer::start().await?;
    let answer = send(
        Method::POST,
        &server.url("/whep/show?wait=1&track=styled"),
        &[("content-type", "application/sdp")],
        "v=0\r\n",
    )
    .await?;
    ensure!(answer.status == 400, "{answer:?}");
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(
        detail.contains("\"styled\"") && detail.contains("output and source"),
        "{problem}"
    );
    server.stop().await;
    Ok(())
}
