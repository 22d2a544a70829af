//! Reads what the store says of a channel: for everybody who follows it, and for what this server holds.

use std::collections::HashMap;
use std::time::Duration;

use reverie_moments::MomentId;
use reverie_moments::life::{Moment, Refused, State};
use reverie_moments::store::{Error, Event, START, Snapshot, Store};
use serde_json::Value;

use super::super::board::{Board, News, story};
use super::super::director::Run;
use super::super::settings::Settings;
use super::holding::Facts;
use crate::node::now_ms;

/// Events that one look reads; the next one goes on.
const EVENTS: u32 = 256;

/// Where the reader is.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The latest event that was told; none before the first look.
    told: Option<i64>,
    /// The channel is in the store.
    pub(super) added: bool,
}

impl Reader {
    /// Looks; news are `None` when there are none.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        channel: &str,
    ) -> Result<(Facts, Option<News>), Error> {
        let snapshot = match store.snapshot(channel).await {
            // Nobody published on it yet.
            Err(Error::Refused(Refused::Channel(_))) => {
                self.told.get_or_insert(0);
                return Ok((Facts::default(), None));
            }
            other => other?,
        };
        let mut facts = facts(&snapshot);
        let Some(told) = self.told else {
            self.told = Some(snapshot.n);
            let board = Board::new(&snapshot);
            let stories = Vec::new();
            return Ok((facts, Some(News { board, stories })));
        };
        if told >= snapshot.n {
            return Ok((facts, None));
        }
        let mut events = store.events(channel, told, EVENTS).await?;
        // Later ones belong to a later snapshot.
        events.retain(|event| event.n <= snapshot.n);
        let news = tell(store, &snapshot, &events, &mut facts).await?;
        // Those that are not kept any more are not told; the board has what came of them.
        let last = events.last().map_or(snapshot.n, |event| event.n);
        facts.more = last < snapshot.n;
        self.told = Some(last);
        Ok((facts, Some(news)))
    }
}

fn facts(snapshot: &Snapshot) -> Facts {
    let live = snapshot.moments.iter().find(|m| m.state.is_live());
    let front = snapshot.moments.iter().find(|m| m.state == State::Queued);
    let front = front.filter(|_| live.is_none() && !snapshot.paused);
    let wait = front.map(|moment| {
        let at = moment.not_before.max(snapshot.ready_at);
        u64::try_from(at.saturating_sub(now_ms())).unwrap_or(0)
    });
    Facts {
        live: live.map(run),
        next: wait.map(Duration::from_millis),
        driver: Settings::read(&snapshot.settings).driver,
        ready: Vec::new(),
        more: false,
    }
}

async fn tell(
    store: &Store,
    snapshot: &Snapshot,
    events: &[Event],
    facts: &mut Facts,
) -> Result<News, Error> {
    let mut board = Board::new(snapshot);
    let mut known: HashMap<String, Moment> = snapshot
        .moments
        .iter()
        .map(|moment| (moment.id.to_string(), moment.clone()))
        .collect();
    let mut stories = Vec::new();
    for event in events {
        if !event.moment.is_empty() && !known.contains_key(&event.moment) {
            let id = MomentId::new(event.moment.clone());
            known.insert(event.moment.clone(), store.moment(&id).await?);
        }
        let moment = known.get(&event.moment);
        if event.kind == START
            && let Some(moment) = moment
            && let Some(epoch) = epoch(event)
        {
            let moment = moment.id.clone();
            facts.ready.push(Run { moment, epoch });
        }
        stories.extend(story(event, moment, &board));
        // What nobody let in is nothing that a page shows.
        let ended = |moment: &&Moment| moment.state.is_ended() && moment.seq > 0;
        if let Some(moment) = moment.filter(ended) {
            board.last = Some(super::super::MomentView::new(moment, None));
        }
    }
    Ok(News { board, stories })
}

fn epoch(event: &Event) -> Option<i64> {
    let body: Value = serde_json::from_str(&event.body).ok()?;
    body["data"]["epoch"].as_i64()
}

/// The attempt that a live moment is in.
pub(super) fn run(moment: &Moment) -> Run {
    Run {
        moment: moment.id.clone(),
        epoch: moment.epoch,
    }
}
