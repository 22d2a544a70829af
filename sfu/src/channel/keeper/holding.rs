//! What this server holds of a channel, its stream and its live moment, and what follows from that. Pure: told the time.
//!
//! Way of a moment: look -> claim -> begin (with a bridge: prepare, and begin when it says so) -> first picture -> started
//! -> its time is over -> finish. Whoever hears that its lease is lost stops showing at once and writes nothing.
//!
//! One call of the store is under way at a time. [`Holding::call`] names the next one; its answer comes as an [`Input`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use reverie_moments::store::Outcome;

use super::super::director::{Engagement, Run};
use super::super::settings::Driver;

/// The pause after the database failed, and after a claim that found nothing although something waits.
const PAUSE: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    /// The camera's picture is there.
    Live,
    /// The publisher is gone.
    Gone,
    /// The first transformed picture of the run was shown.
    FirstPicture(Run),
    /// The run's pipeline failed.
    Failed {
        run: Run,
        reason: String,
        retry: bool,
    },
    /// Something was committed.
    News,
    /// A deadline passed.
    Timeout,
    /// The server stops.
    Stop,
    /// Answer to a look.
    Looked(Facts),
    /// Answer to a hold: it is this server's, or another one's.
    Held(bool),
    /// Answer to a release.
    Released,
    /// Answer to a claim.
    Claimed(Option<Claimed>),
    /// Answer to a beat.
    Beaten,
    /// Answer to a start.
    Started,
    /// Answer to a finish.
    Finished,
    /// Answer to whatever was about a moment: its lease is lost.
    Lost,
    /// The database failed; nothing is known of the call.
    Broken,
}

/// What a look at the store says that decides something here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// The live moment of the channel, whoever has it.
    pub(super) live: Option<Run>,
    /// How long until the next one may start; none waits, or none may, where there is none.
    pub(super) next: Option<Duration>,
    /// Who says when a moment starts.
    pub(super) driver: Driver,
    /// Attempts whose bridge is ready.
    pub(super) ready: Vec<Run>,
    /// There is more to be read.
    pub(super) more: bool,
}

/// A moment that is this server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) engagement: Engagement,
    pub(super) lasts: Duration,
}

/// What to do here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Load this stage: a moment waits for its bridge.
    Prepare(String),
    /// Show the moment.
    Begin(Engagement),
    /// Show the camera.
    End,
}

/// What to ask of the store.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Look,
    Hold,
    Release,
    Claim,
    Beat(Run),
    Started(Run),
    Finish(Run, Outcome),
}

/// Times that are kept.
#[derive(Debug, Clone)]
pub(super) struct Times {
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
    pub(super) publisher_gone: Duration,
    pub(super) end_grace: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Holding {
    times: Times,
    live: bool,
    gone: Option<Instant>,
    stream: Stream,
    /// When the stream is to be held again.
    hold_at: Instant,
    driver: Driver,
    turn: Option<Turn>,
    /// Something may have changed that was not read.
    news: bool,
    /// When the next moment may be claimed.
    claim_at: Option<Instant>,
    /// Nothing is claimed before.
    rest_until: Option<Instant>,
    /// The call that is under way, since when.
    calling: Option<(Call, Instant)>,
    /// No call is made before.
    pause_until: Option<Instant>,
    stopping: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Free,
    Held,
    Taken,
}

/// A claimed moment on its way.
#[derive(Debug)]
struct Turn {
    run: Run,
    lasts: Duration,
    /// When the call was made that last proved the lease.
    proved: Instant,
    beat_at: Instant,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// Its bridge is not ready.
    Waiting(Engagement),
    /// It is to be shown; nothing of it was yet.
    Beginning,
    /// It is shown since; the store does not know.
    Shown(Instant),
    /// It is shown until.
    Active(Instant),
    /// It is not shown any more; the store does not know.
    Over(Outcome),
}

impl Holding {
    /// Holds nothing; looks first.
    pub(super) fn new(now: Instant, times: Times) -> Self {
        Self {
            times,
            live: false,
            gone: None,
            stream: Stream::Free,
            hold_at: now,
            driver: Driver::Server,
            turn: None,
            news: true,
            claim_at: None,
            rest_until: None,
            calling: None,
            pause_until: None,
            stopping: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input; [`Self::poll`] and [`Self::call`] say what to do then.
    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Live => {
                (self.live, self.gone, self.hold_at) = (true, None, now);
                if self.stream == Stream::Taken {
                    self.stream = Stream::Free;
                }
            }
            Input::Gone => {
                if self.live {
                    (self.live, self.gone) = (false, Some(now));
                }
            }
            Input::FirstPicture(run) => self.first_picture(now, &run),
            Input::Failed { run, reason, retry } => self.failed(&run, reason, retry),
            Input::News => self.news = true,
            Input::Timeout => {}
            Input::Stop => self.stop(),
            answer => self.answered(now, answer),
        }
        self.expire(now);
    }

    /// What to do here, in order.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What to ask of the store now, unless it is being asked. The most urgent first: what ends, what begins, who lives.
    pub(super) fn call(&mut self, now: Instant) -> Option<Call> {
        if self.calling.is_some() || self.pause_until.is_some_and(|until| until > now) {
            return None;
        }
        let call = self.next_call(now)?;
        if call == Call::Look {
            self.news = false;
        }
        self.calling = Some((call.clone(), now));
        Some(call)
    }

    /// When to come back with [`Input::Timeout`].
    pub(super) fn deadline(&self, now: Instant) -> Option<(Instant, &'static str)> {
        let calls = self.call_deadlines();
        let quiet = self.calling.is_none();
        let paused = self.pause_until.filter(|until| *until > now);
        let calls = calls
            .into_iter()
            .flatten()
            .filter(|(at, _)| quiet && paused.is_none() && *at > now);
        let paused = paused.filter(|_| quiet).map(|at| (at, "the store again"));
        self.turn_deadlines()
            .into_iter()
            .flatten()
            .chain(calls)
            .chain(paused)
            .min_by_key(|(at, _)| *at)
    }

    /// True once it is known whether a live stream is this server's.
    pub(super) fn is_settled(&self) -> bool {
        !self.live || self.stream != Stream::Free || self.pause_until.is_some()
    }

    /// True when the server stops and nothing is left to be told to the store.
    pub(super) fn is_done(&self) -> bool {
        self.stopping
            && self.calling.is_none()
            && (self.pause_until.is_some() || (self.turn.is_none() && self.stream != Stream::Held))
    }

    fn next_call(&self, now: Instant) -> Option<Call> {
        if let Some(call) = self.turn.as_ref().and_then(|turn| turn.call(now)) {
            return Some(call);
        }
        if self.live && now >= self.hold_at {
            return Some(Call::Hold);
        }
        if !self.live && self.stream == Stream::Held {
            return Some(Call::Release);
        }
        if self.news && !self.stopping {
            return Some(Call::Look);
        }
        self.may_claim()
            .filter(|at| *at <= now)
            .map(|_| Call::Claim)
    }

    /// When the next moment is to be claimed, if this server may.
    fn may_claim(&self) -> Option<Instant> {
        let free = self.live && self.stream == Stream::Held && self.turn.is_none();
        let at = self.claim_at.filter(|_| free && !self.stopping)?;
        Some(self.rest_until.map_or(at, |until| at.max(until)))
    }

    fn call_deadlines(&self) -> [Option<(Instant, &'static str)>; 3] {
        let beat = self.turn.as_ref().filter(|turn| turn.beats());
        [
            self.live.then_some((self.hold_at, "the stream's lease")),
            beat.map(|turn| (turn.beat_at, "the moment's lease")),
            self.may_claim().map(|at| (at, "the next moment")),
        ]
    }

    fn turn_deadlines(&self) -> [Option<(Instant, &'static str)>; 3] {
        let Some(turn) = &self.turn else {
            return [None; 3];
        };
        let shown = turn.beats();
        let ends = match turn.stage {
            Stage::Active(until) => Some((until, "the moment ends")),
            _ => None,
        };
        let gone = self.gone.filter(|_| shown);
        [
            ends,
            gone.map(|since| {
                (
                    since + self.times.publisher_gone,
                    "the publisher is given up",
                )
            }),
            shown.then_some((turn.proved + self.times.lease, "the lease is over")),
        ]
    }

    /// Lets what is due by now happen to the moment.
    fn expire(&mut self, now: Instant) {
        let Some(turn) = &self.turn else { return };
        if !turn.beats() {
            return;
        }
        if now >= turn.proved + self.times.lease {
            self.lose();
        } else if matches!(turn.stage, Stage::Active(until) if now >= until) {
            self.end(Outcome::Shown);
        } else if self
            .gone
            .is_some_and(|since| now >= since + self.times.publisher_gone)
        {
            self.end(Outcome::PublisherGone);
        }
    }

    fn first_picture(&mut self, now: Instant, run: &Run) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.run == *run)
            && turn.stage == Stage::Beginning
        {
            turn.stage = Stage::Shown(now);
        }
    }

    fn failed(&mut self, run: &Run, words: String, retry: bool) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.run == *run)
            && turn.beats()
        {
            // Nothing of it is shown any more.
            turn.stage = Stage::Over(Outcome::PipelineFailed { words, retry });
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.live = false;
        if self.turn.as_ref().is_some_and(Turn::beats) {
            self.end(Outcome::PublisherGone);
        }
    }

    /// Shows the camera and has the store told why.
    fn end(&mut self, outcome: Outcome) {
        if let Some(turn) = &mut self.turn {
            turn.stage = Stage::Over(outcome);
            self.outputs.push_back(Output::End);
        }
    }

    /// Shows the camera; the moment is somebody else's business.
    fn lose(&mut self) {
        if self.turn.take().is_some_and(|turn| turn.beats()) {
            self.outputs.push_back(Output::End);
        }
        self.news = true;
    }

    fn answered(&mut self, now: Instant, answer: Input) {
        let since = self.calling.take().map_or(now, |(_, since)| since);
        self.pause_until = None;
        match answer {
            Input::Looked(facts) => self.looked(now, facts),
            Input::Held(held) => {
                self.stream = if held { Stream::Held } else { Stream::Taken };
                self.hold_at = now + self.times.heartbeat;
            }
            Input::Released => self.stream = Stream::Free,
            Input::Claimed(Some(claimed)) => self.claimed(since, claimed),
            Input::Claimed(None) => {
                self.rest_until = Some(now + PAUSE);
                self.news = true;
            }
            Input::Beaten => self.proved(since, now),
            Input::Started => {
                self.proved(since, now);
                self.started();
            }
            Input::Finished => {
                self.turn = None;
                self.news = true;
            }
            Input::Lost => self.lose(),
            _ => self.pause_until = Some(now + PAUSE),
        }
    }

    fn looked(&mut self, now: Instant, facts: Facts) {
        self.driver = facts.driver;
        self.news |= facts.more;
        self.claim_at = facts.next.map(|wait| now + wait);
        let Some(turn) = &mut self.turn else { return };
        if facts.live.as_ref() != Some(&turn.run) {
            self.lose();
            return;
        }
        if let Stage::Waiting(engagement) = &turn.stage
            && facts.ready.contains(&turn.run)
        {
            self.outputs.push_back(Output::Begin(engagement.clone()));
            turn.stage = Stage::Beginning;
        }
    }

    fn claimed(&mut self, since: Instant, claimed: Claimed) {
        let Claimed { engagement, lasts } = claimed;
        let run = engagement.run.clone();
        let stage = match self.driver {
            Driver::Server => {
                self.outputs.push_back(Output::Begin(engagement));
                Stage::Beginning
            }
            Driver::Bridge => {
                let pipeline = engagement.pipeline.clone();
                self.outputs.push_back(Output::Prepare(pipeline));
                Stage::Waiting(engagement)
            }
        };
        self.turn = Some(Turn {
            run,
            lasts,
            proved: since,
            beat_at: since + self.times.heartbeat,
            stage,
        });
        (self.claim_at, self.rest_until) = (None, None);
        if self.stopping {
            self.end(Outcome::PublisherGone);
        }
    }

    fn proved(&mut self, since: Instant, now: Instant) {
        if let Some(turn) = &mut self.turn {
            turn.proved = since;
            turn.beat_at = now + self.times.heartbeat;
        }
    }

    fn started(&mut self) {
        // A bridge stops its moments itself; one that is gone does not.
        let grace = match self.driver {
            Driver::Server => Duration::ZERO,
            Driver::Bridge => self.times.end_grace,
        };
        if let Some(turn) = &mut self.turn
            && let Stage::Shown(at) = turn.stage
        {
            turn.stage = Stage::Active(at + turn.lasts + grace);
        }
    }
}

impl Turn {
    /// Whether it is still to be shown, so that its lease has to hold.
    fn beats(&self) -> bool {
        !matches!(self.stage, Stage::Over(_))
    }

    fn call(&self, now: Instant) -> Option<Call> {
        let run = self.run.clone();
        match &self.stage {
            Stage::Over(outcome) => Some(Call::Finish(run, outcome.clone())),
            Stage::Shown(_) => Some(Call::Started(run)),
            _ => (now >= self.beat_at).then_some(Call::Beat(run)),
        }
    }
}

#[cfg(test)]
mod tests;
