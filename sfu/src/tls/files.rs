//! Certificate and key as they lie on the disk, and what can be wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reverie_config::Tls as Config;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why certificate and key cannot be used: the key of the configuration, the file, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("`{key}` = {}: cannot be read: {error}", path.display())]
    Unreadable {
        key: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("`{key}` = {}: {what}", path.display())]
    Content {
        key: &'static str,
        path: PathBuf,
        what: String,
    },
    #[error("`http.tls.key` = {} is not the key of the certificate in `http.tls.cert` = {}", key.display(), cert.display())]
    Mismatch { key: PathBuf, cert: PathBuf },
}

/// Where both files are.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) cert: PathBuf,
    key: PathBuf,
}

/// A certificate with its key.
pub(super) struct Pair {
    pub(super) key: CertifiedKey,
    /// Whom the certificate is for.
    pub(super) names: Vec<String>,
    /// Unix seconds.
    pub(super) begins: i64,
    /// Unix seconds.
    pub(super) ends: i64,
}

/// The one cryptography of the house.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl Files {
    /// Those of the configuration; its rules know that there are two or none.
    pub(super) fn named(config: &Config) -> Option<Self> {
        let (cert, key) = (config.cert.clone()?, config.key.clone()?);
        Some(Self { cert, key })
    }

    /// Reads and checks both.
    pub(super) fn read(&self) -> Result<Pair, Unusable> {
        let chain = self.chain()?;
        let (names, begins, ends) = self.dates(&chain[0])?;
        let key = self.private_key()?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| self.refused(&error))?;
        Ok(Pair {
            key,
            names,
            begins,
            ends,
        })
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let pem = read("http.tls.cert", &self.cert)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| self.cert_is(format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(self.cert_is("has no certificate in it (BEGIN CERTIFICATE)".to_owned()));
        }
        Ok(chain)
    }

    fn dates(&self, der: &CertificateDer<'_>) -> Result<(Vec<String>, i64, i64), Unusable> {
        let (_, cert) = X509Certificate::from_der(der)
            .map_err(|error| self.cert_is(format!("holds no X.509 certificate: {error}")))?;
        let names = cert.subject_alternative_name().ok().flatten();
        let names = names
            .into_iter()
            .flat_map(|names| &names.value.general_names);
        let names = names.filter_map(name_of).collect();
        let validity = cert.validity();
        Ok((
            names,
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        ))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Unusable> {
        let pem = read("http.tls.key", &self.key)?;
        // The parser's own words could quote the file.
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            self.key_is("has no private key in it (BEGIN PRIVATE KEY, unencrypted)".to_owned())
        })
    }

    pub(super) fn refused(&self, error: &Error) -> Unusable {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unusable::Mismatch {
                key: self.key.clone(),
                cert: self.cert.clone(),
            },
            Error::InvalidCertificate(why) => self.cert_is(format!("cannot be used: {why}")),
            error => self.key_is(format!("cannot be used: {error}")),
        }
    }

    fn cert_is(&self, what: String) -> Unusable {
        Unusable::Content {
            key: "http.tls.cert",
            path: self.cert.clone(),
            what,
        }
    }

    fn key_is(&self, what: String) -> Unusable {
        Unusable::Content {
            key: "http.tls.key",
            path: self.key.clone(),
            what,
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|error| Unusable::Unreadable {
        key,
        path: path.to_owned(),
        error,
    })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress([a, b, c, d]) => {
            Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string())
        }
        GeneralName::IPAddress(bytes) => {
            let bytes: [u8; 16] = (*bytes).try_into().ok()?;
            Some(std::net::Ipv6Addr::from(bytes).to_string())
        }
        _ => None,
    }
}
