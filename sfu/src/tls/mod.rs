//! HTTPS: the certificate in use, the handshake, and reading both files again. Knows nothing of HTTP.

mod files;
mod self_signed;

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use reverie_config::Tls as Config;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub(crate) use files::Unusable;
use files::{Files, Pair};
pub(crate) use self_signed::self_signed;
pub(crate) use tokio_rustls::server::TlsStream;

/// Certificate and key, and how to speak TLS with them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Https {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: Arc<Files>,
}

/// When a certificate ends, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) i64);

/// What the next handshake shows. Those that are through keep what they were shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Makes the house's cryptography that of every TLS client of this process that names none.
pub(crate) fn use_everywhere() {
    // It fails only if one is in use already, which is then the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Https {
    /// Reads the files of the configuration; `None` if it names none. Blocks on the disk.
    pub(crate) fn load(config: &Config) -> Result<Option<(Self, Expiry)>, Unusable> {
        let Some(files) = Files::named(config) else {
            return Ok(None);
        };
        let pair = files.read()?;
        let expiry = tell(&files, &pair);
        let current = Arc::new(Current(RwLock::new(Arc::new(pair.key))));
        let mut config = ServerConfig::builder_with_provider(files::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| files.refused(&error))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        // HTTP/2 is not offered: hyper gives neither its preface nor an idle connection a time limit.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let https = Self {
            acceptor,
            current,
            files: Arc::new(files),
        };
        Ok(Some((https, expiry)))
    }

    /// Reads both files again for the handshakes to come; what cannot be used changes nothing. Blocks on the disk.
    pub(crate) fn reload(&self) -> Result<Expiry, Unusable> {
        let pair = self.files.read()?;
        let expiry = tell(&self.files, &pair);
        let mut current = self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(pair.key);
        Ok(expiry)
    }

    /// The handshake; has no time limit of its own.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Nothing is computed under the lock, so a poisoned one is still whole.
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Says which certificate is served, and whether clients will like its dates.
fn tell(files: &Files, pair: &Pair) -> Expiry {
    let (cert, names) = (files.cert.display(), pair.names.join(" "));
    let (begins, ends) = (time_of(pair.begins), time_of(pair.ends));
    tracing::info!(%cert, %names, %ends, "certificate");
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    if pair.ends <= now {
        tracing::warn!(%cert, %ends, "the certificate of `http.tls.cert` has expired; clients will refuse it");
    } else if pair.begins > now {
        tracing::warn!(%cert, %begins, "the certificate of `http.tls.cert` is not valid yet; clients will refuse it");
    }
    Expiry(pair.ends)
}

/// Unix seconds as `2027-01-31T12:00:00Z`.
pub(crate) fn time_of(unix_s: i64) -> String {
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp(unix_s) else {
        return format!("{unix_s} s after 1970");
    };
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
