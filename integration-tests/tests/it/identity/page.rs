//! The page on which people sign in, in Chromium.

use anyhow::{Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::Client;
use serde_json::{Value, json};

use super::{PASSWORD, People};
use crate::pages::{SIZES, look};

const PAGE: &str = "account";
/// Who reads what is theirs.
const SIGNED_IN: &str = "document.querySelector('#me-part').checkVisibility() && \
    document.querySelector('#me-words').textContent";
const SIGNED_OUT: &str = "document.querySelector('#sign-in-part').checkVisibility() && \
    document.querySelector('#sign-in-title').textContent === 'Sign in'";

async fn fill(browser: &mut Client, selector: &str, text: &str) -> Result<()> {
    let fill = json!({ "cmd": "type", "page": PAGE, "selector": selector, "text": text });
    browser.ask(fill).await?;
    Ok(())
}

async fn click(browser: &mut Client, selector: &str) -> Result<()> {
    let click = json!({ "cmd": "click", "page": PAGE, "selector": selector });
    browser.ask(click).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamer_makes_an_account_gets_links_leaves_and_comes_back() -> Result<()> {
    let people = People::start().await?;
    let mut browser = Client::chromium().await?;
    browser.open(PAGE, &people.server.url("/account")).await?;
    browser.until(PAGE, SIGNED_OUT).await?;
    look(&mut browser, PAGE, "strangers", &SIZES).await?;
    click(&mut browser, "#other").await?;
    fill(&mut browser, "#email", "ann@example.org").await?;
    fill(&mut browser, "#password", PASSWORD).await?;
    fill(&mut browser, "#new-channel", "anns").await?;
    click(&mut browser, "#enter").await?;
    let me = browser.until(PAGE, SIGNED_IN).await?;
    ensure!(me == "ann@example.org", "{me}");

    click(&mut browser, "#roles button").await?;
    let link = "document.querySelector('#link-part').checkVisibility() && document.querySelector('#link').value";
    let link = browser.until(PAGE, link).await?;
    let link = link.as_str().unwrap_or_default();
    let dock = people.server.url("/mod/anns?dock=1#token=");
    ensure!(link.starts_with(&dock), "{link}");
    look(&mut browser, PAGE, "streamer", &SIZES).await?;
    let token = link.trim_start_matches(&dock);
    let queue = people.get("/v1/channels/anns/queue", token).await?;
    let pending = &queue.json()["pending"];
    ensure!(pending.is_array(), "it moderates: {queue:?}");

    // A page that was left open for longer than a session lasts.
    let forget = json!({ "cmd": "forget", "page": PAGE, "cookie": "reverie_session" });
    browser.ask(forget).await?;
    browser
        .ask(json!({ "cmd": "reload", "page": PAGE }))
        .await?;
    browser.until(PAGE, SIGNED_IN).await?;

    click(&mut browser, "#leave").await?;
    browser.until(PAGE, SIGNED_OUT).await?;
    let forgotten = "fetch('/v1/me').then(({ status }) => status)";
    let status = browser.until(PAGE, forgotten).await?;
    ensure!(status == 401, "{status}");

    // Sent here by the moderator's page, and back to it.
    let path = "/account?to=%2Fmod%2Fanns";
    let goto = json!({ "cmd": "goto", "page": PAGE, "url": people.server.url(path) });
    browser.ask(goto).await?;
    browser.until(PAGE, SIGNED_OUT).await?;
    fill(&mut browser, "#email", "ann@example.org").await?;
    fill(&mut browser, "#password", "not the right one").await?;
    click(&mut browser, "#enter").await?;
    let said = "document.querySelector('#sign-in-error').textContent";
    let said = browser.until(PAGE, said).await?;
    ensure!(
        said == "the e-mail address or the password is wrong",
        "{said}"
    );
    let clear = json!({ "cmd": "eval", "page": PAGE, "code": "document.querySelector('#password').value = ''" });
    browser.ask(clear).await?;
    fill(&mut browser, "#password", PASSWORD).await?;
    let follow = json!({ "cmd": "follow", "page": PAGE, "selector": "#enter" });
    browser.ask(follow).await?;
    let arrived = "location.pathname === '/mod/anns' && window.reverie?.channel.known === true";
    browser.until(PAGE, arrived).await?;
    let asked = "document.querySelector('#token-form').checkVisibility()";
    let asked = json!({ "cmd": "eval", "page": PAGE, "code": asked });
    ensure!(browser.ask(asked).await? == false, "a cookie is enough");
    browser.has_no_violations()?;
    browser.stop().await?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn how_one_can_sign_in_is_told_to_everybody() -> Result<()> {
    let people = People::start_with(|config| config.auth.registration = false).await?;
    let told = people
        .ask(Method::GET, "/v1/auth", "", &Value::Null)
        .await?;
    let wanted = json!({ "password": true, "registration": false, "twitch": false });
    ensure!(told.json() == wanted, "{told:?}");
    people.server.stop().await;
    Ok(())
}
