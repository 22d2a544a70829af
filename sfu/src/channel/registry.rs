//! Which channels there are, and what they share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reverie_config::Config;
use reverie_diffusion::params::Params;
use tokio::sync::{Semaphore, mpsc};

use super::{Handle, MESSAGES, Message, task};
use crate::analytics::Analytics;
use crate::engine::Event;
use crate::engine::ids::StreamId;
use crate::engine::negotiate::Terms;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::session::Sessions;
use crate::shard;
use crate::stages::Stages;
use crate::twitch::Twitch;

/// A running shard.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) handle: shard::Handle,
    pub(crate) terms: Terms,
}

/// What all channels use.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) stages: Stages,
    /// What a channel begins with.
    pub(crate) params: Params,
    /// One permit per pipeline that may be loaded.
    pub(crate) capacity: Arc<Semaphore>,
    pub(crate) sessions: Sessions,
    pub(crate) node: Arc<Node>,
    pub(crate) twitch: Arc<Twitch>,
    /// No new sessions, though the server goes on.
    pub(crate) drained: AtomicBool,
    pub(crate) analytics: Mutex<Analytics>,
}

/// Who needs a channel. Those who only wait for a publisher may not take the last places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opener {
    Publisher,
    Viewer,
}

/// There are as many channels as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are already {0} channels, the most this server keeps")]
pub(crate) struct Full(usize);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    pub(crate) shared: Arc<Shared>,
    map: Arc<Mutex<Map>>,
    next_stream: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Map {
    by_name: HashMap<String, Handle>,
    by_stream: HashMap<StreamId, Handle>,
}

impl Channels {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            map: Arc::default(),
            next_stream: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The channel of that name, if there is one now.
    pub(crate) fn find(&self, name: &str) -> Option<Handle> {
        self.lock().by_name.get(name).cloned()
    }

    /// The channel of that name, started if need be. Must be called inside the runtime.
    pub(crate) fn open(&self, name: &str, opener: Opener) -> Result<Handle, Full> {
        let mut map = self.lock();
        if let Some(handle) = map.by_name.get(name).filter(|h| !h.messages.is_closed()) {
            return Ok(handle.clone());
        }
        let limit = match opener {
            Opener::Publisher => self.shared.config.media.max_channels,
            Opener::Viewer => (self.shared.config.media.max_channels / 4 * 3).max(1),
        };
        if map.by_name.len() >= limit {
            return Err(Full(limit));
        }
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let home = usize::try_from(stream.0).unwrap_or(0) % self.shared.shards.len();
        let (messages, inbox) = mpsc::channel(MESSAGES);
        let handle = Handle {
            stream,
            home,
            messages,
            news: Arc::default(),
        };
        let news = handle.news.clone();
        map.by_name.insert(name.to_owned(), handle.clone());
        map.by_stream.insert(stream, handle.clone());
        task::spawn(name.to_owned(), stream, home, self.clone(), inbox, news);
        Ok(handle)
    }

    /// All channels, by name.
    pub(crate) fn all(&self) -> Vec<(String, Handle)> {
        let mut all: Vec<_> = self
            .lock()
            .by_name
            .iter()
            .map(|(n, h)| (n.clone(), h.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Forgets a channel unless somebody still holds or wrote to it; true if it is gone.
    pub(super) fn forget(
        &self,
        name: &str,
        stream: StreamId,
        inbox: &mpsc::Receiver<Message>,
    ) -> bool {
        let mut map = self.lock();
        let Some(handle) = map.by_name.get(name) else {
            return true;
        };
        // The two maps hold one sender each.
        if handle.messages.strong_count() > 2 || !inbox.is_empty() {
            return false;
        }
        map.by_name.remove(name);
        map.by_stream.remove(&stream);
        true
    }

    /// Takes events from the shards to their channels until the shards end.
    pub(crate) async fn route(self, mut events: mpsc::Receiver<(StreamId, Event)>) {
        while let Some((stream, event)) = events.recv().await {
            if let Event::Closed(peer, reason) = &event {
                self.shared.sessions.remove_peer(*peer, *reason);
            }
            let handle = self.lock().by_stream.get(&stream).cloned();
            if let Some(handle) = handle {
                handle.deliver(Message::Engine(event)).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Nothing is computed under the lock, so a poisoned map is still whole.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
