//! What is asked of a request before anything is paid.

use super::{Limits, Moment, Ms, Policy, Refused, Source, Submission};
use crate::filter::{self, Blocklist};
use crate::id::MomentId;
use crate::prompt;

/// What a channel has when somebody asks it for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What becomes of its paid moments.
    pub policy: Policy,
    /// Whether nothing of its queue is started.
    pub paused: bool,
    /// Whether its stream is online, or was until a moment ago.
    pub online: bool,
    /// How many of its moments are asked for, in review or waiting.
    pub waiting: usize,
    /// The viewer's own that is not yet paid.
    pub open: Option<MomentId>,
    /// When the viewer's latest was asked for, of those that were or may yet be shown.
    pub latest: Option<Ms>,
    /// Until when it takes nothing of the viewer, if it does not: an inner `None` is until that is lifted.
    pub banned: Option<Option<Ms>>,
    /// The words it does not want in prompts.
    pub blocklist: Blocklist,
}

/// The moment that begins with this request. Its prompt is trimmed.
///
/// # Errors
/// With the first thing that stands against it.
pub fn admit(
    submission: Submission,
    now: Ms,
    room: &Room,
    limits: &Limits,
) -> Result<Moment, Refused> {
    let own = submission.source == Source::Streamer;
    if let Some(until) = room.banned.filter(|_| !own) {
        return Err(Refused::Banned { until });
    }
    let prompt = prompt::clean(&submission.prompt, limits.max_prompt_chars)?;
    filter::check(&prompt, &room.blocklist, limits.refuse_vulgar)?;
    fits(&submission, limits)?;
    if room.policy == Policy::Off && !own {
        return Err(Refused::Off);
    }
    if room.paused && !own {
        return Err(Refused::Paused);
    }
    if !room.online {
        return Err(Refused::Offline);
    }
    if let Some(id) = room.open.clone() {
        return Err(Refused::Open { id });
    }
    if room.waiting >= limits.queue_max {
        return Err(Refused::Full {
            limit: limits.queue_max,
        });
    }
    let rested = room
        .latest
        .map(|latest| latest.saturating_add(limits.viewer_cooldown));
    if let Some(until) = rested.filter(|until| *until > now && !own) {
        return Err(Refused::Cooldown { until });
    }
    let submission = Submission {
        prompt,
        ..submission
    };
    let deadline = now.saturating_add(limits.payment);
    Ok(Moment::submitted(submission, now, deadline))
}

fn fits(submission: &Submission, limits: &Limits) -> Result<(), Refused> {
    let (min, max) = (limits.min_duration, limits.max_duration);
    if !(min..=max).contains(&submission.duration) {
        return Err(Refused::Duration {
            asked: submission.duration,
            min,
            max,
        });
    }
    let paid = submission.source.is_paid();
    if (submission.price > 0) != paid || submission.price < 0 {
        return Err(Refused::Price {
            paid_with: submission.source.as_str(),
            price: submission.price,
        });
    }
    Ok(())
}
