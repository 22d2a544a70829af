//! The limits and times a channel keeps.

use std::time::Duration;

/// The limits and times of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long a moment lasts when its request does not say.
    pub default_duration: Duration,
    /// The shortest duration accepted.
    pub min_duration: Duration,
    /// The longest duration accepted.
    pub max_duration: Duration,
    /// The longest prompt, in characters.
    pub max_prompt_chars: usize,
    /// How many moments may wait. One that goes back into the queue is kept beyond it.
    pub queue_max: usize,
    /// How long a moment may wait, counted from its request.
    pub max_wait: Duration,
    /// How long a publisher may be away before the waiting moments expire.
    pub max_offline: Duration,
    /// How long one attempt may take to its first frame.
    pub warm_timeout: Duration,
    /// How often a pipeline is tried before its moment has failed.
    pub max_attempts: u32,
    /// The pause after a failed attempt before the next one.
    pub retry_delay: Duration,
    /// How long a publisher may be away before the live moment is given up.
    pub publisher_gone: Duration,
    /// The pause after a completed moment before the next one starts.
    pub cooldown: Duration,
    /// How many ended moments are remembered.
    pub history: usize,
}

impl From<&reverie_config::Moments> for Rules {
    fn from(config: &reverie_config::Moments) -> Self {
        Self {
            default_duration: config.default_duration,
            min_duration: Duration::from_secs(1),
            max_duration: config.max_duration,
            max_prompt_chars: config.max_prompt_chars,
            queue_max: config.queue_max,
            max_wait: config.max_wait,
            max_offline: config.max_offline,
            warm_timeout: config.warm_timeout,
            max_attempts: config.max_attempts,
            retry_delay: Duration::from_secs(1),
            publisher_gone: config.publisher_gone,
            cooldown: config.cooldown,
            history: config.history,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::from(&reverie_config::Moments::default())
    }
}
