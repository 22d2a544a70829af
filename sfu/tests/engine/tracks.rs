//! `?track=`: the shared picture for most, the untouched camera for those who ask for it.

use std::time::Duration;

use reverie_sfu::engine::packet::Track;
use reverie_sfu::engine::{Bus, Command, Event, Urgency};

use crate::net::{Net, STREAM};
use crate::switching::{Encoder, cut_of};
use crate::{Camera, assert_continuous, tags};

#[test]
fn e6_a_viewer_of_the_source_sees_every_picture_of_the_camera_through_a_moment() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let output = net.viewer();
    let source = net.viewer_of(Track::Source);
    for i in 0..3 {
        camera.shoot(&mut net, i == 0);
    }
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    camera.shoot(&mut net, false);
    assert_eq!(tags(&net, source), [1, 2, 3, 4], "the cut is not for it");
    assert_eq!(tags(&net, output), [1, 2, 3]);
    let mut encoder = Encoder { index: 0 };
    encoder.send(&mut net, at + 2_999, true, 101);
    camera.shoot(&mut net, false);
    // A keyframe of the camera in the middle of the moment restarts nobody.
    camera.shoot(&mut net, true);
    encoder.send(&mut net, at + 5_999, false, 102);
    net.command(Command::Camera(STREAM, Urgency::Smooth));
    camera.shoot(&mut net, true);
    camera.shoot(&mut net, false);
    assert!(net.events.contains(&Event::ShowsCamera));
    assert_eq!(tags(&net, source), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(tags(&net, output), [1, 2, 3, 101, 102, 7, 8]);
    for viewer in [source, output] {
        assert_continuous(&net, viewer);
    }
}

#[test]
fn e6_a_joiner_to_the_source_gets_the_camera_in_the_middle_of_a_moment() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    net.viewer();
    for i in 0..3 {
        camera.shoot(&mut net, i == 0);
    }
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    let during_the_cut = net.viewer_of(Track::Source);
    assert_eq!(tags(&net, during_the_cut), [1, 2, 3]);
    let mut encoder = Encoder { index: 0 };
    camera.shoot(&mut net, false);
    encoder.send(&mut net, at + 2_999, true, 101);
    for _ in 0..40 {
        camera.shoot(&mut net, false);
    }
    let late = net.viewer_of(Track::Source);
    assert!(tags(&net, late).is_empty(), "the group is long");
    net.run(Duration::from_millis(200));
    assert_eq!(
        tags(&net, late).len(),
        44,
        "replayed because no keyframe came, although a moment is shown"
    );
    camera.shoot(&mut net, false);
    for viewer in [during_the_cut, late] {
        assert_continuous(&net, viewer);
        assert_eq!(tags(&net, viewer).last(), Some(&camera.tag));
    }
}

#[test]
fn e6_a_viewer_of_the_source_asks_the_camera_and_not_the_encoder() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let source = net.viewer_of(Track::Source);
    for i in 0..3 {
        camera.shoot(&mut net, i == 0);
    }
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    camera.shoot(&mut net, false);
    Encoder { index: 0 }.send(&mut net, at, true, 101);
    net.run(Duration::from_millis(600));
    let asked = net.clients[0].keyframe_requests;
    net.clients[source].ask_for_keyframe();
    net.run(Duration::from_millis(100));
    assert!(!net.events.contains(&Event::WantStyledKeyframe));
    assert_eq!(net.clients[0].keyframe_requests, asked + 1);
}

#[test]
fn e6_a_viewer_of_the_source_on_another_shard_is_not_cut_either() {
    let (mut net, mut far) = (Net::new(), Net::new());
    let mut camera = Camera::new(&mut net);
    let source = far.viewer_of(Track::Source);
    let pass = |net: &mut Net, far: &mut Net| {
        for message in std::mem::take(&mut net.bus) {
            far.command(Command::Bus(message));
        }
    };
    for i in 0..6 {
        if i == 3 {
            net.command(Command::Cut(STREAM));
            assert!(net.bus.iter().any(|m| matches!(m, Bus::Cut(..))));
        }
        camera.shoot(&mut net, i == 0);
        pass(&mut net, &mut far);
    }
    assert_eq!(tags(&far, source), [1, 2, 3, 4, 5, 6]);
    // The cut is taken back: what output viewers were owed is not sent twice.
    net.command(Command::Camera(STREAM, Urgency::Smooth));
    camera.shoot(&mut net, false);
    pass(&mut net, &mut far);
    assert_eq!(tags(&far, source), [1, 2, 3, 4, 5, 6, 7]);
    assert_continuous(&far, source);
}
