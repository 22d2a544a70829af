//! The pages as people see them: on a phone and on a desk, in a dock and in a panel, light and dark; the pictures go to
//! `screenshots/`. In each of them axe-core finds nothing serious, and none breaks its content policy.

use anyhow::{Result, ensure};
use reverie_integration_tests::client::{Client, root};
use reverie_integration_tests::http;
use reverie_integration_tests::server::{TestServer, config};
use serde_json::{Value, json};

pub(crate) const SIZES: [(&str, u32, u32); 2] = [("phone", 360, 780), ("desk", 1280, 900)];
/// As narrow and as wide as a dock of OBS is made.
pub(crate) const DOCK: [(&str, u32, u32); 2] = [("dock280", 280, 700), ("dock400", 400, 700)];
/// A panel below a stream on Twitch, as high as it can be.
const PANEL: [(&str, u32, u32); 1] = [("panel318", 318, 500)];
const HELPER: &str = "https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js";

/// What one presses or writes in and cannot reach, since a card cuts it off.
const CUT: &str = "[...document.querySelectorAll('a, button, input, select, textarea, .where')] \
    .filter((one) => one.checkVisibility() && one.closest('.card, .top') \
        && one.getBoundingClientRect().right > one.closest('.card, .top').getBoundingClientRect().right + 0.5) \
    .map((one) => one.id || one.textContent)";
/// Whether the name of the channel is too short for its place in the head.
const NAMELESS: &str =
    "[...document.querySelectorAll('.where')].some((one) => one.scrollWidth > one.clientWidth + 1)";

/// Looks at a page in a state, which is the name of its pictures, in every size, light and dark.
pub(crate) async fn look(
    browser: &mut Client,
    page: &str,
    state: &str,
    sizes: &[(&str, u32, u32)],
) -> Result<()> {
    let folder = root().join("integration-tests/screenshots");
    std::fs::create_dir_all(&folder)?;
    for (size, width, height) in sizes {
        browser
            .ask(json!({ "cmd": "viewport", "page": page, "width": width, "height": height }))
            .await?;
        for scheme in ["light", "dark"] {
            browser
                .ask(json!({ "cmd": "scheme", "page": page, "value": scheme }))
                .await?;
            let path = folder.join(format!("{page}-{state}-{size}-{scheme}.png"));
            browser
                .ask(json!({ "cmd": "screenshot", "page": page, "path": path }))
                .await?;
            let found = browser.ask(json!({ "cmd": "axe", "page": page })).await?;
            ensure!(
                found.as_array().is_some_and(Vec::is_empty),
                "axe finds in {page}, {state}, {size}, {scheme}: {found:#}"
            );
        }
        let cut = value(browser, page, CUT).await?;
        ensure!(
            cut.as_array().is_some_and(Vec::is_empty),
            "{page}, {state}, cuts {cut} off at {width} px"
        );
        let nameless = value(browser, page, NAMELESS).await?;
        ensure!(
            nameless == false,
            "{page}, {state}, cuts its name off at {width} px"
        );
        let wide = "document.documentElement.scrollWidth - innerWidth";
        let overflow = value(browser, page, wide).await?;
        ensure!(
            overflow.as_f64().is_some_and(|o| o <= 0.0),
            "{page}, {state}, is {overflow} px too wide at {width} px"
        );
    }
    Ok(())
}

async fn value(browser: &mut Client, page: &str, code: &str) -> Result<Value> {
    browser
        .ask(json!({ "cmd": "eval", "page": page, "code": code }))
        .await
}

/// Ends everything, and says what the pages did that they may not.
pub(crate) async fn stop(mut browser: Client, server: TestServer) -> Result<()> {
    browser.has_no_violations()?;
    browser.stop().await?;
    server.stop().await;
    Ok(())
}

/// A channel `show` whose bridge sends the test picture.
async fn on_air(server: &TestServer, browser: &mut Client) -> Result<()> {
    let url = server.url("/bridge/show?source=canvas&autostart=1&size=640x360&fps=30");
    browser.open("bridge", &url).await?;
    server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    Ok(())
}

/// A running moment of the channel, and one that waits.
async fn with_moments(server: &TestServer) -> Result<()> {
    server.moment("show", "debug-invert", 60.0).await?;
    server
        .channel_until("show", "styled", |c| c["moment"]["state"] == "active")
        .await?;
    server.moment("show", "debug-invert", 15.0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_a_phone_and_a_desk_in_light_and_dark() -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    on_air(&server, &mut browser).await?;
    browser.open("watch", &server.url("/watch/show")).await?;
    browser
        .until(
            "watch",
            "window.reverie.state === 'live' && document.querySelector('#video').videoWidth > 0",
        )
        .await?;
    with_moments(&server).await?;
    for (page, path) in [("index", "/"), ("mod", "/mod/show"), ("admin", "/admin")] {
        browser.open(page, &server.url(path)).await?;
    }
    browser
        .until(
            "mod",
            "document.querySelector('#queue').children.length === 1",
        )
        .await?;
    browser
        .until(
            "admin",
            "document.querySelector('#channels').children.length === 1",
        )
        .await?;
    browser
        .until("bridge", "!document.querySelector('#settings-part').hidden")
        .await?;
    for page in ["index", "bridge", "watch", "mod", "admin"] {
        look(&mut browser, page, "live", &SIZES).await?;
    }
    stop(browser, server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dock_is_dark_and_narrow_and_its_token_leaves_the_address() -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    on_air(&server, &mut browser).await?;
    with_moments(&server).await?;
    let url = server.url("/mod/show?dock=1&token=a-token-of-a-dock");
    browser.open("mod", &url).await?;
    browser
        .until(
            "mod",
            "document.querySelector('#queue').children.length === 1",
        )
        .await?;
    let address = value(&mut browser, "mod", "location.href").await?;
    ensure!(address == server.url("/mod/show?dock=1"), "{address}");
    look(&mut browser, "mod", "live", &DOCK).await?;
    let ground = value(
        &mut browser,
        "mod",
        "getComputedStyle(document.body).backgroundColor",
    );
    let ground = ground.await?;
    ensure!(ground == "rgb(14, 19, 32)", "the dock is {ground}");
    browser
        .ask(json!({ "cmd": "click", "page": "mod", "selector": "#moment-stop" }))
        .await?;
    server
        .channel_until("show", "rid of its moment", |c| c["last"] != Value::Null)
        .await?;
    stop(browser, server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_is_clear_and_names_the_running_moment() -> Result<()> {
    let server = TestServer::start().await?;
    let mut browser = Client::chromium().await?;
    on_air(&server, &mut browser).await?;
    browser
        .open("overlay", &server.url("/overlay/show"))
        .await?;
    browser
        .until("overlay", "document.querySelector('#video').videoWidth > 0")
        .await?;
    let card = "document.querySelector('#card').dataset.state";
    ensure!(
        value(&mut browser, "overlay", card).await? == "none",
        "no card without a moment"
    );
    with_moments(&server).await?;
    browser
        .until("overlay", &format!("{card} === 'active'"))
        .await?;
    let prompt = value(
        &mut browser,
        "overlay",
        "document.querySelector('#card').textContent",
    );
    let prompt = prompt.await?;
    let shown = server.channel("show").await?.json()["moment"]["prompt"].clone();
    ensure!(prompt == shown, "the card says {prompt}, not {shown}");
    for of in ["document.documentElement", "document.body"] {
        let code = format!("getComputedStyle({of}).backgroundColor");
        let ground = value(&mut browser, "overlay", &code).await?;
        ensure!(ground == "rgba(0, 0, 0, 0)", "{of} is {ground}");
    }
    look(&mut browser, "overlay", "card", &SIZES[1..]).await?;
    stop(browser, server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_keeps_to_the_policy_of_twitch_at_318_px() -> Result<()> {
    let mut config = config();
    config.http.allowed_origins = vec!["*".to_owned()];
    let server = TestServer::start_with(config).await?;
    let (mut host, served) = Client::extension(&server.url("")).await?;
    let mut browser = Client::chromium().await?;
    let told = format!(
        "window.testTwitch = {{ token: 'none', channelId: '1', products: [], receipt: () => null, server: {} }}",
        json!(server.url(""))
    );
    for page in ["panel", "config"] {
        let url = format!(
            "{}/extension/{page}.html",
            served["url"].as_str().unwrap_or_default()
        );
        browser
            .ask(json!({
                "cmd": "open", "page": page, "url": url, "prelude": told, "answers": { HELPER: "twitch_helper.js" },
            }))
            .await?;
        look(&mut browser, page, "stranger", &PANEL).await?;
    }
    browser
        .until(
            "panel",
            "document.querySelector('#trouble').textContent !== ''",
        )
        .await?;
    host.stop().await?;
    stop(browser, server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packed_extension_is_the_same_each_time_and_known_by_its_tag() -> Result<()> {
    let server = TestServer::start().await?;
    let url = server.url("/extension.zip");
    let (one, other) = (http::get(&url).await?, http::get(&url).await?);
    ensure!(
        one.status == 200 && one.header("content-type") == "application/zip",
        "{:?}",
        one.status
    );
    ensure!(one.body == other.body, "two packings differ");
    let known = [("if-none-match", one.header("etag"))];
    let again = http::send(hyper::Method::GET, &url, &known, "").await?;
    ensure!(again.status == 304, "an unchanged file is not sent again");
    server.stop().await;
    Ok(())
}
