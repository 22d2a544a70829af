//! One paid moment as plain data, and the words of its columns.

use serde::{Deserialize, Serialize};

use super::{Ms, State};
use crate::id::MomentId;
use crate::reason::Reason;

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// The id that everybody has, without saying who they are.
    pub opaque: String,
    /// The id of those who shared who they are.
    pub id: Option<String>,
    /// The name shown.
    pub name: Option<String>,
}

/// What a moment is paid with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Bits, by a receipt.
    Bits,
    /// Credits that the viewer was given.
    Credit,
    /// Nothing: the channel gives it.
    Free,
    /// Nothing: it is the streamer's own, and asks nobody's approval.
    Streamer,
}

/// What becomes of a channel's paid moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A moderator looks at each.
    Manual,
    /// They wait for their turn at once.
    Auto,
    /// There are none.
    Off,
}

/// What a viewer got back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensation {
    /// Nothing, or not yet.
    None,
    /// The price, as credits.
    Credited,
}

/// A request for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// A new id.
    pub id: MomentId,
    /// The channel.
    pub channel: String,
    /// Who asks.
    pub viewer: Viewer,
    /// What it is to be paid with.
    pub source: Source,
    /// The product.
    pub sku: String,
    /// Its price, in Bits or credits; 0 where nothing is paid.
    pub price: i64,
    /// What to show.
    pub prompt: String,
    /// Parameters of the pipeline, as JSON.
    pub params: String,
    /// For how long.
    pub duration: Ms,
    /// Makes a repeated request the same request.
    pub idempotency_key: String,
}

/// A moment as it was at some version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its id.
    pub id: MomentId,
    /// The channel.
    pub channel: String,
    /// Its place: moments of a channel start in this order.
    pub seq: i64,
    /// Where it is in its life.
    pub state: State,
    /// Who asked for it.
    pub viewer: Viewer,
    /// What it is paid with.
    pub source: Source,
    /// The product.
    pub sku: String,
    /// Its price, in Bits or credits.
    pub price: i64,
    /// What to show; empty once it is erased.
    pub prompt: String,
    /// Parameters of the pipeline, as JSON.
    pub params: String,
    /// For how long it is shown.
    pub duration: Ms,
    /// What made its request the same as a repeated one.
    pub idempotency_key: String,
    /// Why it is in its state, if more is to be said than the state does.
    pub reason: Option<Reason>,
    /// What its viewer got back.
    pub compensation: Compensation,
    /// The node that shows it.
    pub owner: Option<String>,
    /// Until when that node is believed to live.
    pub lease_until: Ms,
    /// Counts its claims; fences writes of former owners.
    pub epoch: i64,
    /// How often it could not be started.
    pub attempts: i64,
    /// It is not started before.
    pub not_before: Ms,
    /// When the reaper looks at it.
    pub deadline: Ms,
    /// When it was asked for.
    pub created_at: Ms,
    /// When it changed last.
    pub updated_at: Ms,
    /// When it was first seen.
    pub started_at: Option<Ms>,
    /// When it ended.
    pub ended_at: Option<Ms>,
    /// Counts its changes.
    pub version: i64,
}

impl Viewer {
    /// Whose credits are whose: the shared id, else the opaque one.
    #[must_use]
    pub fn account(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.opaque)
    }
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Bits, Self::Credit, Self::Free, Self::Streamer];

    /// The name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bits => "bits",
            Self::Credit => "credit",
            Self::Free => "free",
            Self::Streamer => "streamer",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// Whether a receipt or a debit has to come before anything else happens.
    #[must_use]
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Bits | Self::Credit)
    }
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Auto, Self::Off];

    /// The name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }

    /// The policy of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }
}

impl Compensation {
    /// The name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Credited => "credited",
        }
    }

    /// The compensation of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Credited]
            .into_iter()
            .find(|compensation| compensation.as_str() == name)
    }
}

impl Moment {
    /// A moment that was just asked for.
    #[must_use]
    pub fn submitted(submission: Submission, now: Ms, deadline: Ms) -> Self {
        Self {
            id: submission.id,
            channel: submission.channel,
            seq: 0,
            state: State::Submitted,
            viewer: submission.viewer,
            source: submission.source,
            sku: submission.sku,
            price: submission.price,
            prompt: submission.prompt,
            params: submission.params,
            duration: submission.duration,
            idempotency_key: submission.idempotency_key,
            reason: None,
            compensation: Compensation::None,
            owner: None,
            lease_until: 0,
            epoch: 0,
            attempts: 0,
            not_before: 0,
            deadline,
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
            version: 0,
        }
    }

    /// When an active one has been seen for its whole duration.
    #[must_use]
    pub fn ends_at(&self) -> Option<Ms> {
        self.started_at
            .map(|started| started.saturating_add(self.duration))
    }
}
