//! STUN and TURN servers that clients are told of.

use std::fmt;

use crate::kind::{Each, Kind};
use crate::raw::Raw;

const MASK: &str = "***";

/// A STUN server (RFC 7064), or a TURN server (RFC 7065) with the credentials its clients need.
///
/// Written as one text: the URI, and for TURN a user name and a password after it, between spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// For example `stun:stun.example.org` or `turn:turn.example.org?transport=udp`.
    pub uri: String,
    /// Set for TURN only.
    pub login: Option<Login>,
}

/// A user name and a password; `Debug` masks the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    password: String,
}

impl Login {
    /// The password in clear, for those who may use the server.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {MASK}", self.user)
    }
}

impl IceServer {
    /// Reads the text form; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let uri = words.next().filter(|uri| uri.chars().all(is_uri))?;
        let (scheme, host) = uri.split_once(':')?;
        if host.is_empty() || host.starts_with(['/', '?']) {
            return None;
        }
        let login = match (words.next(), words.next(), words.next()) {
            (None, None, None) => None,
            (Some(user), Some(password), None) => Some(Login {
                user: user.to_owned(),
                password: password.to_owned(),
            }),
            _ => return None,
        };
        let fits = match scheme {
            "stun" | "stuns" => login.is_none() && !host.contains('?'),
            "turn" | "turns" => login.as_ref().is_some_and(is_header_text),
            _ => false,
        };
        fits.then(|| Self {
            uri: uri.to_owned(),
            login,
        })
    }
}

fn is_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_:[]?=".contains(c)
}

/// Credentials travel in a quoted string of a header (RFC 8288), which these two characters would end.
fn is_header_text(login: &Login) -> bool {
    let mut all = login.user.bytes().chain(login.password.bytes());
    // What stands for a masked password is none.
    login.password != MASK
        && all.all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// An [`IceServer`] as an item of a key.
struct Ice;

/// A list of [`IceServer`]s as a value of a key.
pub(crate) struct IceServers;

impl Kind<Vec<IceServer>> for IceServers {
    fn expected(&self) -> String {
        Each(Ice).expected()
    }

    fn read(&self, raw: &Raw) -> Result<Vec<IceServer>, String> {
        match raw {
            // Most likely an item without its brackets.
            Raw::Text(_) => Err("a string".to_owned()),
            raw => Each(Ice).read(raw),
        }
    }

    fn show(&self, servers: &Vec<IceServer>) -> Option<String> {
        Each(Ice).show(servers)
    }
}

impl Kind<IceServer> for Ice {
    fn expected(&self) -> String {
        "\"stun:host:port\" or \"turn:host:port?transport=udp user password\"".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<IceServer, String> {
        raw.text().and_then(IceServer::parse).ok_or_else(|| {
            // A wrong item may have a real password in it, anywhere.
            raw.text().map_or_else(
                || "another type than a string".to_owned(),
                |text| format!("{} words", text.split_whitespace().count()),
            )
        })
    }

    fn show(&self, server: &IceServer) -> Option<String> {
        let shown = match &server.login {
            Some(login) => format!("{} {login:?}", server.uri),
            None => server.uri.clone(),
        };
        Some(toml::Value::String(shown).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_server_has_credentials_and_a_stun_server_has_none() {
        let stun = IceServer::parse("stun:stun.example.org:3478").unwrap();
        assert_eq!(
            (stun.uri.as_str(), stun.login),
            ("stun:stun.example.org:3478", None)
        );
        let turn =
            IceServer::parse("turn:[2001:db8::1]:3478?transport=tcp 1700000000:alice hunter2")
                .unwrap();
        let login = turn.login.unwrap();
        assert_eq!(
            (login.user.as_str(), login.password()),
            ("1700000000:alice", "hunter2")
        );
        for wrong in [
            "",
            "stun:",
            "stun://example.org",
            "https://example.org",
            "example.org",
            "stun:example.org user password",
            "turn:example.org",
            "turn:example.org user",
            "turn:example.org user pass word",
            "turn:example.org user pass\"word",
            "turn:example.org user ***",
            "turn:exa>mple.org user password",
            "turns:?transport=tcp user password",
        ] {
            assert_eq!(IceServer::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let turn = IceServer::parse("turn:example.org alice hunter2").unwrap();
        assert_eq!(Ice.show(&turn).unwrap(), "\"turn:example.org alice ***\"");
        assert!(!format!("{turn:?}").contains("hunter2"));
        for wrong in [
            "turn:example.org hunter2",
            "hunter2",
            "turn:example.org a hunter2 c",
        ] {
            let found = Ice.read(&Raw::Text(wrong.into())).unwrap_err();
            assert!(!found.contains("hunter2"), "{found}");
        }
        let bare = Raw::Text("turn:example.org alice hunter2".into());
        assert_eq!(IceServers.read(&bare), Err("a string".into()));
    }
}
