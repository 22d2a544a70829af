//! What the events of a channel prove.

use std::collections::{BTreeMap, BTreeSet};

use reverie_moments::life::State;
use reverie_moments::store::Event;

/// Reads the log of a channel as its only witness: no number is missing, every step is one that may be taken, is paid
/// once and ends once, and one moment at a time is live. Adds how each moment ended.
///
/// # Panics
/// When that is not so, with the event at which it shows.
pub(crate) fn check(events: &[Event], ends: &mut BTreeMap<String, State>) {
    let mut states: BTreeMap<&str, State> = BTreeMap::new();
    let mut paid = BTreeSet::new();
    let mut live = None;
    for (n, event) in (1..).zip(events) {
        assert_eq!(event.n, n, "a number is missing");
        if event.moment.is_empty() {
            continue;
        }
        let body: serde_json::Value = serde_json::from_str(&event.body).expect("JSON");
        let state = |of: &str| State::named(body["data"][of].as_str().unwrap_or_default());
        // Others, as of a move, leave it in its state.
        let (from, Some(to)) = (state("from"), state("state")) else {
            continue;
        };
        assert_eq!(states.insert(&event.moment, to), from, "{event:?}");
        assert!(from.is_none_or(|from| from.may_become(to)), "{event:?}");
        if from == Some(State::Submitted) {
            assert!(paid.insert(&event.moment), "paid twice: {event:?}");
        }
        if from.is_some_and(State::is_live) {
            assert_eq!(live.take(), Some(&event.moment), "{event:?}");
        }
        if to.is_live() {
            assert_eq!(live.replace(&event.moment), None, "two are live: {event:?}");
        }
        if from == Some(State::Expired) {
            // Paid late, and honoured.
            ends.remove(&event.moment);
        }
        if to.is_ended() {
            assert_eq!(
                ends.insert(event.moment.clone(), to),
                None,
                "ended twice: {event:?}"
            );
        }
    }
    assert_eq!(live, None);
}
