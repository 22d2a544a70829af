//! A range of IP addresses, as proxies and exceptions are named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with the number of its leading bits that count (RFC 4632, RFC 4291), as in `10.0.0.0/8`.
///
/// An IPv4 address written as IPv6 is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or an address and a number of bits such as 10.0.0.0/8")]
pub struct NoNetwork;

impl Network {
    /// Every address of this machine's loopback, IPv4 and IPv6.
    #[must_use]
    pub fn loopback() -> [Self; 2] {
        [
            Self::of(Ipv4Addr::LOCALHOST.into(), 8),
            Self::of(Ipv6Addr::LOCALHOST.into(), 128),
        ]
    }

    /// The network of that many leading bits around an address; more bits than the address has are all of them.
    #[must_use]
    pub fn of(address: IpAddr, bits: u8) -> Self {
        let address = address.to_canonical();
        let bits = bits.min(width(address));
        Self {
            address: masked(address, bits),
            bits,
        }
    }

    /// Whether the address lies within.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0);
            Ipv4Addr::from_bits(a.to_bits() & mask).into()
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
            Ipv6Addr::from_bits(a.to_bits() & mask).into()
        }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| NoNetwork)?,
            None => width(address),
        };
        let network = Self::of(address, bits);
        // Bits that do not count, or too many of them, are a slip of the pen.
        let meant = bits <= width(address) && network.address == address;
        meant.then_some(network).ok_or(NoNetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_its_network_and_not_in_the_next() {
        let ten = network("10.0.0.0/8");
        assert!(ten.contains("10.255.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!ten.contains("11.0.0.0".parse().unwrap()));
        assert!(!ten.contains("a00::1".parse().unwrap()));
        let six = network("2001:db8::/32");
        assert!(six.contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!six.contains("2001:db9::".parse().unwrap()));
        assert!(network("0.0.0.0/0").contains("203.0.113.7".parse().unwrap()));
        assert!(network("::/0").contains("::1".parse().unwrap()));
        assert!(!network("::/0").contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn one_address_is_a_network_of_its_own() {
        assert_eq!(network("203.0.113.7").to_string(), "203.0.113.7/32");
        assert_eq!(network("::1").to_string(), "::1/128");
        assert_eq!(
            Network::of("2001:db8::1:2".parse().unwrap(), 64).to_string(),
            "2001:db8::/64"
        );
    }

    #[test]
    fn what_was_not_meant_is_refused() {
        for wrong in [
            "",
            "10.0.0.0/",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "example.org",
            "::/129",
            "10.0.0.0/-1",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
