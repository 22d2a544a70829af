//! The section `moments`: how long and how often a stream is transformed.

use std::time::Duration;

use crate::kind::{Days, Flag, Integer, Seconds};
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
    /// Whether prompts with words that offend are refused, beside those of each channel's own list.
    pub refuse_vulgar: bool,
    /// How many moments may wait in one channel.
    pub queue_max: usize,
    /// How long a pipeline may take to its first transformed frame before that attempt has failed. Key `warm_timeout_s`, whole seconds.
    pub warm_timeout: Duration,
    /// How long the publisher may be away before the running moment is given up. Key `publisher_gone_s`, whole seconds.
    pub publisher_gone: Duration,
    /// The pause after a completed moment before the next one starts. Key `cooldown_s`, whole seconds.
    pub cooldown: Duration,
    /// How long a viewer waits between two moments of a channel. Key `viewer_cooldown_s`, whole seconds.
    pub viewer_cooldown: Duration,
    /// How long a moment waits for its payment. Key `payment_timeout_s`, whole seconds.
    pub payment_timeout: Duration,
    /// How long after that a receipt still counts. Key `late_receipt_s`, whole seconds.
    pub late_receipt: Duration,
    /// How long a paid moment waits for a moderator. Key `approval_timeout_s`, whole seconds.
    pub approval_timeout: Duration,
    /// How long a moment waits for its turn. Key `max_wait_s`, whole seconds.
    pub max_wait: Duration,
    /// How long a stream may be offline before its queue expires. Key `max_offline_s`, whole seconds.
    pub max_offline: Duration,
    /// How often a pipeline is tried before its moment has failed.
    pub max_attempts: u32,
    /// How long after its duration an active moment is ended for a node that does not. Key `end_grace_s`, whole seconds.
    pub end_grace: Duration,
    /// How long a node keeps a moment or a stream without a heartbeat. Key `lease_s`, whole seconds.
    pub lease: Duration,
    /// How often a node says that it lives; less than half of `lease`. Key `heartbeat_s`, whole seconds.
    pub heartbeat: Duration,
    /// Whether the viewer of a moment that a moderator hides is credited.
    pub credit_hidden: bool,
    /// How long the prompts of ended moments and the texts of receipts are kept. Key `retention_days`, whole days.
    pub retention: Duration,
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
        visitor.key("moments.refuse_vulgar", &mut self.refuse_vulgar, Flag);
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
        self.visit_paid(visitor);
    }

    fn visit_paid(&mut self, visitor: &mut impl Visitor) {
        visitor.key(
            "moments.viewer_cooldown_s",
            &mut self.viewer_cooldown,
            Seconds(0..=86_400),
        );
        visitor.key(
            "moments.payment_timeout_s",
            &mut self.payment_timeout,
            Seconds(10..=3600),
        );
        visitor.key(
            "moments.late_receipt_s",
            &mut self.late_receipt,
            Seconds(0..=86_400),
        );
        visitor.key(
            "moments.approval_timeout_s",
            &mut self.approval_timeout,
            Seconds(10..=86_400),
        );
        visitor.key(
            "moments.max_wait_s",
            &mut self.max_wait,
            Seconds(10..=86_400),
        );
        visitor.key(
            "moments.max_offline_s",
            &mut self.max_offline,
            Seconds(1..=3600),
        );
        visitor.key(
            "moments.max_attempts",
            &mut self.max_attempts,
            Integer(1..=10),
        );
        visitor.key("moments.end_grace_s", &mut self.end_grace, Seconds(1..=60));
        visitor.key("moments.lease_s", &mut self.lease, Seconds(2..=300));
        visitor.key("moments.heartbeat_s", &mut self.heartbeat, Seconds(1..=100));
        visitor.key("moments.credit_hidden", &mut self.credit_hidden, Flag);
        visitor.key(
            "moments.retention_days",
            &mut self.retention,
            Days(1..=3650),
        );
    }
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            default_duration: Duration::from_secs(15),
            max_duration: Duration::from_secs(120),
            max_prompt_chars: 500,
            refuse_vulgar: true,
            queue_max: 20,
            warm_timeout: Duration::from_secs(45),
            publisher_gone: Duration::from_secs(10),
            cooldown: Duration::ZERO,
            viewer_cooldown: Duration::ZERO,
            payment_timeout: Duration::from_secs(120),
            late_receipt: Duration::from_secs(3600),
            approval_timeout: Duration::from_secs(300),
            max_wait: Duration::from_secs(900),
            max_offline: Duration::from_secs(60),
            max_attempts: 3,
            end_grace: Duration::from_secs(5),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(3),
            credit_hidden: true,
            retention: Duration::from_secs(30 * 86_400),
        }
    }
}
