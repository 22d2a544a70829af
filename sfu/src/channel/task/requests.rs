//! The channel's moments: asked for, started, ended, and told to everybody.

use reverie_moments as moments;
use serde_json::json;

use super::super::director::{Engagement, Input};
use super::super::{MomentRequest, MomentView, Refused};
use super::{Task, now, wall_ms};
use crate::session::random_name;

impl Task {
    pub(super) fn submit(&mut self, request: MomentRequest) -> Result<MomentView, Refused> {
        let pipeline = self.pipeline_name(request.pipeline)?;
        if self.live && !self.media().1 {
            return Err(Refused::SoundOnly);
        }
        // Without randomness no session could have been made either.
        let id = random_name(8).unwrap_or_else(|_| format!("{:x}", wall_ms()));
        let submission = moments::Submission {
            id: moments::MomentId::new(id),
            prompt: request.prompt,
            pipeline,
            duration: request.duration,
        };
        let result = self.moments.submit(now(), submission);
        self.after_moments();
        let moment = result?;
        Ok(self
            .find(&moment.id)
            .unwrap_or_else(|| MomentView::new(&self.name, &moment, None)))
    }

    pub(super) fn stop(&mut self, id: String) -> Result<MomentView, Refused> {
        let result = self.moments.stop(now(), &moments::MomentId::new(id));
        self.after_moments();
        Ok(MomentView::new(&self.name, &result?, None))
    }

    pub(super) fn find(&self, id: &moments::MomentId) -> Option<MomentView> {
        let moment = self.moments.find(id)?;
        Some(MomentView::new(
            &self.name,
            moment,
            self.moments.position(id),
        ))
    }

    pub(super) fn moments_input(&mut self, input: moments::Input) {
        self.moments.handle(now(), input);
        self.after_moments();
    }

    /// Tells what changed, and starts and ends what is to be shown.
    pub(super) fn after_moments(&mut self) {
        while let Some(event) = self.moments.poll() {
            match event {
                moments::Event::Changed {
                    moment,
                    from,
                    position,
                } => self.moment_changed(&moment, from, position),
                moments::Event::Start {
                    run,
                    pipeline,
                    prompt,
                } => self.direct(Input::Begin(Engagement {
                    run,
                    pipeline,
                    prompt,
                })),
                moments::Event::Release(_) => self.direct(Input::End),
                moments::Event::QueueChanged => {
                    let queue = self.queue();
                    self.tell("queue.changed", 0, json!({ "queue": queue }));
                }
            }
        }
    }

    pub(super) fn moment_changed(
        &mut self,
        moment: &moments::Moment,
        from: Option<moments::State>,
        position: Option<usize>,
    ) {
        use moments::State;
        let metrics = &self.channels.shared.metrics;
        let was = from.map_or("none", State::as_str);
        let ended = moment.state.is_ended();
        let reason = if ended { moment.state.as_str() } else { "none" };
        metrics
            .moment_transitions
            .with_label_values(&[was, moment.state.as_str(), reason])
            .inc();
        if let Some(from) = from {
            metrics.moments.with_label_values(&[from.as_str()]).dec();
        }
        if !ended {
            metrics
                .moments
                .with_label_values(&[moment.state.as_str()])
                .inc();
        }
        tracing::info!(channel = %self.name, moment = %moment.id, from = was, to = moment.state.as_str(), reason = ?moment.reason, "moment");
        let kind = match moment.state {
            State::Queued => "moment.queued",
            State::Warming => "moment.warming",
            State::Active => "moment.active",
            State::Completed => "moment.completed",
            State::Failed => "moment.failed",
            State::Cancelled => "moment.cancelled",
            _ => "moment.expired",
        };
        let view = MomentView::new(&self.name, moment, position);
        self.tell(kind, moment.version, json!(view));
    }
}
