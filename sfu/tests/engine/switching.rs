//! Camera to styled picture and back: one continuous stream for every viewer.

use std::sync::Arc;
use std::time::Duration;

use reverie_sfu::engine::packet::StyledUnit;
use reverie_sfu::engine::{Bus, Command, Event, Urgency};
use reverie_transcoder::time::Pts;

use crate::net::{Net, STREAM, picture};
use crate::{Camera, assert_continuous, tags};

/// The encoder's side: numbers units like a pipeline does.
pub(crate) struct Encoder {
    pub(crate) index: u64,
}

impl Encoder {
    pub(crate) fn send(&mut self, net: &mut Net, pts: u64, keyframe: bool, tag: u8) {
        let payloads = picture(keyframe, tag).into_iter().map(Arc::from).collect();
        let unit = StyledUnit {
            index: self.index,
            pts: Pts(pts),
            keyframe,
            payloads,
        };
        self.index += 1;
        net.command(Command::Styled(STREAM, Arc::new(unit)));
    }
}

pub(crate) fn cut_of(net: &Net) -> u64 {
    let cut = net.events.iter().rev().find_map(|e| {
        if let Event::Cut(at) = e {
            Some(at.0)
        } else {
            None
        }
    });
    cut.expect("the engine said where it cut")
}

/// A camera with some pictures shown, and two viewers.
fn scene() -> (Net, Camera, [usize; 2]) {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewers = [net.viewer(), net.viewer()];
    camera.shoot(&mut net, true);
    camera.shoot(&mut net, false);
    camera.shoot(&mut net, false);
    (net, camera, viewers)
}

/// Cuts the camera and lets it go on for one picture: an encoder that may now continue at the returned time.
fn cut(net: &mut Net, camera: &mut Camera) -> (Encoder, u64) {
    net.command(Command::Cut(STREAM));
    let at = cut_of(net);
    camera.shoot(net, false);
    (Encoder { index: 0 }, at)
}

#[test]
fn a_moment_is_one_continuous_stream_for_all_viewers() {
    let (mut net, mut camera, viewers) = scene();
    net.run(Duration::from_millis(500));
    let asked = net.clients[0].keyframe_requests;
    let mut encoder = Encoder { index: 0 };

    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    encoder.send(&mut net, at - 3_000, true, 90);
    camera.shoot(&mut net, false);
    camera.shoot(&mut net, false);
    assert_eq!(
        tags(&net, viewers[0]),
        [1, 2, 3],
        "nothing of the camera after the cut, no styled unit before it"
    );

    encoder.send(&mut net, at + 2_000, false, 91);
    encoder.send(&mut net, at + 2_999, true, 101);
    assert!(net.events.contains(&Event::ShowsStyled));
    encoder.send(&mut net, at + 5_999, false, 102);
    camera.shoot(&mut net, false);

    net.command(Command::Camera(STREAM, Urgency::Smooth));
    encoder.send(&mut net, at + 8_999, false, 103);
    camera.shoot(&mut net, false);
    assert!(
        net.clients[0].keyframe_requests > asked,
        "the camera is asked for a keyframe"
    );
    camera.shoot(&mut net, true);
    assert!(net.events.contains(&Event::ShowsCamera));
    encoder.send(&mut net, at + 11_999, false, 104);
    camera.shoot(&mut net, false);

    for viewer in viewers {
        assert_continuous(&net, viewer);
        assert_eq!(tags(&net, viewer), [1, 2, 3, 101, 102, 103, 8, 9]);
    }
}

#[test]
fn a_stage_that_fails_before_its_first_picture_costs_not_one_frame() {
    let (mut net, mut camera, [viewer, _]) = scene();
    net.command(Command::Cut(STREAM));
    camera.shoot(&mut net, false);
    camera.shoot(&mut net, false);
    assert_eq!(tags(&net, viewer), [1, 2, 3]);
    net.command(Command::Camera(STREAM, Urgency::Now));
    camera.shoot(&mut net, false);
    assert_continuous(&net, viewer);
    assert_eq!(
        tags(&net, viewer),
        [1, 2, 3, 4, 5, 6],
        "what was held back follows, without a keyframe"
    );
}

#[test]
fn a_cut_within_the_first_keyframe_of_another_time_line_leaves_no_viewer_behind() {
    let (mut net, mut camera, [viewer, _]) = scene();
    camera.timestamp += 20 * 90_000;
    camera.tag = 4;
    let keyframe = picture(true, camera.tag);
    for (i, payload) in keyframe.iter().enumerate() {
        net.write_video(camera.client, camera.seq, camera.timestamp, i == 2, payload);
        camera.seq += 1;
        net.run(Duration::from_millis(5));
        if i == 0 {
            net.command(Command::Cut(STREAM));
        }
    }
    camera.timestamp += 3_000;
    camera.shoot(&mut net, false);
    assert_eq!(tags(&net, viewer), [1, 2, 3]);
    net.command(Command::Camera(STREAM, Urgency::Now));
    camera.shoot(&mut net, false);
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_stage_that_stops_is_left_even_if_the_camera_sends_no_keyframe() {
    let (mut net, mut camera, [viewer, _]) = scene();
    let (mut encoder, at) = cut(&mut net, &mut camera);
    encoder.send(&mut net, at + 2_999, true, 101);
    net.command(Command::Camera(STREAM, Urgency::Now));
    for _ in 0..20 {
        camera.shoot(&mut net, false);
    }
    assert!(net.events.contains(&Event::ShowsCamera));
    assert_continuous(&net, viewer);
    let seen = tags(&net, viewer);
    assert_eq!(*seen.last().expect("pictures"), camera.tag, "{seen:?}");
}

#[test]
fn a_joiner_during_a_moment_sees_the_styled_picture_first() {
    let (mut net, mut camera, _) = scene();
    let mut encoder = Encoder { index: 7 };
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    camera.shoot(&mut net, false);
    encoder.send(&mut net, at + 2_999, true, 101);
    encoder.send(&mut net, at + 5_999, false, 102);
    let late = net.viewer();
    assert_eq!(tags(&net, late), [101, 102]);
    encoder.send(&mut net, at + 8_999, false, 103);
    assert_continuous(&net, late);
    assert_eq!(tags(&net, late), [101, 102, 103]);
}

#[test]
fn a_lost_styled_unit_is_followed_by_nothing_until_its_next_keyframe() {
    let (mut net, mut camera, [viewer, _]) = scene();
    let (mut encoder, at) = cut(&mut net, &mut camera);
    encoder.send(&mut net, at, true, 101);
    encoder.index += 1;
    encoder.send(&mut net, at + 6_000, false, 103);
    encoder.send(&mut net, at + 9_000, true, 104);
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer), [1, 2, 3, 101, 104]);
}

#[test]
fn a_viewer_of_the_styled_picture_asks_the_encoder_and_not_the_camera() {
    let (mut net, mut camera, [viewer, _]) = scene();
    let (mut encoder, at) = cut(&mut net, &mut camera);
    encoder.send(&mut net, at, true, 101);
    let asked = net.clients[0].keyframe_requests;
    net.clients[viewer].ask_for_keyframe();
    net.run(Duration::from_millis(100));
    assert!(net.events.contains(&Event::WantStyledKeyframe));
    assert_eq!(net.clients[0].keyframe_requests, asked);
}

#[test]
fn a_publisher_that_leaves_during_a_moment_frees_its_viewers_for_the_next_one() {
    let (mut net, mut camera, [viewer, _]) = scene();
    let (mut encoder, at) = cut(&mut net, &mut camera);
    encoder.send(&mut net, at, true, 101);
    net.clients[0].cut_off = true;
    net.run(Duration::from_secs(6));
    let mut next = Camera::new(&mut net);
    next.tag = 60;
    next.shoot(&mut net, true);
    next.shoot(&mut net, false);
    assert_eq!(tags(&net, viewer), [1, 2, 3, 101, 61, 62]);
    assert_continuous(&net, viewer);
}

#[test]
fn another_shard_shows_the_same_pictures_and_cuts_at_the_same_place() {
    let (mut net, mut camera, _) = scene();
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    camera.shoot(&mut net, false);

    let mut far = Net::new();
    far.now = net.now;
    let viewer = far.viewer();
    for message in &net.bus {
        far.command(Command::Bus(message.clone()));
    }
    assert!(
        net.bus
            .iter()
            .any(|m| matches!(m, Bus::Cut(_, cut) if *cut == at))
    );
    let mut encoder = Encoder { index: 0 };
    assert_eq!(tags(&far, viewer), [1, 2, 3]);
    encoder.send(&mut far, at, true, 101);
    assert_eq!(tags(&far, viewer), [1, 2, 3, 101]);
    assert_continuous(&far, viewer);
}
