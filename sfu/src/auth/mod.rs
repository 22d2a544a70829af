//! Who may do what: bearer tokens, what they are for, and whom they stand for. Knows nothing of HTTP.
//!
//! No token, key or signature is ever part of an error, a log line or a `Debug` output.

pub(crate) mod extension;
pub(crate) mod keys;
pub(crate) mod oauth;
pub(crate) mod password;
mod revoked;
pub(crate) mod seal;
pub(crate) mod session;
pub(crate) mod token;

use std::fmt;

use reverie_config::{Role, Scope, Secret, StaticToken};

pub(crate) use revoked::Revoked;
use session::{Rank, Session, Signer};
use token::Verifier;
pub(crate) use token::{Fault, Grant};

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// WHIP on a channel.
    Publish(&'a str),
    /// WHEP on a channel.
    Watch(&'a str),
    /// The state of a channel, which its publishers and viewers may see.
    Look(&'a str),
    /// The state of every channel that the token is for.
    List,
    /// To change something of some channel; what exactly is asked for once the channel is known.
    Change,
    /// Asking for a moment, as a viewer of the channel.
    Submit(&'a str),
    /// Approving, rejecting and stopping moments, as a moderator of the channel.
    Moderate(&'a str),
    /// The channel's settings, its pipeline and tokens for it, as its streamer.
    Own(&'a str),
    /// The server, as who runs it.
    Admin,
    /// What one server tells another.
    Node,
    /// Anything of one's own, as somebody who is signed in.
    Person,
    /// `/metrics`.
    Metrics,
}

/// Whom a request comes from, as far as its token says. Two requests of the same holder may take each other's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The door is open to everybody.
    Anybody,
    /// Whoever has this configured token.
    Static(usize),
    /// The subject (`sub`) of a signed token.
    Subject(String),
    /// Whoever has a signed token without subject for this role and scope, whichever: a page that is given a fresh one
    /// when it is loaded again is still the same streamer.
    Bearer(Role, Scope),
}

/// A request that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) holder: Holder,
    /// Where the token is good.
    pub(crate) scope: Scope,
    /// The id of a signed token, by which it can be revoked.
    pub(crate) token: Option<String>,
    /// Who is signed in, if the request comes with a session.
    pub(crate) session: Option<Session>,
}

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It has no bearer token.
    NoToken,
    /// Its token is no good for anything (RFC 6750, `invalid_token`).
    Invalid(Fault),
    /// Its token is good, but not for this (RFC 6750, `insufficient_scope`). Both in words.
    Elsewhere { has: String, needs: String },
}

impl Denied {
    /// For metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoToken => "none",
            Self::Invalid(_) => "invalid",
            Self::Elsewhere { .. } => "scope",
        }
    }
}

/// Checks tokens. Built once from the configuration.
#[derive(Debug)]
pub(crate) struct Auth {
    known: Vec<Known>,
    verifier: Option<Verifier>,
    signer: Option<Signer>,
    revoked: Revoked,
    open: Open,
}

/// Which doors need no token.
#[derive(Debug)]
struct Open {
    publish: bool,
    watch: bool,
    control: bool,
    metrics: bool,
}

/// A configured token.
#[derive(Debug)]
struct Known {
    secret: Secret,
    right: Right,
    /// Unix seconds from which on it is refused.
    end_s: Option<u64>,
}

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Right {
    Media(Role, Scope),
    Control,
    Metrics,
    Session {
        rank: Rank,
        channel: Option<String>,
        /// Whether everybody may watch: then viewers without a channel may ask for moments.
        everybody: bool,
    },
}

impl Auth {
    pub(crate) fn new(config: &reverie_config::Auth, revoked: Revoked) -> Self {
        let everywhere = |role| Right::Media(role, Scope::All);
        let own = [
            (&config.publish_token, everywhere(Role::Publish)),
            (&config.watch_token, everywhere(Role::Watch)),
            (&config.control_token, Right::Control),
            (&config.metrics_token, Right::Metrics),
        ];
        let own = own.into_iter().filter_map(|(secret, right)| {
            let secret = secret.clone()?;
            Some(Known {
                secret,
                right,
                end_s: None,
            })
        });
        Self {
            known: own.chain(config.tokens.iter().map(Known::from)).collect(),
            verifier: keys::of_media(config).as_ref().map(Verifier::new),
            signer: config.session_key.as_ref().map(Signer::new),
            revoked,
            open: Open {
                publish: !config.guards(Role::Publish),
                watch: config.public_watch || !config.guards(Role::Watch),
                control: !config.guards_control(),
                metrics: config.metrics_token.is_none(),
            },
        }
    }

    /// Whether a request with this token may do what it wants. `now_s` is Unix time, for configured tokens; signed ones are
    /// compared with the clock of the system.
    pub(crate) fn check(
        &self,
        need: Need<'_>,
        token: Option<&str>,
        now_s: u64,
    ) -> Result<Pass, Denied> {
        if self.is_open(need) {
            return Ok(Pass {
                holder: Holder::Anybody,
                scope: Scope::All,
                token: None,
                session: None,
            });
        }
        let token = token.ok_or(Denied::NoToken)?;
        if let Some(found) = self.known(need, token, now_s) {
            return found;
        }
        if let Some(found) = self.session(token) {
            return self.allow(found.map_err(Denied::Invalid)?, need);
        }
        let verifier = self
            .verifier
            .as_ref()
            .ok_or(Denied::Invalid(Fault::Unknown))?;
        let (grant, id) = verifier.read(token).map_err(Denied::Invalid)?;
        if id.as_ref().is_some_and(|id| self.revoked.has(id)) {
            return Err(Denied::Invalid(Fault::Revoked));
        }
        let right = Right::Media(grant.role, grant.scope.clone());
        if !right.opens(need) {
            return Err(elsewhere([&right], need));
        }
        let holder = match grant.subject {
            Some(subject) => Holder::Subject(subject),
            None => Holder::Bearer(grant.role, grant.scope.clone()),
        };
        Ok(Pass {
            holder,
            scope: grant.scope,
            token: id,
            session: None,
        })
    }

    /// Whose session token it is; `None` if it is none of ours, and perhaps one for media. Whether the session was ended
    /// is for the store to say.
    pub(crate) fn session(&self, token: &str) -> Option<Result<Session, Fault>> {
        let found = self.signer.as_ref()?.read(token);
        let other = matches!(
            found,
            Err(Fault::Signature | Fault::Foreign | Fault::Unknown)
        );
        (!other).then_some(found)
    }

    /// Makes and reads tokens of sessions, if this server has any.
    #[cfg(test)]
    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    fn allow(&self, session: Session, need: Need<'_>) -> Result<Pass, Denied> {
        let right = Right::Session {
            rank: session.rank,
            channel: session.channel.clone(),
            everybody: self.open.watch,
        };
        if !right.opens(need) {
            return Err(elsewhere([&right], need));
        }
        Ok(Pass {
            holder: Holder::Subject(session.subject.clone()),
            scope: right.scope(),
            token: Some(session.id.clone()),
            session: Some(session),
        })
    }

    /// The tokens that were revoked.
    pub(crate) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    fn is_open(&self, need: Need<'_>) -> bool {
        match need {
            Need::Publish(_) => self.open.publish,
            Need::Watch(_) | Need::Look(_) | Need::List => self.open.watch,
            Need::Change | Need::Submit(_) | Need::Moderate(_) | Need::Own(_) | Need::Admin => {
                self.open.control
            }
            Need::Metrics => self.open.metrics,
            Need::Node | Need::Person => false,
        }
    }

    /// Looks the token up among the configured ones; every one of them is compared, so that the time tells nothing.
    fn known(&self, need: Need<'_>, token: &str, now_s: u64) -> Option<Result<Pass, Denied>> {
        let same: Vec<(usize, &Known)> = self
            .known
            .iter()
            .enumerate()
            .filter(|(_, known)| known.secret.matches(token))
            .collect();
        // The same text in several places is one credential.
        let holder = Holder::Static(same.first()?.0);
        let current: Vec<&Right> = same
            .iter()
            .filter(|(_, known)| known.end_s.is_none_or(|end| now_s < end))
            .map(|(_, known)| &known.right)
            .collect();
        if current.is_empty() {
            return Some(Err(Denied::Invalid(Fault::Expired)));
        }
        let right = current.iter().find(|right| right.opens(need));
        Some(match right {
            Some(right) => Ok(Pass {
                holder,
                scope: right.scope(),
                token: None,
                session: None,
            }),
            None => Err(elsewhere(current, need)),
        })
    }
}

impl From<&StaticToken> for Known {
    fn from(token: &StaticToken) -> Self {
        Self {
            secret: token.secret.clone(),
            right: Right::Media(token.role, token.scope.clone()),
            end_s: token.last_day.map(reverie_config::Day::end_s),
        }
    }
}

impl Right {
    fn opens(&self, need: Need<'_>) -> bool {
        match (self, need) {
            (Self::Media(Role::Publish, scope), Need::Publish(channel))
            | (Self::Media(Role::Watch, scope), Need::Watch(channel))
            | (Self::Media(_, scope), Need::Look(channel)) => scope.covers(channel),
            (Self::Media(..), Need::List)
            | (
                Self::Control,
                Need::Change | Need::Submit(_) | Need::Moderate(_) | Need::Own(_) | Need::Admin,
            )
            | (Self::Metrics, Need::Metrics) => true,
            (
                Self::Session {
                    rank,
                    channel,
                    everybody,
                },
                need,
            ) => may(*rank, channel.as_deref(), *everybody, need),
            _ => false,
        }
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Media(_, scope) => scope.clone(),
            Self::Session {
                rank: Rank::Admin, ..
            }
            | Self::Control
            | Self::Metrics => Scope::All,
            Self::Session { channel, .. } => match channel {
                Some(channel) => Scope::Channel(channel.clone()),
                None => Scope::All,
            },
        }
    }
}

/// What a session opens. One without a channel sees no channel that is not open to everybody.
fn may(rank: Rank, channel: Option<&str>, everybody: bool, need: Need<'_>) -> bool {
    let in_rank = |least: Rank, wanted: &str| {
        rank == Rank::Admin || (rank >= least && channel == Some(wanted))
    };
    match need {
        Need::Watch(wanted) | Need::Look(wanted) => in_rank(Rank::Viewer, wanted),
        Need::Submit(wanted) => {
            in_rank(Rank::Viewer, wanted)
                || (everybody && rank == Rank::Viewer && channel.is_none())
        }
        Need::Moderate(wanted) => in_rank(Rank::Mod, wanted),
        Need::Publish(wanted) | Need::Own(wanted) => in_rank(Rank::Streamer, wanted),
        Need::List => rank == Rank::Admin || (rank >= Rank::Viewer && channel.is_some()),
        Need::Change | Need::Person => rank >= Rank::Viewer,
        Need::Admin => rank == Rank::Admin,
        Need::Node => rank == Rank::Node,
        Need::Metrics => false,
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, scope) = match self {
            Self::Media(Role::Publish, scope) => ("publishing", scope),
            Self::Media(Role::Watch, scope) => ("watching", scope),
            Self::Control => return f.write_str("changing the picture"),
            Self::Metrics => return f.write_str("reading metrics"),
            Self::Session { rank, channel, .. } => {
                return match channel {
                    Some(channel) => write!(f, "a {} of channel {channel:?}", rank.name()),
                    None => write!(f, "a {} of no one channel", rank.name()),
                };
            }
        };
        match scope {
            Scope::All => write!(f, "{role} on every channel"),
            Scope::Channel(name) => write!(f, "{role} on channel {name:?}"),
        }
    }
}

impl fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(channel) => write!(f, "publishing on channel {channel:?}"),
            Self::Watch(channel) => write!(f, "watching channel {channel:?}"),
            Self::Look(channel) => write!(f, "watching or publishing on channel {channel:?}"),
            Self::List => f.write_str("watching"),
            Self::Change => f.write_str("changing the picture"),
            Self::Submit(channel) => write!(f, "asking for moments on channel {channel:?}"),
            Self::Moderate(channel) => write!(f, "moderating channel {channel:?}"),
            Self::Own(channel) => write!(f, "the streamer of channel {channel:?}"),
            Self::Admin => f.write_str("an admin"),
            Self::Node => f.write_str("another server"),
            Self::Person => f.write_str("somebody who is signed in"),
            Self::Metrics => f.write_str("reading metrics"),
        }
    }
}

fn elsewhere<'a>(rights: impl IntoIterator<Item = &'a Right>, need: Need<'_>) -> Denied {
    let has: Vec<String> = rights.into_iter().map(Right::to_string).collect();
    Denied::Elsewhere {
        has: has.join(" and "),
        needs: need.to_string(),
    }
}

#[cfg(test)]
mod tests;
