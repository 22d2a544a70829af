//! The section `metrics`: the listener that serves `/metrics`.

use std::net::{Ipv4Addr, SocketAddr};

use crate::kind::{Flag, Parsed, SOCKET};
use crate::visit::Visitor;

/// The section `metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Where `/metrics` is served, apart from everything viewers can reach; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether series carry the channel's name. Costs memory for every channel ever seen.
    pub per_channel: bool,
}

impl Metrics {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("metrics.listen", &mut self.listen, Parsed(SOCKET));
        visitor.key("metrics.per_channel", &mut self.per_channel, Flag);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9090).into(),
            per_channel: false,
        }
    }
}
