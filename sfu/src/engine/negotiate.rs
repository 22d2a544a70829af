//! From an SDP offer to a peer and its answer.
//!
//! Runs outside the media threads: an offer costs about a millisecond and may be hostile,
//! so it is judged before a shard hears of it.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, Mid};
use str0m::net::TcpType;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::credentials;
use super::h264;
use super::ids::{PeerId, StreamId};
use super::io::Transport;
use super::packet::{Kind, Track};
use super::peer::{Peer, Role};
use super::quirks;
use super::sdp::{self, Summary};
use super::viewer::{Sender, Viewer};

/// How often str0m gathers statistics of one peer.
const STATS_INTERVAL: Duration = Duration::from_secs(5);
/// Why adding a local candidate cannot fail.
const VALID: &str = "a bound or configured address is a valid host candidate";
/// Between two RTCP reports of one stream: a receiver synchronises picture and sound once it has two of each.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// What the way to a viewer is taken to carry, in bits per second, before its feedback tells.
pub(crate) const FIRST_ESTIMATE: u64 = 1_000_000;
/// Largest accepted session description, in bytes, whatever the HTTP limit.
const MAX_SDP: usize = 64 << 10;

/// What is the same for all peers of one shard.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where the shard can be reached.
    pub candidates: Candidates,
    /// The server's DTLS identity.
    pub certificate: Certificate,
    /// From the answer to the finished DTLS handshake.
    pub setup_timeout: Duration,
    /// A publisher that is silent for this long is gone.
    pub publisher_silence: Duration,
    /// A viewer that is silent for this long is gone.
    pub viewer_silence: Duration,
}

/// Where a shard can be reached, best first; named as host candidates.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// By datagrams.
    pub udp: Arc<[SocketAddr]>,
    /// By connections that clients make (RFC 6544); empty if none are taken.
    pub tcp: Arc<[SocketAddr]>,
}

impl Candidates {
    /// Datagrams only.
    #[must_use]
    pub fn udp(addresses: &[SocketAddr]) -> Self {
        Self {
            udp: addresses.into(),
            tcp: Arc::from([]),
        }
    }

    /// Those for one transport.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &[SocketAddr] {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        }
    }
}

/// A self-signed DTLS certificate, made once per server.
#[derive(Clone)]
pub struct Certificate(DtlsCert);

impl Certificate {
    /// Makes a new one; `None` if the crypto library refuses.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let provider = crypto();
        provider.dtls_provider.generate_certificate().map(Self)
    }
}

/// The cryptography of every session.
#[cfg(not(feature = "openssl"))]
fn crypto() -> CryptoProvider {
    str0m::crypto::from_feature_flags()
}

/// The cryptography of every session.
#[cfg(feature = "openssl")]
fn crypto() -> CryptoProvider {
    super::dtls::provider()
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(***)")
    }
}

/// Names and random numbers of a new peer; randomness comes from outside.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Unique in the process.
    pub peer: PeerId,
    /// The channel's stream.
    pub stream: StreamId,
    /// ICE user fragment, unique among the shard's peers.
    pub ufrag: String,
    /// ICE password (at least 22 characters, RFC 8445 section 5.3).
    pub pwd: String,
    /// First RTP sequence number of each sent track.
    pub first_seq: u16,
    /// Offset of sent RTP timestamps.
    pub first_timestamp: u32,
}

/// What the peer wants to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// WHIP: it sends; `generation` counts the channel's publishers.
    Publish {
        /// See [`super::packet::Packet::generation`].
        generation: u32,
        /// Zero of the channel's time line.
        epoch: Instant,
    },
    /// WHEP: it receives this picture, and the sound.
    Watch(Track),
}

/// Why an offer was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Not a session description this server can read.
    #[error("the offer is not a usable session description: {0}")]
    Malformed(String),
    /// Readable, but not what WHIP or WHEP allows.
    #[error("{0}")]
    Unprocessable(String),
    /// No codec in common.
    #[error("no usable {media} codec: offered {offered}; accepted is {accepted}")]
    Codec {
        /// `audio` or `video`.
        media: &'static str,
        /// Names in the offer.
        offered: String,
        /// What this server takes.
        accepted: &'static str,
    },
}

/// Judges an offer; on success returns the peer for [`super::Command::Add`] and the answer.
///
/// # Errors
///
/// [`Rejected`] says what was wrong with the offer; nothing is left behind.
pub fn accept(
    terms: &Terms,
    identity: Identity,
    side: Side,
    offer: &str,
    now: Instant,
) -> Result<(Peer, String), Rejected> {
    accept_knowing(terms, identity, side, None, offer, now)
}

/// Like [`accept`], for a viewer of a channel whose publisher sends this H264 `profile-level-id`.
///
/// # Errors
///
/// See [`accept`].
pub fn accept_knowing(
    terms: &Terms,
    identity: Identity,
    side: Side,
    sent: Option<u32>,
    offer: &str,
    now: Instant,
) -> Result<(Peer, String), Rejected> {
    if offer.len() > MAX_SDP {
        return Err(Rejected::Malformed(format!(
            "it is longer than {MAX_SDP} bytes"
        )));
    }
    credentials::check(offer, &identity.ufrag).map_err(Rejected::Malformed)?;
    let offer = &quirks::normal(offer);
    let summary = Summary::read(offer);
    check_shape(&summary, side)?;
    let codecs = Codecs::choose(&summary, side, sent)?;
    let direction = match side {
        Side::Publish { .. } => "sendonly",
        Side::Watch(_) => "recvonly",
    };
    let prepared = sdp::prepare(offer, &summary, direction);
    // str0m asserts on some broken descriptions.
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        answer(terms, &identity, side, codecs, &prepared, now)
    }));
    let (mut rtc, text) = attempt
        .map_err(|_| Rejected::Malformed("its parts contradict each other".to_owned()))??;
    let answered = Summary::read(&text);
    check_answer(&summary, &answered)?;
    let role = match side {
        Side::Publish { generation, epoch } => Role::publisher(generation, epoch),
        Side::Watch(track) => Role::Viewer(Box::new(viewer(&mut rtc, &answered, &identity, track))),
    };
    let text = sdp::one_stream(&text, "reverie");
    let mut peer = Peer::new(
        identity.peer,
        identity.stream,
        rtc,
        role,
        terms,
        identity.ufrag,
        now,
    );
    peer.remember(sdp::restartable(&prepared), &summary.candidates);
    Ok((peer, text))
}

fn answer(
    terms: &Terms,
    identity: &Identity,
    side: Side,
    codecs: Codecs,
    offer: &str,
    now: Instant,
) -> Result<(Rtc, String), Rejected> {
    let lite = quirks::needs_ice_lite(offer);
    let offer = SdpOffer::from_sdp_string(offer).map_err(|e| Rejected::Malformed(e.to_string()))?;
    let estimate = match side {
        Side::Publish { .. } => None,
        Side::Watch(_) => Some(FIRST_ESTIMATE.into()),
    };
    let mut rtc = config(terms, identity, codecs)
        .set_ice_lite(lite)
        .enable_bwe(estimate)
        .build(now);
    for address in terms.candidates.udp.iter() {
        let candidate = Candidate::builder().udp().host(*address).build();
        rtc.add_local_candidate(candidate.expect(VALID));
    }
    for address in terms.candidates.tcp.iter() {
        let passive = Candidate::builder().tcp().host(*address);
        let candidate = passive.tcptype(TcpType::Passive).build();
        rtc.add_local_candidate(candidate.expect(VALID));
    }
    let answer = rtc
        .sdp_api()
        .accept_offer(offer)
        .map_err(|e| Rejected::Malformed(e.to_string()))?;
    Ok((rtc, answer.to_sdp_string()))
}

/// What the offered codecs are answered with; `None` where there is no section for it.
#[derive(Debug, Clone, Copy)]
struct Codecs {
    h264: Option<h264::Answer>,
    opus: Option<FormatParams>,
}

impl Codecs {
    fn choose(offer: &Summary, side: Side, sent: Option<u32>) -> Result<Self, Rejected> {
        let (mut h264, mut opus) = (None, None);
        if let Some(section) = offer.of(Kind::Video).next() {
            let formats = section.codec("H264");
            h264 = match side {
                Side::Publish { .. } => h264::to_publish(formats),
                Side::Watch(_) => h264::to_watch(formats, sent),
            };
            if h264.is_none() {
                return Err(no_codec(section));
            }
        }
        if let Some(section) = offer.of(Kind::Audio).next() {
            let offered = section.codec("opus").next();
            opus = Some(opus_answer(offered.ok_or_else(|| no_codec(section))?));
        }
        Ok(Self { h264, opus })
    }
}

/// Stereo is kept in both senses (RFC 7587, section 6.1): `stereo` of who receives, `sprop-stereo` of who sends.
fn opus_answer(offered: &sdp::Format) -> FormatParams {
    let says = |name| (offered.parameter(name) == Some("1")).then_some(true);
    let stereo = says("stereo").or(says("sprop-stereo"));
    FormatParams {
        min_p_time: Some(10),
        use_inband_fec: Some(true),
        stereo,
        sprop_stereo: stereo,
        ..FormatParams::default()
    }
}

fn config(terms: &Terms, identity: &Identity, codecs: Codecs) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_crypto_provider(Arc::new(crypto()))
        .set_dtls_cert(terms.certificate.0.clone())
        .set_local_ice_credentials(IceCreds {
            ufrag: identity.ufrag.clone(),
            pass: identity.pwd.clone(),
        })
        .set_rtp_mode(true)
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_rtcp_report_interval_audio(REPORT_INTERVAL)
        .set_rtcp_report_interval_video(REPORT_INTERVAL)
        .clear_codecs();
    let known = config.codec_config();
    if let Some(format) = codecs.opus {
        let rate = Frequency::FORTY_EIGHT_KHZ;
        known.add_config(111.into(), None, Codec::Opus, rate, Some(2), format);
    }
    if let Some(h264) = codecs.h264 {
        let format = FormatParams {
            level_asymmetry_allowed: h264.asymmetric.then_some(true),
            packetization_mode: Some(u8::from(h264.fragments)),
            profile_level_id: Some(h264.id),
            ..FormatParams::default()
        };
        let (rate, repair) = (Frequency::NINETY_KHZ, Some(109.into()));
        known.add_config(108.into(), repair, Codec::H264, rate, None, format);
    }
    config
}

fn check_shape(summary: &Summary, side: Side) -> Result<(), Rejected> {
    if summary.sections.is_empty() {
        return Err(Rejected::Malformed("it has no media section".to_owned()));
    }
    let refuse = |why: String| Err(Rejected::Unprocessable(why));
    if let Some(other) = summary.sections.iter().find_map(|s| s.kind.as_ref().err()) {
        return refuse(format!(
            "the offer has a section of type {other:?}; accepted are one audio and one video section"
        ));
    }
    for kind in [Kind::Audio, Kind::Video] {
        let count = summary.of(kind).count();
        if count > 1 {
            return refuse(format!(
                "the offer has {count} sections of {kind:?}; accepted is at most one"
            ));
        }
    }
    if summary.enabled().next().is_none() {
        return refuse("every media section of the offer is disabled".to_owned());
    }
    check_transport(summary)?;
    // RFC 9725, section 4.4.2; a viewer's own streams are not taken.
    let streams = summary.streams().len();
    if streams > 1 && matches!(side, Side::Publish { .. }) {
        return refuse(format!(
            "the tracks of the offer belong to {streams} streams (a=msid); accepted is one"
        ));
    }
    for section in summary.enabled() {
        let (fits, wanted) = match side {
            Side::Publish { .. } => (section.direction.sends(), "sendonly or sendrecv"),
            Side::Watch(_) => (section.direction.receives(), "recvonly or sendrecv"),
        };
        if !fits {
            return refuse(format!(
                "a media section is {:?}; accepted is {wanted}",
                section.direction
            ));
        }
    }
    Ok(())
}

/// There is one transport for everything (RFC 9725, section 4.4.1).
fn check_transport(summary: &Summary) -> Result<(), Rejected> {
    let refuse = |why: &str| Err(Rejected::Unprocessable(why.to_owned()));
    if summary.enabled().any(|s| s.mid.is_none()) {
        return refuse("a media section has no a=mid");
    }
    if !summary.is_bundled() {
        return refuse(
            "the offer does not bundle its sections; accepted is one a=group:BUNDLE with all of them",
        );
    }
    if summary.enabled().any(|s| !s.rtcp_mux) {
        return refuse("a media section has no a=rtcp-mux; RTCP has no port of its own here");
    }
    Ok(())
}

/// Why nothing of a section can be used.
fn no_codec(section: &sdp::Section) -> Rejected {
    let (media, accepted) = match section.kind {
        Ok(Kind::Audio) => ("audio", "opus/48000/2"),
        _ => (
            "video",
            "H264 with packetization-mode 1 or 0 and a Baseline, Main or High profile-level-id such as 42e01f",
        ),
    };
    Rejected::Codec {
        media,
        offered: section.codec_names(),
        accepted,
    }
}

/// Never reject a single section silently: a section that cannot be answered rejects the offer.
fn check_answer(offer: &Summary, answer: &Summary) -> Result<(), Rejected> {
    // str0m reads up to the first line that is none, and leaves out what comes behind.
    if offer.sections.len() != answer.sections.len() {
        return Err(Rejected::Malformed(format!(
            "it has {} media sections, of which {} can be read",
            offer.sections.len(),
            answer.sections.len()
        )));
    }
    for (offered, answered) in offer.sections.iter().zip(&answer.sections) {
        if !offered.disabled && (answered.disabled || answered.formats.is_empty()) {
            return Err(no_codec(offered));
        }
    }
    Ok(())
}

fn viewer(rtc: &mut Rtc, answer: &Summary, identity: &Identity, track: Track) -> Viewer {
    let mut sender = |kind: Kind, codec: Codec| {
        let mid = Mid::from(answer.of(kind).next()?.mid.as_deref()?);
        let negotiated = rtc.media(mid)?.remote_pts().to_vec();
        let pt = rtc
            .codec_config()
            .find(|p| p.spec().codec == codec && negotiated.contains(&p.pt()))?
            .pt();
        let stream = (rtc.direct_api().stream_tx_by_mid(mid, None)).map(|s| (s.ssrc(), s.rtx()))?;
        let sender = Sender::new(
            kind,
            mid,
            pt,
            stream,
            identity.first_seq,
            identity.first_timestamp,
        );
        sender.close(rtc);
        Some(sender)
    };
    let video = sender(Kind::Video, Codec::H264);
    let audio = sender(Kind::Audio, Codec::Opus);
    Viewer::new(track, video, audio)
}
