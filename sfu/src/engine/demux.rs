//! Which peer a datagram belongs to: by address, and for STUN by the user fragment in its user name.

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

use super::ids::PeerId;

/// Addresses remembered per peer: a roaming peer may be heard from several, an attacker must not fill memory.
const MAX_ADDRESSES: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_address: HashMap<SocketAddr, PeerId>,
    by_ufrag: HashMap<String, PeerId>,
    addresses: HashMap<PeerId, Vec<SocketAddr>>,
}

impl Demux {
    pub(crate) fn add(&mut self, peer: PeerId, ufrag: &str) {
        self.by_ufrag.insert(ufrag.to_owned(), peer);
    }

    pub(crate) fn remove(&mut self, peer: PeerId, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
        for address in self.addresses.remove(&peer).unwrap_or_default() {
            if self.by_address.get(&address) == Some(&peer) {
                self.by_address.remove(&address);
            }
        }
    }

    /// The peer that a datagram from `source` is for (RFC 7983 demultiplexing, RFC 8445 section 7.3 user names).
    pub(crate) fn find(&mut self, source: SocketAddr, bytes: &[u8]) -> Option<PeerId> {
        if is_stun(bytes)
            && let Some(peer) = self.by_user_name(bytes)
        {
            self.learn(source, peer);
            return Some(peer);
        }
        self.by_address.get(&source).copied()
    }

    /// A request names `our-ufrag:their-ufrag`; an answer names nobody and is found by its address.
    fn by_user_name(&self, bytes: &[u8]) -> Option<PeerId> {
        let message = StunMessage::parse(bytes).ok()?;
        let (ours, _) = message.split_username()?;
        self.by_ufrag.get(ours).copied()
    }

    fn learn(&mut self, source: SocketAddr, peer: PeerId) {
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

fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= 20 && bytes[0] < 4
}
