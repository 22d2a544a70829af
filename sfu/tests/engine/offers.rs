//! Offers of real clients, as recorded in `integration-tests/fixtures/sdp`, and variants of them.

use std::time::Instant;

use reverie_sfu::engine::ids::PeerId;
use reverie_sfu::engine::negotiate::{self, Identity, Rejected, Side};
use reverie_sfu::engine::packet::{Kind, Track};
use reverie_sfu::engine::sdp::{Direction, Section, Summary};

use crate::net::{SERVER, STREAM, terms};

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../integration-tests/fixtures/sdp/",
            $name,
            ".sdp"
        ))
    };
}

const PUBLISHERS: [(&str, &str); 7] = [
    ("Chromium", recorded!("chromium-publish")),
    (
        "Chromium, simulcast",
        recorded!("chromium-publish-simulcast"),
    ),
    ("FFmpeg, baseline", recorded!("ffmpeg-publish-baseline")),
    ("FFmpeg, main", recorded!("ffmpeg-publish-main")),
    ("FFmpeg, high", recorded!("ffmpeg-publish-high")),
    ("aiortc", recorded!("aiortc-publish")),
    ("GStreamer", recorded!("gstreamer-publish")),
];
const VIEWERS: [(&str, &str); 4] = [
    ("Chromium", recorded!("chromium-watch")),
    ("Chromium, .local", recorded!("chromium-watch-mdns")),
    ("Chromium, stereo", recorded!("chromium-watch-stereo")),
    ("aiortc", recorded!("aiortc-watch")),
];

fn accept(side: Side, sent: Option<u32>, offer: &str) -> Result<String, Rejected> {
    let terms = terms(SERVER.parse().expect("address"));
    let identity = Identity {
        peer: PeerId(1),
        stream: STREAM,
        ufrag: "ours".to_owned(),
        pwd: "a-password-of-enough-characters".to_owned(),
        first_seq: 1,
        first_timestamp: 1,
    };
    let (_, answer) =
        negotiate::accept_knowing(&terms, identity, side, sent, offer, Instant::now())?;
    Ok(answer)
}

pub(crate) fn publish(offer: &str) -> Result<String, Rejected> {
    let side = Side::Publish {
        generation: 1,
        epoch: Instant::now(),
    };
    accept(side, None, offer)
}

fn watch(sent: Option<u32>, offer: &str) -> Result<String, Rejected> {
    accept(Side::Watch(Track::Output), sent, offer)
}

fn section(answer: &str, kind: Kind) -> Section {
    let summary = Summary::read(answer);
    let found = summary.of(kind).next().cloned();
    found.unwrap_or_else(|| panic!("no {kind:?} in {answer}"))
}

/// `profile-level-id` and `packetization-mode` of the answered picture.
fn h264(answer: &str) -> (String, String) {
    let section = section(answer, Kind::Video);
    let format = section.codec("H264").next().expect("H264");
    let value = |name| format.parameter(name).unwrap_or_default().to_owned();
    (value("profile-level-id"), value("packetization-mode"))
}

fn refusal(result: Result<String, Rejected>) -> String {
    match result.expect_err("refused") {
        Rejected::Unprocessable(why) => why,
        other => panic!("refused as {other:?}"),
    }
}

#[test]
fn w6_the_offers_of_real_publishers_are_answered_whole() {
    for (client, offer) in PUBLISHERS {
        let answer = publish(offer).unwrap_or_else(|e| panic!("{client}: {e}"));
        let (asked, given) = (Summary::read(offer), Summary::read(&answer));
        assert_eq!(asked.sections.len(), given.sections.len(), "{client}");
        for section in &given.sections {
            assert!(!section.disabled && section.rtcp_mux, "{client}: {answer}");
            assert_eq!(section.direction, Direction::RecvOnly, "{client}");
        }
        assert!(given.is_bundled(), "{client}: {answer}");
        let server = SERVER.replace(':', " ");
        assert!(
            given.candidates.iter().any(|c| c.contains(&server)),
            "{client}: {answer}"
        );
    }
}

#[test]
fn e1_the_offers_of_real_viewers_are_answered_sendonly() {
    for (client, offer) in VIEWERS {
        let answer = watch(None, offer).unwrap_or_else(|e| panic!("{client}: {e}"));
        for kind in [Kind::Audio, Kind::Video] {
            let section = section(&answer, kind);
            assert_eq!(section.direction, Direction::SendOnly, "{client}");
        }
        let both_ways = offer.replace("a=recvonly", "a=sendrecv");
        watch(None, &both_ways).unwrap_or_else(|e| panic!("{client}, sendrecv: {e}"));
        for wrong in ["a=sendonly", "a=inactive"] {
            let why = refusal(watch(None, &offer.replace("a=recvonly", wrong)));
            assert!(why.contains("recvonly or sendrecv"), "{client}: {why}");
        }
    }
}

#[test]
fn w3_a_publisher_may_offer_both_ways_but_not_the_other_way() {
    let offer = recorded!("chromium-publish");
    let answer = publish(&offer.replace("a=sendonly", "a=sendrecv")).expect("sendrecv");
    assert_eq!(section(&answer, Kind::Video).direction, Direction::RecvOnly);
    for wrong in ["a=recvonly", "a=inactive"] {
        let why = refusal(publish(&offer.replace("a=sendonly", wrong)));
        assert!(why.contains("sendonly or sendrecv"), "{why}");
    }
}

#[test]
fn e4_all_a_viewer_gets_is_one_stream() {
    for (client, offer) in VIEWERS {
        let answer = watch(None, offer).expect("accepted");
        let ids: Vec<_> = answer
            .lines()
            .filter_map(|l| l.strip_prefix("a=msid:"))
            .filter_map(|ids| ids.split(' ').next())
            .collect();
        assert_eq!(ids, ["reverie", "reverie"], "{client}: {answer}");
    }
}

#[test]
fn w6_names_nobody_can_resolve_do_not_spoil_an_offer() {
    let offer = recorded!("chromium-watch-mdns");
    assert!(offer.contains(".local "), "recorded with hidden addresses");
    assert!(recorded!("chromium-publish").contains(" tcp "));
    watch(None, offer).expect("accepted");
}

/// Makes two sections of an offer's picture, both in the bundle.
fn twice(offer: &str) -> String {
    let at = offer.find("m=video").expect("a picture");
    let mid = Summary::read(offer)
        .of(Kind::Video)
        .next()
        .and_then(|s| s.mid.clone());
    let mid = mid.expect("a mid");
    let second = offer[at..].replace(&format!("a=mid:{mid}"), "a=mid:second");
    let group = offer
        .lines()
        .find(|l| l.starts_with("a=group:BUNDLE"))
        .expect("a bundle");
    format!("{offer}{second}").replacen(group, &format!("{group} second"), 1)
}

#[test]
fn w13_two_videos_are_refused_with_the_reason() {
    let offers = PUBLISHERS
        .iter()
        .filter(|(_, offer)| offer.rfind("m=video") > offer.rfind("m=audio"));
    for (client, offer) in offers {
        let why = refusal(publish(&twice(offer)));
        assert!(why.contains("2 sections of Video"), "{client}: {why}");
    }
}

#[test]
fn w13_sections_without_a_common_transport_are_refused_with_the_reason() {
    for (client, offer) in PUBLISHERS {
        let unbundled: String = offer
            .split_inclusive('\n')
            .filter(|l| !l.starts_with("a=group:BUNDLE"))
            .collect();
        // The port 0 of a section in a bundle means that it is disabled once there is none.
        let why = refusal(publish(
            &unbundled
                .replace("m=audio 0 ", "m=audio 9 ")
                .replace("m=video 0 ", "m=video 9 "),
        ));
        assert!(why.contains("BUNDLE"), "{client}: {why}");
        let ports = offer.replace("a=rtcp-mux\r\n", "");
        assert!(refusal(publish(&ports)).contains("rtcp-mux"), "{client}");
    }
    let alone = recorded!("ffmpeg-publish-audio").replace("a=group:BUNDLE 0\r\n", "");
    publish(&alone).expect("one section needs no bundle");
}

#[test]
fn w13_a_client_that_insists_on_one_port_for_rtcp_is_answered_with_one() {
    for (client, offer) in PUBLISHERS {
        let offer = offer.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-mux-only\r\n");
        let answer = publish(&offer).unwrap_or_else(|e| panic!("{client}: {e}"));
        assert!(section(&answer, Kind::Video).rtcp_mux, "{client}");
        // Only offers say it so (RFC 8858, section 3).
        assert!(!answer.contains("rtcp-mux-only"), "{client}");
    }
}

#[test]
fn w13_tracks_of_two_streams_are_refused_with_the_reason() {
    let offer = recorded!("aiortc-publish");
    let (before, video) = offer.split_once("m=video").expect("a picture");
    let (_, rest) = video.split_once("a=msid:").expect("a stream");
    let of_another = video.replace(rest.split(' ').next().unwrap_or(""), "another");
    let why = refusal(publish(&format!("{before}m=video{of_another}")));
    assert!(why.contains("2 streams"), "{why}");
    let of_none = video.replace(rest.split(' ').next().unwrap_or(""), "-");
    publish(&format!("{before}m=video{of_none}")).expect("a track of no stream");
}

#[test]
fn w13_nothing_else_than_one_picture_and_one_sound_is_accepted_and_nothing_is_dropped_silently() {
    let offer = recorded!("chromium-publish");
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n";
    assert!(refusal(publish(&format!("{offer}{data}"))).contains("application"));
    let silent = without(offer, "video", "BUNDLE 0");
    let answer = publish(&silent).expect("without its picture");
    assert_eq!(Summary::read(&answer).of(Kind::Video).count(), 0);
    let nothing = without(&silent, "audio", "BUNDLE");
    assert!(refusal(publish(&nothing)).contains("disabled"), "{nothing}");
}

/// Disables one section: port 0, and no place in the bundle.
fn without(offer: &str, kind: &str, bundle: &str) -> String {
    let line = |l: &str| match l.strip_prefix(&format!("m={kind} ")) {
        Some(rest) => format!("m={kind} 0 {}", rest.split_once(' ').expect("a port").1),
        None if l.starts_with("a=group:") => format!("a=group:{bundle}\r\n"),
        None => l.to_owned(),
    };
    offer.split_inclusive('\n').map(line).collect()
}

#[test]
fn w14_every_setup_is_answered_with_its_counterpart() {
    let ffmpeg = recorded!("ffmpeg-publish-baseline");
    assert!(ffmpeg.contains("a=setup:passive") && !ffmpeg.contains("a=candidate"));
    assert!(
        !ffmpeg.contains("a=extmap:"),
        "no extension at all, so no mid in packets either"
    );
    for (offered, answered) in [
        ("passive", "active"),
        ("active", "passive"),
        ("actpass", "passive"),
    ] {
        let offer = ffmpeg.replace("a=setup:passive", &format!("a=setup:{offered}"));
        let answer = publish(&offer).expect("accepted");
        assert_eq!(
            answer.matches(&format!("a=setup:{answered}\r\n")).count(),
            2,
            "{answer}"
        );
    }
}

#[test]
fn w17_simulcast_offers_are_accepted_with_all_their_layers() {
    let answer = publish(recorded!("chromium-publish-simulcast")).expect("accepted");
    assert!(answer.contains("a=simulcast:recv h;m;l"), "{answer}");
    for rid in ["h", "m", "l"] {
        assert!(answer.contains(&format!("a=rid:{rid} recv")), "{answer}");
    }
}

#[test]
fn w17_opus_comes_first_and_stays_stereo() {
    for (client, offer) in PUBLISHERS {
        let answer = publish(offer).expect("accepted");
        let audio = section(&answer, Kind::Audio);
        assert!(audio.formats[0].is("opus"), "{client}: {answer}");
    }
    let watch = watch(None, recorded!("chromium-watch-stereo")).expect("accepted");
    let opus = &section(&watch, Kind::Audio).formats[0];
    for sense in ["stereo", "sprop-stereo"] {
        assert_eq!(opus.parameter(sense), Some("1"), "{watch}");
    }
    let publisher = recorded!("chromium-publish")
        .replace("useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1");
    let answer = publish(&publisher).expect("accepted");
    assert_eq!(
        section(&answer, Kind::Audio).formats[0].parameter("stereo"),
        Some("1")
    );
    let mono = publish(recorded!("chromium-publish")).expect("accepted");
    assert_eq!(
        section(&mono, Kind::Audio).formats[0].parameter("stereo"),
        None
    );
}

#[test]
fn w17_a_publisher_is_answered_with_a_profile_it_offers() {
    let profiles: Vec<_> = PUBLISHERS
        .iter()
        .map(|(_, offer)| h264(&publish(offer).expect("accepted")))
        .collect();
    let profiles: Vec<_> = profiles
        .iter()
        .map(|(p, m)| (p.as_str(), m.as_str()))
        .collect();
    assert_eq!(
        profiles,
        [
            ("42e034", "1"),
            ("42e034", "1"),
            ("420034", "1"),
            ("4d0034", "1"),
            ("640034", "1"),
            ("42e034", "1"),
            ("42c034", "1"),
        ],
        "a level that is the receiver's own, where the offer allows asymmetry"
    );
}

#[test]
fn w17_a_viewer_is_answered_with_what_is_sent() {
    let profile = |sent, offer| h264(&watch(sent, offer).expect("accepted")).0;
    let browser = recorded!("chromium-watch");
    assert_eq!(profile(None, browser), "42e01f");
    assert_eq!(profile(Some(0x42_c01f), browser), "42e01f");
    assert_eq!(profile(Some(0x42_c02a), browser), "42e02a", "1080p60");
    assert_eq!(profile(Some(0x4d_401f), browser), "4d001f");
    assert_eq!(
        profile(Some(0x64_0028), browser),
        "4d0028",
        "it offers no High, and decodes it"
    );
    let few = recorded!("aiortc-watch");
    assert_eq!(
        profile(Some(0x64_0028), few),
        "42e028",
        "the nearest it has"
    );
}

#[test]
fn w18_without_a_usable_codec_the_offered_ones_are_named() {
    for (result, names) in [
        (publish(recorded!("chromium-publish-vp8")), "VP8"),
        (
            publish(&recorded!("ffmpeg-publish-high").replace("64001f", "f4001f")),
            "H264 f4001f",
        ),
        (
            publish(
                &recorded!("ffmpeg-publish-audio")
                    .replace("opus", "speex")
                    .replace("OPUS", "speex"),
            ),
            "speex",
        ),
    ] {
        let Err(Rejected::Codec { offered, .. }) = result else {
            panic!("{result:?}");
        };
        assert!(offered.contains(names), "{offered}");
    }
}
