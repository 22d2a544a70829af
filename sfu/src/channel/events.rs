//! The numbered events of one channel: the last ones for those who come back, all new ones for those who listen.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events kept for resuming; older ones are replaced by a snapshot.
const KEPT: usize = 512;
/// Events a listener may be behind before it must come back with its last number.
const BEHIND: usize = 256;

/// One event as it is sent.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Event)]
pub(crate) struct Entry {
    /// Number; grows by one, also over restarts of the server (it starts at the wall clock's milliseconds).
    pub n: u64,
    /// Wall clock in milliseconds since the Unix epoch.
    pub at: u64,
    /// For example `moment.active`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Version of what it is about, where that has one.
    pub version: u64,
    /// Depends on the type.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// What a listener gets: what it missed (or a snapshot), and what comes.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// In order.
    pub first: Vec<Arc<Entry>>,
    /// Everything after `first`.
    pub rest: broadcast::Receiver<Arc<Entry>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    next: u64,
    kept: VecDeque<Arc<Entry>>,
    live: broadcast::Sender<Arc<Entry>>,
}

impl Log {
    pub(crate) fn new(wall_ms: u64) -> Self {
        Self {
            next: wall_ms,
            kept: VecDeque::new(),
            live: broadcast::Sender::new(BEHIND),
        }
    }

    /// Number of the newest event.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    pub(crate) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    pub(crate) fn append(&mut self, at: u64, kind: &'static str, version: u64, data: Value) {
        let entry = Arc::new(Entry {
            n: self.next,
            at,
            kind,
            version,
            data,
        });
        self.next += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(entry.clone());
        // Nobody may listen.
        let _ = self.live.send(entry);
    }

    /// Everything after number `after` if it is all still kept; otherwise `snapshot` is asked for.
    pub(crate) fn subscribe(
        &self,
        after: Option<u64>,
        at: u64,
        snapshot: impl FnOnce() -> Value,
    ) -> Subscription {
        let rest = self.live.subscribe();
        let first = after
            .and_then(|after| self.since(after))
            .unwrap_or_else(|| {
                vec![Arc::new(Entry {
                    n: self.last(),
                    at,
                    kind: "snapshot",
                    version: 0,
                    data: snapshot(),
                })]
            });
        Subscription { first, rest }
    }

    fn since(&self, after: u64) -> Option<Vec<Arc<Entry>>> {
        if after > self.last() {
            return None;
        }
        let oldest = self.kept.front().map_or(self.next, |e| e.n);
        (after + 1 >= oldest).then(|| self.kept.iter().filter(|e| e.n > after).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: usize) -> Log {
        let mut log = Log::new(1_000);
        for _ in 0..events {
            log.append(5, "viewers", 0, Value::Null);
        }
        log
    }

    #[test]
    fn a_listener_that_comes_back_gets_exactly_what_it_missed() {
        let log = log(5);
        let subscription = log.subscribe(Some(1_002), 9, || unreachable!("nothing is lost"));
        assert_eq!(
            subscription.first.iter().map(|e| e.n).collect::<Vec<_>>(),
            [1_003, 1_004]
        );
    }

    #[test]
    fn a_gap_or_another_servers_number_gets_a_snapshot() {
        let log = log(KEPT + 10);
        for after in [Some(1_003), Some(999_999), None] {
            let subscription = log.subscribe(after, 9, || Value::Bool(true));
            assert_eq!(
                (subscription.first.len(), subscription.first[0].kind),
                (1, "snapshot"),
                "{after:?}"
            );
            assert_eq!(subscription.first[0].n, log.last());
        }
    }
}
