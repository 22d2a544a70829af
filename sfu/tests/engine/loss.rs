//! Bad networks: what is lost, late, doubled or held up, and who pays for it.

use std::time::Duration;

use reverie_sfu::engine::CloseReason;
use reverie_sfu::engine::Event;
use str0m_netem::{Bitrate, DataSize, GilbertElliot, NetemConfig, Probability, RandomLoss};

use super::net::Net;
use super::{Camera, tags};

/// A second of pictures.
const SECOND: usize = 30;

fn losing(share: f32, seed: u64) -> NetemConfig {
    NetemConfig::new()
        .latency(Duration::from_millis(20))
        .loss(RandomLoss::new(Probability::new(share)))
        .seed(seed)
}

/// Shoots with a keyframe whenever the publisher was asked for one since the last picture; the first viewer asks
/// for one twice a second while it cannot decode, as a browser does.
fn shoot_as_asked(camera: &mut Camera, net: &mut Net, pictures: usize) {
    let mut good = decodable(net, 1);
    for i in 1..=pictures {
        if i % (SECOND / 2) == 0 {
            let now = decodable(net, 1);
            if now == good {
                net.clients[1].ask_for_keyframe();
            }
            good = now;
        }
        let asked = net.clients[0].keyframe_requests;
        camera.shoot(net, asked > camera.answered);
        camera.answered = asked;
    }
}

/// Pictures that a viewer can decode: complete, and with no hole since the last keyframe.
fn decodable(net: &Net, viewer: usize) -> usize {
    let (mut whole, mut good, mut next) = (false, 0, None);
    for packet in net.video_of(viewer) {
        let seq = *packet.seq_no;
        whole &= next == Some(seq);
        // A keyframe begins with its parameter sets.
        whole |= packet.payload[0] == 24;
        next = Some(seq + 1);
        good += usize::from(whole && packet.header.marker);
    }
    good
}

#[test]
fn nine_pictures_of_ten_survive_three_percent_of_loss_in_both_directions() {
    for seed in 1..=8 {
        let mut net = Net::new();
        let mut camera = Camera::new(&mut net);
        let viewer = net.viewer();
        for client in 0..2 {
            net.worsen(client, losing(0.03, seed), losing(0.03, seed + 100));
        }
        camera.shoot(&mut net, true);
        shoot_as_asked(&mut camera, &mut net, 60 * SECOND);
        net.run(Duration::from_secs(1));
        let good = decodable(&net, viewer);
        let share = good as f64 / (60 * SECOND + 1) as f64;
        println!("seed {seed}: {:.1} % of the pictures", share * 100.0);
        assert!(share >= 0.9, "seed {seed}: {good} of {}", 60 * SECOND + 1);
    }
}

#[test]
fn bursts_reordering_and_doubles_leave_a_stream_that_a_viewer_can_put_in_order() {
    for seed in 1..=4 {
        let mut net = Net::new();
        let mut camera = Camera::new(&mut net);
        let viewer = net.viewer();
        let rough = NetemConfig::new()
            .latency(Duration::from_millis(40))
            .jitter(Duration::from_millis(30))
            .duplicate(Probability::new(0.05))
            .reorder_gap(7)
            .loss(GilbertElliot::new().good_duration(200.0).bad_duration(4.0))
            .seed(seed);
        net.worsen(0, rough.seed(seed), rough.seed(seed + 10));
        net.worsen(1, rough.seed(seed + 20), rough.seed(seed + 30));
        camera.shoot(&mut net, true);
        shoot_as_asked(&mut camera, &mut net, 30 * SECOND);
        net.run(Duration::from_secs(1));
        let seen = net.video_of(viewer);
        for pair in seen.windows(2) {
            assert!(pair[0].seq_no < pair[1].seq_no, "each number once");
            assert!(pair[0].time <= pair[1].time, "a timestamp went back");
        }
        let good = decodable(&net, viewer);
        assert!(good * 10 >= 30 * SECOND * 8, "seed {seed}: {good} pictures");
    }
}

#[test]
fn a_keyframe_is_asked_for_again_until_one_arrives() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    camera.shoot(&mut net, false);
    net.worsen(0, NetemConfig::new(), losing(1.0, 1));
    for _ in 0..2 * SECOND {
        camera.shoot(&mut net, false);
    }
    let deaf = net.clients[0].keyframe_requests;
    net.worsen(0, NetemConfig::new(), NetemConfig::new());
    net.run(Duration::from_millis(600));
    assert!(net.clients[0].keyframe_requests > deaf, "asked again");

    // The keyframe's middle is lost for good, and so it does not count.
    let asked = net.clients[0].keyframe_requests;
    net.worsen(0, losing(1.0, 2), NetemConfig::new());
    camera.shoot(&mut net, true);
    net.worsen(0, NetemConfig::new(), NetemConfig::new());
    net.run(Duration::from_millis(1_200));
    assert!(net.clients[0].keyframe_requests > asked, "and again");
    camera.shoot(&mut net, true);
    let satisfied = net.clients[0].keyframe_requests;
    for _ in 0..2 * SECOND {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.clients[0].keyframe_requests, satisfied);
    assert!(
        net.events.iter().any(|e| matches!(e, Event::Live(_))),
        "{:?}",
        net.events
    );
}

#[test]
fn a_publisher_is_asked_for_a_keyframe_when_a_packet_never_comes_though_no_viewer_asks() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    net.viewer();
    camera.roll(&mut net, SECOND);
    let asked = net.clients[0].keyframe_requests;
    // Its client has no such packet, and so never resends it.
    camera.seq += 1;
    for _ in 0..SECOND / 3 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.clients[0].keyframe_requests, asked, "it may still come");
    for _ in 0..SECOND / 3 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.clients[0].keyframe_requests, asked + 1);
    camera.shoot(&mut net, true);
    for _ in 0..2 * SECOND {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.clients[0].keyframe_requests, asked + 1, "it is mended");
}

#[test]
fn a_hole_before_a_keyframe_and_one_that_is_filled_ask_for_nothing() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.roll(&mut net, SECOND);
    let asked = net.clients[0].keyframe_requests;
    camera.seq += 1;
    camera.roll(&mut net, SECOND);
    // One picture is lost on its way, and sent again.
    net.worsen(0, losing(1.0, 2), NetemConfig::new());
    camera.shoot(&mut net, false);
    net.worsen(0, NetemConfig::new(), NetemConfig::new());
    for _ in 0..SECOND {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.clients[0].keyframe_requests, asked);
    assert_eq!(tags(&net, viewer).len(), 3 * SECOND + 1);
}

#[test]
fn two_seconds_of_nothing_end_no_session_and_the_picture_comes_back() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    shoot_as_asked(&mut camera, &mut net, 3 * SECOND);
    for dark in [0, viewer] {
        net.clients[dark].cut_off = true;
        shoot_as_asked(&mut camera, &mut net, 2 * SECOND);
        net.clients[dark].cut_off = false;
        let from = net.now;
        let seen = decodable(&net, viewer);
        while decodable(&net, viewer) < seen + 5 {
            assert!(
                net.now < from + Duration::from_secs(3),
                "client {dark}: no picture in 3 s after the black-out"
            );
            net.clients[viewer].ask_for_keyframe();
            shoot_as_asked(&mut camera, &mut net, 1);
        }
        println!(
            "client {dark}: the picture was back after {:?}",
            net.now - from
        );
    }
    assert_eq!(net.engine.len(), 2, "{:?}", net.events);
}

#[test]
fn a_viewer_that_loses_everything_or_is_slow_costs_the_others_nothing() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewers = net.viewers(4);
    let (good, lost, slow) = (viewers[0], viewers[1], viewers[2]);
    net.worsen(lost, NetemConfig::new(), losing(1.0, 1));
    let narrow = NetemConfig::new()
        .link(Bitrate::kbps(8), DataSize::kbytes(1))
        .seed(3);
    net.worsen(slow, NetemConfig::new(), narrow);
    camera.shoot(&mut net, true);
    let mut worst = Duration::ZERO;
    for _ in 0..10 * SECOND {
        camera.tag = camera.tag.wrapping_add(1);
        let before = net.video_of(good).len();
        let sent = net.now;
        camera.send(&mut net, false);
        while net.video_of(good).len() == before {
            net.run(Duration::from_millis(1));
            assert!(
                net.now < sent + Duration::from_millis(33),
                "a picture was late"
            );
        }
        worst = worst.max(net.now - sent);
        net.run(Duration::from_millis(33).saturating_sub(net.now - sent));
    }
    println!("to the good viewer at worst {worst:?}");
    assert_eq!(tags(&net, good).len(), 10 * SECOND + 1);
    assert_eq!(worst, Duration::ZERO, "forwarded in the same turn");
    assert!(
        tags(&net, slow).len() < 10 * SECOND,
        "the link was too narrow to tell"
    );
    assert!(net.video_of(lost).is_empty() || tags(&net, lost).len() < 2);
    let closed = |r: &Event| {
        matches!(
            r,
            Event::Closed(_, CloseReason::Protocol | CloseReason::Panic)
        )
    };
    assert!(!net.events.iter().any(closed), "{:?}", net.events);
}

#[test]
fn a_publisher_that_ignores_requests_gives_joiners_its_group_without_a_storm_of_nacks() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    camera.shoot(&mut net, true);
    for _ in 0..3 * SECOND {
        camera.shoot(&mut net, false);
    }
    let viewer = net.viewer();
    for _ in 0..SECOND {
        camera.shoot(&mut net, false);
    }
    assert_eq!(
        decodable(&net, viewer),
        1 + 4 * SECOND,
        "the group and all after it"
    );
    let nacks: u64 = net
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Stats(_, stats) => stats.nacks_received,
            _ => None,
        })
        .sum();
    assert_eq!(nacks, 0, "nothing was missing");
}
