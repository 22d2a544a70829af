//! The section `http`: signalling, API and pages.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::kind::{Each, File, Flag, Integer, Parsed, SOCKET, Seconds, Text};
use crate::network::Network;
use crate::visit::Visitor;

/// The section `http`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Where signalling, API and pages are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The `Origin` values browsers may call from (CORS), exactly as they send them; `*` is every one.
    pub allowed_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long open requests may finish once the server was asked to stop. Key `shutdown_grace_s`, whole seconds.
    pub shutdown_grace: Duration,
    /// How many event streams (SSE) may be open at once, all channels together.
    pub max_event_streams: usize,
    /// How many POST, PATCH and DELETE requests a second one client address may go on sending.
    pub client_rate: u32,
    /// How many of them it may send at once after a rest.
    pub client_burst: u32,
    /// How many requests a second one session's URL may go on getting.
    pub session_rate: u32,
    /// How many of them it may get at once after a rest.
    pub session_burst: u32,
    /// Client addresses that `client_rate` is not for.
    pub unlimited: Vec<Network>,
    /// PATCH on a session needs `If-Match` (428 without); many clients send none.
    pub strict_etags: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// HTTPS; without it plain HTTP is spoken.
    pub tls: Tls,
}

/// The section `http.tls`. Either both files are named or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate chain, the server's own certificate first.
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    pub key: Option<PathBuf>,
    /// How long browsers are told to come by HTTPS only (RFC 6797); zero tells them nothing. Key `hsts_max_age_s`.
    pub hsts_max_age: Duration,
}

impl Http {
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("http.listen", &mut self.listen, Parsed(SOCKET));
        visitor.key(
            "http.allowed_origins",
            &mut self.allowed_origins,
            Each(ORIGIN),
        );
        visitor.key(
            "http.max_body_bytes",
            &mut self.max_body_bytes,
            Integer(1024..=16_777_216),
        );
        visitor.key(
            "http.shutdown_grace_s",
            &mut self.shutdown_grace,
            Seconds(0..=300),
        );
        visitor.key(
            "http.max_event_streams",
            &mut self.max_event_streams,
            Integer(1..=100_000),
        );
        visitor.key(
            "http.client_rate",
            &mut self.client_rate,
            Integer(1..=1_000_000),
        );
        visitor.key(
            "http.client_burst",
            &mut self.client_burst,
            Integer(1..=1_000_000),
        );
        visitor.key(
            "http.session_rate",
            &mut self.session_rate,
            Integer(1..=1_000_000),
        );
        visitor.key(
            "http.session_burst",
            &mut self.session_burst,
            Integer(1..=1_000_000),
        );
        visitor.key("http.strict_etags", &mut self.strict_etags, Flag);
        visitor.key("http.unlimited", &mut self.unlimited, Each(Parsed(NETWORK)));
        visitor.key(
            "http.trusted_proxies",
            &mut self.trusted_proxies,
            Each(Parsed(NETWORK)),
        );
        self.tls.visit(visitor);
    }
}

impl Tls {
    fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.key("http.tls.cert", &mut self.cert, File);
        visitor.key("http.tls.key", &mut self.key, File);
        visitor.key(
            "http.tls.hsts_max_age_s",
            &mut self.hsts_max_age,
            Seconds(0..=63_072_000),
        );
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            allowed_origins: vec!["*".to_owned()],
            max_body_bytes: 65_536,
            shutdown_grace: Duration::from_secs(5),
            max_event_streams: 1000,
            client_rate: 100,
            client_burst: 3000,
            session_rate: 10,
            session_burst: 100,
            strict_etags: false,
            unlimited: Network::loopback().into(),
            trusted_proxies: Vec::new(),
            tls: Tls::default(),
        }
    }
}

const NETWORK: &str = "an IP address or a network such as 10.0.0.0/8";

const ORIGIN: Text = Text {
    expected: "\"*\" or an origin in lower case such as https://example.org",
    check: is_origin,
};

/// Browsers send an origin as scheme, host and port in lower case, without a path (RFC 6454 section 6.2).
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(is_host))
}

fn is_host(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in [
            "*",
            "https://example.org",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://Example.org",
            "https://*.org",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
