//! One socket from its upgrade to its end: who it is, events out, commands in, and signs of life both ways.
//!
//! One task. While a command is carried out nothing more is read, so a client has one at work; while a message is not taken
//! events wait in the channel, and a client that falls out of them is closed.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::http::{HeaderMap, HeaderValue};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::super::events::{Open, as_told};
use super::super::extract::{allow, is_trusted};
use super::super::limit::Peer;
use super::super::problem::Problem;
use super::super::rate::Rates;
use super::super::{App, gate};
use super::commands;
use super::ending::Ending;
use super::sockets::{Arrived, Place};
use super::words::{self, Answer, Command, Hello, Said};
use crate::auth::Need;
use crate::channel::{Entry, Handle, Message as Ask, Opener};
use crate::node::now_ms;

/// A client says who it is within this time.
const HELLO: Duration = Duration::from_secs(5);
/// How often the client hears of the server, and the server asks whether the session still holds.
const PING: Duration = Duration::from_secs(5);
/// A client of whom nothing was heard for so long is gone: three pings.
const SILENCE: Duration = Duration::from_secs(15);
/// A message that the client has not taken by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the store may take to say whether the session still holds; until then it does.
const CHECK: Duration = Duration::from_secs(2);
/// Messages of one client a second in the long run, and at once.
const RATE: (u32, u32) = (10, 20);

/// Whose socket it is, as the request said.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The token or the cookie of the request.
    pub(super) brought: Option<String>,
    pub(super) peer: Option<Peer>,
    pub(super) forwarded: Vec<HeaderValue>,
}

/// See the module.
pub(super) struct Line {
    app: App,
    channel: String,
    caller: Caller,
    router: Router,
    /// For the events.
    token: Option<String>,
    /// For commands.
    control: Option<String>,
    /// Whether its client may decide about moments, and reads every prompt.
    decides: bool,
    rates: Rates<()>,
    heard: Instant,
    /// Number of the last event that was sent.
    n: u64,
}

/// What makes a socket go on.
enum Woken {
    Entry(Result<std::sync::Arc<Entry>, RecvError>),
    Message(Option<Result<Message, axum::Error>>),
    Done(Answer),
    Tick,
    End(Ending),
}

/// What a client begins with: who it is, or a command of somebody whom the request has named.
type Greeting = (Hello, Option<Command>);
type Events = broadcast::Receiver<std::sync::Arc<Entry>>;

impl Line {
    pub(super) fn new(app: App, channel: String, caller: Caller) -> Self {
        Self {
            router: commands::router(&app),
            token: caller.brought.clone(),
            control: caller.brought.clone(),
            app,
            channel,
            caller,
            decides: false,
            rates: Rates::new(RATE.0, RATE.1),
            heard: Instant::now(),
            n: 0,
        }
    }

    pub(super) async fn run(mut self, mut socket: WebSocket, mut arrived: Arrived) {
        let ending = match self.serve(&mut socket, &mut arrived).await {
            Ok(()) => Ending::Gone,
            Err(ending) => ending,
        };
        let closes = &self.app.shared.metrics.socket_closes;
        closes.with_label_values(&[ending.name()]).inc();
        ending.tell(socket).await;
        // Until here a server that stops waits for it.
        drop(arrived);
    }

    /// Always ends with a reason, except when the client closes.
    async fn serve(&mut self, socket: &mut WebSocket, arrived: &mut Arrived) -> Result<(), Ending> {
        let said = self.greeted(socket).await?;
        let is_silent = said.is_none();
        let (hello, command) = said.unwrap_or_default();
        self.take_tokens(&hello);
        let checked = self.check().await;
        // A token that is still on its way is no bad one: its client comes back with it.
        checked.map_err(|problem| {
            if is_silent {
                Ending::Silent
            } else {
                Ending::Refused(problem)
            }
        })?;
        self.replace(&hello).await?;
        let sockets = self.app.sockets.clone();
        let entered = sockets.enter(&self.channel, self.decides, arrived);
        let place = entered.map_err(Ending::Refused)?;
        let _open = Open::new(&self.app, "ws").map_err(Ending::Refused)?;
        let opened = self.app.channels.open(&self.channel, Opener::Viewer);
        let channel = opened.map_err(|full| Ending::Refused(full.into()))?;
        self.send(socket, words::welcome(&place.id)).await?;
        let rest = self.subscribe(socket, &channel, hello.resume).await?;
        self.converse(socket, &channel, place, rest, command).await
    }

    /// The first message; none of a client that says nothing, which gets what it may see, from a snapshot on.
    async fn greeted(&self, socket: &mut WebSocket) -> Result<Option<Greeting>, Ending> {
        let mut stopping = self.app.stopping.clone();
        let said = async {
            loop {
                if let Some(text) = text(socket.recv().await)? {
                    return Ok(text);
                }
            }
        };
        let said = tokio::select! {
            said = timeout(HELLO, said) => said,
            _ = stopping.wait_for(|stopping| *stopping) => return Err(Ending::Draining),
        };
        let Ok(said) = said else {
            return Ok(None);
        };
        match words::read(&said?) {
            Ok(Said::Hello(hello)) => Ok(Some((hello, None))),
            Ok(Said::Command(command)) => Ok(Some((Hello::default(), Some(command)))),
            Err((_, why)) => Err(Ending::Refused(Problem::Json(why))),
        }
    }

    fn take_tokens(&mut self, hello: &Hello) {
        if let Some(token) = &hello.token {
            self.token = Some(token.clone());
            self.control = Some(token.clone());
        }
        if let Some(control) = &hello.control {
            self.control = Some(control.clone());
        }
    }

    /// Whether the client may still see the channel; and whether it decides, as of now.
    async fn check(&mut self) -> Result<(), Problem> {
        let own = gate::vouched(&self.app, self.token.as_deref()).await?;
        allow(&self.app, &own, Need::Look(&self.channel))?;
        let decides =
            |headers: &HeaderMap| is_trusted(&self.app, headers, Need::Moderate(&self.channel));
        self.decides = decides(&own)
            || match &self.control {
                // A token for commands that is no good is refused when one comes.
                Some(control) if self.control != self.token => {
                    let headers = gate::vouched(&self.app, Some(control)).await;
                    headers.is_ok_and(|headers| decides(&headers))
                }
                _ => false,
            };
        Ok(())
    }

    /// Ends the client's socket before this one, once the command on it is carried out.
    async fn replace(&self, hello: &Hello) -> Result<(), Ending> {
        let Some(before) = &hello.replaces else {
            return Ok(());
        };
        let replaced = self.app.sockets.replace(&self.channel, before).await;
        replaced.map_err(Ending::Refused)
    }

    /// Sends what was missed or a snapshot; gives what comes.
    async fn subscribe(
        &mut self,
        socket: &mut WebSocket,
        channel: &Handle,
        after: Option<u64>,
    ) -> Result<Events, Ending> {
        let asked = channel.ask(|reply| Ask::Subscribe(after, reply)).await;
        let subscription = asked.map_err(|busy| Ending::Refused(busy.into()))?;
        self.n = after.unwrap_or_default();
        for entry in &subscription.first {
            self.tell(socket, entry).await?;
        }
        Ok(subscription.rest)
    }

    async fn converse(
        &mut self,
        socket: &mut WebSocket,
        channel: &Handle,
        mut place: Place,
        mut rest: Events,
        first: Option<Command>,
    ) -> Result<(), Ending> {
        let mut tick = interval_at(tokio::time::Instant::now() + PING, PING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = self.app.stopping.clone();
        let mut at_work = first.map(|command| self.start(command));
        self.heard = Instant::now();
        loop {
            let woken = tokio::select! {
                entry = rest.recv() => Woken::Entry(entry),
                message = socket.recv(), if at_work.is_none() => Woken::Message(message),
                answer = finished(&mut at_work) => Woken::Done(answer),
                _ = tick.tick() => Woken::Tick,
                () = told(&mut stopping) => Woken::End(Ending::Draining),
                () = told(&mut place.replaced) => Woken::End(Ending::Replaced),
            };
            match woken {
                Woken::Entry(Ok(entry)) => self.tell(socket, &entry).await?,
                Woken::Entry(Err(_)) => return Err(Ending::Slow),
                Woken::Message(message) => {
                    let Some(text) = text(message)? else {
                        self.heard = Instant::now();
                        continue;
                    };
                    self.heard = Instant::now();
                    match self.read(&text) {
                        Ok(Said::Command(command)) => at_work = Some(self.start(command)),
                        Ok(Said::Hello(hello)) => {
                            self.take_tokens(&hello);
                            self.check().await.map_err(Ending::Refused)?;
                            self.replace(&hello).await?;
                            if hello.resume.is_some() {
                                rest = self.subscribe(socket, channel, hello.resume).await?;
                            }
                        }
                        Err(refused) => self.send(socket, refused.message(None)).await?,
                    }
                }
                Woken::Done(answer) => {
                    at_work = None;
                    self.answer(socket, channel, answer).await?;
                }
                Woken::Tick => self.tick(socket, at_work.is_some()).await?,
                Woken::End(ending) => {
                    if let Some(command) = at_work.take() {
                        let answer = command.await;
                        self.answer(socket, channel, answer).await?;
                    }
                    if matches!(ending, Ending::Draining) {
                        self.send(socket, words::draining(self.n, now_ms())).await?;
                    }
                    return Err(ending);
                }
            }
        }
    }

    /// Reads a message, unless too many come.
    fn read(&mut self, text: &str) -> Result<Said, Answer> {
        let said = words::read(text).map_err(|(id, why)| Answer::refused(id, &Problem::Json(why)));
        if let Err(wait) = self.rates.take(Instant::now(), ()) {
            let id = match said {
                Ok(Said::Command(command)) => command.id,
                _ => Value::Null,
            };
            return Err(Answer::refused(id, &Problem::TooMany { wait }));
        }
        said
    }

    fn start(&self, command: Command) -> BoxFuture<'static, Answer> {
        let name = commands::name(&command.cmd);
        let done = commands::run(
            self.router.clone(),
            self.channel.clone(),
            self.caller.clone(),
            self.control.clone(),
            command,
        );
        let metrics = self.app.shared.metrics.clone();
        let done = done.inspect(move |answer| {
            let result = if answer.outcome.is_ok() {
                "ok"
            } else {
                "refused"
            };
            let counter = &metrics.socket_commands;
            counter.with_label_values(&[name, result]).inc();
        });
        done.boxed()
    }

    async fn answer(
        &mut self,
        socket: &mut WebSocket,
        channel: &Handle,
        answer: Answer,
    ) -> Result<(), Ending> {
        let mut snapshot = None;
        if answer.stale {
            let asked = channel.ask(|reply| Ask::Subscribe(None, reply)).await;
            let first = asked.ok().and_then(|told| told.first.into_iter().next());
            snapshot = first.map(|entry| json!(as_told(&entry, self.decides)));
        }
        self.send(socket, answer.message(snapshot)).await
    }

    /// A sign of life, and a look at the client's own and at its session.
    async fn tick(&mut self, socket: &mut WebSocket, at_work: bool) -> Result<(), Ending> {
        if !at_work && self.heard.elapsed() > SILENCE {
            return Err(Ending::Silent);
        }
        match timeout(CHECK, self.check()).await {
            Ok(Err(problem)) if problem.status().is_client_error() => {
                return Err(Ending::Refused(problem));
            }
            // A store that does not answer takes nothing from anybody.
            _ => {}
        }
        self.send(socket, words::ping(now_ms())).await?;
        self.send(socket, Message::Ping(axum::body::Bytes::new()))
            .await
    }

    async fn tell(&mut self, socket: &mut WebSocket, entry: &Entry) -> Result<(), Ending> {
        let text = json!(as_told(entry, self.decides)).to_string();
        self.send(socket, Message::text(text)).await?;
        self.n = entry.n;
        Ok(())
    }

    async fn send(&self, socket: &mut WebSocket, message: Message) -> Result<(), Ending> {
        match timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Gone),
            Err(_) => Err(Ending::Slow),
        }
    }
}

/// The text of a message; none for what the protocol says by itself.
fn text(message: Option<Result<Message, axum::Error>>) -> Result<Option<String>, Ending> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.to_string())),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Ending::Binary),
        Some(Ok(Message::Close(_))) | None => Err(Ending::Gone),
        Some(Err(error)) => {
            let error = error.to_string();
            let own =
                error.contains("too long") || error.contains("rotocol") || error.contains("UTF-8");
            Err(if own {
                Ending::Unreadable(error)
            } else {
                Ending::Gone
            })
        }
    }
}

async fn finished(at_work: &mut Option<BoxFuture<'static, Answer>>) -> Answer {
    match at_work {
        Some(command) => command.await,
        None => std::future::pending().await,
    }
}

/// Returns when it is true, or nobody is left to say so.
async fn told(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}
