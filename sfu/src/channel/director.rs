//! Decides when the pipeline is loaded, fed and shown. Pure: no clock, no thread, no I/O.
//!
//! Way of a moment: load -> warm -> prime (feed, wait for the first styled picture) -> cut the camera
//! -> active -> return at the camera's keyframe -> warm. A failure anywhere returns to the camera.

use std::time::{Duration, Instant};

use reverie_moments::MomentId;
use reverie_transcoder::time::Pts;
use serde_json::{Map, Value};

use crate::engine::Urgency;

/// A styled keyframe that does not come in this time after the cut will not come.
const CUT_LIMIT: Duration = Duration::from_secs(2);

/// A camera that does not come back in this time is asked for again, and then its cached group will do.
const RETURN_LIMIT: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// The camera's picture is there.
    Live,
    /// The publisher is gone.
    Offline,
    /// A moment wants the stage `pipeline`.
    Begin(Engagement),
    /// The running or waiting moment is over.
    End,
    /// Load this stage although no moment wants it.
    Warm(String),
    /// Unload if no moment runs.
    Cool,
    /// The stage is loaded.
    Ready,
    /// A styled unit came out.
    Unit,
    /// The camera was cut at this time.
    Cut(Pts),
    /// Viewers see the styled picture.
    ShowsStyled,
    /// Viewers see the camera.
    ShowsCamera,
    /// The stage failed, panicked or stalled.
    Failed(String),
    /// A deadline passed.
    Timeout,
}

/// One attempt at showing a moment. What is told about an attempt that was given up is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) moment: MomentId,
    /// Which claim of the moment.
    pub(crate) epoch: i64,
}

/// A moment as the director knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engagement {
    pub(crate) run: Run,
    pub(crate) pipeline: String,
    pub(crate) look: Look,
}

/// How a moment is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) prompt: String,
    /// What it lays over the channel's parameters.
    pub(crate) overlay: Map<String, Value>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Load this stage.
    Spawn(String),
    /// Unload the stage.
    Unload,
    /// Let the stage show this.
    Style(Look),
    /// Feed the camera to the pipeline, or stop and forget what is in it.
    Feed(bool),
    /// Cut the camera.
    Cut,
    /// Force the first picture at or after this time to be a keyframe.
    KeyframeFrom(Pts),
    /// Show the camera.
    Camera(Urgency),
    /// The moment's first styled picture was shown.
    Started(Run),
    /// The moment cannot be shown.
    Failed {
        /// Which attempt.
        run: Run,
        /// Why, for people.
        reason: String,
        /// True if nothing had been shown yet and another attempt may work.
        retry: bool,
    },
}

/// The pipeline as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Cold,
    Loading,
    Warm,
    Active,
    Error,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Loading => "loading",
            Self::Warm => "warm",
            Self::Active => "active",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Cold,
    Loading,
    /// Loaded and idle since.
    Warm(Instant),
    /// Fed; nothing came out yet.
    Priming,
    /// The camera is being cut since.
    Cutting(Instant),
    Active,
    /// The stage still runs until viewers see the camera; the camera was last asked for at this time.
    Returning(Instant),
    /// The stage is gone and viewers do not see the camera yet; likewise.
    Recovering(Instant),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Director {
    idle_ttl: Duration,
    live: bool,
    state: State,
    /// The loaded or loading stage.
    loaded: Option<String>,
    /// The moment that runs or waits for its stage.
    wanted: Option<Engagement>,
    error: Option<String>,
    actions: Vec<Action>,
}

impl Director {
    /// Nothing loaded; a warm stage is unloaded after `idle_ttl` without a moment.
    pub(crate) fn new(idle_ttl: Duration) -> Self {
        Self {
            idle_ttl,
            live: false,
            state: State::Cold,
            loaded: None,
            wanted: None,
            error: None,
            actions: Vec::new(),
        }
    }

    /// Takes an input and returns what to do, in order.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        match input {
            Input::Live => self.live = true,
            Input::Offline => self.offline(now),
            Input::Begin(engagement) => self.wanted = Some(engagement),
            Input::End => self.end(now),
            Input::Warm(name) => self.warm(name),
            Input::Cool => self.cool(),
            Input::Ready => self.ready(now),
            Input::Unit => self.unit(now),
            Input::Cut(at) => self.cut(at),
            Input::ShowsStyled => self.shows_styled(),
            Input::ShowsCamera => self.shows_camera(now),
            Input::Failed(reason) => self.failed(now, reason),
            Input::Timeout => self.timeout(now),
        }
        self.pursue();
        std::mem::take(&mut self.actions)
    }

    /// When [`Input::Timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::Warm(since) if self.wanted.is_none() => {
                Some((since + self.idle_ttl, "idle stage"))
            }
            State::Cutting(since) => Some((since + CUT_LIMIT, "styled keyframe")),
            State::Returning(since) | State::Recovering(since) => {
                Some((since + RETURN_LIMIT, "camera"))
            }
            _ => None,
        }
    }

    /// For status: what state, which stage, and why not.
    pub(crate) fn status(&self) -> (Phase, Option<&str>, Option<&str>) {
        let phase = match self.state {
            State::Cold | State::Recovering(_) if self.error.is_some() => Phase::Error,
            State::Cold | State::Recovering(_) => Phase::Cold,
            State::Loading => Phase::Loading,
            State::Warm(_) => Phase::Warm,
            State::Priming | State::Cutting(_) | State::Active | State::Returning(_) => {
                Phase::Active
            }
        };
        (phase, self.loaded.as_deref(), self.error.as_deref())
    }

    /// True while units of the pipeline may be shown.
    pub(crate) fn is_fed(&self) -> bool {
        matches!(
            self.state,
            State::Priming | State::Cutting(_) | State::Active | State::Returning(_)
        )
    }

    /// True until the first styled unit came out.
    pub(crate) fn is_priming(&self) -> bool {
        self.state == State::Priming
    }

    fn offline(&mut self, now: Instant) {
        self.live = false;
        match self.state {
            State::Priming | State::Cutting(_) | State::Active | State::Returning(_) => {
                self.actions.push(Action::Feed(false));
                self.state = State::Warm(now);
            }
            State::Recovering(_) => self.state = State::Cold,
            State::Cold | State::Loading | State::Warm(_) => {}
        }
    }

    fn end(&mut self, now: Instant) {
        self.wanted = None;
        match self.state {
            State::Priming => {
                self.actions.push(Action::Feed(false));
                self.state = State::Warm(now);
            }
            State::Cutting(_) | State::Active => {
                self.actions.push(Action::Camera(Urgency::Smooth));
                self.state = State::Returning(now);
            }
            State::Warm(_) => self.state = State::Warm(now),
            State::Cold | State::Loading | State::Returning(_) | State::Recovering(_) => {}
        }
    }

    fn warm(&mut self, name: String) {
        let idle = matches!(self.state, State::Cold | State::Warm(_) | State::Loading);
        if idle && self.wanted.is_none() && self.loaded.as_ref() != Some(&name) {
            self.load(name);
        }
    }

    fn cool(&mut self) {
        if self.wanted.is_none()
            && matches!(self.state, State::Warm(_) | State::Loading | State::Cold)
        {
            self.unload();
            self.error = None;
        }
    }

    fn ready(&mut self, now: Instant) {
        if self.state == State::Loading {
            self.state = State::Warm(now);
        }
    }

    fn unit(&mut self, now: Instant) {
        if self.state == State::Priming {
            self.actions.push(Action::Cut);
            self.state = State::Cutting(now);
        }
    }

    fn cut(&mut self, at: Pts) {
        if matches!(self.state, State::Cutting(_)) {
            self.actions.push(Action::KeyframeFrom(at));
        }
    }

    fn shows_styled(&mut self) {
        if matches!(self.state, State::Cutting(_)) {
            self.state = State::Active;
            if let Some(wanted) = &self.wanted {
                self.actions.push(Action::Started(wanted.run.clone()));
            }
        }
    }

    fn shows_camera(&mut self, now: Instant) {
        match self.state {
            State::Returning(_) => {
                self.actions.push(Action::Feed(false));
                self.state = State::Warm(now);
            }
            State::Recovering(_) => self.state = State::Cold,
            _ => {}
        }
    }

    fn failed(&mut self, now: Instant, reason: String) {
        let shown = matches!(
            self.state,
            State::Cutting(_) | State::Active | State::Returning(_)
        );
        let started = matches!(self.state, State::Active | State::Returning(_));
        if self.loaded.take().is_none() {
            return;
        }
        if self.is_fed() {
            self.actions.push(Action::Feed(false));
        }
        if shown && self.live {
            self.actions.push(Action::Camera(Urgency::Now));
            self.state = State::Recovering(now);
        } else {
            self.state = State::Cold;
        }
        self.actions.push(Action::Unload);
        if let Some(wanted) = self.wanted.take() {
            self.actions.push(Action::Failed {
                run: wanted.run,
                reason: reason.clone(),
                retry: !started,
            });
        }
        self.error = Some(reason);
    }

    fn timeout(&mut self, now: Instant) {
        match self.state {
            State::Warm(since) if self.wanted.is_none() && now >= since + self.idle_ttl => {
                self.unload()
            }
            State::Cutting(since) if now >= since + CUT_LIMIT => {
                self.failed(now, "no styled keyframe came in time".to_owned());
            }
            State::Returning(since) if now >= since + RETURN_LIMIT => {
                self.actions.push(Action::Camera(Urgency::Now));
                self.state = State::Returning(now);
            }
            State::Recovering(since) if now >= since + RETURN_LIMIT => {
                self.actions.push(Action::Camera(Urgency::Now));
                self.state = State::Recovering(now);
            }
            _ => {}
        }
    }

    /// Moves toward what is wanted as far as the present state allows.
    fn pursue(&mut self) {
        let Some(wanted) = self.wanted.clone() else {
            return;
        };
        let right = self.loaded.as_ref() == Some(&wanted.pipeline);
        match self.state {
            State::Cold => self.load(wanted.pipeline),
            State::Loading | State::Warm(_) if !right => self.load(wanted.pipeline),
            State::Warm(_) if self.live => {
                self.actions.push(Action::Style(wanted.look));
                self.actions.push(Action::Feed(true));
                self.state = State::Priming;
            }
            _ => {}
        }
    }

    fn load(&mut self, name: String) {
        if self.loaded.is_some() {
            self.actions.push(Action::Unload);
        }
        self.error = None;
        self.actions.push(Action::Spawn(name.clone()));
        self.loaded = Some(name);
        self.state = State::Loading;
    }

    fn unload(&mut self) {
        if self.loaded.take().is_some() {
            self.actions.push(Action::Unload);
        }
        self.state = State::Cold;
    }
}

#[cfg(test)]
mod tests;
