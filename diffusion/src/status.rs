//! How a pipeline fares: one state out of what is counted and told. Pure: no clock, no thread.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::board::Reload;

/// Rates are of this time, and without a frame for so long something is wrong.
const WINDOW: Duration = Duration::from_secs(2);
/// Fewer frames per second than this is too little to work on.
const INPUT: f64 = 15.0;
/// So many frames per second are enough, whatever comes in.
const OUTPUT: f64 = 10.0;
/// Share of what comes in that must come out otherwise.
const SHARE: f64 = 0.8;

/// The state of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Nothing is loaded.
    Offline,
    /// A stage is being loaded, and nothing else runs.
    Loading,
    /// It works, or waits for a moment.
    Online,
    /// No frame came in for 2 s, or fewer than 15 per second.
    DegradedInput,
    /// No frame came out for 2 s, or fewer than 10 per second and 80 % of what came in.
    DegradedInference,
    /// It failed and is not loaded.
    Error,
}

impl State {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "OFFLINE",
            Self::Loading => "LOADING",
            Self::Online => "ONLINE",
            Self::DegradedInput => "DEGRADED_INPUT",
            Self::DegradedInference => "DEGRADED_INFERENCE",
            Self::Error => "ERROR",
        }
    }
}

/// What has been counted since the pipeline was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that came in.
    pub input: u64,
    /// Those of them that the stage was to be given, after thinning to the highest frame rate.
    pub wanted: u64,
    /// Frames that came out of the stage.
    pub output: u64,
    /// Those of them that were not computed, since they hardly differ from the one before.
    pub skipped: u64,
    /// Time in the stage.
    pub busy: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A stage begins to load.
    Load,
    /// It is loaded and warm.
    Ready,
    /// It was unloaded on purpose.
    Unload,
    /// It failed and is gone, for this reason.
    Fail(String),
    /// Frames are sent to it, or no more.
    Feed(bool),
    /// What is counted now.
    Count(Counts),
    /// These parameters are in force.
    Hash(u64),
    /// How far loading is; nothing once it is over.
    Reload(Option<Reload>),
    /// Loading other parameters failed for this reason; what was there goes on.
    FellBack(String),
    /// The picture for a frame comes so many frames later.
    Delay(u32),
}

/// What is told of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// The state.
    pub state: State,
    /// Frames per second that come in.
    pub input_fps: f64,
    /// Frames per second that come out.
    pub output_fps: f64,
    /// Frames that were not computed since it was loaded, since they hardly differ from the one before.
    pub skipped_frames: u64,
    /// Milliseconds in the stage per frame.
    pub inference_ms: f64,
    /// The picture for a frame comes so many frames later.
    pub delay_frames: u32,
    /// Hash of the parameters in force, 16 hexadecimal digits.
    pub last_params_hash: Option<String>,
    /// How often it was loaded again after a failure.
    pub restart_count: u64,
    /// What went wrong last, also if it is over.
    pub last_error: Option<String>,
    /// What is being loaded, and how far that is.
    pub reload: Option<Reload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Absent,
    Loading,
    Loaded,
    Failed,
}

/// See the module.
#[derive(Debug)]
pub struct Status {
    life: Life,
    /// Oldest first; emptied when frames begin to be sent.
    samples: VecDeque<(Instant, Counts)>,
    fed: bool,
    skipped: u64,
    delay: u32,
    hash: Option<u64>,
    restarts: u64,
    error: Option<String>,
    reload: Option<Reload>,
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

impl Status {
    /// Nothing loaded.
    #[must_use]
    pub fn new() -> Self {
        Self {
            life: Life::Absent,
            samples: VecDeque::new(),
            fed: false,
            skipped: 0,
            delay: 0,
            hash: None,
            restarts: 0,
            error: None,
            reload: None,
        }
    }

    /// Takes an input. `now` never goes back.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Load => {
                self.restarts += u64::from(self.life == Life::Failed);
                self.begin(Life::Loading);
            }
            Input::Ready => self.life = Life::Loaded,
            Input::Unload => self.begin(Life::Absent),
            Input::Fail(reason) => {
                self.begin(Life::Failed);
                self.error = Some(reason);
            }
            Input::Feed(on) => {
                self.fed = on;
                self.samples.clear();
            }
            Input::Count(counts) => self.count(now, counts),
            Input::Hash(hash) => self.hash = Some(hash),
            Input::Reload(reload) => self.reload = reload,
            Input::FellBack(reason) => {
                self.reload = None;
                self.error = Some(reason);
            }
            Input::Delay(frames) => self.delay = frames,
        }
    }

    /// The state by what was handled.
    #[must_use]
    pub fn state(&self) -> State {
        match self.life {
            Life::Absent => State::Offline,
            Life::Loading => State::Loading,
            Life::Failed => State::Error,
            Life::Loaded => self.judge(),
        }
    }

    /// Everything that is told of it.
    #[must_use]
    pub fn view(&self) -> View {
        let window = self.window().unwrap_or_default();
        View {
            state: self.state(),
            input_fps: tenths(window.rate(window.input)),
            output_fps: tenths(window.rate(window.output)),
            skipped_frames: self.skipped,
            inference_ms: tenths(window.inference_ms()),
            delay_frames: self.delay,
            last_params_hash: self.hash.map(hex),
            restart_count: self.restarts,
            last_error: self.error.clone(),
            reload: self.reload.clone(),
        }
    }

    /// What goes with a stage goes.
    fn begin(&mut self, life: Life) {
        self.life = life;
        self.samples.clear();
        self.fed = false;
        self.skipped = 0;
        self.delay = 0;
        self.hash = None;
        self.reload = None;
    }

    fn count(&mut self, now: Instant, counts: Counts) {
        self.skipped = counts.skipped;
        if !self.fed {
            return;
        }
        self.samples.push_back((now, counts));
        // One sample at the far edge of the window stays.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Only what is fed, and has been for a while, can lack anything.
    fn judge(&self) -> State {
        let Some(window) = self.window().filter(|window| window.time >= WINDOW) else {
            return State::Online;
        };
        // One frame may stand just outside the window.
        let at_most = |frames: u64| window.rate(frames + 1);
        let enough = OUTPUT.min(SHARE * window.rate(window.wanted));
        if window.input == 0 || at_most(window.input) < INPUT {
            State::DegradedInput
        } else if window.output == 0 || at_most(window.output) < enough {
            State::DegradedInference
        } else {
            State::Online
        }
    }

    fn window(&self) -> Option<Window> {
        let (from, first) = self.samples.front()?;
        let (to, last) = self.samples.back()?;
        Some(Window {
            time: to.saturating_duration_since(*from),
            input: last.input.saturating_sub(first.input),
            wanted: last.wanted.saturating_sub(first.wanted),
            output: last.output.saturating_sub(first.output),
            busy: last.busy.saturating_sub(first.busy),
        })
    }
}

/// What was counted in the time that rates are of.
#[derive(Default)]
struct Window {
    time: Duration,
    input: u64,
    wanted: u64,
    output: u64,
    busy: Duration,
}

impl Window {
    /// Per second; nothing while there is too little to tell.
    fn rate(&self, frames: u64) -> f64 {
        if self.time < WINDOW / 4 {
            return 0.0;
        }
        // A count of seconds is small.
        frames as f64 / self.time.as_secs_f64()
    }

    fn inference_ms(&self) -> f64 {
        self.busy.as_secs_f64() * 1000.0 / self.output.max(1) as f64
    }
}

/// As hashes of parameters are written.
#[must_use]
pub fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
