//! JWTs with HS256, without the library that the server uses.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::state::now;

/// Signs claims with a secret in base64.
pub(super) fn sign(secret: &str, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tag = hmac::sign(&key(secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The claims of a token with a right signature, which is not over.
pub(super) fn read(secret: &str, token: &str) -> Option<Value> {
    let (signed, tag) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    hmac::verify(&key(secret), signed.as_bytes(), &tag).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let lasts = claims["exp"].as_u64()? >= now().as_secs();
    (header["alg"] == "HS256" && lasts).then_some(claims)
}

fn key(secret: &str) -> hmac::Key {
    let bytes = STANDARD.decode(secret).unwrap_or_default();
    hmac::Key::new(hmac::HMAC_SHA256, &bytes)
}
