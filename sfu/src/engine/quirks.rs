//! What clients in wide use write differently than they should, met here and nowhere else.

use std::borrow::Cow;

const KEY: &str = "profile-level-id=";
/// `profile_idc` of Baseline, as it is written (RFC 6184 section 8.1).
const BASELINE: &str = "42";
/// What a stream is taken for whose offer names no profile: level 3.1, as everything here.
const INFERRED: &str = "42e01f";
/// Constraint flags of Constrained Baseline.
const CONSTRAINED: &str = "e0";

/// The offer as the media engine can read all of it.
#[must_use]
pub(super) fn normal(offer: &str) -> String {
    constrained(&stereo(&bundled(offer))).into_owned()
}

/// The offer with Opus at two channels, as RFC 7587 section 7 has it always written: GStreamer's whepsrc
/// writes `OPUS/48000`.
fn stereo(offer: &str) -> Cow<'_, str> {
    let mono = |line: &str| {
        line.starts_with("a=rtpmap:") && line.to_ascii_lowercase().ends_with(" opus/48000")
    };
    if !offer.lines().any(mono) {
        return Cow::Borrowed(offer);
    }
    let lines = offer
        .lines()
        .map(|line| line.to_owned() + if mono(line) { "/2\r\n" } else { "\r\n" });
    Cow::Owned(lines.collect())
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
/// the sequence parameter set; GStreamer names nothing, which means Baseline (RFC 6184 section 8.1). What
/// the flags would exclude (flexible macroblock order, redundant slices) no encoder in use produces, so
/// such a stream plays wherever Constrained Baseline does.
fn constrained(offer: &str) -> Cow<'_, str> {
    let profiles = || offer.lines().filter_map(profile);
    let rewrites = profiles().any(is_plain) && !profiles().any(is_constrained);
    if !rewrites {
        return Cow::Borrowed(offer);
    }
    let lines = offer.lines().map(|line| match profile(line) {
        Some("") => format!("{};{KEY}{INFERRED}", line.trim_end()),
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

/// The `profile-level-id` of an `a=fmtp` line for packetization mode 1: six digits, or empty where none is
/// given and the parameter sets, if given, are of Baseline.
fn profile(line: &str) -> Option<&str> {
    let parameters = line.strip_prefix("a=fmtp:")?;
    if !parameters.contains("packetization-mode=1") {
        return None;
    }
    let Some((_, value)) = parameters.split_once(KEY) else {
        let sets = parameters.split_once("sprop-parameter-sets=");
        return sets
            .is_none_or(|(_, sets)| is_baseline_set(sets))
            .then_some("");
    };
    let id = value.get(..6)?;
    id.bytes().all(|b| b.is_ascii_hexdigit()).then_some(id)
}

/// True if base64 begins with a NAL header and the profile 66: its bits end in the third character.
fn is_baseline_set(base64: &str) -> bool {
    matches!(base64.as_bytes(), [_, b'0', b'I'..=b'L', ..])
}

fn is_plain(id: &str) -> bool {
    id.is_empty() || id.starts_with(BASELINE) && !is_constrained(id)
}

/// Constraint flag 1 makes Baseline constrained (RFC 6184, table 5).
fn is_constrained(id: &str) -> bool {
    let flags = id
        .get(2..4)
        .map_or(Ok(0), |flags| u8::from_str_radix(flags, 16));
    let flags = flags.unwrap_or_default();
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
    fn opus_has_two_channels_whatever_is_written() {
        let offer = "v=0\r\nm=audio 9 A 96\r\na=rtpmap:96 OPUS/48000\r\n";
        assert!(normal(offer).contains("a=rtpmap:96 OPUS/48000/2\r\n"));
        let offer = offer.replace("48000", "48000/2");
        assert_eq!(normal(&offer), offer);
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
    fn no_profile_means_baseline_unless_the_parameter_sets_say_otherwise() {
        let offer = |sets: &str| format!("{HEAD}a=fmtp:96 packetization-mode=1{sets}\r\n");
        // The sets of x264 by GStreamer: 67 42 c0 1e, and 67 64 00 1e.
        for baseline in ["", ";sprop-parameter-sets=Z0LAHtoCgL/lwA==,aM48gA=="] {
            let offer = offer(baseline);
            assert!(constrained(&offer).contains("42e01f"), "{offer}");
        }
        let high = offer(";sprop-parameter-sets=Z2QAHqzZQKA=,aOvjyyLA");
        assert_eq!(constrained(&high), high);
    }

    #[test]
    fn other_profiles_and_broken_ids_are_left_alone() {
        for id in ["640028", "4d001f", "42", "zz001e", "42\u{e9}1e"] {
            let offer = format!("{HEAD}{}", fmtp(id));
            assert_eq!(constrained(&offer), offer);
        }
    }
}
