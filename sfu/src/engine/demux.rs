//! Which peer a datagram belongs to: by address, and for STUN by the user fragment in its user name.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::ids::PeerId;
use super::io::Remote;
use super::stun::{self, Transaction};

/// Addresses remembered per peer: a roaming peer may be heard from several, an attacker must not fill memory.
const MAX_ADDRESSES: usize = 8;
/// Streams remembered per publisher.
const MAX_STREAMS: usize = 8;

/// Peers at one IP address that may be asked which of them has another port now: those of a household or an
/// office. In a larger crowd each is found by its own next check.
const MAX_NEIGHBOURS: usize = 8;

/// Checks remembered per peer until they are answered: as many as are sent before the first is given up.
const MAX_QUESTIONS: usize = 64;

/// Whose a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The address is the peer's.
    Known(PeerId),
    /// The datagram names the peer, but the address is not known to be its own.
    Claimed(PeerId),
    /// Nobody's.
    Nobody,
}

impl Found {
    pub(crate) fn peer(self) -> Option<PeerId> {
        match self {
            Self::Known(peer) | Self::Claimed(peer) => Some(peer),
            Self::Nobody => None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_address: HashMap<Remote, PeerId>,
    by_ufrag: HashMap<String, PeerId>,
    addresses: HashMap<PeerId, Vec<Remote>>,
    /// Who is at an IP address, once for each of its ports.
    by_ip: HashMap<IpAddr, Vec<PeerId>>,
    /// Publishers by the streams they send, and how many each has here.
    by_ssrc: HashMap<u32, PeerId>,
    streams: HashMap<PeerId, usize>,
    /// Peers by the checks they sent: the answer may be the first that comes from its address.
    by_question: HashMap<Transaction, PeerId>,
    questions: HashMap<PeerId, VecDeque<Transaction>>,
}

impl Demux {
    /// A user fragment names the peer; during an ICE restart it has two.
    pub(crate) fn add(&mut self, peer: PeerId, ufrag: &str) {
        self.by_ufrag.insert(ufrag.to_owned(), peer);
    }

    /// A user fragment names nobody any more.
    pub(crate) fn forget(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
    }

    /// A peer is gone with its addresses; see [`Self::forget`] for its names.
    pub(crate) fn remove(&mut self, peer: PeerId) {
        if self.streams.remove(&peer).is_some() {
            self.by_ssrc.retain(|_, owner| *owner != peer);
        }
        for question in self.questions.remove(&peer).unwrap_or_default() {
            self.by_question.remove(&question);
        }
        for address in self.addresses.remove(&peer).unwrap_or_default() {
            self.vacate(address, peer);
        }
    }

    /// The peer that a datagram from `source` is for (RFC 7983 demultiplexing, RFC 8445 section 7.3 user names).
    pub(crate) fn find(&self, source: Remote, bytes: &[u8]) -> Found {
        let known = self.owner(source);
        let claimed = stun::ufrag(bytes).and_then(|ours| self.by_ufrag.get(&ours).copied());
        match claimed {
            Some(peer) if known == Some(peer) => Found::Known(peer),
            Some(peer) => Found::Claimed(peer),
            None => known.map_or_else(|| self.answered(bytes), Found::Known),
        }
    }

    fn answered(&self, bytes: &[u8]) -> Found {
        let asked = stun::answer(bytes).and_then(|answer| self.by_question.get(&answer));
        asked.map_or(Found::Nobody, |peer| Found::Claimed(*peer))
    }

    /// The peer sends this; if it is a check, its answer is for the peer.
    pub(crate) fn sent(&mut self, peer: PeerId, bytes: &[u8]) {
        let Some(question) = stun::question(bytes) else {
            return;
        };
        let asked = self.questions.entry(peer).or_default();
        if asked.len() >= MAX_QUESTIONS
            && let Some(oldest) = asked.pop_front()
        {
            self.by_question.remove(&oldest);
        }
        asked.push_back(question);
        self.by_question.insert(question, peer);
    }

    /// The peer that was last heard from an address.
    pub(crate) fn owner(&self, source: Remote) -> Option<PeerId> {
        self.by_address.get(&source).copied()
    }

    /// Datagrams from this address are the peer's from now on.
    pub(crate) fn learn(&mut self, source: Remote, peer: PeerId) {
        if self.by_address.get(&source) == Some(&peer) {
            return;
        }
        let known = self.addresses.entry(peer).or_default();
        if known.len() >= MAX_ADDRESSES {
            let oldest = known.remove(0);
            self.vacate(oldest, peer);
        }
        self.addresses.entry(peer).or_default().push(source);
        if let Some(before) = self.by_address.insert(source, peer) {
            self.forget_neighbour(source, before);
        }
        let ip = source.address.ip();
        self.by_ip.entry(ip).or_default().push(peer);
    }

    /// The peer went elsewhere: whoever is at this address now must prove it.
    pub(crate) fn leave(&mut self, source: Remote, peer: PeerId) {
        self.vacate(source, peer);
        if let Some(known) = self.addresses.get_mut(&peer) {
            known.retain(|address| *address != source);
        }
    }

    fn vacate(&mut self, address: Remote, peer: PeerId) {
        if self.by_address.get(&address) == Some(&peer) {
            self.by_address.remove(&address);
            self.forget_neighbour(address, peer);
        }
    }

    fn forget_neighbour(&mut self, address: Remote, peer: PeerId) {
        let ip = address.address.ip();
        let Some(there) = self.by_ip.get_mut(&ip) else {
            return;
        };
        if let Some(place) = there.iter().position(|known| *known == peer) {
            there.swap_remove(place);
        }
        if there.is_empty() {
            self.by_ip.remove(&ip);
        }
    }

    /// Those of whom one may have sent feedback from an unknown port of an IP address; nothing proves it. Nobody
    /// where too many are.
    pub(crate) fn neighbours(&self, source: SocketAddr, bytes: &[u8]) -> Vec<PeerId> {
        if !stun::is_rtcp(bytes) {
            return Vec::new();
        }
        let there = self.by_ip.get(&source.ip());
        let mut few: Vec<PeerId> = there
            .filter(|there| there.len() <= MAX_NEIGHBOURS)
            .cloned()
            .unwrap_or_default();
        few.sort_unstable();
        few.dedup();
        few
    }

    /// A publisher's stream; whoever was first keeps the number.
    pub(crate) fn sends(&mut self, ssrc: u32, peer: PeerId) {
        if self.by_ssrc.contains_key(&ssrc) {
            return;
        }
        let streams = self.streams.entry(peer).or_default();
        if *streams < MAX_STREAMS {
            *streams += 1;
            self.by_ssrc.insert(ssrc, peer);
        }
    }

    /// The publisher whose media a datagram seems to be; nothing proves it.
    pub(crate) fn sender(&self, bytes: &[u8]) -> Option<PeerId> {
        stun::rtp_ssrc(bytes).and_then(|ssrc| self.by_ssrc.get(&ssrc).copied())
    }
}
