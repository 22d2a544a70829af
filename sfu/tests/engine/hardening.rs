//! Defects that once were: each test failed before its fix.

use std::sync::Arc;
use std::time::Duration;

use reverie_sfu::engine::negotiate::Rejected;
use reverie_sfu::engine::packet::StyledUnit;
use reverie_sfu::engine::{Bus, CloseReason, Command, Event, Urgency};

use crate::net::{Net, STREAM};
use crate::{Camera, assert_continuous, tags};

/// Takes everything that one shard told the others to another one.
fn pass(from: &mut Net, to: &mut Net) {
    for message in std::mem::take(&mut from.bus) {
        to.command(Command::Bus(message));
    }
    to.run(Duration::from_millis(5));
}

#[test]
fn timers_do_not_pile_up_while_sessions_live() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    for _ in 0..3 {
        net.viewer();
    }
    for i in 0..1_800_u32 {
        camera.shoot(&mut net, i % 30 == 0);
    }
    let timers = net.engine.timers();
    assert!(
        timers < 64,
        "{timers} timers for {} sessions after a minute",
        net.engine.len()
    );
}

#[test]
fn a_takeover_reaches_viewers_of_other_shards() {
    let (mut home, mut far) = (Net::new(), Net::new());
    let mut first = Camera::new(&mut home);
    let viewer = far.viewer();
    for i in 0..10 {
        first.shoot(&mut home, i == 0);
        pass(&mut home, &mut far);
    }
    let mut second = Camera::new(&mut home);
    second.tag = 100;
    for i in 0..5 {
        second.shoot(&mut home, i == 0);
        pass(&mut home, &mut far);
    }
    assert_continuous(&far, viewer);
    assert_eq!(tags(&far, viewer)[10..], [101, 102, 103, 104, 105]);
}

#[test]
fn a_packet_too_large_for_viewers_is_refused_and_ends_nobody() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    let mut large = vec![0x41; 1_900];
    large[1] = 0x9a;
    camera.send_payload(&mut net, &large);
    for _ in 0..5 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(net.engine.counts.refused, 1);
    assert!(
        !net.events.iter().any(|e| matches!(e, Event::Closed(..))),
        "{:?}",
        net.events
    );
    assert_eq!(*tags(&net, viewer).last().expect("pictures"), camera.tag);
}

#[test]
fn a_joiner_during_a_cut_that_is_taken_back_gets_the_camera() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    net.viewer();
    camera.roll(&mut net, 20);
    net.command(Command::Cut(STREAM));
    camera.shoot(&mut net, false);
    let late = net.viewer();
    net.command(Command::Camera(STREAM, Urgency::Smooth));
    camera.shoot(&mut net, false);
    assert_continuous(&net, late);
    assert_eq!(*tags(&net, late).last().expect("pictures"), camera.tag);
}

#[test]
fn a_keyframe_inside_a_cut_that_is_taken_back_leaves_no_hole() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.roll(&mut net, 5);
    net.command(Command::Cut(STREAM));
    camera.shoot(&mut net, false);
    camera.shoot(&mut net, true);
    camera.shoot(&mut net, false);
    net.command(Command::Camera(STREAM, Urgency::Now));
    camera.shoot(&mut net, false);
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer), [1, 2, 3, 4, 5, 7, 8, 9]);
}

#[test]
fn a_forged_address_does_not_take_a_publishers_datagrams() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.roll(&mut net, 20);
    // A viewer's own binding request, from the publisher's address: once intact, once with its integrity broken.
    let (publisher, own) = (net.address(0), net.address(viewer));
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for _ in 0..20 {
        net.capture();
        net.run(Duration::from_secs(1));
        requests.extend(
            net.captured()
                .into_iter()
                .filter(|(s, b)| *s == own && b[..2] == [0, 1])
                .map(|(_, b)| b),
        );
        if !requests.is_empty() {
            break;
        }
    }
    let intact = requests.pop().expect("a viewer asks for consent");
    let mut broken = intact.clone();
    let at = broken.len() - 12;
    broken[at] ^= 0xff;
    let before = tags(&net, viewer).len();
    for bytes in [&broken, &intact] {
        net.inject(publisher, bytes);
        for _ in 0..5 {
            camera.shoot(&mut net, false);
        }
    }
    assert_eq!(
        tags(&net, viewer).len(),
        before + 10,
        "every picture still arrives"
    );
}

#[test]
fn a_shard_without_viewers_remembers_that_the_camera_is_cut() {
    let (mut home, mut far) = (Net::new(), Net::new());
    let mut camera = Camera::new(&mut home);
    let first = far.viewer();
    for i in 0..10 {
        camera.shoot(&mut home, i == 0);
        pass(&mut home, &mut far);
    }
    home.command(Command::Cut(STREAM));
    pass(&mut home, &mut far);
    let id = far.clients[first].id;
    far.command(Command::Close(id, CloseReason::Deleted));
    for i in 0..10 {
        camera.shoot(&mut home, i == 5);
        pass(&mut home, &mut far);
    }
    let second = far.viewer();
    for i in 0..10 {
        camera.shoot(&mut home, i == 5);
        pass(&mut home, &mut far);
    }
    assert!(
        far.video_of(second).is_empty(),
        "a joiner sees nothing of the cut camera"
    );
    assert!(
        !far.bus.iter().any(|m| matches!(m, Bus::Packets(..))),
        "nothing is sent in circles"
    );
}

#[test]
fn only_the_publishers_shard_says_that_the_camera_is_back() {
    let (mut home, mut far) = (Net::new(), Net::new());
    let mut camera = Camera::new(&mut home);
    let viewer = far.viewer();
    for i in 0..5 {
        camera.shoot(&mut home, i == 0);
        pass(&mut home, &mut far);
    }
    home.command(Command::Cut(STREAM));
    pass(&mut home, &mut far);
    let at = home.events.iter().find_map(|e| {
        if let Event::Cut(at) = e {
            Some(*at)
        } else {
            None
        }
    });
    let unit = StyledUnit {
        index: 0,
        pts: at.expect("a cut"),
        keyframe: true,
        payloads: vec![Arc::from([0x65, 1, 90, 2])],
    };
    for shard in [&mut home, &mut far] {
        shard.command(Command::Styled(STREAM, Arc::new(unit.clone())));
    }
    home.command(Command::Camera(STREAM, Urgency::Now));
    pass(&mut home, &mut far);
    for _ in 0..30 {
        camera.shoot(&mut home, false);
        pass(&mut home, &mut far);
        far.run(Duration::from_millis(28));
    }
    assert!(home.events.contains(&Event::ShowsCamera));
    assert!(!far.events.contains(&Event::ShowsCamera));
    assert_eq!(
        *tags(&far, viewer).last().expect("pictures"),
        camera.tag,
        "and shows it too"
    );
}

#[test]
fn a_session_that_comes_while_the_server_stops_is_closed_at_once() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    camera.shoot(&mut net, true);
    net.command(Command::CloseAll(CloseReason::Shutdown));
    assert!(net.engine.is_empty());
    net.offer_viewer();
    assert!(net.engine.is_empty(), "the shard can end");
}

#[test]
fn a_check_that_only_names_a_session_is_a_stray() {
    let mut net = Net::new();
    let camera = Camera::new(&mut net);
    let stranger = "192.0.2.9:4000".parse().expect("address");
    let forged = crate::fuzzing::check(0, "abcd", &[]);
    let before = net.engine.counts.stray;
    net.inject(stranger, &forged);
    assert_eq!(net.engine.counts.stray, before + 1);
    net.clients[camera.client].cut_off = true;
    for _ in 0..60 {
        net.run(Duration::from_millis(100));
        net.inject(stranger, &forged);
    }
    assert!(
        net.events
            .iter()
            .any(|e| matches!(e, Event::Closed(_, CloseReason::Silent))),
        "a stranger keeps nobody's session alive: {:?}",
        net.events
    );
}

#[test]
fn a_publisher_that_begins_another_time_line_is_seen_again() {
    for jump in [1_u32 << 30, 1 << 31, 3 << 30] {
        let mut net = Net::new();
        let mut camera = Camera::new(&mut net);
        let viewer = net.viewer();
        camera.roll(&mut net, 5);
        camera.timestamp = camera.timestamp.wrapping_add(jump);
        for i in 0..5 {
            camera.shoot(&mut net, i == 2);
        }
        let seen = tags(&net, viewer);
        assert_eq!(*seen.last().expect("pictures"), 10, "{jump}: {seen:?}");
        assert_continuous(&net, viewer);
    }
}

#[test]
fn a_forged_stream_does_not_take_the_place_of_the_picture() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.roll(&mut net, 5);
    net.capture();
    camera.shoot(&mut net, false);
    let captured = net.captured();
    for (source, bytes) in captured {
        let mut forged = bytes.clone();
        // The SSRC of RTP; anything else that was sent is not RTP afterwards either.
        if let Some(byte) = forged.get_mut(11) {
            *byte ^= 1;
        }
        for bytes in [forged, bytes] {
            net.inject(source, &bytes);
        }
    }
    for _ in 0..5 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(*tags(&net, viewer).last().expect("pictures"), 11);
}

#[test]
fn an_answer_may_be_the_first_that_comes_from_an_address() {
    let mut net = Net::new();
    let _camera = Camera::new(&mut net);
    let viewer = net.viewer();
    let took = net.events.iter().find_map(|event| match event {
        Event::Connected(id, took) if id.0 == viewer as u64 => Some(*took),
        _ => None,
    });
    // A check that is not answered is repeated after 250 ms.
    assert!(
        took.is_some_and(|took| took < Duration::from_millis(200)),
        "{took:?}"
    );
}

#[test]
fn an_offer_that_can_be_read_in_part_only_is_refused() {
    let offer = concat!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:",
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n",
        "a=rtcp-mux\r\na=mid:0\r\na=setup:actpass\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n",
        "this is no line\r\nm=video 0 UDP/TLS/RTP/SAVPF 102\r\n",
    );
    let refused = crate::offers::publish(offer);
    assert!(
        matches!(&refused, Err(Rejected::Malformed(why)) if why.contains("2 media sections")),
        "{refused:?}"
    );
}

#[test]
fn a_camera_that_begins_anew_while_it_is_cut_starts_its_viewers_again() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.roll(&mut net, 3);
    // A picture ahead of its time: the next time line begins where this one ends, before the cut.
    camera.timestamp = camera.timestamp.wrapping_add(90_000);
    camera.shoot(&mut net, false);
    net.command(Command::Cut(STREAM));
    camera.timestamp = camera.timestamp.wrapping_sub(3_600 * 90_000);
    camera.shoot(&mut net, true);
    net.command(Command::Camera(STREAM, Urgency::Now));
    camera.roll(&mut net, 3);
    let seen = tags(&net, viewer);
    assert_eq!(*seen.last().expect("pictures"), camera.tag, "{seen:?}");
    assert_continuous(&net, viewer);
}
