//! Signed tokens (RFC 7519, HS256): made by `reverie token`, checked by the server.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use reverie_config::{Role, Scope, Secret};
use serde::{Deserialize, Serialize};

/// Claim `iss` of every token.
pub(super) const ISSUER: &str = "reverie";
/// Claim `aud` of every token: another service with the same key takes none of ours, and the other way round.
const AUDIENCE: &str = "reverie-media";
/// How far the clocks of the machine that signs and this one may differ, in seconds.
pub(super) const LEEWAY_S: u64 = 30;
/// The largest token that is looked at, in bytes; ours have a quarter of it.
pub(super) const MAX_BYTES: usize = 2048;
/// The longest subject, in bytes.
pub(super) const MAX_SUBJECT: usize = 128;

/// What a signed token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    /// Whom it was made for.
    pub(crate) subject: Option<String>,
}

/// What is wrong with a token that opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the token is not known here")]
    Unknown,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed with HS256")]
    Algorithm,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token has been revoked")]
    Revoked,
    #[error("the session is over")]
    Over,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token was made for another service")]
    Foreign,
    #[error("the token lacks a claim, or has one that cannot be read")]
    Claims,
}

/// Why a token cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error("a subject has 1 to 128 bytes")]
    Subject,
    #[error("the system gave no random bytes")]
    Entropy,
    #[error("the token cannot be signed")]
    Signing,
}

/// A new token and what it says.
pub(crate) struct Minted {
    /// The token; not for logs.
    pub(crate) token: String,
    /// Its claims as JSON, without secret.
    pub(crate) claims: String,
    /// Unix seconds at which it expires.
    pub(crate) expires_s: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    role: &'static str,
    channel: String,
    iat: u64,
    exp: u64,
    jti: String,
}

/// What is read of a token; times, issuer and audience are the library's to check.
#[derive(Deserialize)]
struct Read {
    sub: Option<String>,
    jti: Option<String>,
    role: String,
    channel: String,
}

/// Signs a token for `grant` that lives from `now_s` (Unix seconds) for `life`.
pub(crate) fn mint(
    key: &Secret,
    grant: &Grant,
    now_s: u64,
    life: Duration,
) -> Result<Minted, Unsigned> {
    let subject = grant.subject.as_deref();
    if subject.is_some_and(|s| s.is_empty() || s.len() > MAX_SUBJECT) {
        return Err(Unsigned::Subject);
    }
    let expires_s = now_s.saturating_add(life.as_secs());
    let claims = Claims {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: subject,
        role: grant.role.name(),
        channel: grant.scope.to_string(),
        iat: now_s,
        exp: expires_s,
        jti: crate::session::random_name(16).map_err(|_| Unsigned::Entropy)?,
    };
    let signing = EncodingKey::from_secret(key.reveal().as_bytes());
    let token = encode(&Header::new(Algorithm::HS256), &claims, &signing);
    Ok(Minted {
        token: token.map_err(|_| Unsigned::Signing)?,
        claims: serde_json::to_string(&claims).map_err(|_| Unsigned::Signing)?,
        expires_s,
    })
}

/// Checks signed tokens.
pub(super) struct Verifier {
    key: DecodingKey,
    rules: Validation,
}

impl Verifier {
    pub(super) fn new(key: &Secret) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_S;
        Self {
            key: DecodingKey::from_secret(key.reveal().as_bytes()),
            rules,
        }
    }

    /// What the token allows now, and its id if it has one.
    pub(super) fn read(&self, token: &str) -> Result<(Grant, Option<String>), Fault> {
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(Fault::Unknown);
        }
        // What is so large is not worth the work.
        if token.len() > MAX_BYTES {
            return Err(Fault::Malformed);
        }
        let read = decode::<Read>(token, &self.key, &self.rules).map_err(|error| fault(&error))?;
        let Read {
            sub,
            jti,
            role,
            channel,
        } = read.claims;
        if sub
            .as_ref()
            .is_some_and(|s| s.is_empty() || s.len() > MAX_SUBJECT)
        {
            return Err(Fault::Claims);
        }
        let grant = Grant {
            role: Role::named(&role).ok_or(Fault::Claims)?,
            scope: Scope::named(&channel).ok_or(Fault::Claims)?,
            subject: sub,
        };
        Ok((grant, jti))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

pub(super) fn fault(error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::InvalidSignature => Fault::Signature,
        ErrorKind::ExpiredSignature => Fault::Expired,
        ErrorKind::ImmatureSignature => Fault::Early,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Fault::Foreign,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::InvalidAlgorithmName => Fault::Algorithm,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Fault::Claims,
        _ => Fault::Malformed,
    }
}
