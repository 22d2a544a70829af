//! The pages in the states that matter, light and dark, as narrow as they get: in each axe-core finds nothing serious, nothing
//! is wider than the page, and none breaks its content policy. The pictures go to `screenshots/`.

use anyhow::{Result, ensure};
use reverie_config::Secret;
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::server::{TestServer, config};
use serde_json::json;

use super::{ANN, DESK, Show, Viewer};
use crate::pages::{DOCK, look};

/// As wide as a panel of Twitch, a phone, and a desk.
const SIZES: [(&str, u32, u32); 3] = [
    ("narrow", 318, 780),
    ("phone", 360, 780),
    ("desk", 1280, 900),
];

impl Show {
    /// Looks at the panel as it is now, in both themes of Twitch.
    async fn panel_looks(&mut self, viewer: Viewer, state: &str) -> Result<()> {
        let folder = root().join("integration-tests/screenshots");
        std::fs::create_dir_all(&folder)?;
        let browser = &mut self.browsers[viewer.browser];
        for theme in ["light", "dark"] {
            let set = format!(
                "(() => {{ const dark = document.querySelector('#dark'); dark.checked = {}; \
                 dark.dispatchEvent(new Event('change')); }})()",
                theme == "dark"
            );
            browser
                .ask(json!({ "cmd": "eval", "page": viewer.name, "code": set }))
                .await?;
            let panel = viewer.panel();
            let worn = format!("document.documentElement.dataset.scheme === '{theme}'");
            browser.until(&panel, &worn).await?;
            let path = folder.join(format!("panel-{state}-{theme}.png"));
            browser
                .ask(json!({ "cmd": "screenshot", "page": viewer.name, "selector": "#panel", "path": path }))
                .await?;
            let found = browser.ask(json!({ "cmd": "axe", "page": panel })).await?;
            ensure!(
                found.as_array().is_some_and(Vec::is_empty),
                "axe finds in the panel, {state}, {theme}: {found:#}"
            );
            let wide = "document.documentElement.scrollWidth - innerWidth";
            let over = browser
                .ask(json!({ "cmd": "eval", "page": panel, "code": wide }))
                .await?;
            ensure!(
                over.as_f64().is_some_and(|over| over <= 0.0),
                "the panel, {state}, is {over} px too wide"
            );
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_and_the_pages_of_those_who_decide_look_well_in_every_state() -> Result<()> {
    let mut show = Show::start(0, |config| {
        config.twitch.products = vec!["dream:100:60".parse().expect("a product")];
    })
    .await?;
    // Who has not shared who they are is asked to, and cannot pay before.
    show.opens(ANN, "").await?;
    show.until(
        ANN,
        "document.querySelector('#live').textContent === 'live'",
    )
    .await?;
    show.until(ANN, "document.querySelector('#share').checkVisibility()")
        .await?;
    show.panel_looks(ANN, "stranger").await?;
    let fill =
        json!({ "cmd": "type", "page": ANN.panel(), "selector": "#prompt", "text": "a storm" });
    show.browsers[DESK].ask(fill).await?;
    let button = "document.querySelector('#products button[data-unit=bits]').disabled";
    ensure!(show.until(ANN, button).await? == true, "they cannot pay");
    show.click(DESK, &ANN.panel(), "#share-go").await?;
    show.until(ANN, &format!("!{button}")).await?;
    show.until(ANN, "!document.querySelector('#share').checkVisibility()")
        .await?;
    show.panel_looks(ANN, "ready").await?;

    show.pays(ANN, "").await?;
    show.panel_looks(ANN, "review").await?;
    let there = "document.querySelector('#review').children.length === 1";
    for (page, sizes) in [("dock", &DOCK[..]), ("bridge", &SIZES[..])] {
        show.until_at(DESK, page, there).await?;
        look(&mut show.browsers[DESK], page, "review", sizes).await?;
    }
    show.decides("a storm", "Reject").await?;
    look(&mut show.browsers[DESK], "dock", "rejecting", &DOCK[..1]).await?;
    show.reads(ANN, "Not approved.*").await?;
    show.panel_looks(ANN, "rejected").await?;

    show.asks(
        ANN,
        "a storm over the sea, seen from a lighthouse",
        "credits",
    )
    .await?;
    show.reads(ANN, "In review").await?;
    show.decides("a storm over the sea", "Approve").await?;
    show.reads(ANN, r"Live: \d+ s left").await?;
    show.panel_looks(ANN, "live").await?;
    for (page, sizes) in [("dock", &DOCK[..]), ("bridge", &SIZES[..])] {
        look(&mut show.browsers[DESK], page, "live", sizes).await?;
    }
    let overlay = format!("/overlay/show#token={}", show.streamer);
    show.open(DESK, "overlay", &overlay).await?;
    show.until_at(
        DESK,
        "overlay",
        "document.querySelector('#card').dataset.state === 'active'",
    )
    .await?;
    look(&mut show.browsers[DESK], "overlay", "live", &SIZES[2..]).await?;
    let admin = format!("/admin#token={}", show.streamer);
    show.open(DESK, "admin", &admin).await?;
    look(&mut show.browsers[DESK], "admin", "streamer", &SIZES).await?;
    show.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_where_nothing_happens_looks_well() -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    let paths = [
        ("index", "/"),
        ("watch", "/watch/show"),
        ("bridge", "/bridge/show"),
        ("mod", "/mod/show"),
        ("admin", "/admin"),
    ];
    for (page, path) in paths {
        browser.open(page, &server.url(path)).await?;
        browser
            .until(page, "document.readyState === 'complete'")
            .await?;
    }
    let waiting = "document.querySelector('#screen-words').textContent.startsWith('Waiting')";
    browser.until("watch", waiting).await?;
    for (page, _) in paths {
        look(&mut browser, page, "empty", &SIZES).await?;
    }
    crate::pages::stop(browser, server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_token_is_refused_says_so_and_looks_well() -> Result<()> {
    let mut config = config();
    for token in [
        &mut config.auth.publish_token,
        &mut config.auth.watch_token,
        &mut config.auth.control_token,
    ] {
        *token = Secret::new("a-token-that-nobody-guesses").ok();
    }
    let server = TestServer::start_with(config).await?;
    let mut browser = Client::chromium().await?;
    for (page, path) in [
        ("watch", "/watch/show"),
        ("bridge", "/bridge/show"),
        ("mod", "/mod/show"),
        ("admin", "/admin"),
    ] {
        let url = server.url(&format!("{path}#token=wrong"));
        browser.open(page, &url).await?;
        let told = "document.querySelector('#token-words').checkVisibility() && \
                    document.querySelector('#token-words').textContent.includes('was refused')";
        browser.until(page, told).await?;
        look(&mut browser, page, "refused", &SIZES).await?;
    }
    let url = server.url("/overlay/show#token=wrong");
    browser.open("overlay", &url).await?;
    let told = "document.querySelector('#trouble').checkVisibility()";
    browser.until("overlay", told).await?;
    look(&mut browser, "overlay", "refused", &SIZES[2..]).await?;
    crate::pages::stop(browser, server).await
}
