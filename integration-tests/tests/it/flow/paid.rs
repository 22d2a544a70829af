//! From the wish to the picture and back, in three browsers at once.

use anyhow::{Context as _, Result, ensure};
use reverie_integration_tests::frames;
use serde_json::{Value, json};

use super::{CONTROL, DESK, KEY, SEALING, Show, Viewer, now};
use crate::moment::same_pictures;

const ANN: Viewer = Viewer {
    browser: 1,
    ..super::ANN
};
const BOB: Viewer = Viewer {
    browser: 2,
    ..super::BOB
};
const CLEO: Viewer = Viewer {
    name: "cleo",
    id: "9",
    browser: 3,
};
const WISH: &str = "a city under water";

#[tokio::test(flavor = "multi_thread")]
async fn bits_buy_a_moment_that_everybody_sees_after_its_approval() -> Result<()> {
    // The second moment is approved, which takes 5 s, while the first one is shown.
    let mut show = Show::start(3, |config| {
        config.twitch.products = vec!["dream:100:15".parse().expect("a product")];
    })
    .await?;
    for viewer in [ANN, BOB, CLEO] {
        show.arrives(viewer).await?;
        show.sees(viewer, false).await?;
    }
    show.pays(ANN, WISH).await?;
    let others = show.line(CLEO, "body").await?;
    ensure!(!others.contains(WISH), "not reviewed, and told: {others}");
    let origin = show.sim.panel_url();
    let told = show.traffic(CLEO.browser, CLEO.name, &origin);
    ensure!(
        !told.contains(WISH),
        "not reviewed, and told to other pages"
    );
    show.pays(BOB, "northern lights").await?;

    let pressed = show.decides(WISH, "Approve").await?;
    let mut began = Vec::new();
    for viewer in [ANN, BOB, CLEO] {
        began.push((viewer.name, show.sees(viewer, true).await? - pressed));
    }
    show.reads(ANN, r"Live: \d+ s left").await?;
    let card = show.line(CLEO, "#now").await?;
    ensure!(card.contains(WISH) && card.contains("Live: "), "{card}");
    show.press("Approve").await?;
    show.reads(BOB, r"Waiting, next( \(about \d+ s\))?").await?;
    show.reads(ANN, "Done").await?;
    show.reads(BOB, r"Live: \d+ s left").await?;
    show.reads(BOB, "Done").await?;
    for viewer in [ANN, BOB, CLEO] {
        show.sees(viewer, false).await?;
    }

    let waits = approved_to_live(&mut show).await?;
    println!("approved to live, by the server's clock: {waits:?} ms");
    println!("first picture after Approve was pressed, 5 s of them to take it back: {began:.2?}");
    ensure!(waits.len() == 2, "{waits:?}");
    said_in_order(&mut show, ANN).await?;

    let mut seen = Vec::new();
    for viewer in [ANN, BOB, CLEO] {
        let frames = show.frames(viewer);
        let faults = frames::faults(&frames);
        ensure!(faults.is_empty(), "{}: {faults:?}", viewer.name);
        let moments = frames::moments(&frames);
        println!(
            "{} saw {} pictures, moments {moments:?}",
            viewer.name,
            frames.len()
        );
        ensure!(
            moments.len() == 2 && moments.iter().all(|(.., count)| *count > 20),
            "{} saw {moments:?}",
            viewer.name
        );
        seen.push((viewer.name.to_owned(), frames));
    }
    same_pictures(&seen)?;
    no_secret_travels(&mut show)?;
    show.stop().await
}

/// How long each moment took from the moderator's word to its first picture, in milliseconds.
async fn approved_to_live(show: &mut Show) -> Result<Vec<i64>> {
    let code = "window.reverie.events.map(({ type, at, data }) => ({ type, at, id: data?.id }))";
    let eval = json!({ "cmd": "eval", "page": "dock", "code": code });
    let events = show.browsers[DESK].ask(eval).await?;
    let events = events.as_array().context("events")?;
    let at = |kind: &str, id: &Value| {
        let found = events.iter().find(|e| e["type"] == kind && e["id"] == *id);
        found.and_then(|event| event["at"].as_i64())
    };
    let live = events.iter().filter(|e| e["type"] == "moment.active");
    let waits = live.map(|event| {
        let queued = at("moment.queued", &event["id"]).context("it was approved")?;
        Ok(event["at"].as_i64().unwrap_or_default() - queued)
    });
    waits.collect()
}

/// What a viewer read of their moment, one line after the other.
async fn said_in_order(show: &mut Show, viewer: Viewer) -> Result<()> {
    let code = "window.testSaid.map((text) => text.replace(/\\d+ s left/, 'n s left'))";
    let eval = json!({ "cmd": "eval", "page": viewer.panel(), "code": code });
    let said = show.browsers[viewer.browser].ask(eval).await?;
    let said: Vec<String> = serde_json::from_value(said)?;
    let mut rest = said.iter();
    for line in [
        "Waiting for your Bits",
        "Bits used; telling the server…",
        "In review",
        "Warming up",
        "Live: n s left",
        "Done",
    ] {
        let wanted = format!("Yours: {line}");
        ensure!(rest.any(|one| *one == wanted), "no {wanted:?} in {said:?}");
    }
    Ok(())
}

/// What a page's scripts sent and got is what that page may have.
fn no_secret_travels(show: &mut Show) -> Result<()> {
    let (panels, pages) = (show.sim.panel_url(), show.server.url(""));
    let mut told = Vec::new();
    for viewer in [ANN, BOB, CLEO] {
        let text = show.traffic(viewer.browser, viewer.name, &panels);
        let own = tokens(&text);
        ensure!(!own.is_empty(), "{} has a session", viewer.name);
        told.push((viewer.name, text, own));
    }
    for page in ["bridge", "dock"] {
        let text = show.traffic(DESK, page, &pages);
        let own = match page {
            "bridge" => &show.streamer,
            _ => &show.dock,
        };
        ensure!(text.contains(own.as_str()), "{page} has a session");
        told.push((page, text, vec![own.clone()]));
    }
    let [secret, old] = [
        reverie_integration_tests::twitch_sim::EXTENSION_SECRET,
        reverie_integration_tests::twitch_sim::EXTENSION_SECRET_OLD,
    ];
    let mut secrets = vec![KEY, SEALING, CONTROL, secret, old];
    secrets.push(reverie_integration_tests::twitch_sim::CLIENT_SECRET);
    secrets.push(reverie_integration_tests::twitch_sim::EVENTSUB_SECRET);
    for (name, text, _) in &told {
        ensure!(text.contains("moment.active"), "{name} was told nothing");
        for secret in &secrets {
            ensure!(!text.contains(secret), "{name} was told {secret:?}");
        }
        for (other, _, tokens) in told.iter().filter(|(other, ..)| other != name) {
            let found = tokens.iter().find(|token| text.contains(token.as_str()));
            ensure!(found.is_none(), "{name} was told a token of {other}");
        }
    }
    // Nobody learns more of another viewer than their name.
    let (_, text, _) = &told[2];
    ensure!(
        !text.contains("Uopaque7") && !text.contains("Uopaque8"),
        "cleo knows ids of others"
    );
    Ok(())
}

/// Every signed token in a text: sessions, the helper's, intents and receipts.
fn tokens(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let words = text.split(|c| !is_part(c));
    let signed = words.filter(|word| word.starts_with("eyJ") && word.matches('.').count() == 2);
    let mut found: Vec<String> = signed.map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn signed_tokens_are_found_in_a_text() {
    let text = r#"{"token":"eyJh.eyJz.c2ln","x":"eyJnothing"} Bearer eyJh.eyJz.c2ln"#;
    assert_eq!(tokens(text), ["eyJh.eyJz.c2ln"]);
    assert!(now() > 1.7e9);
}
