//! The section `auth`: the bearer tokens, and what is open without one.

use std::path::PathBuf;

use crate::grant::{Role, StaticToken, Tokens};
use crate::kind::{File, Flag, SigningKey, Token};
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
    /// Signs and checks the tokens that `reverie token` makes (HS256); at least 32 bytes. Once it is set, publishing and
    /// watching need a token.
    pub token_key: Option<Secret>,
    /// Tokens for one role on one channel, or on all.
    pub tokens: Vec<StaticToken>,
    /// A file with the ids (`jti`) of tokens of `reverie token` that open nothing any more, one on a line.
    pub revoked: Option<PathBuf>,
    /// Whether everybody may watch without a token.
    pub public_watch: bool,
    /// Signs and checks sessions of people (HS256); at least 32 bytes. Once it is set, people can sign in, and publishing,
    /// watching and control need a token.
    pub session_key: Option<Secret>,
    /// Seals what other services entrust to this server; at least 32 bytes.
    pub sealing_key: Option<Secret>,
    /// Whether everybody may make an account.
    pub registration: bool,
}

impl Auth {
    /// Whether some token opens this role, so that the door is not open to everybody.
    #[must_use]
    pub fn guards(&self, role: Role) -> bool {
        let own = match role {
            Role::Publish => &self.publish_token,
            Role::Watch => &self.watch_token,
        };
        own.is_some()
            || self.token_key.is_some()
            || self.session_key.is_some()
            || self.tokens.iter().any(|token| token.role == role)
    }

    /// Whether some token opens what changes the picture, so that the door is not open to everybody.
    #[must_use]
    pub fn guards_control(&self) -> bool {
        self.control_token.is_some() || self.session_key.is_some()
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("auth.publish_token", &mut self.publish_token, Token);
        visitor.key("auth.watch_token", &mut self.watch_token, Token);
        visitor.key("auth.control_token", &mut self.control_token, Token);
        visitor.key("auth.metrics_token", &mut self.metrics_token, Token);
        visitor.key("auth.token_key", &mut self.token_key, SigningKey);
        visitor.key("auth.tokens", &mut self.tokens, Tokens);
        visitor.key("auth.revoked", &mut self.revoked, File);
        visitor.key("auth.public_watch", &mut self.public_watch, Flag);
        visitor.key("auth.session_key", &mut self.session_key, SigningKey);
        visitor.key("auth.sealing_key", &mut self.sealing_key, SigningKey);
        visitor.key("auth.registration", &mut self.registration, Flag);
    }
}
