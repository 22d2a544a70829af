//! Whose a socket is: tokens in the first message, cookies with their origin, what each role may, and sessions that end.

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use reverie_integration_tests::client::{Client, PATIENCE};
use reverie_integration_tests::socket::Socket;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use super::{CONTROL, PASSWORD, People, email, text};

const PATH: &str = "/v1/channels/show/ws";

async fn connected(people: &People, headers: &[(&str, &str)]) -> Result<Socket> {
    match Socket::connect(&people.server, PATH, headers).await? {
        Ok(socket) => Ok(socket),
        Err(refused) => bail!("{refused:?}"),
    }
}

/// A socket that says this; the code with which it is closed, if it is not welcome.
async fn greeted(people: &People, hello: &Value) -> Result<Result<Socket, u16>> {
    let mut socket = connected(people, &[]).await?;
    socket.say(hello).await?;
    match socket.welcome().await {
        Ok(()) => Ok(Ok(socket)),
        Err(error) => {
            let error = error.to_string();
            let code = error.split("Closed(").nth(1).context(error.clone())?;
            let code = code.split(',').next().unwrap_or_default();
            Ok(Err(code.parse()?))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_in_the_header_or_in_the_first_message_and_never_in_the_address() -> Result<()>
{
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let other = people.session("mod", Some("other")).await?;
    greeted(&people, &json!({ "token": ann }))
        .await?
        .map_err(anyhow::Error::msg::<u16>)?;
    let refusals = [
        (json!({}), 4401),
        (json!({ "token": "nonsense" }), 4401),
        (json!({ "token": other }), 4403),
    ];
    for (hello, code) in refusals {
        let refused = greeted(&people, &hello).await?;
        ensure!(
            matches!(refused, Err(told) if told == code),
            "{hello}: {refused:?}"
        );
    }
    let bearer = format!("Bearer {ann}");
    let mut by_header = connected(&people, &[("authorization", &bearer)]).await?;
    by_header.welcome().await?;
    for (bad, status) in [
        ("Bearer nonsense".to_owned(), 401),
        (format!("Bearer {other}"), 403),
    ] {
        let refused = Socket::connect(&people.server, PATH, &[("authorization", &bad)]).await?;
        ensure!(
            matches!(&refused, Err((told, _)) if *told == status),
            "{refused:?}"
        );
    }
    let in_address = format!("{PATH}?token={ann}");
    let opened = Socket::connect(&people.server, &in_address, &[]).await?;
    let mut opened = opened.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    opened.say(&json!({})).await?;
    ensure!(
        opened.closed().await?.0 == 4401,
        "an address is no place for a token"
    );
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_and_may_not_look_is_closed_as_silent_and_not_as_refused() -> Result<()> {
    let people = People::start().await?;
    people.registered("ann", Some("show")).await?;
    let mut socket = connected(&people, &[]).await?;
    let (code, reason) = socket.closed().await?;
    ensure!(code == 4408, "{code} {reason}");
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_opens_a_socket_for_pages_of_this_server_only() -> Result<()> {
    let people = People::start().await?;
    people.registered("ann", Some("show")).await?;
    let own = people.server.url("");
    let body = json!({ "email": email("ann"), "password": PASSWORD, "cookie": true });
    let headers = [
        ("content-type", "application/json"),
        ("origin", own.as_str()),
    ];
    let answer = people
        .raw(Method::POST, "/v1/auth/login", &headers, &body)
        .await?;
    let cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let cookie = ("cookie", cookie.as_str());
    let mut socket = connected(&people, &[cookie, ("origin", &own)]).await?;
    socket.say(&json!({})).await?;
    socket.welcome().await?;
    let paused = socket.command(json!({ "cmd": "pause" })).await?;
    ensure!(paused["ok"] == true, "{paused}");
    for foreign in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![],
    ] {
        let headers = [vec![cookie], foreign].concat();
        let refused = Socket::connect(&people.server, PATH, &headers).await?;
        ensure!(
            matches!(&refused, Err((403, body)) if body.contains("own pages")),
            "{headers:?}: {refused:?}"
        );
    }
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_what_its_route_asks() -> Result<()> {
    let people = People::start_with(|config| config.auth.public_watch = true).await?;
    let commands = [
        ("approve", "moderate"),
        ("reject", "moderate"),
        ("start", "moderate"),
        ("stop", "moderate"),
        ("move", "moderate"),
        ("pause", "moderate"),
        ("resume", "moderate"),
        ("warm", "own"),
        ("params", "own"),
        ("ping", "look"),
    ];
    // A moment to decide about, that waits.
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let mut publisher = Client::aiortc_publish_as(&people.server.url("/whip/show"), &ann)?;
    people
        .server
        .channel_until("show", "live", |c| c["live"] == true)
        .await?;
    people
        .post("/v1/channels/show/queue/pause", &ann, &Value::Null)
        .await?;
    let moment = json!({ "prompt": "rain", "pipeline": "debug-invert" });
    let made = people
        .post("/v1/channels/show/moments", &ann, &moment)
        .await?;
    let id = text(&made, "id")?;
    for (rank, may) in [
        ("viewer", ["look"].as_slice()),
        ("mod", &["look", "moderate"]),
        ("streamer", &["look", "moderate", "own"]),
    ] {
        let token = people.session(rank, Some("show")).await?;
        let opened = greeted(&people, &json!({ "token": token })).await?;
        let mut socket = opened.map_err(anyhow::Error::msg::<u16>)?;
        for (cmd, need) in commands {
            let command = json!({ "cmd": cmd, "moment": id, "version": 99, "position": 1, "params": { "seed": 1 } });
            let answer = socket.command(command).await?;
            let status = answer["error"]["status"].as_u64();
            let refused = matches!(status, Some(401 | 403));
            ensure!(refused != may.contains(&need), "{cmd} by {rank}: {answer}");
        }
        socket.leave().await?;
    }
    publisher.stop().await?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_may_have_a_token_of_their_own() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let made = people
        .post(
            "/v1/tokens",
            &ann,
            &json!({ "kind": "watch", "channel": "show" }),
        )
        .await?;
    let hello = json!({ "token": text(&made, "token")? });
    let mut looks = greeted(&people, &hello)
        .await?
        .map_err(anyhow::Error::msg::<u16>)?;
    let refused = looks.command(json!({ "cmd": "pause" })).await?;
    ensure!(refused["error"]["status"] == 403, "{refused}");
    looks.say(&json!({ "control": CONTROL })).await?;
    let paused = looks.command(json!({ "cmd": "pause" })).await?;
    ensure!(paused["ok"] == true, "{paused}");
    people.server.stop().await;
    Ok(())
}

/// The events of the channel `show`, line by line.
struct Stream(Lines<BufReader<TcpStream>>);

impl Stream {
    async fn open(people: &People, token: Option<&str>) -> Result<Self> {
        let mut tcp = TcpStream::connect(people.server.address()).await?;
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let request = format!(
            "GET /v1/channels/show/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n",
            token.unwrap_or_default()
        );
        tcp.write_all(request.as_bytes()).await?;
        Ok(Self(BufReader::new(tcp).lines()))
    }

    /// Reads until a line; an error when the stream ends first.
    async fn until(&mut self, wanted: &str) -> Result<()> {
        let read = async {
            while let Some(line) = self.0.next_line().await? {
                if line == wanted {
                    return Ok(());
                }
            }
            bail!("the stream ended before {wanted:?}")
        };
        let waited = tokio::time::timeout(PATIENCE, read).await;
        waited.expect("a line or the end")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_with_its_session_and_one_that_anybody_may_read_goes_on() -> Result<()>
{
    let people = People::start_with(|config| config.auth.public_watch = true).await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let wanted = json!({ "kind": "dock", "channel": "show" });
    let dock = people.post("/v1/tokens", &ann, &wanted).await?;
    let (id, token) = (text(&dock, "id")?, text(&dock, "token")?);
    let mut moderator = Stream::open(&people, Some(&token)).await?;
    let mut anybody = Stream::open(&people, None).await?;
    moderator.until("event: snapshot").await?;
    anybody.until("event: snapshot").await?;
    let path = format!("/v1/tokens/{id}");
    let ended = people
        .ask(Method::DELETE, &path, &ann, &Value::Null)
        .await?;
    ensure!(ended.status == 204, "{ended:?}");
    ensure!(moderator.until("nothing").await.is_err(), "it goes on");
    let paused = "/v1/channels/show/queue/pause";
    let paused = people.post(paused, &ann, &Value::Null).await?;
    ensure!(paused.status == 200, "{paused:?}");
    anybody.until("event: queue.changed").await?;
    people.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_session() -> Result<()> {
    let people = People::start().await?;
    let (ann, _) = people.registered("ann", Some("show")).await?;
    let dock = people
        .post(
            "/v1/tokens",
            &ann,
            &json!({ "kind": "dock", "channel": "show" }),
        )
        .await?;
    let (id, token) = (text(&dock, "id")?, text(&dock, "token")?);
    let hello = json!({ "token": token });
    let mut socket = greeted(&people, &hello)
        .await?
        .map_err(anyhow::Error::msg::<u16>)?;
    let paused = socket.command(json!({ "cmd": "pause" })).await?;
    ensure!(paused["ok"] == true, "{paused}");
    let ended = people
        .ask(
            Method::DELETE,
            &format!("/v1/tokens/{id}"),
            &ann,
            &Value::Null,
        )
        .await?;
    ensure!(ended.status.is_success(), "{ended:?}");
    let refused = socket.command(json!({ "cmd": "resume" })).await?;
    ensure!(
        refused["error"]["status"] == 401,
        "at once for commands: {refused}"
    );
    let (code, reason) = socket.closed().await?;
    ensure!(code == 4401 && !reason.is_empty(), "{code} {reason}");
    people.server.stop().await;
    Ok(())
}
