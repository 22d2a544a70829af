//! Where clients are told to send media: an address, and a port where a NAT maps another one.

use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;

/// One item of `media.advertise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The address.
    pub ip: IpAddr,
    /// The port of the first shard, shard `i` has port + `i`; without it, the ports that the shards are bound to.
    pub port: Option<u16>,
}

impl Advertised {
    /// What peers of a shard are told that is bound to `bound`.
    #[must_use]
    pub fn of_shard(self, index: usize, bound: u16) -> SocketAddr {
        // The configuration is refused if the last port would not fit.
        let port = self.port.map_or(bound, |first| {
            first.saturating_add(u16::try_from(index).unwrap_or(u16::MAX))
        });
        SocketAddr::new(self.ip, port)
    }
}

impl From<IpAddr> for Advertised {
    fn from(ip: IpAddr) -> Self {
        Self { ip, port: None }
    }
}

impl From<SocketAddr> for Advertised {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            port: Some(address.port()),
        }
    }
}

impl FromStr for Advertised {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpAddr>()
            .map(Self::from)
            .or_else(|_| text.parse::<SocketAddr>().map(Self::from))
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_an_address_with_or_without_a_port() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:17000",
            "2001:db8::1",
            "[2001:db8::1]:17000",
        ] {
            let item: Advertised = text.parse().unwrap();
            assert_eq!(item.to_string(), text);
        }
        for wrong in ["", "example.org", "203.0.113.7:", ":7000", "2001:db8::1:x"] {
            assert!(wrong.parse::<Advertised>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mapped_port_counts_up_with_the_shards() {
        let plain: Advertised = "203.0.113.7".parse().unwrap();
        let mapped: Advertised = "203.0.113.7:17000".parse().unwrap();
        assert_eq!(plain.of_shard(2, 7002).to_string(), "203.0.113.7:7002");
        assert_eq!(mapped.of_shard(2, 7002).to_string(), "203.0.113.7:17002");
    }
}
