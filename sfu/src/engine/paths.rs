//! The addresses of one session on the wire, beside those that its ICE agent knows.
//!
//! The agent is told of the candidates only, and of a client whose address changes in mid-session (a NAT
//! that maps it anew, another network) it would go on using the old one until its pair has failed, 15 s later.
//! So once the address that media goes to is silent and another one has answered a connectivity check with
//! the session's password, that one stands in for it: the agent goes on with the pair it has.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::io::{Remote, Transport};
use super::negotiate::Candidates;

/// Addresses remembered per session.
const MAX_HEARD: usize = 8;
/// How long media's address is silent before another takes its place that is known to be where the client sends
/// from: it nominated that one (RFC 8445 section 8.1.1), its feedback seemed to come from there, or it is a
/// publisher, which is never silent for long.
const SHORT: Duration = Duration::from_millis(300);
/// The same for an address that merely answers: viewers report once a second or so.
const LONG: Duration = Duration::from_secs(2);

/// Where a session's datagrams come from and go to.
#[derive(Debug)]
pub(crate) struct Paths {
    candidates: Candidates,
    publishes: bool,
    heard: Vec<Heard>,
    /// When media last came, from wherever.
    media: Option<Instant>,
    /// Where media goes, as the agent believes, and since when.
    nominated: Option<(Remote, Instant)>,
    moved: Option<Moved>,
    /// Where the client seemed to send from, most lately.
    suspected: Option<Remote>,
}

/// What a datagram says about the address it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The client sent it, as far as the address tells.
    Sends,
    /// Likewise, and it is no connectivity check.
    Media,
    /// It asks with the session's password, and wants media to flow there.
    Nominates,
    /// It answers a check of ours with the session's password: what is sent there reaches the client.
    Answers,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    remote: Remote,
    /// The address of this host that its datagrams come to.
    local: SocketAddr,
    at: Instant,
    answered: bool,
    nominated: bool,
}

/// The address `now` stands in for `before`, the one the agent knows.
#[derive(Debug, Clone, Copy)]
struct Moved {
    before: Remote,
    now: Remote,
}

impl Paths {
    pub(crate) fn new(candidates: Candidates, publishes: bool) -> Self {
        Self {
            candidates,
            publishes,
            heard: Vec::new(),
            media: None,
            nominated: None,
            moved: None,
            suspected: None,
        }
    }

    /// The candidate a datagram was sent to: behind a NAT the packet names an inner address.
    pub(crate) fn candidate(&self, transport: Transport, destination: SocketAddr) -> SocketAddr {
        let candidates = self.candidates.of(transport);
        if candidates.contains(&destination) {
            return destination;
        }
        let same_family = candidates
            .iter()
            .find(|c| c.is_ipv4() == destination.is_ipv4());
        same_family.copied().unwrap_or(destination)
    }

    /// True if the server can be reached on this host itself.
    pub(crate) fn on_loopback(&self) -> bool {
        self.candidates.udp.iter().any(|c| c.ip().is_loopback())
    }

    /// A datagram came from an address of this session. Says which address media went to before, if this
    /// one takes its place.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        remote: Remote,
        local: SocketAddr,
        word: Word,
    ) -> Option<Remote> {
        if word == Word::Media {
            self.media = Some(now);
        }
        let heard = self.entry(now, remote, local);
        heard.local = local;
        heard.at = now;
        heard.answered |= word == Word::Answers;
        heard.nominated |= word == Word::Nominates;
        let heard = *heard;
        let suspected = self.suspected == Some(remote);
        let patience = if heard.nominated || self.publishes || suspected {
            SHORT
        } else {
            LONG
        };
        let target = self.target()?;
        if target == remote || !heard.answered || !self.is_silent(now, patience) {
            return None;
        }
        self.move_to(remote);
        Some(target)
    }

    /// Media goes to this address, as the agent believes.
    pub(crate) fn nominate(&mut self, now: Instant, remote: Remote) {
        if self.nominated.is_some_and(|(known, _)| known == remote) {
            return;
        }
        self.nominated = Some((remote, now));
        // The agent nominates what has answered its checks.
        if let Some(heard) = self.heard.iter_mut().find(|h| h.remote == remote) {
            heard.answered = true;
        }
    }

    /// True if the client's packets stopped coming from where they did. A publisher's checks may still come from
    /// there, since a client may send on another pair than the one that media to it takes.
    pub(crate) fn has_lost(&self, now: Instant) -> bool {
        if !self.publishes {
            return self.is_silent(now, SHORT);
        }
        let silent = |at| now.saturating_duration_since(at) >= SHORT;
        self.media.is_some_and(silent)
    }

    /// What seems to be the client's comes from this address, which is checked from now on. False if it was already.
    pub(crate) fn suspect(&mut self, remote: Remote) -> bool {
        self.suspected.replace(remote) != Some(remote)
    }

    /// The address as the agent knows it.
    pub(crate) fn known(&self, remote: Remote) -> Remote {
        self.moved
            .filter(|m| m.now == remote)
            .map_or(remote, |m| m.before)
    }

    /// Where a datagram for an address that the agent knows is sent.
    pub(crate) fn actual(&self, remote: Remote) -> Remote {
        self.moved
            .filter(|m| m.before == remote)
            .map_or(remote, |m| m.now)
    }

    /// The address of this host to send from, so that an answer comes from where the client sent to.
    pub(crate) fn source(&self, remote: Remote, candidate: SocketAddr) -> SocketAddr {
        self.heard
            .iter()
            .find(|h| h.remote == remote)
            .map_or(candidate, |h| h.local)
    }

    /// Where media goes.
    fn target(&self) -> Option<Remote> {
        self.nominated.map(|(known, _)| self.actual(known))
    }

    fn is_silent(&self, now: Instant, patience: Duration) -> bool {
        let (Some(target), Some((_, since))) = (self.target(), self.nominated) else {
            return false;
        };
        let heard = self.heard.iter().find(|h| h.remote == target);
        let last = heard.map_or(since, |h| h.at);
        now.saturating_duration_since(last) >= patience
    }

    fn move_to(&mut self, remote: Remote) {
        for heard in &mut self.heard {
            // Whatever was nominated before no longer is.
            heard.nominated &= heard.remote == remote;
        }
        self.moved = self
            .nominated
            .map(|(before, _)| Moved {
                before,
                now: remote,
            })
            .filter(|m| m.before != m.now);
    }

    /// What is known of an address; the one longest silent makes room for a new one.
    fn entry(&mut self, now: Instant, remote: Remote, local: SocketAddr) -> &mut Heard {
        let known = self.heard.iter().position(|h| h.remote == remote);
        let index = known.unwrap_or_else(|| {
            self.make_room();
            self.heard.push(Heard {
                remote,
                local,
                at: now,
                answered: false,
                nominated: false,
            });
            self.heard.len() - 1
        });
        &mut self.heard[index]
    }

    fn make_room(&mut self) {
        if self.heard.len() < MAX_HEARD {
            return;
        }
        let target = self.target();
        let oldest = (0..self.heard.len())
            .filter(|i| Some(self.heard[*i].remote) != target)
            .min_by_key(|i| self.heard[*i].at);
        if let Some(oldest) = oldest {
            self.heard.swap_remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn remote(text: &str) -> Remote {
        Remote::udp(address(text))
    }

    fn candidates() -> Candidates {
        Candidates {
            udp: Arc::from(["203.0.113.7:17000", "[2001:db8::1]:7000"].map(address)),
            tcp: Arc::from([address("203.0.113.7:443")]),
        }
    }

    const OLD: &str = "198.51.100.9:4000";
    const NEW: &str = "198.51.100.9:5000";

    /// Paths with media at [`OLD`], and a way to say when something is heard from where.
    struct Case {
        paths: Paths,
        start: Instant,
    }

    impl Case {
        fn new(publishes: bool) -> Self {
            let mut paths = Paths::new(candidates(), publishes);
            let start = Instant::now();
            paths.hear(start, remote(OLD), address("10.0.0.6:7000"), Word::Answers);
            paths.nominate(start, remote(OLD));
            Self { paths, start }
        }

        fn hear(&mut self, ms: u64, from: &str, word: Word) -> bool {
            let at = self.start + Duration::from_millis(ms);
            let local = address("10.0.0.6:7000");
            self.paths.hear(at, remote(from), local, word).is_some()
        }

        fn goes_to(&self) -> Remote {
            self.paths.actual(remote(OLD))
        }
    }

    #[test]
    fn a_datagram_at_an_inner_address_is_for_the_advertised_one_and_answered_from_the_inner_one() {
        let paths = Case::new(true).paths;
        let inner = address("10.0.0.6:7000");
        let outer = address("203.0.113.7:17000");
        assert_eq!(paths.candidate(Transport::Udp, inner), outer);
        assert_eq!(
            paths.candidate(Transport::Udp, address("[fd00::1]:7000")),
            address("[2001:db8::1]:7000")
        );
        assert_eq!(
            paths.candidate(Transport::Tcp, address("10.0.0.6:7000")),
            address("203.0.113.7:443")
        );
        assert_eq!(paths.source(remote(OLD), outer), inner);
        assert_eq!(
            paths.source(remote(NEW), outer),
            outer,
            "nothing came from there"
        );
    }

    #[test]
    fn media_follows_a_publisher_to_an_address_that_answered_once_the_old_one_is_silent() {
        let mut case = Case::new(true);
        assert!(
            !case.hear(100, NEW, Word::Answers),
            "the old one was just heard"
        );
        assert!(
            !case.hear(400, "192.0.2.1:1", Word::Nominates),
            "never answered"
        );
        assert_eq!(case.goes_to(), remote(OLD));
        assert!(case.hear(450, NEW, Word::Sends), "it answered before");
        assert_eq!(case.goes_to(), remote(NEW));
        assert_eq!(case.paths.known(remote(NEW)), remote(OLD));

        assert!(!case.hear(500, OLD, Word::Sends), "a straggler");
        assert!(case.hear(900, OLD, Word::Sends), "it went back");
        assert_eq!(case.goes_to(), remote(OLD));
        assert_eq!(case.paths.known(remote(NEW)), remote(NEW));
    }

    #[test]
    fn a_viewer_may_be_silent_for_a_while_unless_it_nominated_another_address() {
        let mut case = Case::new(false);
        assert!(!case.hear(400, NEW, Word::Answers));
        assert!(!case.hear(1_900, NEW, Word::Answers));
        assert!(case.hear(2_000, NEW, Word::Sends));

        let mut case = Case::new(false);
        assert!(!case.hear(400, NEW, Word::Nominates));
        assert!(case.hear(410, NEW, Word::Answers));
    }

    #[test]
    fn the_agent_may_nominate_the_new_address_itself_and_the_client_move_on() {
        let mut case = Case::new(true);
        assert!(case.hear(400, NEW, Word::Answers));
        let later = case.start + Duration::from_millis(500);
        case.paths.nominate(later, remote(NEW));
        assert_eq!(case.paths.actual(remote(NEW)), remote(NEW));
        let third = "198.51.100.9:6000";
        assert!(case.hear(900, third, Word::Answers));
        assert_eq!(case.paths.actual(remote(NEW)), remote(third));
        assert_eq!(case.paths.known(remote(third)), remote(NEW));
    }

    #[test]
    fn a_publisher_is_lost_without_media_even_if_its_checks_go_on() {
        let mut case = Case::new(true);
        let at = |ms| case.start + Duration::from_millis(ms);
        let (soon, late) = (at(300), at(450));
        assert!(!case.paths.has_lost(late), "none came so far");
        case.hear(100, OLD, Word::Media);
        case.hear(400, OLD, Word::Nominates);
        assert!(!case.paths.has_lost(soon));
        assert!(case.paths.has_lost(late));
    }

    #[test]
    fn nothing_moves_before_an_address_is_nominated() {
        let mut paths = Paths::new(candidates(), true);
        let local = address("10.0.0.6:7000");
        let moved = paths.hear(Instant::now(), remote(NEW), local, Word::Answers);
        assert_eq!(moved, None);
    }

    #[test]
    fn the_address_that_media_goes_to_is_not_forgotten_for_others() {
        let mut case = Case::new(true);
        for port in 1..100 {
            case.hear(port, &format!("198.51.100.9:{port}"), Word::Sends);
        }
        assert_eq!(case.paths.heard.len(), MAX_HEARD);
        assert!(case.paths.heard.iter().any(|h| h.remote == remote(OLD)));
    }
}
