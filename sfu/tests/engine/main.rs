//! The media core from outside, in virtual time: real SDP, ICE, DTLS and SRTP, no socket and no sleep.

mod corpus;
mod fuzzing;
mod hardening;
mod layers;
mod lips;
mod loss;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod net;
mod offers;
mod publishers;
mod restarting;
mod roaming;
mod switching;
mod tracks;
mod trickling;

use std::time::Duration;

use net::{Net, picture};
use reverie_sfu::engine::{CloseReason, Command, Event};

/// A publisher with its own counters.
pub(crate) struct Camera {
    client: usize,
    seq: u64,
    timestamp: u32,
    /// Counts pictures; the tag of each.
    pub(crate) tag: u8,
    /// Keyframe requests that were answered.
    pub(crate) answered: usize,
}

impl Camera {
    pub(crate) fn new(net: &mut Net) -> Self {
        Self {
            client: net.publisher(),
            seq: 40_000,
            timestamp: 5_000,
            tag: 0,
            answered: 0,
        }
    }

    /// Sends one picture and lets a frame interval pass.
    pub(crate) fn shoot(&mut self, net: &mut Net, keyframe: bool) {
        self.tag = self.tag.wrapping_add(1);
        self.send(net, keyframe);
        net.run(Duration::from_millis(33));
    }

    /// Sends one packet with the marker.
    pub(crate) fn send_payload(&mut self, net: &mut Net, payload: &[u8]) {
        net.write_video(self.client, self.seq, self.timestamp, true, payload);
        self.seq += 1;
        self.timestamp += 3_000;
    }

    /// Sends one picture.
    pub(crate) fn send(&mut self, net: &mut Net, keyframe: bool) {
        let payloads = picture(keyframe, self.tag);
        let last = payloads.len() - 1;
        for (i, payload) in payloads.iter().enumerate() {
            net.write_video(self.client, self.seq, self.timestamp, i == last, payload);
            self.seq += 1;
        }
        self.timestamp += 3_000;
    }

    /// A keyframe and the pictures after it, `count` in all, each with its time.
    pub(crate) fn roll(&mut self, net: &mut Net, count: usize) {
        for i in 0..count {
            self.shoot(net, i == 0);
        }
    }
}

/// Sequence numbers without a hole and timestamps that never go back.
pub(crate) fn assert_continuous(net: &Net, viewer: usize) {
    let video = net.video_of(viewer);
    assert!(!video.is_empty(), "viewer {viewer} got no picture");
    for pair in video.windows(2) {
        assert_eq!(
            *pair[0].seq_no + 1,
            *pair[1].seq_no,
            "a hole in the sequence numbers"
        );
        assert!(pair[1].time >= pair[0].time, "a timestamp went back");
    }
}

/// Tags of the pictures a viewer got, in order; each once.
pub(crate) fn tags(net: &Net, viewer: usize) -> Vec<u8> {
    let video = net.video_of(viewer);
    video
        .iter()
        .filter(|p| p.header.marker)
        .map(|p| p.payload[2])
        .collect()
}

#[test]
fn a_viewer_gets_every_picture_from_a_keyframe_on() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, false);
    camera.shoot(&mut net, true);
    for _ in 0..5 {
        camera.shoot(&mut net, false);
    }
    assert_continuous(&net, viewer);
    assert_eq!(
        tags(&net, viewer),
        [2, 3, 4, 5, 6, 7],
        "nothing before the first keyframe"
    );
}

#[test]
fn a_joiner_gets_the_cached_group_at_once_and_nobody_else_pays() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    camera.shoot(&mut net, true);
    for _ in 0..4 {
        camera.shoot(&mut net, false);
    }
    let asked = net.clients[0].keyframe_requests;
    let viewer = net.viewer();
    assert_eq!(
        tags(&net, viewer),
        [1, 2, 3, 4, 5],
        "before the camera sent anything new"
    );
    let times: Vec<_> = net
        .video_of(viewer)
        .iter()
        .filter(|p| p.header.marker)
        .map(|p| p.header.timestamp)
        .collect();
    assert_eq!(
        times[4] - times[0],
        4 * 90,
        "the past is a burst of 1 ms steps"
    );
    camera.shoot(&mut net, false);
    assert_continuous(&net, viewer);
    assert_eq!(
        net.clients[0].keyframe_requests, asked,
        "the publisher was not asked for anything"
    );
    let id = net.clients[viewer].id;
    let connected = net.events.iter().find_map(|e| {
        if let Event::Connected(p, took) = e
            && *p == id
        {
            Some(*took)
        } else {
            None
        }
    });
    let pictured = net.events.iter().find_map(|e| {
        if let Event::FirstPicture(_, took) = e {
            Some(*took)
        } else {
            None
        }
    });
    assert_eq!(
        connected.expect("connected"),
        pictured.expect("pictured"),
        "the picture leaves in the moment of connecting"
    );
}

#[test]
fn a_joiner_to_a_long_group_asks_once_and_is_given_the_group_if_no_keyframe_comes() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    camera.shoot(&mut net, true);
    for _ in 0..60 {
        camera.shoot(&mut net, false);
    }
    let before = net.clients[0].keyframe_requests;
    let viewer = net.viewer();
    assert!(net.video_of(viewer).is_empty());
    net.run(Duration::from_millis(200));
    assert_eq!(net.clients[0].keyframe_requests, before + 1);
    assert_eq!(
        tags(&net, viewer).len(),
        61,
        "a publisher that ignores the request does not keep viewers waiting"
    );
    camera.shoot(&mut net, false);
    assert_continuous(&net, viewer);
}

#[test]
fn sound_flows_beside_the_picture_with_its_own_numbers() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    for i in 0..10_u32 {
        net.write_audio(
            camera.client,
            900 + u64::from(i),
            7_000 + i * 960,
            &[0x78, 1, 2, 3],
        );
        net.run(Duration::from_millis(20));
    }
    let audio = net.audio_of(viewer);
    assert_eq!(audio.len(), 10);
    for pair in audio.windows(2) {
        assert_eq!(*pair[1].seq_no - *pair[0].seq_no, 1);
        assert_eq!(pair[1].header.timestamp - pair[0].header.timestamp, 960);
    }
}

#[test]
fn viewers_that_stayed_get_the_next_publisher_without_a_jump() {
    let mut net = Net::new();
    let mut first = Camera::new(&mut net);
    let viewer = net.viewer();
    first.shoot(&mut net, true);
    first.shoot(&mut net, false);
    net.clients[first.client].cut_off = true;
    net.run(Duration::from_secs(6));
    assert!(
        net.events
            .iter()
            .any(|e| matches!(e, Event::Closed(_, CloseReason::Silent))),
        "{:?}",
        net.events
    );

    let mut second = Camera::new(&mut net);
    second.tag = 100;
    second.shoot(&mut net, true);
    second.shoot(&mut net, false);
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer), [1, 2, 101, 102]);
    let video = net.video_of(viewer);
    let (a, b) = (
        video[video.len() - 5].header.timestamp,
        video[video.len() - 4].header.timestamp,
    );
    let gap = f64::from(b - a) / 90_000.0;
    assert!(
        (5.9..8.0).contains(&gap),
        "the time line went on while nobody published: {gap} s"
    );
}

#[test]
fn a_second_publisher_takes_over_at_once() {
    let mut net = Net::new();
    let mut first = Camera::new(&mut net);
    let viewer = net.viewer();
    first.shoot(&mut net, true);
    let mut second = Camera::new(&mut net);
    assert!(
        net.events
            .iter()
            .any(|e| matches!(e, Event::Closed(_, CloseReason::Replaced)))
    );
    second.tag = 50;
    second.shoot(&mut net, true);
    assert_eq!(tags(&net, viewer), [1, 51]);
    assert_continuous(&net, viewer);
}

#[test]
fn a_deleted_session_tells_the_other_side_and_is_forgotten() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    let id = net.clients[viewer].id;
    net.command(Command::Close(id, CloseReason::Deleted));
    assert!(
        net.events
            .contains(&Event::Closed(id, CloseReason::Deleted))
    );
    assert_eq!(net.engine.len(), 1);
    net.run(Duration::from_millis(50));
    assert!(
        net.clients[viewer].closed || !net.clients[viewer].rtc.is_alive(),
        "the client heard of it"
    );
}

#[test]
fn a_viewer_that_hears_nothing_costs_nobody_else_a_packet() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let (good, bad) = (net.viewer(), net.viewer());
    camera.shoot(&mut net, true);
    net.clients[bad].cut_off = true;
    for _ in 0..30 {
        camera.shoot(&mut net, false);
    }
    assert_continuous(&net, good);
    assert_eq!(tags(&net, good).len(), 31);
}

#[test]
fn what_is_not_h264_is_refused_and_counted() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    net.write_video(
        camera.client,
        camera.seq,
        camera.timestamp,
        true,
        &[0xff, 1, 2, 3],
    );
    assert_eq!(net.engine.counts.refused, 1);
    assert_eq!(tags(&net, viewer), [1]);
}

#[test]
fn a_lost_packet_is_repaired_by_retransmission() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    camera.shoot(&mut net, false);
    net.clients[viewer].cut_off = true;
    camera.tag += 1;
    camera.send(&mut net, false);
    net.clients[viewer].cut_off = false;
    for _ in 0..10 {
        camera.shoot(&mut net, false);
    }
    net.run(Duration::from_millis(500));
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer).len(), 13);
}
