//! The section `auth`: the bearer tokens, and what is open without one.

use crate::kind::{Flag, Token};
use crate::secret::Secret;
use crate::visit::Visitor;

/// The section `auth`. An unset token leaves its door open, which [`load`](crate::load) allows on loopback addresses only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth {
    /// Needed to publish a stream (WHIP).
    pub publish_token: Option<Secret>,
    /// Needed to watch a stream (WHEP) unless `public_watch` is set.
    pub watch_token: Option<Secret>,
    /// Needed to change anything over the API: moments, warming, cooling.
    pub control_token: Option<Secret>,
    /// Needed to read `/metrics`.
    pub metrics_token: Option<Secret>,
    /// Whether everybody may watch without a token.
    pub public_watch: bool,
}

impl Auth {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("auth.publish_token", &mut self.publish_token, Token);
        visitor.key("auth.watch_token", &mut self.watch_token, Token);
        visitor.key("auth.control_token", &mut self.control_token, Token);
        visitor.key("auth.metrics_token", &mut self.metrics_token, Token);
        visitor.key("auth.public_watch", &mut self.public_watch, Flag);
    }
}
