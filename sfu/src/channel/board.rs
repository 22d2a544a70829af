//! The moments of a channel as they were at its latest event that was read, and the way there as events. Pure.

use std::collections::BTreeMap;

use reverie_moments::life::{Compensation, Moment, Ms, State};
use reverie_moments::store::{Event, Snapshot};
use reverie_moments::{MomentId, Reason};
use serde_json::{Value, json};

use super::view::MomentView;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Board {
    /// The one that is warming or active.
    pub(crate) moment: Option<MomentView>,
    /// Those that wait, the next one first.
    pub(crate) queue: Vec<MomentView>,
    /// The one that ended last, of those that were seen to end.
    pub(crate) last: Option<MomentView>,
    /// Whether nothing is started.
    pub(crate) paused: bool,
    /// How many are in which state.
    pub(crate) counts: BTreeMap<&'static str, i64>,
}

/// One event as it is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Story {
    pub(crate) kind: &'static str,
    pub(crate) version: u64,
    pub(crate) data: Value,
    /// The states between which a moment went, for the metrics; `none` before it was there.
    pub(crate) step: Option<(&'static str, &'static str)>,
}

/// What was read: where the channel is, and how it came there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct News {
    pub(crate) board: Board,
    pub(crate) stories: Vec<Story>,
}

impl Board {
    /// The channel of a snapshot; `last` is none.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut board = Self {
            paused: snapshot.paused,
            ..Self::default()
        };
        for moment in &snapshot.moments {
            *board.counts.entry(moment.state.as_str()).or_default() += 1;
            match moment.state {
                State::Queued => {
                    let position = board.queue.len() + 1;
                    let view = MomentView::new(moment, Some(position));
                    board.queue.push(view);
                }
                state if state.is_live() => board.moment = Some(MomentView::new(moment, None)),
                _ => {}
            }
        }
        board
    }

    /// The place of a waiting moment, from 1.
    pub(crate) fn position(&self, id: &MomentId) -> Option<usize> {
        let place = self.queue.iter().position(|view| view.id == id.as_str());
        place.map(|place| place + 1)
    }
}

/// An event as it is told; `moment` is the one it is about as it is now.
pub(crate) fn story(event: &Event, moment: Option<&Moment>, board: &Board) -> Option<Story> {
    let body: Value = serde_json::from_str(&event.body).ok()?;
    let Some(moment) = moment else {
        let kind = (event.kind == "settings.changed").then_some("settings.changed")?;
        return Some(Story {
            kind,
            version: body["data"]["version"].as_u64().unwrap_or(0),
            data: body["data"].clone(),
            step: None,
        });
    };
    let then = as_of(moment, event, &body);
    let position = (then.state == State::Queued).then(|| board.position(&then.id));
    let state = named(&body["data"]["state"]);
    let kind = match event.kind.as_str() {
        "moment.moved" => "moment.moved",
        "moment.start" => "moment.start",
        _ => state?.event(),
    };
    let from = named(&body["data"]["from"]).map_or("none", State::as_str);
    Some(Story {
        kind,
        version: u64::try_from(then.version).unwrap_or(0),
        data: json!(MomentView::new(&then, position.flatten())),
        step: state.map(|to| (from, to.as_str())),
    })
}

/// The moment as it was after an event of it.
fn as_of(moment: &Moment, event: &Event, body: &Value) -> Moment {
    let version = body["version"].as_i64().unwrap_or(moment.version);
    let data = &body["data"];
    let Some(state) = named(&data["state"]).filter(|_| version != moment.version) else {
        return moment.clone();
    };
    let ends_at: Option<Ms> = data["ends_at"].as_i64();
    let compensation = data["compensation"].as_str().and_then(Compensation::named);
    Moment {
        state,
        version,
        reason: data["reason"].as_str().and_then(Reason::restored),
        compensation: compensation.unwrap_or(moment.compensation),
        started_at: ends_at.map(|at| at.saturating_sub(moment.duration)),
        ended_at: state.is_ended().then_some(event.at),
        updated_at: event.at,
        ..moment.clone()
    }
}

fn named(state: &Value) -> Option<State> {
    State::named(state.as_str()?)
}

#[cfg(test)]
mod tests {
    use reverie_moments::life::{Source, Submission, Viewer};

    use super::*;

    fn moment() -> Moment {
        let submission = Submission {
            id: "m".into(),
            channel: "show".into(),
            viewer: Viewer {
                opaque: "U".into(),
                id: None,
                name: Some("Ann".into()),
            },
            source: Source::Streamer,
            sku: String::new(),
            price: 0,
            prompt: "rain".into(),
            params: r#"{"pipeline":"debug-invert"}"#.into(),
            duration: 5000,
            idempotency_key: "k".into(),
        };
        Moment {
            state: State::Completed,
            version: 4,
            started_at: Some(1000),
            ended_at: Some(6000),
            ..Moment::submitted(submission, 500, 0)
        }
    }

    fn event(kind: &str, body: &Value) -> Event {
        Event {
            n: 3,
            moment: "m".into(),
            kind: kind.into(),
            body: body.to_string(),
            at: 1000,
        }
    }

    #[test]
    fn an_event_is_told_as_the_moment_was_then_and_not_as_it_is_now() {
        let data = json!({ "from": "warming", "state": "active", "reason": null, "ends_at": 6000, "compensation": "none" });
        let active = event("moment.active", &json!({ "version": 3, "data": data }));
        let story = story(&active, Some(&moment()), &Board::default()).unwrap();
        assert_eq!((story.kind, story.version), ("moment.active", 3));
        assert_eq!(story.step, Some(("warming", "active")));
        assert_eq!(story.data["state"], "active");
        assert_eq!(story.data["active_at"], 1000);
        assert_eq!(story.data["ended_at"], Value::Null);
        assert_eq!(story.data["pipeline"], "debug-invert");
    }

    #[test]
    fn the_queue_has_places_and_everything_is_counted() {
        let waiting = |id: &str, state| Moment {
            id: id.into(),
            state,
            ..moment()
        };
        let snapshot = Snapshot {
            n: 9,
            paused: true,
            ready_at: 0,
            settings: "{}".into(),
            moments: vec![
                waiting("a", State::Active),
                waiting("b", State::Queued),
                waiting("c", State::Queued),
                waiting("d", State::PendingApproval),
            ],
        };
        let board = Board::new(&snapshot);
        assert!(board.paused);
        assert_eq!(board.moment.as_ref().map(|m| m.id.as_str()), Some("a"));
        assert_eq!(board.position(&"c".into()), Some(2));
        assert_eq!(board.position(&"d".into()), None);
        assert_eq!(board.counts["queued"], 2);
        assert_eq!(board.counts["pending_approval"], 1);
    }
}
