//! What a WHIP or WHEP offer says, read before the media engine sees it.
//!
//! Only what decides between accepting and refusing is read here (RFC 9725, section 4.2);
//! everything else is the media engine's.

mod edit;
mod fragment;

pub use edit::{one_stream, prepare};
pub(crate) use edit::{restartable, with_credentials};
pub use fragment::{Credentials, Fragment};
pub(crate) use fragment::{ice_of, restarted};

use super::packet::Kind;

/// Direction attribute of a media section (RFC 8866, section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `a=sendrecv`, also when nothing is said.
    SendRecv,
    /// `a=sendonly`.
    SendOnly,
    /// `a=recvonly`.
    RecvOnly,
    /// `a=inactive`.
    Inactive,
}

impl Direction {
    /// True if the offerer would send.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// True if the offerer would receive.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    fn parse(attribute: &str) -> Option<Self> {
        match attribute {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

/// One payload type of a media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, as written.
    pub pt: String,
    /// Codec name of `a=rtpmap`, as written.
    pub name: String,
    /// What `a=fmtp` says of it, as written.
    pub parameters: String,
}

impl Format {
    /// The value of one parameter of `a=fmtp`; names are matched without regard to case (RFC 6838, section 4.3).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then_some(value.trim())
        })
    }

    /// True for that codec.
    #[must_use]
    pub fn is(&self, codec: &str) -> bool {
        self.name.eq_ignore_ascii_case(codec)
    }
}

/// One `m=` section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Audio, video, or the name of something else.
    pub kind: Result<Kind, String>,
    /// What the offerer wants to do.
    pub direction: Direction,
    /// The payload types that have an `a=rtpmap`, in its order.
    pub formats: Vec<Format>,
    /// The section is rejected or disabled: port 0, and no part of a bundle (RFC 9143, section 6).
    pub disabled: bool,
    /// `a=mid`, the section's name in its bundle (RFC 9143).
    pub mid: Option<String>,
    /// `a=rtcp-mux`: RTP and RTCP share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// The streams that `a=msid` says its track belongs to (RFC 8830); none for `-`.
    pub streams: Vec<String>,
}

impl Section {
    /// Its codecs of one name.
    pub fn codec(&self, name: &str) -> impl Iterator<Item = &Format> {
        self.formats.iter().filter(move |f| f.is(name))
    }

    /// Its codecs in words: each name once, and each H264 profile once.
    #[must_use]
    pub fn codec_names(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for format in &self.formats {
            let name = match format.parameter("profile-level-id") {
                Some(profile) if format.is("H264") => format!("H264 {profile}"),
                _ => format.name.clone(),
            };
            if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

/// The sections of an offer or answer.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// In order.
    pub sections: Vec<Section>,
    /// The names of each `a=group:BUNDLE`.
    pub bundles: Vec<Vec<String>>,
    /// `candidate:...` values of all sections, each once.
    pub candidates: Vec<String>,
}

impl Summary {
    /// Reads a session description line by line; unknown lines are ignored.
    #[must_use]
    pub fn read(sdp: &str) -> Self {
        let mut summary = Self::default();
        let mut session_direction = Direction::SendRecv;
        for line in sdp.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                let section = Section::begin(media, session_direction);
                summary.sections.push(section);
            } else if let Some(attribute) = line.strip_prefix("a=") {
                if attribute.starts_with("candidate:") {
                    summary.candidate(attribute);
                } else if let Some(section) = summary.sections.last_mut() {
                    section.attribute(attribute);
                } else if let Some(mids) = attribute.strip_prefix("group:BUNDLE") {
                    let mids = mids.split_ascii_whitespace().map(str::to_owned);
                    summary.bundles.push(mids.collect());
                } else if let Some(direction) = Direction::parse(attribute) {
                    session_direction = direction;
                }
            }
        }
        let bundles = &summary.bundles;
        for section in &mut summary.sections {
            section.disabled &= !section
                .mid
                .as_ref()
                .is_some_and(|mid| bundles.iter().any(|b| b.contains(mid)));
        }
        summary
    }

    /// Enabled sections.
    pub fn enabled(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|s| !s.disabled)
    }

    /// Enabled sections of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Section> {
        self.enabled()
            .filter(move |s| s.kind.as_ref().is_ok_and(|k| *k == kind))
    }

    /// The streams of all enabled sections, each once.
    #[must_use]
    pub fn streams(&self) -> Vec<&str> {
        let mut streams: Vec<&str> = Vec::new();
        for id in self.enabled().flat_map(|s| &s.streams) {
            if !streams.contains(&id.as_str()) {
                streams.push(id);
            }
        }
        streams
    }

    /// True if one transport is enough for all enabled sections (RFC 9143).
    #[must_use]
    pub fn is_bundled(&self) -> bool {
        let has = |bundle: &Vec<String>, s: &Section| {
            s.mid.as_ref().is_some_and(|mid| bundle.contains(mid))
        };
        self.enabled().count() <= 1
            || self
                .bundles
                .iter()
                .any(|bundle| self.enabled().all(|s| has(bundle, s)))
    }

    fn candidate(&mut self, candidate: &str) {
        if !self.candidates.iter().any(|known| known == candidate) {
            self.candidates.push(candidate.to_owned());
        }
    }
}

impl Section {
    fn begin(media: &str, direction: Direction) -> Self {
        let mut words = media.split_ascii_whitespace();
        let kind = match words.next().unwrap_or_default() {
            "audio" => Ok(Kind::Audio),
            "video" => Ok(Kind::Video),
            other => Err(other.to_owned()),
        };
        let disabled = words.next() == Some("0");
        Self {
            kind,
            direction,
            formats: Vec::new(),
            disabled,
            mid: None,
            rtcp_mux: false,
            streams: Vec::new(),
        }
    }

    fn attribute(&mut self, attribute: &str) {
        if let Some(direction) = Direction::parse(attribute) {
            self.direction = direction;
        } else if attribute == "rtcp-mux" {
            self.rtcp_mux = true;
        } else if let Some(mid) = attribute.strip_prefix("mid:") {
            self.mid = Some(mid.to_owned());
        } else if let Some(msid) = attribute.strip_prefix("msid:") {
            let stream = msid.split(' ').next().filter(|id| *id != "-");
            self.streams.extend(stream.map(str::to_owned));
        } else if let Some((pt, codec)) = attribute
            .strip_prefix("rtpmap:")
            .and_then(|map| map.split_once(' '))
        {
            let name = codec.split('/').next().unwrap_or_default().trim();
            self.formats.push(Format {
                pt: pt.to_owned(),
                name: name.to_owned(),
                parameters: String::new(),
            });
        } else if let Some((pt, parameters)) = attribute
            .strip_prefix("fmtp:")
            .and_then(|line| line.split_once(' '))
            && let Some(format) = self.formats.iter_mut().find(|f| f.pt == pt)
        {
            format.parameters = parameters.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=sendonly\r\na=group:BUNDLE 0 1 2\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96 97 98\r\na=mid:1\r\na=bundle-only\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
        a=rtpmap:98 H264/90000\r\na=fmtp:98 Profile-Level-Id=64001F; packetization-mode=1\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\n";

    #[test]
    fn sections_know_kind_direction_and_codecs() {
        let summary = Summary::read(OFFER);
        assert_eq!(summary.sections.len(), 4);
        let audio = summary.of(Kind::Audio).next().expect("audio");
        assert_eq!(audio.direction, Direction::SendOnly);
        assert!(audio.rtcp_mux && audio.codec("OPUS").count() == 1);
        assert_eq!(audio.formats[0].parameter("stereo"), Some("1"));
        let video = summary.of(Kind::Video).next().expect("video");
        assert_eq!(
            (video.direction, video.codec_names().as_str()),
            (Direction::RecvOnly, "VP8, rtx, H264 64001F")
        );
        let h264 = video.codec("h264").next().expect("H264");
        assert_eq!(h264.parameter("packetization-mode"), Some("1"));
        assert_eq!(
            summary.sections[2].kind.as_ref().expect_err("other"),
            "application"
        );
    }

    #[test]
    fn port_0_disables_only_what_is_in_no_bundle() {
        let summary = Summary::read(OFFER);
        let disabled: Vec<_> = summary.sections.iter().map(|s| s.disabled).collect();
        assert_eq!(disabled, [false, false, false, true]);
        assert!(summary.is_bundled());
        assert!(!Summary::read(&OFFER.replace("BUNDLE 0 1 2", "BUNDLE 1 2")).is_bundled());
    }

    #[test]
    fn a_candidate_of_two_sections_counts_once() {
        assert_eq!(Summary::read(OFFER).candidates.len(), 1);
    }
}
