//! DTLS by OpenSSL, for peers whose certificates the other library does not take: RSA, and any curve.
//!
//! Only in a build with the feature `openssl`. Everything else of a session (SRTP, STUN, fingerprints) stays with
//! aws-lc-rs. Owns no socket; OpenSSL reads the clock itself for one thing, when to send a flight again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslStream,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial,
    ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider};

/// With an ECDSA certificate of its own the server has no use for others (RFC 8827, section 6.5).
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
                       ECDHE-ECDSA-AES128-SHA";
/// The last one is there for its certificates: FFmpeg makes them on that curve.
const GROUPS: &str = "X25519:P-256:P-384:P-521:P-224";
/// Best first (RFC 5764, RFC 7714).
const PROFILES: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80";
/// Label under which the keys of SRTP are derived (RFC 5764, section 4.2).
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// How often OpenSSL is asked during a handshake whether a flight has to be sent again.
const TICK: Duration = Duration::from_millis(100);
/// When a finished handshake wants to be looked at.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// Largest record that is read.
const RECORD: usize = 2048;

/// The cryptography of a session, with DTLS by OpenSSL.
pub(super) fn provider() -> CryptoProvider {
    static PROVIDER: Provider = Provider {
        context: Mutex::new(None),
    };
    CryptoProvider {
        dtls_provider: &PROVIDER,
        ..str0m::crypto::from_feature_flags()
    }
}

/// Makes one context for all sessions of a certificate.
struct Provider {
    context: Mutex<Option<(Vec<u8>, SslContext)>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        let own = str0m::crypto::from_feature_flags();
        own.dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        _: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let ssl = self.session(cert, mtu);
        let ssl = ssl.map_err(|error| CryptoError::Other(error.to_string()))?;
        Ok(Box::new(Session {
            state: State::Idle(Some(ssl)),
            output: VecDeque::new(),
            active: false,
            closing: false,
            now,
        }))
    }
}

impl Provider {
    fn session(&self, cert: &DtlsCert, mtu: Option<usize>) -> Result<Ssl, ErrorStack> {
        let mut kept = match self.context.lock() {
            Ok(kept) => kept,
            Err(poisoned) => poisoned.into_inner(),
        };
        let context = match &mut *kept {
            Some((of, context)) if *of == cert.certificate => context,
            other => &mut other.insert((cert.certificate.clone(), context(cert)?)).1,
        };
        let mut ssl = Ssl::new(context)?;
        if let Some(mtu) = mtu.and_then(|mtu| u32::try_from(mtu).ok()) {
            ssl.set_mtu(mtu)?;
        }
        Ok(ssl)
    }
}

fn context(cert: &DtlsCert) -> Result<SslContext, ErrorStack> {
    let certificate = X509::from_der(&cert.certificate)?;
    let key = PKey::private_key_from_der(&cert.private_key)?;
    let mut builder = SslContext::builder(SslMethod::dtls())?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_certificate(&certificate)?;
    builder.set_private_key(&key)?;
    builder.set_cipher_list(CIPHERS)?;
    builder.set_groups_list(GROUPS)?;
    builder.set_tlsext_use_srtp(PROFILES)?;
    builder.set_options(
        SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION,
    );
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    // Nobody vouches for a certificate: it counts by its fingerprint, which the caller compares (RFC 8827).
    let verify = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    builder.set_verify_callback(verify, |_, _| true);
    Ok(builder.build())
}

/// One DTLS association.
struct Session {
    state: State,
    output: VecDeque<Said>,
    active: bool,
    closing: bool,
    now: Instant,
}

enum State {
    /// It is not known yet who begins.
    Idle(Option<Ssl>),
    Handshake(SslStream<Wire>),
    Open(SslStream<Wire>),
    /// The keys were handed over, and nothing more is heard or said.
    Deaf,
    /// Also what cannot be used for a fault in itself.
    Broken,
}

/// What waits to be polled beside datagrams.
enum Said {
    Certificate(Vec<u8>),
    Keys(KeyingMaterial, SrtpProfile),
    Connected,
    Data(Vec<u8>),
    Closed,
}

/// The datagrams of one association, one per read and write.
#[derive(Debug, Default)]
struct Wire {
    arrived: VecDeque<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let datagram = self.arrived.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buf.len());
        buf[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.leaving.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn stream(&mut self) -> Option<&mut SslStream<Wire>> {
        match self {
            Self::Handshake(stream) | Self::Open(stream) => Some(stream),
            Self::Idle(_) | Self::Deaf | Self::Broken => None,
        }
    }
}

impl Session {
    fn begin(&mut self) {
        let State::Idle(ssl) = &mut self.state else {
            return;
        };
        let Some(mut ssl) = ssl.take() else {
            return;
        };
        if self.active {
            ssl.set_connect_state();
        } else {
            ssl.set_accept_state();
        }
        self.state = match SslStream::new(ssl, Wire::default()) {
            Ok(stream) => State::Handshake(stream),
            Err(_) => State::Broken,
        };
    }

    fn advance(&mut self) -> Result<(), DtlsImplError> {
        if let State::Handshake(stream) = &mut self.state {
            match stream.do_handshake() {
                Ok(()) => self.open()?,
                Err(error) => return self.waits(&error),
            }
        }
        if matches!(self.state, State::Open(_)) {
            self.read();
        }
        Ok(())
    }

    /// The handshake is done: says whom it was with and what keys it made, in the order in which they are needed.
    fn open(&mut self) -> Result<(), DtlsImplError> {
        let State::Handshake(stream) = std::mem::replace(&mut self.state, State::Broken) else {
            return Ok(());
        };
        let said = agreed(stream.ssl()).ok_or(DtlsImplError::ConnectionClosed)?;
        self.output.extend(said);
        self.output.push_back(Said::Connected);
        self.state = State::Open(stream);
        Ok(())
    }

    /// OpenSSL gives up over records that nobody signed, such as one too short to be encrypted. The session has its
    /// keys by then and goes on: only its end will be noticed later, by silence.
    fn read(&mut self) {
        let mut record = [0; RECORD];
        while let State::Open(stream) = &mut self.state {
            match stream.ssl_read(&mut record) {
                Ok(length) => self.output.push_back(Said::Data(record[..length].to_vec())),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.output.push_back(Said::Closed);
                    return;
                }
                Err(error) => {
                    if self.waits(&error).is_err() {
                        self.state = State::Deaf;
                    }
                    return;
                }
            }
        }
    }

    /// Most often nothing is wrong but that the next datagram has not arrived.
    fn waits(&mut self, error: &openssl::ssl::Error) -> Result<(), DtlsImplError> {
        if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) {
            return Ok(());
        }
        tracing::debug!(%error, "DTLS");
        self.state = State::Broken;
        Err(DtlsImplError::ConnectionClosed)
    }
}

/// The peer's certificate and the keys of SRTP.
fn agreed(ssl: &openssl::ssl::SslRef) -> Option<[Said; 2]> {
    let certificate = ssl.peer_certificate()?.to_der().ok()?;
    let profile = match ssl.selected_srtp_profile()?.name() {
        "SRTP_AEAD_AES_128_GCM" => SrtpProfile::AEAD_AES_128_GCM,
        "SRTP_AEAD_AES_256_GCM" => SrtpProfile::AEAD_AES_256_GCM,
        _ => SrtpProfile::AES128_CM_SHA1_80,
    };
    let mut keys = vec![0; profile.keying_material_len()];
    ssl.export_keying_material(&mut keys, LABEL, None).ok()?;
    Some([
        Said::Certificate(certificate),
        Said::Keys(KeyingMaterial::new(&keys), profile),
    ])
}

impl DtlsInstance for Session {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        self.begin();
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if let Some(stream) = self.state.stream()
            && !packet.is_empty()
        {
            stream.get_mut().arrived.push_back(packet.to_vec());
        }
        self.advance()
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let leaving = self
            .state
            .stream()
            .and_then(|s| s.get_mut().leaving.pop_front());
        if let Some(datagram) = leaving {
            return DtlsOutput::Packet(copied(&datagram, buf));
        }
        match self.output.pop_front() {
            Some(Said::Certificate(der)) => DtlsOutput::PeerCert(copied(&der, buf)),
            Some(Said::Keys(keys, profile)) => DtlsOutput::KeyingMaterial(keys, profile),
            Some(Said::Connected) => DtlsOutput::Connected,
            Some(Said::Data(data)) => DtlsOutput::ApplicationData(copied(&data, buf)),
            Some(Said::Closed) => DtlsOutput::CloseNotify,
            None => {
                let waits = matches!(self.state, State::Handshake(_));
                DtlsOutput::Timeout(self.now + if waits { TICK } else { NEVER })
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        self.advance()
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        let State::Open(stream) = &mut self.state else {
            return Ok(0);
        };
        match stream.ssl_write(data) {
            Ok(length) => Ok(length),
            Err(error) => self.waits(&error).map(|()| 0),
        }
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        matches!(self.state, State::Open(_) | State::Deaf).then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.closing
    }

    fn is_closed(&self) -> bool {
        self.closing
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.closing = true;
        if let State::Open(stream) = &mut self.state {
            // An answer is not waited for.
            let _ = stream.shutdown();
        }
        Ok(())
    }
}

/// A datagram or certificate longer than the buffer cannot be passed on; both are checked elsewhere.
fn copied<'a>(from: &[u8], to: &'a mut [u8]) -> &'a [u8] {
    let length = from.len().min(to.len());
    to[..length].copy_from_slice(&from[..length]);
    &to[..length]
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}
