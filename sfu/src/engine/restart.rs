//! ICE restart of a running session (RFC 9725, section 4.4.3; RFC 8445, section 9).
//!
//! The client is answered with new credentials at once, but the session's ICE agent restarts only when the first
//! check arrives that proves to know them. Until then the session goes on as it was, its checks and its consent
//! included, so a client whose restart fails loses nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::ice::StunMessage;
use str0m::{IceCreds, Rtc, RtcError};

use super::credentials;
use super::sdp::{self, Credentials};

/// Candidates kept until the restart begins; the peer takes no more than that either.
const MAX_CANDIDATES: usize = 32;

/// What both sides will use after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// The server's, fresh and unique among the shard's peers.
    pub local: Credentials,
    /// The client's.
    pub remote: Credentials,
    /// The client's candidates so far (`candidate:...`).
    pub candidates: Vec<String>,
}

/// Why a session did not take a restart; it goes on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRestart {
    /// There is no such session any more.
    #[error("the session has ended")]
    Gone,
    /// The first offer cannot be repeated with these credentials.
    #[error("the session cannot be negotiated again with these credentials")]
    Unusable,
}

/// Where the outcome of a restart is told; dropped untold if the shard ends.
pub struct Reply(Box<dyn FnOnce(Result<(), NoRestart>) + Send>);

impl Reply {
    /// `tell` is called on the media thread and must not block.
    #[must_use]
    pub fn new(tell: impl FnOnce(Result<(), NoRestart>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    pub(crate) fn tell(self, outcome: Result<(), NoRestart>) {
        (self.0)(outcome);
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

#[derive(Debug)]
enum Stage {
    /// No restart, or the last one is done.
    Settled,
    /// Answered, and not used yet; `lost` if the path before it broke meanwhile.
    Offered {
        restart: Box<Restart>,
        offer: Box<SdpOffer>,
        asked: Instant,
        lost: bool,
    },
    /// New pairs are being checked, and media still uses the old one.
    Checking { asked: Instant },
}

/// The restarts of one session.
#[derive(Debug)]
pub(crate) struct Restarts {
    /// The first offer, as far as it is needed again.
    offer: Box<str>,
    stage: Stage,
    /// How long a restart may take.
    limit: Duration,
}

impl Restarts {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            offer: Box::default(),
            stage: Stage::Settled,
            limit,
        }
    }

    pub(crate) fn remember(&mut self, offer: Box<str>) {
        self.offer = offer;
    }

    /// Promises a restart; returns the local user fragment of one that was promised before and never used.
    pub(crate) fn promise(
        &mut self,
        now: Instant,
        mut restart: Restart,
    ) -> Result<Option<String>, NoRestart> {
        let text = sdp::with_credentials(&self.offer, &restart.remote);
        if credentials::check(&text, &restart.local.ufrag).is_err() {
            return Err(NoRestart::Unusable);
        }
        let parsed = catch_unwind(AssertUnwindSafe(|| SdpOffer::from_sdp_string(&text)));
        let Ok(Ok(offer)) = parsed else {
            return Err(NoRestart::Unusable);
        };
        restart.candidates.truncate(MAX_CANDIDATES);
        let lost = match self.stage {
            Stage::Settled => false,
            Stage::Offered { lost, .. } => lost,
            Stage::Checking { .. } => true,
        };
        let replaced = self.promised().map(str::to_owned);
        self.stage = Stage::Offered {
            restart: Box::new(restart),
            offer: Box::new(offer),
            asked: now,
            lost,
        };
        Ok(replaced)
    }

    /// The local user fragment of a restart that was promised and not used.
    pub(crate) fn promised(&self) -> Option<&str> {
        match &self.stage {
            Stage::Offered { restart, .. } => Some(&restart.local.ufrag),
            _ => None,
        }
    }

    /// Keeps a candidate for a promised restart; false if there is none to keep it for.
    pub(crate) fn keep(&mut self, candidate: &str) -> bool {
        let Stage::Offered { restart, .. } = &mut self.stage else {
            return false;
        };
        if restart.candidates.len() < MAX_CANDIDATES {
            restart.candidates.push(candidate.to_owned());
        }
        true
    }

    /// True if a datagram is a check that knows the credentials of the promised restart.
    pub(crate) fn is_begun_by(&self, bytes: &[u8]) -> bool {
        let Stage::Offered { restart, .. } = &self.stage else {
            return false;
        };
        // The parser takes what anybody sends.
        catch_unwind(AssertUnwindSafe(|| {
            let message = StunMessage::parse(bytes).ok()?;
            let (ours, theirs) = message.split_username()?;
            let hmac = str0m::crypto::from_feature_flags().sha1_hmac_provider;
            let named = ours == restart.local.ufrag && theirs == restart.remote.ufrag;
            let pwd = restart.local.pwd.as_bytes();
            Some(named && message.verify(pwd, |key, parts| hmac.sha1_hmac(key, parts)))
        }))
        .is_ok_and(|begun| begun == Some(true))
    }

    /// Restarts the agent; media keeps its path until a new one is nominated.
    pub(crate) fn begin(&mut self, rtc: &mut Rtc) -> Result<Option<Restart>, RtcError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Settled);
        let Stage::Offered {
            restart,
            offer,
            asked,
            ..
        } = stage
        else {
            self.stage = stage;
            return Ok(None);
        };
        rtc.sdp_api().accept_offer(*offer)?;
        rtc.direct_api().set_local_ice_credentials(IceCreds {
            ufrag: restart.local.ufrag.clone(),
            pass: restart.local.pwd.clone(),
        });
        self.stage = Stage::Checking { asked };
        Ok(Some(*restart))
    }

    /// A pair works.
    pub(crate) fn path_found(&mut self) {
        match &mut self.stage {
            Stage::Settled => {}
            Stage::Offered { lost, .. } => *lost = false,
            Stage::Checking { .. } => self.stage = Stage::Settled,
        }
    }

    /// No pair works any more; true if no restart is under way that may find one.
    pub(crate) fn path_lost(&mut self, now: Instant) -> bool {
        match &mut self.stage {
            Stage::Settled => true,
            Stage::Offered { lost, asked, .. } => {
                *lost = true;
                now >= *asked + self.limit
            }
            Stage::Checking { asked } => now >= *asked + self.limit,
        }
    }

    /// Until then silence is no sign of death: the client asked for a restart, so it lives.
    pub(crate) fn patience(&self) -> Option<Instant> {
        match self.stage {
            Stage::Settled => None,
            Stage::Offered { asked, .. } | Stage::Checking { asked } => Some(asked + self.limit),
        }
    }

    /// When a session without a working pair is given up.
    pub(crate) fn given_up_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Offered {
                asked, lost: true, ..
            }
            | Stage::Checking { asked } => Some(asked + self.limit),
            _ => None,
        }
    }
}
