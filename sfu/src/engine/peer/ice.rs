//! The ICE side of a session: whose a packet is, which candidates are checked, and restarts.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input};

use super::super::CloseReason;
use super::super::io::{Remote, Transport};
use super::super::paths::Word;
use super::super::restart::{NoRestart, Restart};
use super::super::stun;
use super::{Collected, Happened, Peer, protocol};

/// Candidates taken by trickle; more only cost memory and checks.
const MAX_REMOTE_CANDIDATES: usize = 32;

/// Addresses that are checked because the client's packets seem to come from there, until one answers.
const MAX_SUSPECTS: usize = 4;

impl Peer {
    /// Takes what the offer said of ICE: the offer itself for a restart, and its candidates.
    pub(crate) fn remember(&mut self, offer: Box<str>, candidates: &[String]) {
        self.restarts.remember(offer);
        for candidate in candidates {
            if let Some(candidate) = self.usable(candidate) {
                self.rtc.add_remote_candidate(candidate);
            }
        }
    }

    /// True if a packet is STUN with this session's password.
    pub(crate) fn accepts(
        &self,
        now: Instant,
        transport: Transport,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let local = self.paths.candidate(transport, destination);
        // From the address it sends to str0m would accept anything; no address has this port.
        let nowhere = SocketAddr::new(local.ip(), 0);
        catch_unwind(AssertUnwindSafe(|| {
            Receive::new(protocol(transport), nowhere, local, bytes)
                .is_ok_and(|r| self.rtc.accepts(&Input::Receive(now, r)))
        }))
        .unwrap_or(false)
    }

    /// A packet came from an address of the session's; one that answers a check may be where media goes from now on.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        source: Remote,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut Collected,
    ) {
        let word = match stun::word(bytes) {
            Some(_) if !self.accepts(now, source.transport, destination, bytes) => return,
            word => word.unwrap_or(Word::Media),
        };
        if let Some(before) = self.paths.hear(now, source, destination, word) {
            self.suspects = 0;
            out.happened.push(Happened::Moved(before));
        }
    }

    /// The client's packets seem to come from an address that is not known to be its own. True if that is worth
    /// a check, which is then under way: only an answer to it makes the address the session's.
    pub(crate) fn suspect(
        &mut self,
        now: Instant,
        source: SocketAddr,
        out: &mut Collected,
    ) -> bool {
        let Ok(candidate) = Candidate::host(source, "udp") else {
            return false;
        };
        let wanted = self.connected.is_some()
            && self.suspects < MAX_SUSPECTS
            && self.paths.has_lost(now)
            && self.may_check(&candidate)
            && self.paths.suspect(Remote::udp(source));
        if wanted {
            self.suspects += 1;
            self.guard(out, |peer, out| {
                peer.rtc.add_remote_candidate(candidate);
                peer.advance(now, out);
            });
        }
        wanted
    }

    /// Adds a trickled candidate (`candidate:...`); unknown kinds such as mDNS names are ignored.
    pub(crate) fn candidate(&mut self, now: Instant, candidate: &str, out: &mut Collected) {
        if self.restarts.keep(candidate) {
            return;
        }
        let Some(candidate) = self.usable(candidate) else {
            return;
        };
        self.guard(out, |peer, out| {
            peer.rtc.add_remote_candidate(candidate);
            peer.drain_at(now, out);
        });
    }

    /// Promises an ICE restart, which begins with the first check that knows its credentials. Returns the local
    /// user fragment of an earlier promise that this one replaces.
    pub(crate) fn promise_restart(
        &mut self,
        now: Instant,
        restart: Restart,
    ) -> Result<Option<String>, NoRestart> {
        if self.closed.is_some() {
            return Err(NoRestart::Gone);
        }
        self.restarts.promise(now, restart)
    }

    /// The local user fragment of a restart that has not begun.
    pub(crate) fn promised_ufrag(&self) -> Option<&str> {
        self.restarts.promised()
    }

    /// True if a datagram is the check with which the promised restart begins.
    pub(crate) fn restarts_with(&self, bytes: &[u8]) -> bool {
        self.restarts.is_begun_by(bytes)
    }

    /// Begins the promised restart.
    pub(crate) fn restart(&mut self, now: Instant, out: &mut Collected) {
        self.guard(out, |peer, out| {
            let restart = match peer.restarts.begin(&mut peer.rtc) {
                Ok(Some(restart)) => restart,
                Ok(None) => return,
                Err(_) => {
                    peer.closed = Some(CloseReason::Protocol);
                    return;
                }
            };
            peer.ufrag = restart.local.ufrag;
            peer.remote_candidates = 0;
            for candidate in &restart.candidates {
                if let Some(candidate) = peer.usable(candidate) {
                    peer.rtc.add_remote_candidate(candidate);
                }
            }
            peer.drain_at(now, out);
        });
    }

    /// No pair works any more (RFC 7675), and no restart can be waited for.
    pub(super) fn path_lost(&mut self, now: Instant) {
        if self.restarts.path_lost(now) && self.connected.is_some() {
            self.closed = Some(CloseReason::Consent);
        }
    }

    /// Reads a candidate that may be checked, and counts it.
    fn usable(&mut self, candidate: &str) -> Option<Candidate> {
        let candidate = Candidate::from_sdp_string(candidate).ok()?;
        if self.remote_candidates >= MAX_REMOTE_CANDIDATES || !self.may_check(&candidate) {
            return None;
        }
        self.remote_candidates += 1;
        Some(candidate)
    }

    /// Checks are sent only where a peer of this server can be: over UDP, and to this host itself only if the
    /// server is reachable there.
    fn may_check(&self, candidate: &Candidate) -> bool {
        let ip = candidate.addr().ip();
        let here = self.paths.on_loopback();
        candidate.proto() == Protocol::Udp
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && (here || !ip.is_loopback())
    }
}
