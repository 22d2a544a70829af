//! Which H264 a session is answered with: what the publisher sends is what viewers are told (RFC 6184, section 8).
//!
//! Nothing is transcoded on the way, so a publisher's profile is every viewer's. Constrained Baseline is preferred
//! since everybody plays it; Main and High are taken from those who offer nothing else, since browsers decode them.

use super::sdp::Format;

/// Level 5.2: a receiver that forwards has no level of its own.
const HIGHEST_LEVEL: u32 = 0x34;
/// What an offer without `profile-level-id` is taken for; browsers read it so, too.
const UNSAID: u32 = 0x42_001f;

/// The profiles that viewers can be expected to decode, the most widely played first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
}

impl Profile {
    /// By `profile_idc` and the constraint flags (RFC 6184, table 5).
    fn of(id: u32) -> Option<Self> {
        let (idc, constraints) = ((id >> 16) & 0xff, (id >> 8) & 0xff);
        match (idc, constraints) {
            (0x42, c) if c & 0x4f == 0x40 => Some(Self::ConstrainedBaseline),
            (0x42, c) if c & 0x4f == 0 => Some(Self::Baseline),
            (0x4d, c) if c & 0x8f == 0x80 => Some(Self::ConstrainedBaseline),
            (0x4d, c) if c & 0xaf == 0 => Some(Self::Main),
            (0x64, 0x0c) => Some(Self::ConstrainedHigh),
            (0x64, 0) => Some(Self::High),
            _ => None,
        }
    }

    /// Which to name if none of those offered covers what is sent; the best first.
    fn nearness(self) -> u8 {
        match self {
            Self::High => 0,
            Self::ConstrainedHigh => 1,
            Self::Main => 2,
            Self::ConstrainedBaseline => 3,
            Self::Baseline => 4,
        }
    }

    /// Which to name if several cover what is sent; the least first.
    fn rank(self) -> u8 {
        match self {
            Self::ConstrainedBaseline => 0,
            Self::Baseline => 1,
            Self::Main => 2,
            Self::ConstrainedHigh => 3,
            Self::High => 4,
        }
    }

    /// True if whoever decodes `self` decodes `sent`.
    fn decodes(self, sent: Self) -> bool {
        match sent {
            Self::ConstrainedBaseline => true,
            Self::Baseline => self == Self::Baseline,
            Self::Main => matches!(self, Self::Main | Self::High),
            Self::ConstrainedHigh => matches!(self, Self::ConstrainedHigh | Self::High),
            Self::High => self == Self::High,
        }
    }
}

/// The H264 that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `profile-level-id`.
    pub(crate) id: u32,
    /// `packetization-mode=1`.
    pub(crate) fragments: bool,
    /// `level-asymmetry-allowed=1`.
    pub(crate) asymmetric: bool,
}

/// An offered payload type.
#[derive(Debug, Clone, Copy)]
struct Offered {
    id: u32,
    profile: Profile,
    fragments: bool,
    asymmetric: bool,
}

impl Offered {
    fn read(format: &Format) -> Option<Self> {
        let id = match format.parameter("profile-level-id") {
            Some(text) => u32::from_str_radix(text, 16).ok()?,
            None => UNSAID,
        };
        let fragments = match format.parameter("packetization-mode") {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return None,
        };
        if !is_level(id) {
            return None;
        }
        Some(Self {
            id,
            profile: Profile::of(id)?,
            fragments,
            asymmetric: format.parameter("level-asymmetry-allowed") == Some("1"),
        })
    }

    /// With another level, if the offer leaves the level to each side.
    fn answer(self, level: u32) -> Answer {
        let id = if self.asymmetric {
            self.id & !0xff | level
        } else {
            self.id
        };
        Answer {
            id,
            fragments: self.fragments,
            asymmetric: self.asymmetric,
        }
    }
}

/// What a publisher is told to send.
pub(crate) fn to_publish<'a>(formats: impl Iterator<Item = &'a Format>) -> Option<Answer> {
    let offered = formats.filter_map(Offered::read);
    let best = offered.min_by_key(|o| (!o.fragments, o.profile.rank()))?;
    Some(best.answer(HIGHEST_LEVEL))
}

/// What a viewer is told it will get, when `sent` (a `profile-level-id`) is what the publisher sends.
///
/// A viewer that offers nothing which covers it is told the nearest it has: browsers read the profile from the
/// stream itself and decode more than they offer, and the publisher may change.
pub(crate) fn to_watch<'a>(
    formats: impl Iterator<Item = &'a Format>,
    sent: Option<u32>,
) -> Option<Answer> {
    let profile = sent
        .and_then(Profile::of)
        .unwrap_or(Profile::ConstrainedBaseline);
    let offered = formats.filter_map(Offered::read);
    let best = offered.min_by_key(|o| {
        let covers = o.profile.decodes(profile);
        let rank = if covers {
            o.profile.rank()
        } else {
            o.profile.nearness()
        };
        (!o.fragments, !covers, rank)
    })?;
    let level = sent.filter(|id| is_level(*id)).unwrap_or(best.id);
    Some(best.answer(level & 0xff))
}

/// The levels of RFC 6184, section 8.1; the media engine matches no others.
fn is_level(id: u32) -> bool {
    matches!(
        id & 0xff,
        10..=13 | 20..=22 | 30..=32 | 40..=42 | 50..=52
    )
}

/// The `profile-level-id` of the parameter set in a payload, if it begins with one (RFC 6184, section 5.4).
pub(crate) fn profile_of(payload: &[u8]) -> Option<u32> {
    let unit = match payload.first()? & 0x1f {
        7 => payload,
        24 => payload.get(3..)?,
        _ => return None,
    };
    match unit {
        [header, a, b, c, ..] if header & 0x1f == 7 => Some(u32::from_be_bytes([0, *a, *b, *c])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(parameters: &[&str]) -> Vec<Format> {
        let format = |p: &&str| Format {
            pt: "96".to_owned(),
            name: "H264".to_owned(),
            parameters: (*p).to_owned(),
        };
        parameters.iter().map(format).collect()
    }

    fn publish(parameters: &[&str]) -> Option<(u32, bool, bool)> {
        let answer = to_publish(formats(parameters).iter())?;
        Some((answer.id, answer.fragments, answer.asymmetric))
    }

    const BROWSER: [&str; 6] = [
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
    ];

    #[test]
    fn w17_a_publisher_is_told_constrained_baseline_if_it_has_it() {
        assert_eq!(publish(&BROWSER), Some((0x42_e034, true, true)));
    }

    #[test]
    fn w17_a_publisher_that_has_only_high_may_send_it() {
        let only = ["level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"];
        assert_eq!(publish(&only), Some((0x64_0034, true, true)));
        assert_eq!(
            publish(&["packetization-mode=1;profile-level-id=640c28"]),
            Some((0x64_0c28, true, false)),
            "without asymmetry the level is the offered one"
        );
        assert_eq!(publish(&[""]), Some((0x42_001f, false, false)));
    }

    #[test]
    fn w18_what_no_browser_decodes_is_not_usable() {
        for bad in [
            "packetization-mode=1;profile-level-id=f4001f",
            "packetization-mode=1;profile-level-id=6e001f",
            "packetization-mode=2;profile-level-id=42e01f",
            "packetization-mode=1;profile-level-id=zz",
            "packetization-mode=1;profile-level-id=42e0ff",
        ] {
            assert_eq!(publish(&[bad]), None, "{bad}");
        }
    }

    #[test]
    fn w17_a_viewer_is_told_the_profile_and_level_that_are_sent() {
        let watch = |sent| to_watch(formats(&BROWSER).iter(), sent).expect("H264").id;
        assert_eq!(watch(None), 0x42_e01f);
        assert_eq!(watch(Some(0x42_c02a)), 0x42_e02a);
        assert_eq!(watch(Some(0x4d_4028)), 0x4d_0028);
        assert_eq!(watch(Some(0x64_0c1f)), 0x64_001f, "High covers it");
        assert_eq!(watch(Some(0x64_0033)), 0x64_0033);
        assert_eq!(watch(Some(0xf4_0033)), 0x42_e033, "unknown");
    }

    #[test]
    fn w17_a_viewer_without_that_profile_is_told_the_nearest() {
        let few = formats(&BROWSER[..4]);
        let answer = to_watch(few.iter(), Some(0x64_0028)).expect("H264");
        assert_eq!(answer.id, 0x42_e028);
        let strict = formats(&["packetization-mode=1;profile-level-id=42e01f"]);
        let answer = to_watch(strict.iter(), Some(0x64_0028)).expect("H264");
        assert_eq!((answer.id, answer.asymmetric), (0x42_e01f, false));
    }

    #[test]
    fn a_profile_is_read_from_the_parameter_set() {
        assert_eq!(profile_of(&[0x67, 0x42, 0xc0, 0x1f, 1]), Some(0x42_c01f));
        assert_eq!(
            profile_of(&[24, 0, 4, 0x67, 0x64, 0, 0x28]),
            Some(0x64_0028)
        );
        assert_eq!(profile_of(&[24, 0, 4, 0x68]), None);
        assert_eq!(profile_of(&[0x65, 1, 2]), None);
        assert_eq!(profile_of(&[]), None);
        assert_eq!(profile_of(&[24]), None);
    }
}
