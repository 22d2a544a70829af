//! What a WHIP or WHEP offer says, read before the media engine sees it, and the edits an answer needs.
//!
//! Only what decides between accepting and refusing is read here (RFC 9725, section 4.2);
//! everything else is the media engine's.

use std::fmt::Write as _;

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

/// One `m=` section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Audio, video, or the name of something else.
    pub kind: Result<Kind, String>,
    /// What the offerer wants to do.
    pub direction: Direction,
    /// Codec names of the `a=rtpmap` lines, as written.
    pub codecs: Vec<String>,
    /// Port 0: the section is rejected or disabled.
    pub disabled: bool,
    /// `a=mid`, the section's name in its bundle (RFC 8843).
    pub mid: Option<String>,
}

/// The sections of an offer or answer.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// In order.
    pub sections: Vec<Section>,
}

impl Summary {
    /// Reads a session description line by line; unknown lines are ignored.
    #[must_use]
    pub fn read(sdp: &str) -> Self {
        let mut summary = Self::default();
        let mut session_direction = Direction::SendRecv;
        for line in sdp.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                summary
                    .sections
                    .push(Section::begin(media, session_direction));
            } else if let Some(attribute) = line.strip_prefix("a=") {
                match summary.sections.last_mut() {
                    Some(section) => section.attribute(attribute.trim_end()),
                    None => {
                        session_direction =
                            Direction::parse(attribute.trim_end()).unwrap_or(session_direction)
                    }
                }
            }
        }
        summary
    }

    /// Enabled sections of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Section> {
        self.sections
            .iter()
            .filter(move |s| !s.disabled && s.kind.as_ref().is_ok_and(|k| *k == kind))
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
            codecs: Vec::new(),
            disabled,
            mid: None,
        }
    }

    fn attribute(&mut self, attribute: &str) {
        if let Some(direction) = Direction::parse(attribute) {
            self.direction = direction;
        } else if let Some(mid) = attribute.strip_prefix("mid:") {
            self.mid = Some(mid.to_owned());
        } else if let Some(map) = attribute.strip_prefix("rtpmap:") {
            let name = map
                .split_ascii_whitespace()
                .nth(1)
                .and_then(|codec| codec.split('/').next());
            if let Some(name) = name
                && !self
                    .codecs
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            {
                self.codecs.push(name.to_owned());
            }
        }
    }
}

/// The offer with every `sendrecv` section narrowed to `direction`, since a session carries media one way only
/// (RFC 9725 section 4.2; a section that says nothing is `sendrecv`).
#[must_use]
pub fn narrow(offer: &str, direction: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 64);
    let mut session = direction.to_owned();
    let (mut in_section, mut said) = (false, true);
    for line in offer.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        if line.starts_with("m=") {
            finish(&mut out, said, &session);
            (in_section, said) = (true, false);
        }
        match line.strip_prefix("a=").map(|a| (a, Direction::parse(a))) {
            Some((_, Some(Direction::SendRecv))) => {}
            Some((name, Some(_))) if !in_section => session = name.to_owned(),
            other => {
                said |= matches!(other, Some((_, Some(_))));
                let _ = write!(out, "{line}\r\n");
            }
        }
    }
    finish(&mut out, said, &session);
    out
}

/// Ends a section that did not say its direction with the one that holds for the session.
fn finish(out: &mut String, said: bool, session: &str) {
    if !said {
        let _ = write!(out, "a={session}\r\n");
    }
}

/// Puts all media of an answer into one stream with one canonical name.
///
/// A browser synchronises picture and sound only within one stream (RFC 8830), and takes the
/// canonical name from the SSRC lines (RFC 5576).
#[must_use]
pub fn one_stream(answer: &str, stream: &str) -> String {
    let mut out = String::with_capacity(answer.len() + 64);
    for line in answer.lines() {
        let line = line.trim_end();
        let rewritten = rewrite_line(line, stream);
        let _ = write!(out, "{}\r\n", rewritten.as_deref().unwrap_or(line));
    }
    out
}

fn rewrite_line(line: &str, stream: &str) -> Option<String> {
    if let Some(ids) = line.strip_prefix("a=msid:") {
        let track = ids.split(' ').nth(1)?;
        return Some(format!("a=msid:{stream} {track}"));
    }
    if line.starts_with("a=msid-semantic") {
        return Some(format!("a=msid-semantic: WMS {stream}"));
    }
    let rest = line.strip_prefix("a=ssrc:")?;
    let (ssrc, attribute) = rest.split_once(' ')?;
    if let Some(ids) = attribute.strip_prefix("msid:") {
        let track = ids.split(' ').nth(1)?;
        return Some(format!("a=ssrc:{ssrc} msid:{stream} {track}"));
    }
    None
}

/// A trickle fragment (RFC 8840, `application/trickle-ice-sdpfrag`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// User fragment, if given; a new one asks for an ICE restart.
    pub ufrag: Option<String>,
    /// Password, if given.
    pub pwd: Option<String>,
    /// `candidate:...` values in order.
    pub candidates: Vec<String>,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    ///
    /// The first line that is not of the form `x=...` or names nothing known to RFC 8840.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut fragment = Self::default();
        let mut lines = 0;
        for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
            lines += 1;
            let Some(attribute) = line.strip_prefix("a=") else {
                if line.starts_with("m=") || line.starts_with("c=") || line.starts_with("v=") {
                    continue;
                }
                return Err(format!(
                    "{:?} is not a line of a trickle fragment",
                    clip(line)
                ));
            };
            fragment.attribute(attribute)?;
        }
        if lines == 0 {
            return Err("the fragment is empty".to_owned());
        }
        Ok(fragment)
    }

    fn attribute(&mut self, attribute: &str) -> Result<(), String> {
        if let Some(ufrag) = attribute.strip_prefix("ice-ufrag:") {
            self.ufrag = Some(ufrag.to_owned());
        } else if let Some(pwd) = attribute.strip_prefix("ice-pwd:") {
            self.pwd = Some(pwd.to_owned());
        } else if let Some(candidate) = attribute.strip_prefix("candidate:") {
            if candidate.split_ascii_whitespace().count() < 8 {
                return Err(format!(
                    "{:?} is not a candidate (RFC 8839, section 5.1)",
                    clip(attribute)
                ));
            }
            self.candidates.push(attribute.to_owned());
        }
        Ok(())
    }
}

fn clip(line: &str) -> String {
    line.chars().take(60).collect()
}

/// The `a=ice-ufrag` of a session description.
#[must_use]
pub fn ufrag(sdp: &str) -> Option<&str> {
    sdp.lines()
        .find_map(|l| l.strip_prefix("a=ice-ufrag:"))
        .map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=sendonly\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

    #[test]
    fn sections_know_kind_direction_and_codecs() {
        let summary = Summary::read(OFFER);
        assert_eq!(summary.sections.len(), 3);
        let audio = summary.of(Kind::Audio).next().expect("audio");
        assert_eq!(
            (audio.direction, audio.codecs.as_slice()),
            (Direction::SendOnly, &["opus".to_owned()][..])
        );
        let video = summary.of(Kind::Video).next().expect("video");
        assert_eq!(
            (video.direction, video.codecs.len()),
            (Direction::RecvOnly, 2)
        );
        assert_eq!(
            summary.sections[2].kind.as_ref().expect_err("other"),
            "application"
        );
    }

    #[test]
    fn a_section_for_both_ways_is_narrowed_to_one() {
        let offer = "v=0\r\na=sendrecv\r\nm=audio 9 A 1\r\na=sendrecv\r\na=mid:0\r\nm=video 9 A 2\r\na=mid:1\r\nm=video 9 A 3\r\na=inactive\r\n";
        let narrowed = narrow(offer, "sendonly");
        let directions: Vec<_> = Summary::read(&narrowed)
            .sections
            .iter()
            .map(|s| s.direction)
            .collect();
        assert_eq!(
            directions,
            [
                Direction::SendOnly,
                Direction::SendOnly,
                Direction::Inactive
            ],
            "{narrowed}"
        );
        let one_way = narrow(
            "v=0\r\na=recvonly\r\nm=audio 9 A 1\r\na=mid:0\r\n",
            "sendonly",
        );
        assert_eq!(
            Summary::read(&one_way).sections[0].direction,
            Direction::RecvOnly
        );
    }

    #[test]
    fn an_answer_names_one_stream() {
        let answer = "v=0\r\na=msid-semantic: WMS x y\r\nm=audio 9 A 1\r\na=msid:x t1\r\na=ssrc:1 cname:c\r\na=ssrc:1 msid:x t1\r\nm=video 9 A 2\r\na=msid:y t2\r\n";
        let one = one_stream(answer, "reverie");
        assert!(one.contains("a=msid:reverie t1\r\n") && one.contains("a=msid:reverie t2\r\n"));
        assert!(one.contains("a=ssrc:1 msid:reverie t1\r\n") && one.contains("WMS reverie\r\n"));
        assert!(one.contains("a=ssrc:1 cname:c\r\n"));
    }

    #[test]
    fn a_trickle_fragment_is_read_or_refused() {
        let text = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
            a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\na=end-of-candidates\r\n";
        let fragment = Fragment::read(text).expect("well formed");
        assert_eq!(
            (fragment.ufrag.as_deref(), fragment.candidates.len()),
            (Some("abcd"), 1)
        );
        assert!(Fragment::read("hello\r\n").is_err());
        assert!(Fragment::read("").is_err());
        assert!(Fragment::read("a=candidate:1 1 UDP\r\n").is_err());
    }
}
