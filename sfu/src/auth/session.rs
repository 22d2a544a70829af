//! Sessions of people as signed tokens (RFC 7519, HS256), short, and the refresh tokens that give the next one.
//!
//! A refresh token is the session's id, a number that counts up, and a MAC of both: the store keeps the number that is
//! good, and nothing that a token could be made from.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use reverie_config::{Scope, Secret};
use reverie_moments::store;
use serde::{Deserialize, Serialize};

use super::keys::{derive, hex};
use super::token::{Fault, ISSUER, LEEWAY_S, MAX_BYTES, MAX_SUBJECT, Unsigned, fault};

/// How long a session token is good. What was taken from somebody in the meantime they have for so long at most, where
/// the store is not asked.
pub(crate) const LIFE: Duration = Duration::from_secs(15 * 60);
/// The longest id of a session, in bytes.
const MAX_ID: usize = 64;

/// What somebody is, in the order of what they may; the claim `aud`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Another server.
    Node,
    Viewer,
    Mod,
    Streamer,
    Admin,
}

impl Rank {
    const ALL: [Self; 5] = [
        Self::Node,
        Self::Viewer,
        Self::Mod,
        Self::Streamer,
        Self::Admin,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rank| rank.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Viewer => "viewer",
            Self::Mod => "mod",
            Self::Streamer => "streamer",
            Self::Admin => "admin",
        }
    }
}

impl From<store::Role> for Rank {
    fn from(role: store::Role) -> Self {
        match role {
            store::Role::Mod => Self::Mod,
            store::Role::Streamer => Self::Streamer,
            store::Role::Admin => Self::Admin,
        }
    }
}

/// Who asks, in which role, on which channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) rank: Rank,
    /// `person:ID`, `twitch:ID`, or `twitch-opaque:ID` for a viewer of the extension.
    pub(crate) subject: String,
    /// `None` for admins, and for people who are nothing on any channel.
    pub(crate) channel: Option<String>,
    /// The id of the session.
    pub(crate) id: String,
    /// The user id at Twitch of a viewer who shares it.
    pub(crate) user: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    iat: u64,
    exp: u64,
}

/// `aud` is one of ours and one alone: a token for two roles would be for the higher one.
#[derive(Deserialize)]
struct Read {
    aud: String,
    sub: String,
    channel: Option<String>,
    sid: String,
    user: Option<String>,
}

/// Signs and checks. `Debug` shows no key.
pub(crate) struct Signer {
    signing: EncodingKey,
    checking: DecodingKey,
    rules: Validation,
    refresh: hmac::Key,
}

impl Signer {
    pub(crate) fn new(key: &Secret) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&Rank::ALL.map(Rank::name));
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_S;
        Self {
            signing: EncodingKey::from_secret(key.reveal().as_bytes()),
            checking: DecodingKey::from_secret(key.reveal().as_bytes()),
            rules,
            refresh: hmac::Key::new(hmac::HMAC_SHA256, &derive(key, "reverie refresh tokens")),
        }
    }

    /// A token for the session that lives from `now_s` (Unix seconds) for `life`.
    pub(crate) fn mint(
        &self,
        session: &Session,
        now_s: u64,
        life: Duration,
    ) -> Result<String, Unsigned> {
        if !is_named(&session.subject, MAX_SUBJECT) || !is_named(&session.id, MAX_ID) {
            return Err(Unsigned::Subject);
        }
        let claims = Claims {
            iss: ISSUER,
            aud: session.rank.name(),
            sub: &session.subject,
            channel: session.channel.as_deref(),
            sid: &session.id,
            user: session.user.as_deref(),
            iat: now_s,
            exp: now_s.saturating_add(life.as_secs()),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map_err(|_| Unsigned::Signing)
    }

    /// Whose token it is, if it is good now; whether the session was ended is for the store to say.
    pub(crate) fn read(&self, token: &str) -> Result<Session, Fault> {
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(Fault::Unknown);
        }
        if token.len() > MAX_BYTES {
            return Err(Fault::Malformed);
        }
        let read = decode::<Read>(token, &self.checking, &self.rules).map_err(|e| fault(&e))?;
        let claims = read.claims;
        let channel_is_one = |name: &String| matches!(Scope::named(name), Some(Scope::Channel(_)));
        let whole = is_named(&claims.sub, MAX_SUBJECT)
            && is_named(&claims.sid, MAX_ID)
            && claims.channel.iter().all(channel_is_one)
            && claims.user.iter().all(|user| is_named(user, MAX_SUBJECT));
        let rank = Rank::named(&claims.aud).filter(|_| whole);
        Ok(Session {
            rank: rank.ok_or(Fault::Claims)?,
            subject: claims.sub,
            channel: claims.channel,
            id: claims.sid,
            user: claims.user,
        })
    }

    /// The refresh token number `n` of a session.
    pub(crate) fn refresh(&self, id: &str, n: i64) -> String {
        let said = format!("{id}.{n}");
        let mac = hex(hmac::sign(&self.refresh, said.as_bytes()).as_ref());
        format!("{said}.{mac}")
    }

    /// The session and the number of a refresh token that was made here.
    pub(crate) fn read_refresh<'a>(&self, token: &'a str) -> Option<(&'a str, i64)> {
        let (said, mac) = token.rsplit_once('.')?;
        let (id, n) = said.rsplit_once('.')?;
        let n = n.parse().ok()?;
        let mac = unhex(mac)?;
        hmac::verify(&self.refresh, said.as_bytes(), &mac).ok()?;
        Some((id, n))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

fn is_named(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn signer(key: &str) -> Signer {
        Signer::new(&Secret::new(key).unwrap())
    }

    #[test]
    fn a_refresh_token_is_read_by_who_made_it_and_by_nobody_else() {
        let (ours, other) = (signer(KEY), signer("another-key-of-32-bytes-and-more"));
        let token = ours.refresh("a1b2", 7);
        assert_eq!(ours.read_refresh(&token), Some(("a1b2", 7)));
        assert_eq!(other.read_refresh(&token), None);
        let later = token.replacen(".7.", ".8.", 1);
        for bad in [
            later.as_str(),
            &token[..token.len() - 1],
            &token[..token.len() - 2],
            "",
            "..",
            "a1b2.7.",
            &token.replacen("a1", "b1", 1),
        ] {
            assert_eq!(ours.read_refresh(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_in_a_debug_output() {
        let shown = format!("{:?}", signer(KEY));
        assert_eq!(shown, "Signer { .. }");
    }

    #[test]
    fn a_subject_or_id_that_is_none_is_not_signed() {
        let session = |subject: &str, id: &str| Session {
            rank: Rank::Viewer,
            subject: subject.to_owned(),
            channel: None,
            id: id.to_owned(),
            user: None,
        };
        let long = "x".repeat(129);
        for (subject, id) in [
            ("", "a"),
            ("a", ""),
            (&long, "a"),
            ("a b", "a"),
            ("a", &long),
        ] {
            assert!(signer(KEY).mint(&session(subject, id), 0, LIFE).is_err());
        }
        assert!(signer(KEY).mint(&session("a", "b"), 0, LIFE).is_ok());
    }
}
