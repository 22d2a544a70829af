//! The URLs of running WHIP and WHEP sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::auth::Holder;
use crate::engine::CloseReason;
use crate::engine::ids::{PeerId, StreamId};
use crate::engine::negotiate::Identity;
use crate::engine::sdp::Credentials;

/// Which protocol a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// RFC 9725.
    Whip,
    /// draft-ietf-wish-whep.
    Whep,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// A session as its URL knows it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    pub(crate) channel: String,
    /// Who may use the URL.
    pub(crate) holder: Holder,
    /// The id of the signed token that it was begun with.
    pub(crate) token: Option<String>,
    pub(crate) peer: PeerId,
    pub(crate) shard: usize,
    /// When it began, in milliseconds since 1970.
    pub(crate) since: i64,
    /// Strong entity tag, with its quotes (RFC 9110, section 8.8.3).
    pub(crate) etag: String,
    /// The client's ICE credentials; others in a PATCH ask for an ICE restart.
    pub(crate) remote: Option<Credentials>,
    /// The client's user fragments before the last restarts.
    pub(crate) earlier: Vec<String>,
    /// `a=mid` of its picture, if it has one.
    pub(crate) video: Option<String>,
    /// What the answer to a restart repeats; see [`crate::engine::sdp`].
    pub(crate) ice: Arc<str>,
}

/// User fragments remembered as replaced by a restart.
const MAX_EARLIER: usize = 8;
/// Event streams one session may have; a further one takes the place of the oldest.
const EVENT_STREAMS: usize = 4;

/// How a session or one of its event streams ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It goes on.
    Open,
    /// By the client's own DELETE.
    Deleted,
    /// By anything else.
    Closed,
}

/// An event stream as a reader sees it.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The events it is for.
    pub(crate) types: Arc<[&'static str]>,
    /// Changes, or loses its sender, when it is over.
    pub(crate) ending: watch::Receiver<Ending>,
}

#[derive(Debug)]
struct EventStream {
    id: String,
    types: Arc<[&'static str]>,
    ending: watch::Sender<Ending>,
}

/// All sessions of the server.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    map: Mutex<Map>,
    next_peer: AtomicU64,
}

#[derive(Debug, Default)]
struct Map {
    by_id: HashMap<String, Session>,
    by_peer: HashMap<PeerId, String>,
    /// By session.
    events: HashMap<String, Vec<EventStream>>,
}

impl Map {
    fn end_events(&mut self, id: &str, ending: Ending) {
        for stream in self.events.remove(id).unwrap_or_default() {
            stream.ending.send_replace(ending);
        }
    }
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// All of them, in the order in which they began.
    pub(crate) fn all(&self) -> Vec<Session> {
        let mut all: Vec<_> = self.lock().by_id.values().cloned().collect();
        all.sort_by_key(|session| session.peer);
        all
    }

    /// How many speak a protocol.
    pub(crate) fn count(&self, protocol: Protocol) -> usize {
        let map = self.lock();
        let of = |session: &&Session| session.protocol == protocol;
        map.by_id.values().filter(of).count()
    }

    /// Keeps a session under an unguessable id, which is returned.
    pub(crate) fn insert(&self, session: Session) -> Result<String, Entropy> {
        let id = random_name(16)?;
        let mut map = self.lock();
        map.by_peer.insert(session.peer, id.clone());
        map.by_id.insert(id.clone(), session);
        Ok(id)
    }

    /// Sessions begun with a signed token whose id is among those wanted, each with its shard.
    pub(crate) fn begun_with(&self, wanted: impl Fn(&str) -> bool) -> Vec<(PeerId, usize)> {
        let map = self.lock();
        let by = |session: &&Session| session.token.as_deref().is_some_and(&wanted);
        let found = map.by_id.values().filter(by);
        found.map(|session| (session.peer, session.shard)).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Session> {
        self.lock().by_id.get(id).cloned()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.lock().by_id.contains_key(id)
    }

    /// Makes an event stream of a session and returns its unguessable id; `None` if there is no such session.
    pub(crate) fn open_events(
        &self,
        session: &str,
        types: Arc<[&'static str]>,
    ) -> Result<Option<String>, Entropy> {
        let id = random_name(16)?;
        let mut map = self.lock();
        if !map.by_id.contains_key(session) {
            return Ok(None);
        }
        let streams = map.events.entry(session.to_owned()).or_default();
        if streams.len() == EVENT_STREAMS {
            streams.remove(0);
        }
        streams.push(EventStream {
            id: id.clone(),
            types,
            ending: watch::Sender::new(Ending::Open),
        });
        Ok(Some(id))
    }

    /// An event stream of a session.
    pub(crate) fn events(&self, session: &str, stream: &str) -> Option<Feed> {
        let map = self.lock();
        let streams = map.events.get(session)?;
        let found = streams.iter().find(|s| s.id == stream)?;
        Some(Feed {
            types: found.types.clone(),
            ending: found.ending.subscribe(),
        })
    }

    /// Ends an event stream; false if there is none.
    pub(crate) fn close_events(&self, session: &str, stream: &str) -> bool {
        let mut map = self.lock();
        let Some(streams) = map.events.get_mut(session) else {
            return false;
        };
        let before = streams.len();
        streams.retain(|s| s.id != stream);
        streams.len() < before
    }

    /// Renames a session by an ICE restart, unless it is no longer as `seen`; false if so.
    pub(crate) fn restart(&self, id: &str, seen: &str, remote: &Credentials, etag: &str) -> bool {
        let mut map = self.lock();
        let Some(session) = map.by_id.get_mut(id).filter(|s| s.etag == seen) else {
            return false;
        };
        if let Some(before) = session.remote.replace(remote.clone()) {
            session.earlier.push(before.ufrag);
        }
        if session.earlier.len() > MAX_EARLIER {
            session.earlier.remove(0);
        }
        etag.clone_into(&mut session.etag);
        true
    }

    /// Undoes [`Self::restart`], unless there was another one since.
    pub(crate) fn take_back(&self, id: &str, etag: &str, before: Session) {
        let mut map = self.lock();
        if let Some(session) = map.by_id.get_mut(id).filter(|s| s.etag == etag) {
            *session = before;
        }
    }

    /// The shard that a peer is on.
    pub(crate) fn shard_of(&self, peer: PeerId) -> Option<usize> {
        let map = self.lock();
        map.by_peer
            .get(&peer)
            .and_then(|id| map.by_id.get(id))
            .map(|s| s.shard)
    }

    pub(crate) fn remove(&self, id: &str) -> Option<Session> {
        let mut map = self.lock();
        let session = map.by_id.remove(id)?;
        map.by_peer.remove(&session.peer);
        map.end_events(id, Ending::Deleted);
        Some(session)
    }

    pub(crate) fn remove_peer(&self, peer: PeerId, reason: CloseReason) {
        let ending = match reason {
            CloseReason::Deleted => Ending::Deleted,
            _ => Ending::Closed,
        };
        let mut map = self.lock();
        if let Some(id) = map.by_peer.remove(&peer) {
            map.by_id.remove(&id);
            map.end_events(&id, ending);
        }
    }

    /// Names and random numbers for a new peer of a stream.
    pub(crate) fn identity(&self, stream: StreamId) -> Result<Identity, Entropy> {
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(|_| Entropy)?;
        let [a, b, c, d, e, f] = random;
        Ok(Identity {
            peer: PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed)),
            stream,
            ufrag: random_name(6)?,
            pwd: random_name(16)?,
            first_seq: u16::from_be_bytes([a, b]),
            first_timestamp: u32::from_be_bytes([c, d, e, f]),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Nothing is computed under the lock, so a poisoned map is still whole.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub(crate) struct Entropy;

/// `bytes` random bytes in hexadecimal.
pub(crate) fn random_name(bytes: usize) -> Result<String, Entropy> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|_| Entropy)?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}
