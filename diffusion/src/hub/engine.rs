//! The thread of an engine, and the way in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    ended: Ended,
    loading: Arc<Mutex<Loading>>,
}

/// What is being loaded, and how much is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loading {
    /// The network, for example `unet`; empty before the first one is begun.
    pub part: String,
    /// Share of all bytes that are loaded, 0..=1.
    pub done: f64,
}

/// Why the thread ended, once it did.
type Ended = Arc<OnceLock<String>>;

impl Engine {
    /// Begins to load what `params` name.
    pub(super) fn start(library: Arc<Library>, params: &Params, gather: Duration) -> Self {
        let (requests, inbox) = channel();
        let ended = Ended::default();
        let loading = Arc::<Mutex<Loading>>::default();
        let (told, params) = (Arc::clone(&ended), params.clone());
        let shown = Arc::clone(&loading);
        let name = format!("model:{}", params.model_id);
        let work = move || {
            // A panic ends the engine; who waits for an answer hears that it is gone.
            let run = catch_unwind(AssertUnwindSafe(|| {
                run(&library, &params, gather, &inbox, &shown)
            }));
            let why = match run {
                Ok(Err(error)) => error.to_string(),
                _ => GONE.to_owned(),
            };
            // Before the requests that are left are dropped, and with them the ways back.
            let _ = told.set(why);
            drop(inbox);
        };
        if let Err(error) = thread::Builder::new().name(name).spawn(work) {
            let _ = ended.set(format!("the engine has no thread: {error}"));
        }
        Self {
            requests,
            ended,
            loading,
        }
    }

    /// An engine that is gone drops the request, and with it the way back.
    pub(super) fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// How far it is; what was told last once it is loaded.
    pub(super) fn loading(&self) -> Loading {
        // Nothing panics under the lock.
        let loading = self.loading.lock();
        loading.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a request was dropped.
    pub(super) fn gone(&self) -> Error {
        Error::Model(self.ended.get().map_or(GONE, String::as_str).to_owned())
    }
}

const GONE: &str = "the engine of the model has ended";

/// Until the last session is gone; an error is one of loading.
fn run(
    library: &Arc<Library>,
    params: &Params,
    gather: Duration,
    inbox: &Receiver<Request>,
    loading: &Mutex<Loading>,
) -> Result<(), Error> {
    let (models, _) = library.load(params, &mut |part, done| {
        let part = part.to_owned();
        *loading.lock().unwrap_or_else(PoisonError::into_inner) = Loading { part, done };
    })?;
    let mut floor = Floor::new(Arc::clone(library), models, params.acceleration);
    while let Ok(request) = inbox.recv() {
        let mut orders = Vec::new();
        take(&mut floor, request, &mut orders);
        collect(&mut floor, inbox, gather, &mut orders);
        floor.work(orders);
    }
    Ok(())
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
