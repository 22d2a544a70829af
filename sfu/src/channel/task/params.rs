//! The parameters of the channel's pipeline: patched, answered by the stage, told; and how the pipeline fares.

use std::time::{Duration, Instant};

use reverie_diffusion::board::{Note, Posted};
use reverie_diffusion::params::Params;
use reverie_diffusion::status::{Counts, Input, State, View, hex};
use reverie_transcoder::counters::Snapshot;
use reverie_transcoder::stage::{Applied, StageError, StylePatch};
use serde_json::{Map, json};

use super::super::director::Look;
use super::super::{ParamsEvent, ParamsPatch, PipelineStatus, Refused};
use super::Task;

impl Task {
    pub(super) fn patch(&mut self, request: ParamsPatch) -> Result<Params, Refused> {
        let result = self.follow(request);
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Refused::Busy) => "busy",
            Err(_) => "refused",
        };
        let patches = &self.channels.shared.metrics.params_patches;
        patches.with_label_values(&[outcome]).inc();
        result
    }

    fn follow(&mut self, request: ParamsPatch) -> Result<Params, Refused> {
        let current = etag(self.style.params());
        let fits = |tags: Vec<String>| tags.iter().any(|tag| tag == "*" || *tag == current);
        if !request.tags.is_none_or(fits) {
            return Err(Refused::Changed { current });
        }
        let Some(change) = self.style.change(&request.patch, request.family)? else {
            return Ok(self.style.params().clone());
        };
        if let Some(pipe) = &self.pipe {
            let patch = StylePatch::new().with_params(self.style.text(&change));
            if !pipe.style(patch) {
                return Err(Refused::Busy);
            }
        }
        let fields = change.fields();
        self.style.make(change, self.pipe.is_some());
        if self.pipe.is_none() {
            self.not_applied(fields, None);
        }
        Ok(self.style.params().clone())
    }

    /// Shows what a moment is to look like.
    pub(super) fn show(&mut self, look: Look) {
        let Some(pipe) = &self.pipe else { return };
        let showing = self.style.showing(&look.overlay).or_else(|problems| {
            // The channel's parameters changed since it was asked for.
            tracing::warn!(channel = %self.name, %problems, "a moment is shown without its parameters");
            self.style.showing(&Map::new())
        });
        let Ok(showing) = showing else { return };
        let mut patch = StylePatch::new().with_prompt(look.prompt);
        patch.params = showing.text();
        // A stage that is so far behind is stalled, and that is noticed elsewhere.
        if pipe.style(patch) {
            self.style.show(showing);
        }
    }

    /// The stage answered what it was handed.
    pub(super) fn answered(&mut self, result: Result<Applied, StageError>, frame: u64) {
        let Some(asked) = self.style.answered(result.is_ok()) else {
            return;
        };
        match result {
            Ok(Applied {
                params_hash: Some(hash),
                ..
            }) => {
                self.fares(Input::Hash(hash));
                self.reloading.extend(asked.reload);
                if !asked.hot.is_empty() {
                    self.applied(hash, asked.hot, Some(frame));
                }
            }
            // It has no parameters.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(channel = %self.name, %error, "the stage refused a style");
                let mut fields = asked.hot;
                fields.extend(asked.reload);
                self.not_applied(fields, Some(error.to_string()));
                let patches = &self.channels.shared.metrics.params_patches;
                patches.with_label_values(&["refused_by_stage"]).inc();
            }
        }
    }

    pub(super) fn pipeline_status(&self) -> PipelineStatus {
        PipelineStatus {
            name: self.shown.name.clone(),
            phase: self.shown.state,
            reason: self.shown.reason.clone(),
            params_hash: hex(self.style.params().hash()),
            status: self.status.view(),
        }
    }

    /// Something happened that the status depends on.
    pub(super) fn fares(&mut self, input: Input) {
        let (before, begins) = (self.status.state(), input == Input::Load);
        self.status.handle(Instant::now(), input);
        let after = self.status.state();
        let metrics = &self.channels.shared.metrics;
        if before == State::Error && begins {
            metrics.pipeline_restarts.inc();
        }
        if before != after {
            metrics.pipeline_status(before, -1);
            metrics.pipeline_status(after, 1);
        }
        self.tell_status();
    }

    /// Reads what is counted and what the stage reported.
    pub(super) fn watch_status(&mut self) {
        if let Some((counted, posted)) = self.pipe.as_ref().map(|p| (p.counters(), p.posted())) {
            self.fares(Input::Count(counts(&counted, posted.skipped)));
            self.posted(posted);
        }
        let view = self.status.view();
        self.export_rates([view.input_fps, view.output_fps]);
    }

    fn posted(&mut self, posted: Posted) {
        for note in posted.notes {
            self.noted(note);
        }
        let unrecorded = &self.channels.shared.metrics.frames_unrecorded;
        unrecorded.inc_by(posted.unrecorded);
        self.fares(Input::Delay(posted.delay));
        self.fares(Input::Reload(posted.reload));
    }

    /// Loading came to an end.
    fn noted(&mut self, note: Note) {
        let fields = std::mem::take(&mut self.reloading);
        match note {
            Note::Reloaded(params) => {
                self.fares(Input::Hash(params.hash()));
                // The first load is told by the pipeline itself.
                if !fields.is_empty() {
                    self.count_reload("ok");
                    self.applied(params.hash(), fields, None);
                }
            }
            Note::FellBack { params, reason } => {
                tracing::warn!(channel = %self.name, reason, "other parameters could not be loaded; what ran goes on");
                self.count_reload("failed");
                self.style.fell_back(&params);
                self.fares(Input::FellBack(reason.clone()));
                self.not_applied(fields, Some(reason));
            }
        }
    }

    fn count_reload(&self, result: &str) {
        let reloads = &self.channels.shared.metrics.pipeline_reloads;
        reloads.with_label_values(&[result]).inc();
    }

    fn applied(&mut self, hash: u64, fields: Vec<String>, frame: Option<u64>) {
        let event = ParamsEvent {
            applied: true,
            hash: hex(hash),
            fields,
            frame,
            reason: None,
        };
        self.tell("pipeline.params", 0, json!(event));
    }

    fn not_applied(&mut self, fields: Vec<String>, reason: Option<String>) {
        let event = ParamsEvent {
            applied: false,
            hash: hex(self.style.params().hash()),
            fields,
            frame: None,
            reason,
        };
        self.tell("pipeline.params", 0, json!(event));
    }

    /// Tells what changed beside numbers that always do.
    fn tell_status(&mut self) {
        let steady = steady(&self.status.view());
        if self.told_status != steady {
            self.told_status = steady;
            let status = self.pipeline_status();
            self.tell("pipeline.status", 0, json!(status));
        }
    }

    /// The gauges are sums over all channels.
    fn export_rates(&mut self, rates: [f64; 2]) {
        let gauge = &self.channels.shared.metrics.pipeline_fps;
        for ((side, new), old) in ["in", "out"].iter().zip(rates).zip(self.rates) {
            gauge.with_label_values(&[side]).add(new - old);
        }
        self.rates = rates;
    }

    /// The channel ends.
    pub(super) fn forget_status(&mut self) {
        let metrics = &self.channels.shared.metrics;
        metrics.pipeline_status(self.status.state(), -1);
        self.export_rates([0.0; 2]);
    }
}

/// A view without what changes with every frame.
pub(super) fn steady(view: &View) -> View {
    View {
        input_fps: 0.0,
        output_fps: 0.0,
        inference_ms: 0.0,
        skipped_frames: 0,
        ..view.clone()
    }
}

/// As it stands in `ETag`.
fn etag(params: &Params) -> String {
    format!("\"{}\"", hex(params.hash()))
}

fn counts(counted: &Snapshot, skipped: u64) -> Counts {
    Counts {
        input: counted.decoded,
        wanted: counted.decoded.saturating_sub(counted.thinned),
        output: counted.staged,
        skipped,
        busy: Duration::from_nanos(counted.stage_nanos),
    }
}
