//! The thread of an engine, and the way in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::floor::{Floor, Ordered};
use super::library::Library;
use super::{Opened, Pictures, Styled};
use crate::Error;
use crate::params::Params;

pub(super) type Answer<T> = SyncSender<Result<T, Error>>;

/// What a session asks. Each waits for its answer, so no more wait than there are sessions.
pub(super) enum Request {
    Open(Box<Params>, Answer<Opened>),
    Apply(u64, Box<Params>, Answer<usize>),
    Restart(u64, Answer<()>),
    Frame(u64, Pictures, Answer<Styled>),
    Close(u64),
}

#[derive(Debug)]
pub(super) struct Engine {
    requests: Sender<Request>,
    ended: Arc<AtomicBool>,
}

impl Engine {
    /// Begins to load what `params` name.
    pub(super) fn start(library: Arc<Library>, params: &Params, gather: Duration) -> Self {
        let (requests, inbox) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let (flag, params) = (Arc::clone(&ended), params.clone());
        let name = format!("model:{}", params.model_id);
        let work = move || {
            // A panic ends the engine; who waits for an answer hears that it is gone.
            let _ = catch_unwind(AssertUnwindSafe(|| run(&library, &params, gather, &inbox)));
            flag.store(true, Ordering::Release);
        };
        if thread::Builder::new().name(name).spawn(work).is_err() {
            ended.store(true, Ordering::Release);
        }
        Self { requests, ended }
    }

    /// An engine that is gone drops the request, and with it the way back.
    pub(super) fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

pub(super) fn gone() -> Error {
    Error::Model("the engine of the model has ended".to_owned())
}

fn run(library: &Library, params: &Params, gather: Duration, inbox: &Receiver<Request>) {
    let models = match library.load(params) {
        Ok((models, _)) => models,
        Err(error) => return refuse(inbox, &error),
    };
    let mut floor = Floor::new(models);
    while let Ok(request) = inbox.recv() {
        let mut orders = Vec::new();
        take(&mut floor, request, &mut orders);
        collect(&mut floor, inbox, gather, &mut orders);
        floor.work(orders);
    }
}

/// Frames that are there already, and those that come soon, while another stream might send one.
fn collect(
    floor: &mut Floor,
    inbox: &Receiver<Request>,
    gather: Duration,
    orders: &mut Vec<Ordered>,
) {
    let until = Instant::now() + gather;
    while !orders.is_empty() && orders.len() < floor.streams() {
        match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(request) => take(floor, request, orders),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Answers at once what is no frame.
fn take(floor: &mut Floor, request: Request, orders: &mut Vec<Ordered>) {
    match request {
        Request::Open(params, answer) => reply(&answer, floor.open(&params)),
        Request::Apply(stream, params, answer) => reply(&answer, floor.apply(stream, &params)),
        Request::Restart(stream, answer) => reply(&answer, floor.restart(stream)),
        Request::Close(stream) => floor.close(stream),
        Request::Frame(stream, pictures, answer) => orders.push(Ordered {
            stream,
            pictures,
            answer,
        }),
    }
}

/// Who asked may be gone; then nobody misses the answer.
pub(super) fn reply<T>(answer: &Answer<T>, result: Result<T, Error>) {
    let _ = answer.send(result);
}

/// Tells everybody who waits for this model why there is none.
fn refuse(inbox: &Receiver<Request>, error: &Error) {
    // What comes later finds the engine ended, and starts another.
    while let Ok(request) = inbox.try_recv() {
        if let Request::Open(_, answer) = request {
            reply(&answer, Err(Error::Model(error.to_string())));
        }
    }
}
