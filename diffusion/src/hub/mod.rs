//! Engines that several channels share: a model is loaded once, and one call of its UNet serves all who wait.
//!
//! An engine is a thread that owns the networks and a stream for each channel. Channels hand it pictures as bytes and
//! get bytes back, so nothing that belongs to libtorch crosses threads. An engine ends with its last [`Session`].

mod denoise;
mod engine;
mod floor;
mod joined;
mod key;
mod library;
mod recorded;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use engine::Loading;
use engine::{Engine, Request};
use key::Key;
pub use library::Library;

use crate::Error;
use crate::params::Params;

/// How often it is looked how far loading is.
const LOOK: Duration = Duration::from_millis(50);

/// The engines of a process, by what they have loaded.
#[derive(Debug)]
pub struct Hub {
    library: Arc<Library>,
    gather: Duration,
    engines: Mutex<BTreeMap<Key, Weak<Engine>>>,
}

/// Pictures on their way through an engine: 8-bit R, G, B, rows from the top, at the size of the parameters.
#[derive(Debug, Default)]
pub struct Pictures {
    /// As many pictures as the parameters' frame buffer has, one after the other. Replaced by what comes out.
    pub rgb: Vec<u8>,
    /// For each ControlNet one picture, or nothing: then it sees `rgb`.
    pub controls: Vec<Vec<u8>>,
}

/// What an engine gives back.
#[derive(Debug)]
pub struct Styled {
    /// In the buffers that went in.
    pub pictures: Pictures,
    /// The frame was skipped as similar to the one before, whose picture this is.
    pub repeated: bool,
    /// How long the engine worked on it, waiting for others left out.
    pub worked: Duration,
    /// How many channels were in the same call.
    pub together: usize,
    /// The UNet should have been called from a recording, and was not; the log says why.
    pub fell_back: bool,
}

/// A stream in an engine. Dropping it ends the stream.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    stream: u64,
    delay: usize,
}

/// A session whose model is perhaps still being loaded.
#[derive(Debug)]
pub struct Opening {
    engine: Arc<Engine>,
    answer: Receiver<Result<Opened, Error>>,
}

#[derive(Debug)]
struct Opened {
    stream: u64,
    delay: usize,
}

impl Hub {
    /// No engine yet. A call of the UNet waits up to `gather` for the frames of other channels with the same model;
    /// a channel that is alone never waits.
    #[must_use]
    pub fn new(library: Library, gather: Duration) -> Self {
        Self {
            library: Arc::new(library),
            gather,
            engines: Mutex::default(),
        }
    }

    /// Where models come from.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// A stream with these parameters; its model is loaded in the background if no engine has it.
    #[must_use]
    pub fn open(&self, params: &Params) -> Opening {
        let engine = self.engine(params);
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        engine.send(Request::Open(Box::new(params.clone()), sender));
        Opening { engine, answer }
    }

    fn engine(&self, params: &Params) -> Arc<Engine> {
        let key = Key::of(params);
        // Nothing panics under the lock.
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|_, engine| engine.strong_count() > 0);
        if let Some(engine) = engines.get(&key).and_then(Weak::upgrade)
            && !engine.has_ended()
        {
            return engine;
        }
        let engine = Arc::new(Engine::start(
            Arc::clone(&self.library),
            params,
            self.gather,
        ));
        engines.insert(key, Arc::downgrade(&engine));
        engine
    }
}

impl Opening {
    /// The session if it is there, or why it cannot be; `None` while the model is loading.
    pub fn poll(&self) -> Option<Result<Session, Error>> {
        match self.answer.try_recv() {
            Ok(opened) => Some(self.session(opened)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(self.engine.gone())),
        }
    }

    /// How far the model is loaded.
    #[must_use]
    pub fn loading(&self) -> Loading {
        self.engine.loading()
    }

    /// Waits for the model, and tells how far it is whenever that has changed.
    ///
    /// # Errors
    /// Why there is no session.
    pub fn wait_telling(self, mut told: impl FnMut(&Loading)) -> Result<Session, Error> {
        let mut last = None;
        loop {
            match self.answer.recv_timeout(LOOK) {
                Ok(opened) => return self.session(opened),
                Err(RecvTimeoutError::Disconnected) => return Err(self.engine.gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = self.loading();
            if last.as_ref() != Some(&now) {
                told(&now);
                last = Some(now);
            }
        }
    }

    /// Waits for the model.
    ///
    /// # Errors
    /// Why there is no session.
    pub fn wait(self) -> Result<Session, Error> {
        let opened = self.answer.recv().map_err(|_| self.engine.gone())?;
        self.session(opened)
    }

    fn session(&self, opened: Result<Opened, Error>) -> Result<Session, Error> {
        let Opened { stream, delay } = opened?;
        Ok(Session {
            engine: Arc::clone(&self.engine),
            stream,
            delay,
        })
    }
}

impl Session {
    /// Sends pictures through the stream and waits for what comes out.
    ///
    /// # Errors
    /// As [`crate::stream::Stream::frame`]; the session may be used on, except when the engine is gone.
    pub fn frame(&self, pictures: Pictures) -> Result<Styled, Error> {
        self.ask(|answer| Request::Frame(self.stream, pictures, answer))
    }

    /// Other parameters from the next frame on; those that need other networks must be the same as before.
    ///
    /// # Errors
    /// As [`crate::stream::Stream::apply`]; the parameters are then what they were.
    pub fn apply(&mut self, params: &Params) -> Result<(), Error> {
        let params = Box::new(params.clone());
        self.delay = self.ask(|answer| Request::Apply(self.stream, params, answer))?;
        Ok(())
    }

    /// Empties the stream: the next frame has nothing to do with those before.
    ///
    /// # Errors
    /// When the engine is gone.
    pub fn restart(&self) -> Result<(), Error> {
        self.ask(|answer| Request::Restart(self.stream, answer))
    }

    /// So many frames later a frame comes out.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.delay
    }

    fn ask<T>(
        &self,
        request: impl FnOnce(SyncSender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        self.engine.send(request(sender));
        answer.recv().map_err(|_| self.engine.gone())?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.send(Request::Close(self.stream));
    }
}
