//! Fragments of session descriptions that carry ICE (RFC 8840, `application/trickle-ice-sdpfrag`).

use std::fmt::Write as _;

/// What proves to be one side of an ICE session (RFC 8839, section 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ***)", self.ufrag)
    }
}

impl Credentials {
    /// The first user fragment and password of a session description.
    #[must_use]
    pub fn of(sdp: &str) -> Option<Self> {
        let find = |name: &str| {
            let found = sdp.lines().find_map(|l| l.strip_prefix(name))?;
            Some(found.trim_end().to_owned())
        };
        Some(Self {
            ufrag: find("a=ice-ufrag:")?,
            pwd: find("a=ice-pwd:")?,
        })
    }

    fn checked(ufrag: String, pwd: String) -> Result<Self, String> {
        let fits = |text: &str, least| {
            (least..=256).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        // Some clients use the characters of base64url, which RFC 8839 does not have.
        let lenient = |text: &str| text.replace(['-', '_', '='], "+");
        if !fits(&lenient(&ufrag), 4) {
            return Err("ice-ufrag must be 4 to 256 letters, digits, + or /".to_owned());
        }
        if !fits(&lenient(&pwd), 22) {
            return Err("ice-pwd must be 22 to 256 letters, digits, + or /".to_owned());
        }
        Ok(Self { ufrag, pwd })
    }
}

/// A trickle fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// User fragment, if given; a new one asks for an ICE restart.
    pub ufrag: Option<String>,
    /// Password, if given.
    pub pwd: Option<String>,
    /// `candidate:...` values in order, each once: bundled sections repeat them.
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

    /// The credentials of a restart.
    ///
    /// # Errors
    ///
    /// If one of the two is missing or is not of the form of RFC 8839, section 5.4.
    pub fn credentials(&self) -> Result<Credentials, String> {
        match (&self.ufrag, &self.pwd) {
            (Some(ufrag), Some(pwd)) => Credentials::checked(ufrag.clone(), pwd.clone()),
            _ => Err("an ICE restart needs both ice-ufrag and ice-pwd".to_owned()),
        }
    }

    fn attribute(&mut self, attribute: &str) -> Result<(), String> {
        if let Some(ufrag) = attribute.strip_prefix("ice-ufrag:") {
            once(&mut self.ufrag, ufrag, "ice-ufrag")
        } else if let Some(pwd) = attribute.strip_prefix("ice-pwd:") {
            once(&mut self.pwd, pwd, "ice-pwd")
        } else if let Some(candidate) = attribute.strip_prefix("candidate:") {
            if candidate.split_ascii_whitespace().count() < 8 {
                return Err(format!(
                    "{:?} is not a candidate (RFC 8839, section 5.1)",
                    clip(attribute)
                ));
            }
            if !self.candidates.iter().any(|known| known == attribute) {
                self.candidates.push(attribute.to_owned());
            }
            Ok(())
        } else {
            Ok(())
        }
    }
}

/// Sections of one bundle repeat the credentials of their transport; others this server does not have.
fn once(place: &mut Option<String>, value: &str, name: &str) -> Result<(), String> {
    if place.as_deref().is_some_and(|known| known != value) {
        return Err(format!(
            "the fragment has two different values of {name}; all sections share one transport"
        ));
    }
    *place = Some(value.to_owned());
    Ok(())
}

fn clip(line: &str) -> String {
    line.chars().take(60).collect()
}

/// What the answer to a restart repeats of the session's first answer: its bundle, its first section's name,
/// and its candidates, which stay the same because the socket does.
pub(crate) fn ice_of(answer: &str) -> Box<str> {
    let mut out = String::new();
    let mut candidates = String::new();
    let mut sections = 0;
    for line in answer.lines().map(str::trim_end) {
        sections += usize::from(line.starts_with("m="));
        let first = sections == 1 && (line.starts_with("m=") || line.starts_with("a=mid:"));
        if first || line.starts_with("a=group:") {
            let _ = write!(out, "{line}\r\n");
        } else if line.starts_with("a=candidate:") {
            let _ = write!(candidates, "{}\r\n", without_ufrag(line));
        }
    }
    out.push_str(&candidates);
    out.into_boxed_str()
}

/// A candidate may name the user fragment it belongs to (RFC 8839, section 5.1), which a restart changes.
fn without_ufrag(candidate: &str) -> String {
    let words: Vec<_> = candidate.split(' ').collect();
    match words.iter().position(|w| *w == "ufrag") {
        Some(at) => [&words[..at], words.get(at + 2..).unwrap_or_default()]
            .concat()
            .join(" "),
        None => candidate.to_owned(),
    }
}

/// The body that answers a restart (RFC 9725, section 4.4): see [`ice_of`] for `ice`.
pub(crate) fn restarted(ice: &str, credentials: &Credentials) -> String {
    let mut out = String::from("a=ice-options:trickle\r\n");
    for line in ice.lines() {
        let _ = write!(out, "{line}\r\n");
        if line.starts_with("a=mid:") {
            let Credentials { ufrag, pwd } = credentials;
            let _ = write!(out, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
        }
    }
    out.push_str("a=end-of-candidates\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w9_a_trickle_fragment_is_read_or_refused() {
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

    #[test]
    fn w10_a_fragment_of_several_sections_is_one() {
        let section = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
            a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n";
        let two = format!(
            "{section}{}a=candidate:2 1 UDP 1 192.0.2.2 4000 typ host\r\n",
            section.replace("audio", "video")
        );
        let fragment = Fragment::read(&two).expect("well formed");
        assert_eq!(fragment.candidates.len(), 2);
        assert_eq!(fragment.credentials().expect("both").ufrag, "abcd");
        let mixed = format!("{section}{}", section.replace("abcd", "efgh"));
        assert!(
            Fragment::read(&mixed)
                .expect_err("two transports")
                .contains("ice-ufrag")
        );
    }

    #[test]
    fn w11_credentials_of_a_restart_are_whole_and_of_the_right_form() {
        let read = |text: &str| Fragment::read(text).expect("lines").credentials();
        assert!(read("a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n").is_ok());
        for bad in [
            "a=ice-ufrag:abcd\r\n",
            "a=ice-pwd:0123456789012345678901\r\n",
            "a=ice-ufrag:abc\r\na=ice-pwd:0123456789012345678901\r\n",
            "a=ice-ufrag:abcd\r\na=ice-pwd:tooshort\r\n",
            "a=ice-ufrag:ab cd\r\na=ice-pwd:0123456789012345678901\r\n",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn w11_the_answer_to_a_restart_has_new_credentials_and_the_same_candidates() {
        let answer = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 9 192.0.2.1 7000 typ host ufrag old1\r\n\
            a=ice-ufrag:old1\r\na=ice-pwd:old2\r\na=mid:0\r\na=sendrecv\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
        let credentials = Credentials {
            ufrag: "new1".to_owned(),
            pwd: "new2".to_owned(),
        };
        let body = restarted(&ice_of(answer), &credentials);
        assert!(
            body.contains("a=ice-ufrag:new1\r\na=ice-pwd:new2\r\n") && !body.contains("old"),
            "{body}"
        );
        assert!(
            body.contains("a=candidate:1 1 udp 9 192.0.2.1 7000 typ host\r\n"),
            "{body}"
        );
        assert!(
            body.contains("a=mid:0") && !body.contains("a=mid:1"),
            "{body}"
        );
    }
}
