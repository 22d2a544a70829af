//! What clients in wide use write differently than they should, met here and nowhere else.

use std::borrow::Cow;

const KEY: &str = "profile-level-id=";
/// `profile_idc` of Baseline, as it is written (RFC 6184 section 8.1).
const BASELINE: &str = "42";
/// Constraint flags of Constrained Baseline.
const CONSTRAINED: &str = "e0";

/// The offer as the media engine can read all of it.
#[must_use]
pub(super) fn normal(offer: &str) -> Cow<'_, str> {
    match bundled(offer) {
        Cow::Borrowed(offer) => constrained(offer),
        Cow::Owned(offer) => Cow::Owned(constrained(&offer).into_owned()),
    }
}

/// The offer with port 9 in sections that are `bundle-only`: their port 0 does not disable them, it says
/// that they share another section's transport (RFC 8843 section 6). As GStreamer offers with `max-bundle`.
fn bundled(offer: &str) -> Cow<'_, str> {
    const ATTRIBUTE: &str = "a=bundle-only";
    if !offer.lines().any(|line| line.trim_end() == ATTRIBUTE) {
        return Cow::Borrowed(offer);
    }
    let mut out: Vec<String> = Vec::new();
    let mut section = None;
    for line in offer.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            section = Some(out.len());
        }
        if line == ATTRIBUTE {
            if let Some(media) = section.and_then(|at| out.get_mut(at)) {
                *media = media.replacen(" 0 ", " 9 ", 1);
            }
        } else {
            out.push(line.to_owned());
        }
    }
    Cow::Owned(out.into_iter().map(|line| line + "\r\n").collect())
}

/// True for a client whose answers to connectivity checks lack XOR-MAPPED-ADDRESS, which RFC 8489 section
/// 14.2 asks for: FFmpeg's whip muxer. A full agent's checks never succeed there, so it gets an ICE-lite
/// server, which sends none (RFC 8445 section 2.5). The muxer sends checks of its own throughout.
#[must_use]
pub(super) fn needs_ice_lite(offer: &str) -> bool {
    offer.lines().any(|line| line.starts_with("o=FFmpeg "))
}

/// The offer with its Baseline payloads named Constrained Baseline; as it is if it offers that already.
///
/// FFmpeg's whip muxer names `42001e` for every Baseline stream, because it drops the constraint flags of
/// the sequence parameter set. What those flags would exclude (flexible macroblock order, redundant
/// slices) no encoder in use produces, so such a stream plays wherever Constrained Baseline does.
fn constrained(offer: &str) -> Cow<'_, str> {
    let profiles = || offer.lines().filter_map(profile);
    let rewrites = profiles().any(is_plain) && !profiles().any(is_constrained);
    if !rewrites {
        return Cow::Borrowed(offer);
    }
    let lines = offer.lines().map(|line| match profile(line) {
        Some(id) if is_plain(id) => {
            let level = &id[4..];
            line.replacen(id, &format!("{BASELINE}{CONSTRAINED}{level}"), 1)
        }
        _ => line.to_owned(),
    });
    Cow::Owned(
        lines
            .map(|line| line.trim_end().to_owned() + "\r\n")
            .collect(),
    )
}

/// The `profile-level-id` of an `a=fmtp` line for packetization mode 1, if it has six digits.
fn profile(line: &str) -> Option<&str> {
    let parameters = line.strip_prefix("a=fmtp:")?;
    if !parameters.contains("packetization-mode=1") {
        return None;
    }
    let (_, value) = parameters.split_once(KEY)?;
    let id = value.get(..6)?;
    id.bytes().all(|b| b.is_ascii_hexdigit()).then_some(id)
}

fn is_plain(id: &str) -> bool {
    id.starts_with(BASELINE) && !is_constrained(id)
}

/// Constraint flag 1 makes Baseline constrained (RFC 6184, table 5).
fn is_constrained(id: &str) -> bool {
    let flags = u8::from_str_radix(&id[2..4], 16).unwrap_or_default();
    id.starts_with(BASELINE) && flags & 0x40 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 106\r\na=rtpmap:106 H264/90000\r\n";

    fn fmtp(id: &str) -> String {
        format!("a=fmtp:106 packetization-mode=1;profile-level-id={id};x=1\r\n")
    }

    #[test]
    fn only_ffmpeg_is_met_without_checks() {
        assert!(needs_ice_lite(
            "v=0\r\no=FFmpeg 4489045 2 IN IP4 127.0.0.1\r\n"
        ));
        assert!(!needs_ice_lite(
            "v=0\r\no=- 4489045 2 IN IP4 127.0.0.1\r\ns=o=FFmpeg \r\n"
        ));
    }

    #[test]
    fn a_bundle_only_section_is_not_a_disabled_one() {
        let offer = "v=0\r\nm=audio 9 A 1\r\na=mid:0\r\nm=video 0 A 2\r\na=bundle-only\r\na=mid:1\r\nm=video 0 A 3\r\na=mid:2\r\n";
        let wanted = "v=0\r\nm=audio 9 A 1\r\na=mid:0\r\nm=video 9 A 2\r\na=mid:1\r\nm=video 0 A 3\r\na=mid:2\r\n";
        assert_eq!(normal(offer), wanted);
    }

    #[test]
    fn plain_baseline_becomes_constrained_at_its_own_level() {
        let offer = format!("{HEAD}{}", fmtp("42001e"));
        assert_eq!(constrained(&offer), format!("{HEAD}{}", fmtp("42e01e")));
    }

    #[test]
    fn an_offer_with_constrained_baseline_is_left_alone() {
        // As Chromium offers them, and GStreamer.
        for constrained_id in ["42e01f", "42c015"] {
            let offer = format!("{HEAD}{}{}", fmtp("42001f"), fmtp(constrained_id));
            assert!(matches!(constrained(&offer), Cow::Borrowed(_)), "{offer}");
        }
    }

    #[test]
    fn other_profiles_and_broken_ids_are_left_alone() {
        for id in ["640028", "4d001f", "42", "zz001e", "42\u{e9}1e"] {
            let offer = format!("{HEAD}{}", fmtp(id));
            assert_eq!(constrained(&offer), offer);
        }
    }
}
