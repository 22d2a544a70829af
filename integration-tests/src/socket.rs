//! A channel's WebSocket as a program would use it: messages as JSON, and how it was closed.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::PATIENCE;
use crate::server::TestServer;

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    next_command: u64,
    /// What the server calls it.
    pub name: String,
    /// Every event it heard, in order.
    pub events: Vec<Value>,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The end, with code and reason; code 0 where there was none.
    Closed(u16, String),
}

/// Why no socket was opened: the status, and the body as text.
pub type Refused = (u16, String);

impl Socket {
    /// Opens a channel's socket and says hello.
    ///
    /// # Errors
    ///
    /// If it is not welcome.
    pub async fn open(server: &TestServer, channel: &str, hello: &Value) -> Result<Self> {
        let url = format!("/v1/channels/{channel}/ws");
        let opened = Self::connect(server, &url, &[]).await?;
        let Ok(mut socket) = opened else {
            bail!("no socket: {opened:?}");
        };
        socket.say(hello).await?;
        socket.welcome().await?;
        Ok(socket)
    }

    /// Opens a socket and says nothing.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn connect(
        server: &TestServer,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Result<Self, Refused>> {
        Self::connect_with(server, path, headers, None).await
    }

    /// Like [`Self::connect`], by a connection that keeps few bytes which were not read.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn connect_with(
        server: &TestServer,
        path: &str,
        headers: &[(&str, &str)],
        window: Option<u32>,
    ) -> Result<Result<Self, Refused>> {
        let address = server.address();
        let tcp = TcpSocket::new_v4()?;
        if let Some(window) = window {
            tcp.set_recv_buffer_size(window)?;
        }
        let tcp = tcp.connect(address).await?;
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in headers {
            let name: HeaderName = name.parse()?;
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value)?);
        }
        match client_async(request, tcp).await {
            Ok((stream, _)) => Ok(Ok(Self {
                stream,
                next_command: 0,
                name: String::new(),
                events: Vec::new(),
            })),
            Err(Error::Http(answer)) => Ok(Err(refused(&answer))),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it is welcome.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub async fn welcome(&mut self) -> Result<()> {
        let welcome = self.next().await?;
        let Heard::Message(welcome) = welcome else {
            bail!("not welcome: {welcome:?}");
        };
        ensure!(welcome["type"] == "welcome", "{welcome}");
        self.name = welcome["socket"].as_str().context("a name")?.to_owned();
        Ok(())
    }

    /// Sends JSON.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub async fn say(&mut self, message: &Value) -> Result<()> {
        self.send(Message::text(message.to_string())).await
    }

    /// Sends anything.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub async fn send(&mut self, message: Message) -> Result<()> {
        Ok(self.stream.send(message).await?)
    }

    /// What comes next; frames of the protocol are answered and passed over.
    ///
    /// # Errors
    ///
    /// After [`PATIENCE`].
    pub async fn next(&mut self) -> Result<Heard> {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await;
            let message = message.context("the server says nothing")?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text)?;
                    if message["n"].is_u64() {
                        self.events.push(message.clone());
                    }
                    return Ok(Heard::Message(message));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ok(Heard::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Close(None))) | Some(Err(_)) | None => {
                    return Ok(Heard::Closed(0, String::new()));
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads until a message is as wanted.
    ///
    /// # Errors
    ///
    /// If the socket is closed before.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            match self.next().await? {
                Heard::Message(message) if wanted(&message) => return Ok(message),
                Heard::Message(_) => {}
                closed @ Heard::Closed(..) => bail!("{closed:?} before {what}"),
            }
        }
    }

    /// Reads until the socket is closed: code and reason.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub async fn closed(&mut self) -> Result<(u16, String)> {
        loop {
            if let Heard::Closed(code, reason) = self.next().await? {
                return Ok((code, reason));
            }
        }
    }

    /// Gives a command and reads until its answer.
    ///
    /// # Errors
    ///
    /// If the socket is closed before.
    pub async fn command(&mut self, mut command: Value) -> Result<Value> {
        self.next_command += 1;
        let id = json!(format!("t{}", self.next_command));
        command["id"] = id.clone();
        self.say(&command).await?;
        self.until(&format!("the answer to {command}"), |m| m["id"] == id)
            .await
    }

    /// Ends it as a connection that breaks.
    pub fn cut(self) {
        drop(self);
    }

    /// Says farewell and waits until it is heard.
    ///
    /// # Errors
    ///
    /// If the server does not close.
    pub async fn leave(mut self) -> Result<()> {
        self.stream.close(None).await?;
        timeout(Duration::from_secs(5), async {
            while self.stream.next().await.is_some_and(|heard| heard.is_ok()) {}
        })
        .await
        .context("the server does not close")
    }
}

fn refused(answer: &http::Response<Option<Vec<u8>>>) -> Refused {
    let body = answer.body().as_deref().unwrap_or_default();
    (
        answer.status().as_u16(),
        String::from_utf8_lossy(body).into_owned(),
    )
}
