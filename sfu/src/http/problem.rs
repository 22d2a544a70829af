//! Every error an HTTP client can get, and its status: the one table (RFC 9457 problem details).
//! It stays one file: a status is chosen beside its neighbours, and a second table would be a second place to look.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reverie_diffusion::params::{self, Problems};
use reverie_moments::life::Refused as Refusal;
use reverie_moments::store;
use serde::Serialize;
use serde_json::Value;

use crate::auth::password::Unhashed;
use crate::auth::{Denied, Fault};
use crate::channel::{Busy, Full, Refused};
use crate::engine::negotiate::Rejected;
use crate::identity;
use crate::node::now_ms;
use crate::session::Entropy;
use crate::twitch::{eventsub, receipt};

/// Seconds after which an overloaded server may be asked again.
const RETRY_AFTER: u32 = 2;

/// What went wrong, with what would have been accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    ChannelName(String),
    UnknownChannel(String),
    UnknownSession,
    UnknownMoment(String),
    /// No ban goes by this moment.
    UnknownBan(String),
    NoSuchPath,
    Method,
    MediaType {
        got: String,
        accepted: &'static str,
    },
    TooLarge {
        limit: usize,
    },
    Unreadable(String),
    Sdp(Rejected),
    Fragment(String),
    IceRestart(String),
    Precondition {
        current: String,
    },
    PreconditionMissing {
        current: String,
    },
    NobodyPublishes(String),
    Track(String),
    NoToken,
    BadToken(Fault),
    /// The token is for something else: what it is for, and what was needed.
    Elsewhere {
        has: String,
        needs: String,
    },
    /// The session was begun with another credential.
    OtherHolder,
    /// Somebody with another credential publishes on the channel.
    Taken(String),
    Json(String),
    SlowBody,
    /// A moment that is not what the request needs, and what it is now.
    Moment {
        refused: Refusal,
        current: Value,
    },
    /// The settings are others than the request names.
    SettingsChanged {
        current: i64,
    },
    /// A header that cannot be read, and what is accepted.
    Header {
        name: &'static str,
        accepted: &'static str,
    },
    Product(String),
    Store,
    Pipeline(String),
    /// Parameters that cannot be followed.
    Params(Problems),
    /// The parameters are others than the request names.
    ParamsChanged {
        current: String,
    },
    /// The configuration has no keys for this part of Twitch.
    NoTwitch,
    /// What came as a notification of Twitch.
    Notification(eventsub::Fault),
    Receipt(receipt::Fault),
    Intent,
    SoundOnly(String),
    Busy(String),
    Draining,
    EventType(String),
    Layer(String),
    TooMany {
        wait: Duration,
    },
    /// Nobody can sign in here, or not like this: which key of the configuration is missing.
    NotConfigured(&'static str),
    /// A request with a cookie from a page of somebody else.
    CrossSite,
    /// A WebSocket from a page whose origin may not call.
    Origin,
    /// What is missing for a WebSocket.
    Upgrade(String),
    /// A command that no socket knows.
    Command(String),
    SignIn(String),
    EmailTaken,
    ChannelTaken(String),
    UnknownToken(String),
    /// A service that this server asked has failed.
    Service(String),
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// Each with the place it is at, where there may be several.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [params::Problem],
    /// The moment as it is now, where that is what is wrong.
    #[serde(skip_serializing_if = "Value::is_null")]
    moment: &'a Value,
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        match self {
            Self::ChannelName(name) => {
                let name: String = name.chars().take(80).collect();
                (
                    S::BAD_REQUEST,
                    "bad channel name",
                    format!(
                        "{name:?} is not a channel name; accepted are 1 to 64 of A-Z a-z 0-9 _ -"
                    ),
                )
            }
            Self::UnknownChannel(name) => (
                S::NOT_FOUND,
                "unknown channel",
                format!(
                    "there is no channel {name:?} now; it begins when somebody publishes to /whip/{name}"
                ),
            ),
            Self::UnknownSession => (
                S::NOT_FOUND,
                "unknown session",
                "the session does not exist or has ended".to_owned(),
            ),
            Self::UnknownMoment(id) => (
                S::NOT_FOUND,
                "unknown moment",
                format!("there is no moment {id:?}, or it was forgotten"),
            ),
            Self::UnknownBan(id) => (
                S::NOT_FOUND,
                "unknown ban",
                format!("nobody is banned because of a moment {id:?}"),
            ),
            Self::NoSuchPath => (
                S::NOT_FOUND,
                "not found",
                "there is nothing at this path".to_owned(),
            ),
            Self::Method => (
                S::METHOD_NOT_ALLOWED,
                "method not allowed",
                "the header Allow names the methods accepted here".to_owned(),
            ),
            Self::MediaType { got, accepted } => {
                let got: String = got.chars().take(80).collect();
                (
                    S::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported media type",
                    format!("Content-Type is {got:?}; accepted is {accepted}"),
                )
            }
            Self::TooLarge { limit } => (
                S::PAYLOAD_TOO_LARGE,
                "body too large",
                format!("at most {limit} bytes are accepted"),
            ),
            Self::Unreadable(why) => (S::BAD_REQUEST, "unreadable body", why.clone()),
            Self::Sdp(rejected) => (
                sdp_status(rejected),
                "offer not accepted",
                rejected.to_string(),
            ),
            Self::Fragment(why) => (S::BAD_REQUEST, "malformed trickle fragment", why.clone()),
            Self::IceRestart(why) => (S::UNPROCESSABLE_ENTITY, "no ICE restart", why.clone()),
            Self::Precondition { current } => (
                S::PRECONDITION_FAILED,
                "the session changed",
                format!("If-Match must be {current}"),
            ),
            Self::PreconditionMissing { current } => (
                S::PRECONDITION_REQUIRED,
                "no precondition",
                format!("send If-Match: {current}, or If-Match: * for an ICE restart"),
            ),
            Self::NobodyPublishes(name) => (
                S::CONFLICT,
                "nobody publishes",
                format!(
                    "channel {name:?} is not live; ask again, or POST with ?wait=1 for a session that starts by itself"
                ),
            ),
            Self::Track(track) => {
                let track: String = track.chars().take(80).collect();
                (
                    S::BAD_REQUEST,
                    "unknown track",
                    format!("track is {track:?}; accepted are output and source"),
                )
            }
            Self::NoToken => (
                S::UNAUTHORIZED,
                "no credentials",
                "send Authorization: Bearer <token>".to_owned(),
            ),
            Self::BadToken(fault) => (S::UNAUTHORIZED, "bad credentials", fault.to_string()),
            Self::Elsewhere { has, needs } => (
                S::FORBIDDEN,
                "wrong credentials",
                format!("the token is for {has}; this needs one for {needs}"),
            ),
            Self::OtherHolder => (
                S::FORBIDDEN,
                "wrong credentials",
                "the session was begun with another token".to_owned(),
            ),
            Self::Taken(name) => (
                S::CONFLICT,
                "somebody else publishes",
                format!(
                    "channel {name:?} has a publisher with another token; it is free once that one has ended or was silent for a while"
                ),
            ),
            Self::SlowBody => (
                S::REQUEST_TIMEOUT,
                "slow body",
                "the body did not arrive in 10 s".to_owned(),
            ),
            Self::Json(why) => (S::UNPROCESSABLE_ENTITY, "bad request body", why.clone()),
            Self::Moment { refused, .. } => (
                moment_status(refused),
                "moment refused",
                refused.to_string(),
            ),
            Self::SettingsChanged { current } => (
                S::PRECONDITION_FAILED,
                "the settings changed",
                format!("If-Match must be \"{current}\""),
            ),
            Self::Header { name, accepted } => (
                S::BAD_REQUEST,
                "bad header",
                format!("{name} is not readable; accepted is {accepted}"),
            ),
            Self::Product(sku) => (
                S::UNPROCESSABLE_ENTITY,
                "unknown product",
                format!("the channel has no product {sku:?}"),
            ),
            Self::Store => (
                S::SERVICE_UNAVAILABLE,
                "the store fails",
                "the store of moments does not answer as it should; nothing was changed".to_owned(),
            ),
            Self::NoTwitch => (
                S::NOT_FOUND,
                "no Twitch",
                "this server has no keys for this part of Twitch".to_owned(),
            ),
            Self::Notification(fault) => (
                notification_status(*fault),
                "notification refused",
                fault.to_string(),
            ),
            Self::Receipt(fault) => (
                S::UNPROCESSABLE_ENTITY,
                "receipt refused",
                fault.to_string(),
            ),
            Self::Intent => (
                S::FORBIDDEN,
                "intent refused",
                "the intent is not one that this server signed for this moment".to_owned(),
            ),
            Self::SoundOnly(why) => (S::CONFLICT, "sound only", why.clone()),
            Self::Pipeline(why) => (S::UNPROCESSABLE_ENTITY, "unknown pipeline", why.clone()),
            Self::Params(problems) => (
                S::UNPROCESSABLE_ENTITY,
                "bad parameters",
                problems.to_string(),
            ),
            Self::ParamsChanged { current } => (
                S::PRECONDITION_FAILED,
                "the parameters changed",
                format!("If-Match must be {current}"),
            ),
            Self::Busy(why) => (S::SERVICE_UNAVAILABLE, "overloaded", why.clone()),
            Self::Draining => (
                S::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping and takes no new sessions".to_owned(),
            ),
            Self::EventType(name) => {
                let name: String = name.chars().take(80).collect();
                (
                    S::BAD_REQUEST,
                    "unknown event type",
                    format!(
                        "{name:?} is not an event of this server; accepted are the events of the Link header"
                    ),
                )
            }
            Self::Layer(detail) => (S::UNPROCESSABLE_ENTITY, "no such layer", detail.clone()),
            Self::NotConfigured(key) => (
                S::NOT_FOUND,
                "not configured",
                format!("this server has no `{key}`"),
            ),
            Self::CrossSite => (
                S::FORBIDDEN,
                "cross-site request",
                "a request with a cookie is taken from this server's own pages only; send Origin, or Authorization instead of the cookie".to_owned(),
            ),
            Self::Origin => (
                S::FORBIDDEN,
                "cross-site request",
                "pages of this origin may not call; `http.allowed_origins` names those that may".to_owned(),
            ),
            Self::Upgrade(why) => (S::UPGRADE_REQUIRED, "not a WebSocket", why.clone()),
            Self::Command(name) => {
                let name: String = name.chars().take(80).collect();
                (
                    S::UNPROCESSABLE_ENTITY,
                    "unknown command",
                    format!(
                        "{name:?} is not a command; accepted are approve, reject, start, stop, move, pause, resume, warm, params, ping"
                    ),
                )
            }
            Self::SignIn(why) => (S::UNAUTHORIZED, "not signed in", why.clone()),
            Self::EmailTaken => (
                S::CONFLICT,
                "address in use",
                "the e-mail address has an account already".to_owned(),
            ),
            Self::ChannelTaken(why) => (S::CONFLICT, "channel in use", why.clone()),
            Self::UnknownToken(id) => (
                S::NOT_FOUND,
                "unknown token",
                format!("you have no token {id:?} that can be taken back"),
            ),
            Self::Service(why) => (S::BAD_GATEWAY, "service failed", why.clone()),
            Self::TooMany { wait } => (
                S::TOO_MANY_REQUESTS,
                "too many requests",
                format!("ask again in {} s", whole_seconds(*wait)),
            ),
        }
    }

    /// RFC 6750, section 3: a request without a token is told nothing more.
    fn challenge(&self) -> HeaderValue {
        let error = match self {
            Self::BadToken(fault) => {
                format!(", error=\"invalid_token\", error_description=\"{fault}\"")
            }
            Self::Elsewhere { .. } | Self::OtherHolder => {
                ", error=\"insufficient_scope\"".to_owned()
            }
            _ => String::new(),
        };
        HeaderValue::from_str(&format!("Bearer realm=\"reverie\"{error}"))
            .expect("faults are constants of printable ASCII")
    }

    /// The store's failure is for the log; whoever asked may ask again.
    pub(crate) fn store(error: reverie_moments::store::Error) -> Self {
        tracing::error!(%error, "the store failed");
        Self::Busy("the store does not answer".to_owned())
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.parts().0
    }

    /// What went wrong, in words.
    pub(super) fn detail(&self) -> String {
        self.parts().2
    }

    /// The problem details.
    pub(super) fn told(&self) -> Value {
        let body = serde_json::to_value(self.body(&self.parts()));
        body.expect("problem details have only string keys")
    }

    fn body<'a>(
        &'a self,
        (status, title, detail): &'a (StatusCode, &'static str, String),
    ) -> Body<'a> {
        Body {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail,
            errors: match self {
                Self::Params(problems) => &problems.told,
                _ => &[],
            },
            moment: match self {
                Self::Moment { current, .. } => current,
                _ => &Value::Null,
            },
        }
    }
}

/// The status of a refusal where nobody named a version in a header: what would be a failed precondition is a conflict.
pub(super) fn without_precondition(status: StatusCode) -> StatusCode {
    if status == StatusCode::PRECONDITION_FAILED {
        StatusCode::CONFLICT
    } else {
        status
    }
}

/// Rounded up, so that a client that waits so long is not refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn sdp_status(rejected: &Rejected) -> StatusCode {
    match rejected {
        Rejected::Malformed(_) => StatusCode::BAD_REQUEST,
        Rejected::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Rejected::Codec { .. } => StatusCode::NOT_ACCEPTABLE,
    }
}

fn moment_status(refused: &Refusal) -> StatusCode {
    use StatusCode as S;
    match refused {
        Refusal::Channel(_) | Refusal::Unknown(_) => S::NOT_FOUND,
        Refusal::Full { .. } | Refusal::Cooldown { .. } => S::TOO_MANY_REQUESTS,
        Refusal::Stale { .. } => S::PRECONDITION_FAILED,
        Refusal::NotYours(_) | Refusal::Banned { .. } => S::FORBIDDEN,
        Refusal::Poor { .. } => S::PAYMENT_REQUIRED,
        Refusal::Prompt(_)
        | Refusal::Unwanted(_)
        | Refusal::Product { .. }
        | Refusal::Duration { .. }
        | Refusal::Price { .. }
        | Refusal::Receipt { .. } => S::UNPROCESSABLE_ENTITY,
        _ => S::CONFLICT,
    }
}

/// Twitch takes a 4xx for final, and sends again what is answered by 5xx.
fn notification_status(fault: eventsub::Fault) -> StatusCode {
    match fault {
        eventsub::Fault::Signature | eventsub::Fault::Old => StatusCode::FORBIDDEN,
        eventsub::Fault::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let parts = self.parts();
        let mut response = (parts.0, Json(self.body(&parts))).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match &self {
            Self::NoToken
            | Self::BadToken(_)
            | Self::Elsewhere { .. }
            | Self::OtherHolder
            | Self::SignIn(_) => {
                headers.insert(header::WWW_AUTHENTICATE, self.challenge());
            }
            Self::Busy(_)
            | Self::Draining
            | Self::Store
            | Self::NobodyPublishes(_)
            | Self::Taken(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
            }
            Self::Upgrade(_) => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            Self::Moment {
                refused: Refusal::Cooldown { until },
                ..
            } => {
                let wait = until.saturating_sub(now_ms()).max(0);
                let wait = Duration::from_millis(wait.unsigned_abs());
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            }
            Self::TooMany { wait } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait)));
            }
            _ => {}
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken => Self::NoToken,
            Denied::Invalid(fault) => Self::BadToken(fault),
            Denied::Elsewhere { has, needs } => Self::Elsewhere { has, needs },
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        Self::Sdp(rejected)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::SoundOnly => Self::SoundOnly(refused.to_string()),
            Refused::Pipeline { .. } => Self::Pipeline(refused.to_string()),
            Refused::Params(problems) => Self::Params(problems),
            Refused::Changed { current } => Self::ParamsChanged { current },
            Refused::Busy => Self::Busy(refused.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refused: Refusal) -> Self {
        match refused {
            Refusal::Unknown(id) => Self::UnknownMoment(id.as_str().chars().take(80).collect()),
            Refusal::Channel(name) => Self::UnknownChannel(name),
            refused => Self::Moment {
                refused,
                current: Value::Null,
            },
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Refused(refused) => refused.into(),
            error => {
                tracing::error!(%error, "the store fails");
                Self::Store
            }
        }
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy.to_string())
    }
}

impl From<crate::shard::Busy> for Problem {
    fn from(busy: crate::shard::Busy) -> Self {
        Self::Busy(busy.to_string())
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::Busy(full.to_string())
    }
}

impl From<identity::Refused> for Problem {
    fn from(refused: identity::Refused) -> Self {
        use identity::Refused as R;
        match refused {
            R::Credentials | R::Refresh => Self::SignIn(refused.to_string()),
            R::Email(_) | R::Password(Unhashed::Password) => Self::Json(refused.to_string()),
            R::Taken => Self::EmailTaken,
            R::ChannelTaken(_) => Self::ChannelTaken(refused.to_string()),
            R::NoRole(channel) => Self::Elsewhere {
                has: "somebody who is nothing there".to_owned(),
                needs: format!("a moderator or the streamer of channel {channel:?}"),
            },
            R::Store(error) => Self::store(error),
            R::Twitch(error) => Self::Service(error.to_string()),
            R::Password(_) | R::Unsigned(_) | R::Entropy(_) => Self::Busy(refused.to_string()),
        }
    }
}

impl From<Entropy> for Problem {
    fn from(entropy: Entropy) -> Self {
        Self::Busy(entropy.to_string())
    }
}
