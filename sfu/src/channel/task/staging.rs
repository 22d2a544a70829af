//! The channel's pipeline: loaded, fed, watched, and its pictures sent to the shards, as the director says.

use std::time::{Duration, Instant};

use reverie_diffusion::board::Board;
use reverie_diffusion::status;
use reverie_transcoder::pipeline;
use serde_json::json;

use super::super::director::{Action, Input, Phase};
use super::super::keeper::Told;
use super::super::pipe::Pipe;
use super::super::{PipelineView, Refused};
use super::{Progress, Task};
use crate::engine::Command;
use crate::stages::Making;

/// A unit that waited no longer than this beside its own work shows that the pipeline keeps pace.
const CAUGHT_UP: Duration = Duration::from_millis(100);
/// An estimate counts for this long.
const ESTIMATE: Duration = Duration::from_secs(4);

impl Task {
    pub(super) fn warm(&mut self, name: Option<String>) -> Result<PipelineView, Refused> {
        let name = self.pipeline_name(name)?;
        self.direct(Input::Warm(name));
        Ok(self.shown.clone())
    }

    pub(super) fn pipeline_name(&self, asked: Option<String>) -> Result<String, Refused> {
        let name = asked.unwrap_or_else(|| self.channels.shared.config.pipeline.default.clone());
        let stages = &self.channels.shared.stages;
        if stages.knows(&name) {
            return Ok(name);
        }
        Err(Refused::Pipeline {
            name,
            known: stages.names().collect::<Vec<_>>().join(", "),
        })
    }

    pub(super) fn pipeline(&mut self, event: Option<pipeline::Event>) {
        match event {
            Some(pipeline::Event::Ready { load }) => {
                let model = self.pipe.as_ref().map_or("", Pipe::name);
                self.channels
                    .shared
                    .metrics
                    .pipeline_load
                    .with_label_values(&[model])
                    .observe(load.as_secs_f64());
                self.direct(Input::Ready);
            }
            Some(pipeline::Event::Unit { unit, timing }) => self.unit(&unit, &timing),
            Some(pipeline::Event::NeedKeyframe) => self.home(Command::WantKeyframe(self.stream)),
            Some(pipeline::Event::Applied { result, frame }) => self.answered(result, frame),
            Some(pipeline::Event::Failed { at, error }) => {
                self.direct(Input::Failed(format!("{at}: {error}")))
            }
            Some(pipeline::Event::Stopped) | None => {
                self.direct(Input::Failed("the pipeline stopped".to_owned()))
            }
            Some(_) => {}
        }
    }

    pub(super) fn unit(
        &mut self,
        unit: &reverie_transcoder::unit::AccessUnit,
        timing: &pipeline::Timing,
    ) {
        // What was on its way when the pipeline was paused is no sign of life: its first unit after that is a keyframe.
        self.fresh |= unit.keyframe;
        let alive = self.fresh && keeps_pace(timing);
        if !self.director.is_fed() || (self.director.is_priming() && !alive) {
            return;
        }
        self.direct(Input::Unit);
        let Some(pipe) = &mut self.pipe else { return };
        pipe.observe(&self.channels.shared.metrics, timing);
        let Some(styled) = pipe.pack(unit) else {
            return;
        };
        let mut lost = false;
        for shard in &self.channels.shared.shards {
            lost |= shard
                .handle
                .send(Command::Styled(self.stream, styled.clone()))
                .is_err();
        }
        if lost {
            self.channels
                .shared
                .metrics
                .frames_dropped
                .with_label_values(&["bus", "full"])
                .inc();
            pipe.lost_unit();
        }
    }

    pub(super) fn direct(&mut self, input: Input) {
        let actions = self.director.handle(Instant::now(), input);
        for action in actions {
            self.act(action);
        }
        if self.pipe.is_none() {
            self.permit = None;
        }
        self.show_pipeline();
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Spawn(name) => self.load(name),
            Action::Unload => self.unload(),
            Action::Style(look) => self.show(look),
            Action::Feed(on) => {
                self.fresh = false;
                self.fares(status::Input::Feed(on));
                if !on && let Some(pipe) = &self.pipe {
                    pipe.pause();
                }
                let sink = self.pipe.as_ref().filter(|_| on).map(Pipe::input);
                self.home(Command::Tap(self.stream, sink));
            }
            Action::Cut => self.home(Command::Cut(self.stream)),
            Action::KeyframeFrom(at) => {
                if let Some(pipe) = &self.pipe {
                    pipe.keyframe_from(at);
                }
            }
            Action::Camera(urgency) => self.home(Command::Camera(self.stream, urgency)),
            Action::Started(run) => self.keeper.tell(Told::FirstPicture(run)),
            Action::Failed { run, reason, retry } => {
                tracing::warn!(channel = %self.name, moment = %run.moment, reason, retry, "the pipeline failed");
                self.keeper.tell(Told::Failed { run, reason, retry });
            }
        }
    }

    pub(super) fn load(&mut self, name: String) {
        let shared = &self.channels.shared;
        let permit = self
            .permit
            .take()
            .or_else(|| shared.capacity.clone().try_acquire_owned().ok());
        let Some(permit) = permit else {
            let reason = format!(
                "all {} pipelines are in use",
                shared.config.pipeline.max_active
            );
            self.direct(Input::Failed(reason));
            return;
        };
        let board = Board::default();
        let making = Making {
            config: &shared.config,
            params: self.style.begin(),
            board: board.clone(),
        };
        let Some(factory) = shared.stages.factory(&name, making) else {
            self.direct(Input::Failed(format!("there is no pipeline {name:?}")));
            return;
        };
        self.pipe = Some(Pipe::load(
            &self.name,
            name,
            &shared.config.pipeline,
            factory,
            board,
            self.next_unit,
        ));
        self.permit = Some(permit);
    }

    pub(super) fn unload(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        self.next_unit = pipe.next_unit();
        let metrics = self.channels.shared.metrics.clone();
        // Waits for threads.
        drop(tokio::task::spawn_blocking(move || pipe.retire(&metrics)));
    }

    pub(super) fn show_pipeline(&mut self) {
        let (phase, name, reason) = self.director.status();
        let view = PipelineView {
            state: phase.name(),
            name: name.map(str::to_owned),
            reason: reason.map(str::to_owned),
        };
        if view == self.shown {
            return;
        }
        let pipelines = &self.channels.shared.metrics.pipelines;
        if self.shown.state != view.state {
            for (state, change) in [(self.shown.state, -1), (view.state, 1)] {
                if state != "cold" {
                    pipelines.with_label_values(&[state]).add(change);
                }
            }
        }
        let kind = match view.state {
            "loading" => "pipeline.loading",
            "warm" => "pipeline.warm",
            "active" => "pipeline.active",
            "error" => "pipeline.error",
            _ => "pipeline.cold",
        };
        self.shown = view;
        self.tell(kind, 0, json!(self.shown));
        let reason = self.shown.reason.clone().unwrap_or_default();
        self.fares(match phase {
            Phase::Cold => status::Input::Unload,
            Phase::Loading => status::Input::Load,
            Phase::Warm | Phase::Active => status::Input::Ready,
            Phase::Error => status::Input::Fail(reason),
        });
    }

    /// Tells the publisher's shard something.
    pub(super) fn home(&self, command: Command) {
        if self.channels.shared.shards[self.home]
            .handle
            .send(command)
            .is_err()
        {
            tracing::error!(channel = %self.name, "the media thread is so far behind that a command was lost");
        }
    }

    /// The encoder follows those viewers that told what their connections carry.
    pub(super) fn follow_viewers(&mut self, at: Instant) {
        let Some(pipe) = &mut self.pipe else { return };
        let viewers = self
            .peers
            .values()
            .filter(|p| p.connected.is_some() && p.joined.output);
        let fresh = |told: &Instant| at.saturating_duration_since(*told) < ESTIMATE;
        let mut estimates: Vec<u64> = viewers
            .clone()
            .filter_map(|p| p.estimate.filter(|(_, told)| fresh(told)))
            .map(|(estimate, _)| estimate)
            .collect();
        pipe.follow(at, &mut estimates, viewers.count());
    }

    pub(super) fn watch_pipeline(&mut self, at: Instant) {
        let Some(pipe) = &mut self.pipe else { return };
        pipe.export(&self.channels.shared.metrics);
        let limit = self.channels.shared.config.pipeline.stall_timeout;
        let (decoded, encoded) = pipe.progress();
        let busy = pipe.stalled_for(at).is_some_and(|busy| busy > limit);
        if encoded != self.progress.encoded
            || decoded == self.progress.decoded
            || !self.director.is_fed()
        {
            self.progress = Progress {
                at,
                decoded,
                encoded,
            };
        }
        let silent = at.saturating_duration_since(self.progress.at) > limit;
        if self.director.is_fed() && (busy || silent) {
            let reason = format!(
                "stage: no picture for more than {} s (stalled)",
                limit.as_secs_f64()
            );
            self.direct(Input::Failed(reason));
        }
    }
}

/// True if the pipeline has caught up with the camera.
fn keeps_pace(timing: &pipeline::Timing) -> bool {
    let work = timing.decode + timing.stage + timing.encode;
    timing.total <= CAUGHT_UP + 2 * work
}
