//! A certificate that nobody has vouched for, to try pages from another machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

/// How long it is good.
const LIFE: Duration = Duration::days(365);

/// Where it was written, and for whom it is.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) names: Vec<String>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Makes a P-256 key and a certificate for this machine's names and addresses, and `more`; writes `cert.pem` and `key.pem`,
/// the latter for its owner only. Replaces no file.
pub(crate) fn self_signed(folder: &Path, more: &[String]) -> Result<SelfSigned, Failed> {
    let names = names(more);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = params(&names)?.self_signed(&key)?;
    fs::create_dir_all(folder).map_err(|error| Failed::File {
        path: folder.to_owned(),
        error,
    })?;
    let made = SelfSigned {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        names,
    };
    write(&made.key, 0o600, &key.serialize_pem())?;
    write(&made.cert, 0o644, &cert.pem())?;
    Ok(made)
}

fn params(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "reverie self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    // The clock of the other machine may be a little behind.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + LIFE;
    Ok(params)
}

/// Localhost, the addresses of the interfaces, and what was asked for.
fn names(more: &[String]) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(is_named);
    for name in own.map(|ip| ip.to_string()).chain(more.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Addresses that only mean something on one link cannot be typed into a browser.
fn is_named(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failed> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failed::File {
            path: path.to_owned(),
            error,
        })
}
