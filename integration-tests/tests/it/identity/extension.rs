//! The tokens of Twitch's extension helper, signed by another library.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{People, SECRETS, abused, text};
use crate::auth::python;
use crate::conformance::is_problem;

pub(super) async fn panels(secret: &str, claims: Value) -> Result<Vec<String>> {
    let tokens = python(&["sign", &claims.to_string(), "--key", secret, "--base64"]).await?;
    Ok(serde_json::from_value(tokens)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_extension_is_a_session_of_its_role_on_its_channel() -> Result<()> {
    let people = People::start().await?;
    let claims = json!([
        { "opaque_user_id": "U77", "channel_id": "123", "role": "viewer" },
        { "opaque_user_id": "A5-x_y", "channel_id": "123", "role": "viewer" },
        { "opaque_user_id": "U9", "user_id": "9", "channel_id": "123", "role": "moderator" },
        { "opaque_user_id": "U123", "user_id": "123", "channel_id": "123", "role": "broadcaster" },
    ]);
    // Both secrets are good while one is exchanged for the other.
    for secret in SECRETS {
        let tokens = panels(secret, claims.clone()).await?;
        let wanted = [
            ("viewer", "twitch-opaque:U77", None),
            ("viewer", "twitch-opaque:A5-x_y", None),
            ("mod", "twitch-opaque:U9", Some("9")),
            ("streamer", "twitch:123", Some("123")),
        ];
        for (token, (role, subject, user)) in tokens.iter().zip(wanted) {
            let body = json!({ "token": token, "channel_id": "123" });
            let answer = people.post("/v1/auth/twitch-ext", "", &body).await?;
            ensure!(answer.status == 200, "{answer:?}");
            ensure!(
                answer.json()["refresh"].is_null(),
                "Twitch prolongs it: {answer:?}"
            );
            let session = text(&answer, "token")?;
            let me = people.get("/v1/me", &session).await?.json();
            ensure!(me["role"] == role && me["channel"] == "twitch-123", "{me}");
            ensure!(
                me["subject"] == subject && me["twitch_user"].as_str() == user,
                "{me}"
            );
        }
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_of_the_extension_is_refused_and_says_why_without_itself() -> Result<()> {
    let people = People::start().await?;
    let (good, bad) = abused("extension", SECRETS[1]).await?;
    let exchange = async |token: &str| {
        people
            .post("/v1/auth/twitch-ext", "", &json!({ "token": token }))
            .await
    };
    ensure!(exchange(&good).await?.status == 200, "the good one");
    for (name, token) in &bad {
        let answer = exchange(token).await?;
        ensure!(answer.status == 401, "{name}: {answer:?}");
        ensure!(
            token.len() < 9 || !answer.body.contains(token),
            "{name}: {answer:?}"
        );
    }
    for (name, says) in [
        ("alg RS256 signed by RSA", "HS256"),
        ("another key", "signature"),
        ("the text of the secret", "signature"),
        ("expired", "has expired"),
        ("role external", "claim"),
        ("channel is a name", "claim"),
    ] {
        is_problem(&exchange(&bad[name]).await?, 401, says).context(name)?;
    }
    let other = json!({ "token": good, "channel_id": "456" });
    let other = people.post("/v1/auth/twitch-ext", "", &other).await?;
    is_problem(&other, 403, "\"456\"")?;
    // It is no session itself.
    is_problem(&people.get("/v1/me", &good).await?, 401, "token")?;
    people.server.stop().await;
    Ok(())
}
