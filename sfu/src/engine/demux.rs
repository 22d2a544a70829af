//! Which peer a datagram belongs to: by address, and for STUN by the user fragment in its user name.

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

use super::ids::PeerId;

/// Addresses remembered per peer: a roaming peer may be heard from several, an attacker must not fill memory.
const MAX_ADDRESSES: usize = 8;

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
    by_address: HashMap<SocketAddr, PeerId>,
    by_ufrag: HashMap<String, PeerId>,
    addresses: HashMap<PeerId, Vec<SocketAddr>>,
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
        for address in self.addresses.remove(&peer).unwrap_or_default() {
            if self.by_address.get(&address) == Some(&peer) {
                self.by_address.remove(&address);
            }
        }
    }

    /// The peer that a datagram from `source` is for (RFC 7983 demultiplexing, RFC 8445 section 7.3 user names).
    pub(crate) fn find(&self, source: SocketAddr, bytes: &[u8]) -> Found {
        let known = self.owner(source);
        match is_stun(bytes).then(|| self.by_user_name(bytes)).flatten() {
            Some(peer) if known == Some(peer) => Found::Known(peer),
            Some(peer) => Found::Claimed(peer),
            None => known.map_or(Found::Nobody, Found::Known),
        }
    }

    /// The peer that was last heard from an address.
    pub(crate) fn owner(&self, source: SocketAddr) -> Option<PeerId> {
        self.by_address.get(&source).copied()
    }

    /// A request names `our-ufrag:their-ufrag`; an answer names nobody and is found by its address.
    fn by_user_name(&self, bytes: &[u8]) -> Option<PeerId> {
        // The parser takes what anybody sends.
        let parsed = std::panic::catch_unwind(|| {
            let message = StunMessage::parse(bytes).ok()?;
            message.split_username().map(|(ours, _)| ours.to_owned())
        });
        let ours = parsed.ok().flatten()?;
        self.by_ufrag.get(&ours).copied()
    }

    /// Datagrams from this address are the peer's from now on.
    pub(crate) fn learn(&mut self, source: SocketAddr, peer: PeerId) {
        if self.by_address.get(&source) == Some(&peer) {
            return;
        }
        let known = self.addresses.entry(peer).or_default();
        if known.len() >= MAX_ADDRESSES {
            let oldest = known.remove(0);
            if self.by_address.get(&oldest) == Some(&peer) {
                self.by_address.remove(&oldest);
            }
        }
        known.push(source);
        self.by_address.insert(source, peer);
    }
}

/// By the first byte (RFC 7983).
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4
}
