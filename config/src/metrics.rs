//! The section `metrics`: the listener that serves `/metrics`.

use std::net::{Ipv4Addr, SocketAddr};

use crate::kind::{Parsed, SOCKET};
use crate::visit::Visitor;

/// The section `metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Where `/metrics` is served, apart from everything viewers can reach; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Metrics {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("metrics.listen", &mut self.listen, Parsed(SOCKET));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9090).into(),
        }
    }
}
