//! What clients in wide use write differently than they should, met here and nowhere else.

use std::borrow::Cow;

/// The offer as the media engine can read all of it.
#[must_use]
pub(super) fn normal(offer: &str) -> String {
    stereo(&bundled(offer)).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
