//! The task beside a channel's task that talks with the store, so that the channel never waits for it.
//!
//! Decides nothing: [`holding`] says what to ask and what follows. A call under way never keeps it from hearing.

mod calls;
mod holding;
mod look;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc, oneshot};

use super::board::News;
use super::director::{Engagement, Run};
use super::registry::Shared;
use crate::node::Fault;
use calls::{Answer, Caller};
use holding::{Holding, Input, Output, Times};
use look::Reader;

/// Messages waiting in either direction.
const MESSAGES: usize = 64;

/// What the channel tells.
#[derive(Debug)]
pub(super) enum Told {
    /// The camera's picture is there.
    Live,
    /// The publisher is gone.
    Gone,
    /// The first transformed picture of the run was shown.
    FirstPicture(Run),
    /// The run cannot be shown.
    Failed {
        run: Run,
        reason: String,
        retry: bool,
    },
    /// Answer once the store knows of the stream, if it is live.
    Settle(oneshot::Sender<()>),
}

/// What the channel hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// Load this stage.
    Prepare(String),
    /// Show the moment.
    Begin(Engagement),
    /// Show the camera.
    End,
    /// The moments are others than before.
    News(Box<News>),
}

/// The channel's side; the task ends, and gives up what it holds, when it is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    inputs: mpsc::Sender<Told>,
    outputs: mpsc::Receiver<Heard>,
}

impl Keeper {
    /// Starts the task. `news` is notified when something was committed.
    pub(super) fn spawn(channel: String, shared: Arc<Shared>, news: Arc<Notify>) -> Self {
        let (inputs, told) = mpsc::channel(MESSAGES);
        let (heard, outputs) = mpsc::channel(MESSAGES);
        let config = &shared.config;
        let times = Times {
            heartbeat: config.moments.heartbeat,
            lease: config.moments.lease,
            publisher_gone: config.moments.publisher_gone,
            end_grace: config.moments.end_grace,
        };
        let task = Task {
            caller: Caller {
                channel,
                node: shared.node.clone(),
                fallback: config.pipeline.default.clone(),
            },
            writer: shared.node.writers.upgrade(),
            shared,
            holding: Holding::new(Instant::now(), times),
            reader: Some(Reader::default()),
            settling: Vec::new(),
            heard,
            fault: Fault::default(),
            taken: Fault::default(),
            taken_since: None,
        };
        tokio::spawn(task.run(told, news));
        Self { inputs, outputs }
    }

    /// Tells it something; never waits.
    pub(super) fn tell(&self, told: Told) {
        // It hears at once whatever the store does, so a full queue means that its task is gone.
        if let Err(error) = self.inputs.try_send(told) {
            tracing::error!(%error, "the store's task of a channel hears nothing");
        }
    }

    /// The next thing to do; pends for ever when its task is gone.
    pub(super) async fn next(&mut self) -> Heard {
        match self.outputs.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

type Calling = Pin<Box<dyn Future<Output = Answer> + Send>>;

struct Task {
    caller: Caller,
    shared: Arc<Shared>,
    holding: Holding,
    /// Away with a call that is under way.
    reader: Option<Reader>,
    settling: Vec<oneshot::Sender<()>>,
    heard: mpsc::Sender<Heard>,
    fault: Fault,
    taken: Fault,
    /// Since when another server has the stream.
    taken_since: Option<Instant>,
    /// The server waits for it at its end.
    writer: Option<mpsc::Sender<()>>,
}

impl Task {
    async fn run(mut self, mut told: mpsc::Receiver<Told>, news: Arc<Notify>) {
        let node = self.caller.node.clone();
        let mut stopped = false;
        let mut calling: Option<Calling> = None;
        while !self.holding.is_done() {
            let now = Instant::now();
            if let Some(reader) = self.reader.take() {
                match self.holding.call(now) {
                    Some(call) => {
                        calling = Some(Box::pin(self.caller.clone().make(call, reader)));
                    }
                    None => self.reader = Some(reader),
                }
            }
            let deadline = self.holding.deadline(now).map(|(at, _)| at);
            tokio::select! {
                message = told.recv(), if !stopped => match message {
                    Some(message) => self.told(message),
                    None => {
                        stopped = true;
                        self.input(Input::Stop);
                    }
                },
                answer = answered(&mut calling) => {
                    calling = None;
                    self.answer(answer).await;
                }
                () = news.notified() => self.input(Input::News),
                () = super::task::sleep_until(deadline) => self.input(Input::Timeout),
                () = node.stopped(), if !stopped => {
                    stopped = true;
                    self.input(Input::Stop);
                }
            }
            self.drain().await;
        }
        drop(self.writer.take());
    }

    fn told(&mut self, message: Told) {
        match message {
            Told::Live => self.input(Input::Live),
            Told::Gone => self.input(Input::Gone),
            Told::FirstPicture(run) => self.input(Input::FirstPicture(run)),
            Told::Failed { run, reason, retry } => self.input(Input::Failed { run, reason, retry }),
            Told::Settle(reply) => self.settling.push(reply),
        }
    }

    async fn answer(&mut self, answer: Answer) {
        self.reader = Some(answer.reader);
        if let Some(news) = answer.news {
            self.hear(Heard::News(Box::new(news))).await;
        }
        match answer.input {
            Ok(input) => {
                self.fault.is("the store", None);
                if let Input::Held(held) = input {
                    self.held(held);
                }
                self.input(input);
            }
            Err(error) => {
                let errors = &self.shared.metrics.store_errors;
                errors.with_label_values(&[answer.call]).inc();
                self.fault.is("the store", Some(&error));
                self.input(Input::Broken);
            }
        }
    }

    /// A server that was killed has its streams until its lease is over: only what lasts longer is a fault.
    fn held(&mut self, held: bool) {
        if held {
            self.taken_since = None;
        }
        let since = match held {
            true => Instant::now(),
            false => *self.taken_since.get_or_insert_with(Instant::now),
        };
        let lasts = since.elapsed() > self.shared.config.moments.lease;
        let other: &dyn std::fmt::Display = &"another server has the stream";
        let channel = &self.caller.channel;
        self.taken
            .is(&format!("publishing on {channel}"), lasts.then_some(other));
    }

    fn input(&mut self, input: Input) {
        self.holding.handle(Instant::now(), input);
    }

    async fn drain(&mut self) {
        while let Some(output) = self.holding.poll() {
            let heard = match output {
                Output::Prepare(pipeline) => Heard::Prepare(pipeline),
                Output::Begin(engagement) => Heard::Begin(engagement),
                Output::End => Heard::End,
            };
            self.hear(heard).await;
        }
        if self.holding.is_settled() {
            for reply in self.settling.drain(..) {
                // Who asked may have gone.
                let _ = reply.send(());
            }
        }
    }

    /// The channel's task waits for nobody, so there is room soon.
    async fn hear(&mut self, heard: Heard) {
        // Fails when the channel is gone, which is heard of too.
        let _ = self.heard.send(heard).await;
    }
}

async fn answered(calling: &mut Option<Calling>) -> Answer {
    match calling {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}
