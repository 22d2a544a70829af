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
use str0m::format::Codec;
use str0m::media::Mid;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::ids::{PeerId, StreamId};
use super::packet::{Kind, Track};
use super::peer::{Peer, Role};
use super::quirks;
use super::sdp::{self, Summary};
use super::viewer::{Sender, Viewer};

/// Constrained Baseline, level 3.1: what every browser can send and receive.
const H264_PROFILE: u32 = 0x42_e01f;
/// How often str0m gathers statistics of one peer.
const STATS_INTERVAL: Duration = Duration::from_secs(5);
/// Largest accepted session description, in bytes, whatever the HTTP limit.
const MAX_SDP: usize = 64 << 10;

/// What is the same for all peers of one shard.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where the shard can be reached, best first; named as host candidates.
    pub candidates: Arc<[SocketAddr]>,
    /// The server's DTLS identity.
    pub certificate: Certificate,
    /// From the answer to the finished DTLS handshake.
    pub setup_timeout: Duration,
    /// A publisher that is silent for this long is gone.
    pub publisher_silence: Duration,
    /// A viewer that is silent for this long is gone.
    pub viewer_silence: Duration,
}

/// A self-signed DTLS certificate, made once per server.
#[derive(Clone)]
pub struct Certificate(DtlsCert);

impl Certificate {
    /// Makes a new one; `None` if the crypto library refuses.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let provider = str0m::crypto::from_feature_flags();
        provider.dtls_provider.generate_certificate().map(Self)
    }
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
    if offer.len() > MAX_SDP {
        return Err(Rejected::Malformed(format!(
            "it is longer than {MAX_SDP} bytes"
        )));
    }
    let offer = &quirks::normal(offer);
    let summary = Summary::read(offer);
    check_shape(&summary, side)?;
    let narrowed = match side {
        Side::Publish { .. } => sdp::narrow(offer, "sendonly"),
        Side::Watch(_) => sdp::narrow(offer, "recvonly"),
    };
    // str0m asserts on some broken descriptions.
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        answer(terms, &identity, &narrowed, now)
    }));
    let (mut rtc, text) = attempt
        .map_err(|_| Rejected::Malformed("its parts contradict each other".to_owned()))??;
    let answered = Summary::read(&text);
    check_codecs(&summary, &answered)?;
    let role = match side {
        Side::Publish { generation, epoch } => Role::publisher(generation, epoch),
        Side::Watch(track) => Role::Viewer(Box::new(viewer(&mut rtc, &answered, &identity, track))),
    };
    let text = sdp::one_stream(&text, "reverie");
    Ok((
        Peer::new(
            identity.peer,
            identity.stream,
            rtc,
            role,
            terms,
            identity.ufrag,
            now,
        ),
        text,
    ))
}

fn answer(
    terms: &Terms,
    identity: &Identity,
    offer: &str,
    now: Instant,
) -> Result<(Rtc, String), Rejected> {
    let lite = quirks::needs_ice_lite(offer);
    let offer = SdpOffer::from_sdp_string(offer).map_err(|e| Rejected::Malformed(e.to_string()))?;
    let mut rtc = config(terms, identity).set_ice_lite(lite).build(now);
    for address in terms.candidates.iter() {
        let candidate = Candidate::host(*address, "udp")
            .expect("a bound or configured address is a valid host candidate");
        rtc.add_local_candidate(candidate);
    }
    let answer = rtc
        .sdp_api()
        .accept_offer(offer)
        .map_err(|e| Rejected::Malformed(e.to_string()))?;
    Ok((rtc, answer.to_sdp_string()))
}

fn config(terms: &Terms, identity: &Identity) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_dtls_cert(terms.certificate.0.clone())
        .set_local_ice_credentials(IceCreds {
            ufrag: identity.ufrag.clone(),
            pass: identity.pwd.clone(),
        })
        .set_rtp_mode(true)
        .set_stats_interval(Some(STATS_INTERVAL))
        .clear_codecs()
        .enable_opus(true, false);
    config
        .codec_config()
        .add_h264(108.into(), Some(109.into()), true, H264_PROFILE);
    config
}

fn check_shape(summary: &Summary, side: Side) -> Result<(), Rejected> {
    let refuse = |why: String| Err(Rejected::Unprocessable(why));
    if summary.sections.is_empty() {
        return Err(Rejected::Malformed("it has no media section".to_owned()));
    }
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
    for section in summary.sections.iter().filter(|s| !s.disabled) {
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

/// Never reject a single section silently: a section without a common codec rejects the offer.
fn check_codecs(offer: &Summary, answer: &Summary) -> Result<(), Rejected> {
    for (offered, answered) in offer.sections.iter().zip(&answer.sections) {
        if !offered.disabled && answered.disabled {
            let (media, accepted) = match offered.kind {
                Ok(Kind::Audio) => ("audio", "opus/48000/2"),
                _ => (
                    "video",
                    "H264 with packetization-mode=1 and profile-level-id=42e01f",
                ),
            };
            return Err(Rejected::Codec {
                media,
                offered: offered.codecs.join(", "),
                accepted,
            });
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
        let ssrc = rtc.direct_api().stream_tx_by_mid(mid, None)?.ssrc();
        Some(Sender::new(
            kind,
            mid,
            pt,
            ssrc,
            identity.first_seq,
            identity.first_timestamp,
        ))
    };
    let video = sender(Kind::Video, Codec::H264);
    let audio = sender(Kind::Audio, Codec::Opus);
    Viewer::new(track, video, audio)
}
