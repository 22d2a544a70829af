//! The limits and times that a moment's life keeps.

use std::time::Duration;

use super::Ms;

/// The limits and times of one server, in milliseconds where they are times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The shortest moment.
    pub min_duration: Ms,
    /// The longest moment.
    pub max_duration: Ms,
    /// The longest prompt, in characters.
    pub max_prompt_chars: usize,
    /// Whether prompts with words that offend are refused.
    pub refuse_vulgar: bool,
    /// How many moments of a channel may be asked for, in review or waiting together.
    pub queue_max: usize,
    /// How long a viewer waits between two moments of a channel.
    pub viewer_cooldown: Ms,
    /// How long one that was asked for waits for its payment.
    pub payment: Ms,
    /// How long after that a receipt still counts.
    pub late_receipt: Ms,
    /// How long one waits for a moderator.
    pub approval: Ms,
    /// How long one waits for its turn.
    pub max_wait: Ms,
    /// How long a stream may be offline before its queue expires.
    pub max_offline: Ms,
    /// How long one attempt may take to its first frame.
    pub warm: Ms,
    /// How often a pipeline is tried before its moment has failed.
    pub max_attempts: i64,
    /// The pause after a failed attempt before the next one.
    pub retry_delay: Ms,
    /// How long after the end of its duration the reaper ends an active one.
    pub end_grace: Ms,
    /// The pause after a completed moment before the next one starts.
    pub cooldown: Ms,
    /// How long a node holds a moment or a stream without a heartbeat.
    pub lease: Ms,
    /// Whether one that a moderator hides is credited.
    pub credit_hidden: bool,
    /// How long prompts of ended moments are kept.
    pub retention: Ms,
}

impl From<&reverie_config::Moments> for Limits {
    fn from(config: &reverie_config::Moments) -> Self {
        Self {
            min_duration: 1000,
            max_duration: ms(config.max_duration),
            max_prompt_chars: config.max_prompt_chars,
            refuse_vulgar: config.refuse_vulgar,
            queue_max: config.queue_max,
            viewer_cooldown: ms(config.viewer_cooldown),
            payment: ms(config.payment_timeout),
            late_receipt: ms(config.late_receipt),
            approval: ms(config.approval_timeout),
            max_wait: ms(config.max_wait),
            max_offline: ms(config.max_offline),
            warm: ms(config.warm_timeout),
            max_attempts: i64::from(config.max_attempts),
            retry_delay: 1000,
            end_grace: ms(config.end_grace),
            cooldown: ms(config.cooldown),
            lease: ms(config.lease),
            credit_hidden: config.credit_hidden,
            retention: ms(config.retention),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&reverie_config::Moments::default())
    }
}

fn ms(duration: Duration) -> Ms {
    duration.as_millis().try_into().unwrap_or(Ms::MAX)
}
