//! The log at its most talkative level has no token, key or credential in it.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::http::send;
use reverie_integration_tests::secure::Connection;
use reverie_integration_tests::server::{Binary, Log};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::auth::{minted, python};
use crate::conformance::OFFER;
use crate::https::{certificate, text};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const CONTROL: &str = "control-correct-horse-battery";
const SHOW: &str = "show-purple-monkey-dishwasher";
const GUESS: &str = "guess-of-somebody-without-token";
const TURN: &str = "turn-credential-of-the-relay";

const SECRETS: [(&str, &str); 5] = [
    ("REVERIE__LOG__LEVEL", "trace"),
    ("REVERIE__AUTH__TOKEN_KEY", KEY),
    ("REVERIE__AUTH__CONTROL_TOKEN", CONTROL),
    (
        "REVERIE__AUTH__TOKENS",
        "publish:show:show-purple-monkey-dishwasher",
    ),
    (
        "REVERIE__MEDIA__ICE_SERVERS",
        "turn:turn.example:3478 user turn-credential-of-the-relay",
    ),
];

/// Everything that is logged until the process ends.
fn collect(mut log: Log) -> JoinHandle<Result<Vec<String>>> {
    tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Some(line) = log.next_line().await? {
            lines.push(line);
        }
        Ok(lines)
    })
}

/// No line has one of the secrets in it, and the log is one that could have.
fn keeps(lines: &[String], secrets: &[&str]) -> Result<()> {
    let fine = |line: &&String| line.contains("TRACE") || line.contains("DEBUG");
    let told = lines.iter().filter(fine).count();
    ensure!(
        told > 3,
        "{told} fine lines of {} are no such log",
        lines.len()
    );
    for secret in secrets {
        let line = lines.iter().find(|line| line.contains(secret));
        ensure!(line.is_none(), "{secret:?} is logged: {line:?}");
    }
    Ok(())
}

/// The parts of a signed token that nobody else can make.
fn signature(token: &str) -> Result<&str> {
    let (_, signature) = token.rsplit_once('.').context("a signed token")?;
    ensure!(signature.len() > 40, "{token}");
    Ok(signature)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_sessions_and_requests_is_logged() -> Result<()> {
    let (server, log) = Binary::start_logged(&SECRETS).await?;
    let log = collect(log);
    let url = |path: &str| format!("http://{}{path}", server.http);
    let watch = minted(&["watch", "--channel", "show"]).await?;
    let other = minted(&["publish", "--channel", "other"]).await?;
    let mut publisher = Client::aiortc_publish_as(&url("/whip/show"), SHOW)?;
    let connected = |l: &serde_json::Value| l["event"] == "connection" && l["state"] == "connected";
    publisher.wait_for("a connection", connected).await?;
    let channel = "/v1/channels/show";
    for (method, path, scheme, token, status) in [
        (Method::POST, "/whip/show", "Bearer", GUESS, 401),
        (Method::POST, "/whip/show", "Basic", GUESS, 401),
        (Method::POST, "/whip/show", "Bearer", other.as_str(), 403),
        (Method::POST, "/whip/other", "Bearer", &other, 201),
        (Method::GET, channel, "Bearer", &watch, 200),
        (Method::GET, channel, "Bearer", CONTROL, 403),
        (
            Method::POST,
            "/v1/channels/show/cool",
            "Bearer",
            CONTROL,
            202,
        ),
        (
            Method::POST,
            "/v1/channels/show/cool",
            "Bearer",
            &watch,
            403,
        ),
    ] {
        let bearer = format!("{scheme} {token}");
        let headers = [
            ("content-type", "application/sdp"),
            ("authorization", bearer.as_str()),
        ];
        let answer = send(method, &url(path), &headers, OFFER).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
    }
    publisher.stop().await?;
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    let lines = timeout(PATIENCE, log).await???;
    let secrets = [KEY, CONTROL, SHOW, GUESS, TURN];
    keeps(&lines, &secrets)?;
    keeps(&lines, &[signature(&watch)?, signature(&other)?])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_people_is_logged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (password, wrong) = ("a-password-of-ann", "a-password-of-nobody");
    let panel_secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let keys = [
        ("REVERIE__LOG__LEVEL", "trace"),
        ("REVERIE__DATA_DIR", text(folder.path())?),
        ("REVERIE__AUTH__SESSION_KEY", KEY),
        ("REVERIE__AUTH__SEALING_KEY", &KEY.repeat(2)),
        ("REVERIE__AUTH__REGISTRATION", "true"),
        ("REVERIE__TWITCH__EXTENSION_CLIENT_ID", "abc"),
        ("REVERIE__TWITCH__EXTENSION_SECRETS", panel_secret),
    ];
    let (server, log) = Binary::start_logged(&keys).await?;
    let log = collect(log);
    let ask = async |method: Method, path: &str, token: &str, body: serde_json::Value| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
        ];
        let url = format!("http://{}{path}", server.http);
        send(method, &url, &headers, body.to_string()).await
    };
    let field = |answer: &reverie_integration_tests::http::Answer, name: &str| {
        let text = answer.json()[name].as_str().map(str::to_owned);
        text.with_context(|| format!("{name} in {answer:?}"))
    };
    let ann = json!({ "email": "ann@example.org", "password": password, "channel": "show" });
    let made = ask(Method::POST, "/v1/auth/register", "", ann).await?;
    let (token, refresh) = (field(&made, "token")?, field(&made, "refresh")?);
    let nobody = json!({ "email": "ann@example.org", "password": wrong });
    ask(Method::POST, "/v1/auth/login", "", nobody).await?;
    let again = json!({ "refresh": refresh });
    let again = ask(Method::POST, "/v1/auth/refresh", "", again).await?;
    let next = field(&again, "refresh")?;
    let key = json!({ "kind": "key", "channel": "show" });
    let key = field(
        &ask(Method::POST, "/v1/tokens", &token, key).await?,
        "token",
    )?;
    let me = ask(Method::GET, "/v1/me", &key, json!({})).await?;
    ensure!(me.status == 200, "{me:?}");
    let claims = json!([{ "opaque_user_id": "U1", "channel_id": "1", "role": "viewer" }]);
    let sign = [
        "sign",
        &claims.to_string(),
        "--key",
        panel_secret,
        "--base64",
    ];
    let panel = python(&sign).await?[0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let viewer = json!({ "token": panel });
    let viewer = ask(Method::POST, "/v1/auth/twitch-ext", "", viewer).await?;
    let viewer = field(&viewer, "token")?;
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    let lines = timeout(PATIENCE, log).await???;
    keeps(&lines, &[KEY, panel_secret, password, wrong, &key])?;
    for token in [&token, &refresh, &next, &panel, &viewer] {
        keeps(&lines, &[signature(token)?])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_tls_connection_is_logged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let pem = certificate(folder.path()).await?;
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let files = [
        ("REVERIE__HTTP__TLS__CERT", text(&cert)?),
        ("REVERIE__HTTP__TLS__KEY", text(&key)?),
    ];
    let (server, log) = Binary::start_logged(&[&SECRETS[..], &files].concat()).await?;
    let log = collect(log);
    let mut connection = Connection::open(&server.http, "127.0.0.1", &pem).await?;
    let bearer = format!("Bearer {SHOW}");
    let headers = [
        ("content-type", "application/sdp"),
        ("authorization", bearer.as_str()),
    ];
    let created = connection
        .send("POST", "/whip/show", &headers, OFFER)
        .await?;
    ensure!(created.status == 201, "{created:?}");
    server.signal("HUP").await?;
    server
        .metric_line("reverie_tls_reloads_total{result=\"ok\"} 1")
        .await?;
    drop(connection);
    ensure!(server.terminate().await? == Some(0), "it ends in order");
    let lines = timeout(PATIENCE, log).await???;
    keeps(&lines, &[KEY, CONTROL, SHOW, TURN])?;
    let key = std::fs::read_to_string(&key)?;
    let private: Vec<&str> = key
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    keeps(&lines, &private)
}
