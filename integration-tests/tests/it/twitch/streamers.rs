//! Without a bot the streamer writes, by a token that is kept sealed and refreshed before its end.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Secret;
use reverie_integration_tests::http::{Answer, send};
use reverie_integration_tests::twitch_sim::{STREAMER, TwitchSim};
use reverie_moments::store::Role;
use serde_json::json;

use super::{CHANNEL, World, free_port, now};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// A server without a bot, whose streamer has tied the channel to Twitch.
async fn tied(sim: TwitchSim) -> Result<World> {
    let port = free_port()?;
    let world = World::start_with(sim, |config| {
        config.http.listen.set_port(port);
        config.twitch.public_url = Some(format!("http://127.0.0.1:{port}"));
        config.twitch.bot_user_id = None;
        config.auth.session_key = Secret::new(KEY).ok();
        config.auth.sealing_key = Secret::new(OTHER_KEY).ok();
        config.auth.registration = true;
    })
    .await?;
    let who = json!({ "email": "streamer@example.org", "password": "a long password" });
    let answer = world.call(Method::POST, "/v1/auth/register", &who).await?;
    let subject = answer.json()["subject"].as_str().map(str::to_owned);
    let subject = subject.with_context(|| format!("{answer:?}"))?;
    world
        .store
        .grant(now(), CHANNEL, &subject, Role::Streamer)
        .await?;
    let mut who = who;
    who["channel"] = json!(CHANNEL);
    let answer = world.call(Method::POST, "/v1/auth/login", &who).await?;
    let token = answer.json()["token"].as_str().map(str::to_owned);
    let bearer = format!("Bearer {}", token.with_context(|| format!("{answer:?}"))?);

    let url = world.server.url("/v1/auth/twitch/start?channel=show");
    let begun = get(&url, &[("authorization", bearer.as_str())]).await?;
    let cookies: Vec<_> = begun
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
        .collect();
    let cookies = cookies.join("; ");
    let there = get(begun.header("location"), &[]).await?;
    let back = there.header("location").to_owned();
    let tied = get(&back, &[("cookie", cookies.as_str())]).await?;
    ensure!(
        tied.status.is_redirection() || tied.status.is_success(),
        "{tied:?}"
    );
    let kept = world.store.kept_token(CHANNEL, "twitch").await?;
    ensure!(kept.is_some(), "no token was kept: {tied:?}");
    Ok(world)
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    send(Method::GET, url, headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamer_writes_in_their_own_chat() -> Result<()> {
    let world = tied(TwitchSim::start().await?).await?;
    world.active("rain").await?;
    world.chat_until(1).await?;
    let line = &world.sim.chat()[0];
    ensure!(
        (line.broadcaster_id.as_str(), line.sender_id.as_str()) == (STREAMER, STREAMER),
        "{line:?}"
    );
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_soon_is_refreshed_and_kept_sealed() -> Result<()> {
    let sim = TwitchSim::start().await?;
    sim.tokens_last(60);
    let world = tied(sim).await?;
    let before = world.store.kept_token(CHANNEL, "twitch").await?;
    world.sim.tokens_last(4 * 3600);
    world.active("rain").await?;
    world.active("snow").await?;
    world.chat_until(2).await?;
    let (before, after) = (before, world.store.kept_token(CHANNEL, "twitch").await?);
    let (before, after) = (before.context("a token")?, after.context("a token")?);
    ensure!(after.expires_at > before.expires_at + 3600 * 1000);
    ensure!(after.sealed != before.sealed && !after.sealed.contains("token"));
    let refreshes = "reverie_twitch_calls_total{call=\"refresh\",result=\"ok\"}";
    world.server.metric_until(refreshes, 1.0).await?;
    world.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_twitch_does_not_take_is_refreshed_and_the_line_written_once() -> Result<()> {
    let world = tied(TwitchSim::start().await?).await?;
    world.sim.revoke_tokens();
    world.active("rain").await?;
    let lines = world.chat_until(1).await?;
    ensure!(lines.len() == 1, "{lines:?}");
    ensure!(world.sim.calls("chat/messages") == 2);
    world.stop().await;
    Ok(())
}
