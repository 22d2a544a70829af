//! The section `moments`: how long and how often a stream is transformed.

use std::time::Duration;

use crate::kind::{Integer, Seconds};
use crate::visit::Visitor;

/// The section `moments`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// How long a moment lasts when its request does not say. Key `default_duration_s`, whole seconds.
    pub default_duration: Duration,
    /// The longest moment; at least `default_duration`. Key `max_duration_s`, whole seconds.
    pub max_duration: Duration,
    /// The longest prompt, in characters.
    pub max_prompt_chars: usize,
    /// How many moments may wait in one channel.
    pub queue_max: usize,
    /// How long a pipeline may take to its first transformed frame before that attempt has failed. Key `warm_timeout_s`, whole seconds.
    pub warm_timeout: Duration,
    /// How long the publisher may be away before the running moment is given up. Key `publisher_gone_s`, whole seconds.
    pub publisher_gone: Duration,
    /// The pause after a completed moment before the next one starts. Key `cooldown_s`, whole seconds.
    pub cooldown: Duration,
    /// How many ended moments each channel remembers.
    pub history: usize,
}

impl Moments {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key(
            "moments.default_duration_s",
            &mut self.default_duration,
            Seconds(1..=3600),
        );
        visitor.key(
            "moments.max_duration_s",
            &mut self.max_duration,
            Seconds(1..=3600),
        );
        visitor.key(
            "moments.max_prompt_chars",
            &mut self.max_prompt_chars,
            Integer(1..=10_000),
        );
        visitor.key(
            "moments.queue_max",
            &mut self.queue_max,
            Integer(1..=10_000),
        );
        visitor.key(
            "moments.warm_timeout_s",
            &mut self.warm_timeout,
            Seconds(1..=600),
        );
        visitor.key(
            "moments.publisher_gone_s",
            &mut self.publisher_gone,
            Seconds(1..=300),
        );
        visitor.key("moments.cooldown_s", &mut self.cooldown, Seconds(0..=3600));
        visitor.key("moments.history", &mut self.history, Integer(1..=10_000));
    }
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            default_duration: Duration::from_secs(15),
            max_duration: Duration::from_secs(120),
            max_prompt_chars: 500,
            queue_max: 20,
            warm_timeout: Duration::from_secs(45),
            publisher_gone: Duration::from_secs(10),
            cooldown: Duration::ZERO,
            history: 100,
        }
    }
}
