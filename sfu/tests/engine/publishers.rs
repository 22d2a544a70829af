//! Publishers as they come: B-frames, parameter sets sent once, turned cameras, sound or picture alone.

use std::sync::Arc;
use std::time::Duration;

use reverie_sfu::engine::packet::StyledUnit;
use reverie_sfu::engine::{Command, Event};
use reverie_transcoder::time::Pts;
use str0m::media::MediaKind;
use str0m::rtp::{ExtensionValues, RtpWrite, VideoOrientation};

use crate::net::{Net, STREAM, picture};
use crate::{Camera, assert_continuous, tags};

const SETS: [u8; 12] = [24, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c];

/// A sender of packets with any timestamp.
struct Sender {
    client: usize,
    seq: u64,
}

impl Sender {
    fn new(net: &mut Net) -> Self {
        Self {
            client: net.publisher(),
            seq: 300,
        }
    }

    /// Sends a picture of one packet or more and lets a frame interval pass.
    fn send(&mut self, net: &mut Net, frame: u32, payloads: &[&[u8]]) {
        for (i, payload) in payloads.iter().enumerate() {
            let last = i + 1 == payloads.len();
            net.write_video(self.client, self.seq, frame * 3_000, last, payload);
            self.seq += 1;
        }
        net.run(Duration::from_millis(33));
    }
}

fn slice(header: u8, tag: u8) -> [u8; 4] {
    [header, 0x9a, tag, 7]
}

#[test]
fn b_frames_are_told_once_and_reach_joiners_whole_and_as_they_came() {
    let mut net = Net::new();
    let mut sender = Sender::new(&mut net);
    let early = net.viewer();
    let mut late = None;
    sender.send(&mut net, 0, &[&SETS, &slice(0x65, 0)]);
    // Decoding order of I B B P B B P: the picture shown third comes second.
    let order = [3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11];
    for (i, frame) in order.into_iter().enumerate() {
        let tag = u8::try_from(frame).expect("small");
        sender.send(&mut net, frame, &[&slice(0x41, tag)]);
        // The joiner's replay ends with a picture that is shown after the next two.
        if i == 3 {
            late = Some(net.viewer());
        }
    }
    let told = net.events.iter().filter(|e| matches!(e, Event::BFrames(_)));
    assert_eq!(told.count(), 1);
    for viewer in [early, late.expect("joined")] {
        let video = net.video_of(viewer);
        for pair in video.windows(2) {
            assert_eq!(*pair[0].seq_no + 1, *pair[1].seq_no, "a hole");
        }
        assert_eq!(
            tags(&net, viewer),
            [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
        );
        let base = video[video.len() - 1].header.timestamp;
        let last: Vec<_> = video[video.len() - 6..]
            .iter()
            .map(|p| (p.header.timestamp.wrapping_sub(base)).cast_signed() / 3_000)
            .collect();
        assert_eq!(last, [-2, -4, -3, 1, -1, 0], "their own timestamps");
    }
}

#[test]
fn a_camera_without_b_frames_is_not_suspected() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    for i in 0..60 {
        camera.shoot(&mut net, i % 20 == 0);
    }
    assert!(!net.events.iter().any(|e| matches!(e, Event::BFrames(_))));
}

#[test]
fn parameter_sets_sent_once_come_before_every_keyframe() {
    let mut net = Net::new();
    let mut sender = Sender::new(&mut net);
    let early = net.viewer();
    sender.send(&mut net, 0, &[&SETS, &slice(0x65, 0)]);
    for frame in 1..40_u8 {
        let header = if frame % 20 == 0 { 0x65 } else { 0x41 };
        sender.send(&mut net, u32::from(frame), &[&slice(header, frame)]);
    }
    let late = net.viewer();
    assert_eq!(tags(&net, late)[0], 20, "starts at the newest keyframe");
    let first = net.video_of(late)[0].payload.to_vec();
    assert_eq!(first[1..], SETS[1..], "with the sets sent long before");
    sender.send(&mut net, 40, &[&slice(0x41, 40)]);
    for viewer in [early, late] {
        assert_continuous(&net, viewer);
        assert_eq!(*tags(&net, viewer).last().expect("pictures"), 40);
    }
    let sets = net
        .video_of(early)
        .iter()
        .filter(|p| p.payload[1..] == SETS[1..])
        .count();
    assert_eq!(sets, 2, "at 0 by the publisher, at 20 by the server");
}

#[test]
fn a_lost_packet_is_repaired_behind_inserted_sets() {
    let mut net = Net::new();
    let mut sender = Sender::new(&mut net);
    let viewer = net.viewer();
    sender.send(&mut net, 0, &[&SETS, &slice(0x65, 0)]);
    for frame in 1..60_u8 {
        net.clients[sender.client].cut_off = frame % 7 == 3;
        let header = if frame % 5 == 0 { 0x65 } else { 0x41 };
        sender.send(&mut net, u32::from(frame), &[&slice(header, frame)]);
    }
    net.run(Duration::from_millis(500));
    let video = net.video_of(viewer);
    for pair in video.windows(2) {
        assert!(
            *pair[1].seq_no > *pair[0].seq_no,
            "no number is given twice"
        );
    }
    let mut seen = tags(&net, viewer);
    seen.retain(|tag| *tag != 0x1f);
    let ordered = seen.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(ordered && seen.len() > 50, "{seen:?}");
}

#[test]
fn a_turned_camera_stays_turned_in_a_moment() {
    let mut net = Net::new();
    let client = net.publisher();
    let viewer = net.viewer();
    let turned = ExtensionValues {
        video_orientation: Some(VideoOrientation::Deg90),
        ..ExtensionValues::default()
    };
    let began = net.now;
    let payloads = picture(true, 1);
    for (i, payload) in (0..).zip(&payloads) {
        net.write_packet(client, MediaKind::Video, |pt| {
            let last = i as usize + 1 == payloads.len();
            let packet = RtpWrite::new(pt, (500 + i).into(), 9_000, began, payload.clone());
            let packet = packet.marker(last);
            if last {
                packet.ext_vals(turned.clone())
            } else {
                packet
            }
        });
    }
    net.command(Command::Cut(STREAM));
    let at = net.events.iter().find_map(|e| {
        if let Event::Cut(at) = e {
            Some(at.0)
        } else {
            None
        }
    });
    let unit = StyledUnit {
        index: 0,
        pts: Pts(at.expect("a cut")),
        keyframe: true,
        payloads: picture(true, 2).into_iter().map(Arc::from).collect(),
    };
    net.command(Command::Styled(STREAM, Arc::new(unit)));
    let video = net.video_of(viewer);
    let rotations: Vec<_> = video
        .iter()
        .filter(|p| p.header.marker)
        .map(|p| p.header.ext_vals.video_orientation)
        .collect();
    assert_eq!(
        rotations,
        [Some(VideoOrientation::Deg90); 2],
        "camera and styled picture"
    );
}

#[test]
fn stereo_fec_and_silence_pass_as_they_came() {
    let mut net = Net::new();
    let publisher = net.publisher();
    let viewer = net.viewer();
    // A stereo packet (RFC 6716: bit 2 of the first byte), then 400 ms of silence (DTX), then one with more in it.
    let packets: [(u64, u32, Vec<u8>); 3] = [
        (70, 0, vec![0xfc, 1, 2, 3]),
        (71, 19_200, vec![0xfc]),
        (72, 20_160, vec![0x7f, 2, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
    ];
    for (seq, timestamp, payload) in &packets {
        net.write_audio(publisher, *seq, *timestamp, payload);
        net.run(Duration::from_millis(20));
    }
    let audio = net.audio_of(viewer);
    let got: Vec<_> = audio.iter().map(|p| p.payload.to_vec()).collect();
    assert_eq!(got, packets.map(|p| p.2), "untouched, without a picture");
    let step = audio[1]
        .header
        .timestamp
        .wrapping_sub(audio[0].header.timestamp);
    assert_eq!(step, 19_200, "the silence keeps its length");
}

#[test]
fn fifty_and_sixty_pictures_a_second_all_arrive() {
    for fps in [50_u32, 60] {
        let mut net = Net::new();
        let client = net.publisher();
        let viewer = net.viewer();
        let mut seq = 10;
        for i in 0..240_u32 {
            let tag = u8::try_from(i).expect("small");
            let payloads = picture(i % 120 == 0, tag);
            for (n, payload) in payloads.iter().enumerate() {
                let last = n + 1 == payloads.len();
                net.write_video(client, seq, i * 90_000 / fps, last, payload);
                seq += 1;
            }
            net.run(Duration::from_secs(1) / fps);
        }
        assert_continuous(&net, viewer);
        assert_eq!(tags(&net, viewer).len(), 240);
    }
}
