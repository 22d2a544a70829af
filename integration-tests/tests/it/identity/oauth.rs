//! Signing in by Twitch, against a peer that is strict about codes, addresses and PKCE.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_config::Secret;
use reverie_integration_tests::client::{PATIENCE, root};
use reverie_integration_tests::http::{Answer, get, send};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::People;
use crate::conformance::is_problem;

/// The address that the peer sends people back to; nobody listens there, the test goes on by itself.
const PUBLIC: &str = "https://live.example";

/// A process that stands for Twitch.
struct Peer {
    _child: Child,
    url: String,
}

impl Peer {
    async fn start() -> Result<Self> {
        let mut child = Command::new(root().join(".venv/bin/python"))
            .arg(root().join("integration-tests/clients/oauth_peer.py"))
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
        let port = line.context("a port")?;
        Ok(Self {
            _child: child,
            url: format!("http://127.0.0.1:{port}"),
        })
    }

    async fn people(&self) -> Result<People> {
        let url = self.url.clone();
        People::start_with(move |config| {
            config.twitch.client_id = Some("client".to_owned());
            config.twitch.client_secret = Secret::new("secret-0123456789").ok();
            config.twitch.public_url = Some(PUBLIC.to_owned());
            config.twitch.id_url = format!("{url}/oauth2");
            config.twitch.helix_url = format!("{url}/helix");
        })
        .await
    }
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(answer: &Answer) -> String {
    let lines = answer.headers.get_all("set-cookie").iter();
    let pairs: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .collect();
    pairs.join("; ")
}

/// Goes to Twitch, agrees, and gives the cookies and the address that one is led back to.
async fn away(people: &People, path: &str, token: &str) -> Result<(String, String)> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let headers = if token.is_empty() {
        &[][..]
    } else {
        &headers[..]
    };
    let begun = people.raw(Method::GET, path, headers, &Value::Null).await?;
    ensure!(begun.status == 303, "{begun:?}");
    let agreed = get(begun.header("location")).await?;
    let back = agreed.header("location").strip_prefix(PUBLIC);
    Ok((cookies(&begun), back.context("our own address")?.to_owned()))
}

async fn back(people: &People, cookies: &str, path: &str) -> Result<Answer> {
    send(
        Method::GET,
        &people.server.url(path),
        &[("cookie", cookies)],
        "",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_twitch_is_the_streamer_of_its_own_channel() -> Result<()> {
    let peer = Peer::start().await?;
    let people = peer.people().await?;
    let (journey, path) = away(&people, "/v1/auth/twitch/start", "").await?;
    let home = back(&people, &journey, &path).await?;
    ensure!(
        home.status == 303 && home.header("location") == "/bridge/twitch-4242",
        "{home:?}"
    );
    let session = cookies(&home);
    let me = people
        .raw(Method::GET, "/v1/me", &[("cookie", &session)], &Value::Null)
        .await?;
    let me = me.json();
    ensure!(
        me["subject"] == "twitch:4242" && me["role"] == "streamer",
        "{me}"
    );
    let again = back(&people, &journey, &path).await?;
    is_problem(&again, 502, "Twitch answered 400")?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_back_from_a_journey_that_their_browser_did_not_begin() -> Result<()> {
    let peer = Peer::start().await?;
    let people = peer.people().await?;
    let (mine, path) = away(&people, "/v1/auth/twitch/start", "").await?;
    let (other, other_path) = away(&people, "/v1/auth/twitch/start", "").await?;
    let changed = mine.replace("reverie_oauth=1.", "reverie_oauth=1.A");
    let (stateless, _) = path.split_once("&state=").context("a state")?;
    for (cookies, path) in [
        ("", path.as_str()),
        (&other, &path),
        (&mine, &other_path),
        (&changed, &path),
        (&mine, stateless),
        (&mine, "/v1/auth/twitch/callback"),
    ] {
        let refused = back(&people, cookies, path).await?;
        is_problem(&refused, 401, "has not begun")?;
        ensure!(cookies_of_sessions(&refused).is_empty(), "{refused:?}");
    }
    let denied = path.replace("code=", "error=access_denied&was=");
    is_problem(&back(&people, &mine, &denied).await?, 401, "not allowed")?;
    people.server.stop().await;
    Ok(())
}

fn cookies_of_sessions(answer: &Answer) -> String {
    let all = cookies(answer);
    all.split("; ")
        .filter(|pair| pair.contains("session="))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamer_ties_their_channel_and_its_tokens_are_kept_sealed() -> Result<()> {
    let peer = Peer::start().await?;
    let people = peer.people().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let (bob, _) = people.registered("bob", Some("other")).await?;
    let start = "/v1/auth/twitch/start?channel=show";
    is_problem(
        &people.get(start, &bob).await?,
        403,
        "the streamer of channel",
    )?;
    is_problem(&people.get(start, "").await?, 401, "Bearer")?;
    let (journey, path) = away(&people, start, &ann).await?;
    let home = back(&people, &journey, &path).await?;
    ensure!(home.header("location") == "/bridge/show", "{home:?}");
    let session = cookies(&home);
    let me = people
        .raw(Method::GET, "/v1/me", &[("cookie", &session)], &Value::Null)
        .await?
        .json();
    ensure!(
        me["channel"] == "show" && me["email"] == "ann@example.org",
        "by Twitch too: {me}"
    );
    let claims = json!([{ "opaque_user_id": "U4242", "user_id": "4242", "channel_id": "4242", "role": "broadcaster" }]);
    let tokens = super::extension::panels(super::SECRETS[0], claims).await?;
    let panel = people
        .post("/v1/auth/twitch-ext", "", &json!({ "token": tokens[0] }))
        .await?;
    ensure!(
        panel.json()["channel"] == "show" && panel.json()["role"] == "streamer",
        "{panel:?}"
    );
    people.server.stop().await;
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(people.folder.path())? {
        bytes.extend(std::fs::read(entry?.path())?);
    }
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    ensure!(has("user:write:chat"), "what it allows is kept");
    ensure!(
        !has("access_token") && !has("refresh-"),
        "and itself sealed"
    );
    Ok(())
}
