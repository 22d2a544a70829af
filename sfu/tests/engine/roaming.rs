//! Clients whose address changes in mid-session.

use std::net::SocketAddr;
use std::time::Duration;

use reverie_sfu::engine::Event;

use super::net::Net;
use super::{Camera, assert_continuous, tags};

fn elsewhere(net: &Net, client: usize) -> SocketAddr {
    let was = net.address(client);
    SocketAddr::new(was.ip(), was.port() + 10_000)
}

fn moves(net: &Net, client: usize) -> usize {
    let id = net.clients[client].id;
    let moved = net.events.iter().filter(|e| **e == Event::Moved(id));
    moved.count()
}

/// A camera that has shown a while, and a viewer of it.
fn running(net: &mut Net) -> (Camera, usize) {
    let mut camera = Camera::new(net);
    let viewer = net.viewer();
    camera.shoot(net, true);
    for _ in 0..60 {
        camera.shoot(net, false);
    }
    (camera, viewer)
}

#[test]
fn a_publisher_behind_a_new_address_is_found_by_its_media_before_its_next_check() {
    let mut net = Net::new();
    let (mut camera, viewer) = running(&mut net);
    let (before, asked) = (tags(&net, viewer).len(), net.clients[0].keyframe_requests);
    net.clients[0].public = elsewhere(&net, 0);
    for _ in 0..30 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(moves(&net, 0), 1);
    assert_eq!(net.engine.counts.moved, 1);
    // What was lost until then is retransmitted, since NACKs find the new address.
    net.run(Duration::from_millis(500));
    let seen = tags(&net, viewer).len() - before;
    assert_eq!(seen, 30, "pictures in the second after the change");
    assert_continuous(&net, viewer);
    assert_eq!(
        net.clients[0].keyframe_requests, asked,
        "no keyframe was needed"
    );

    // The agent's own pair lives on: nobody is lost when the old one would have failed.
    for _ in 0..900 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(tags(&net, viewer).len() - before, 930);
    assert_eq!(net.engine.len(), 2, "{:?}", net.events);
}

#[test]
fn a_viewer_behind_a_new_address_is_followed_at_its_next_check() {
    let mut net = Net::new();
    let (mut camera, viewer) = running(&mut net);
    net.clients[viewer].public = elsewhere(&net, viewer);
    // str0m checks its pair at least every three seconds.
    for _ in 0..100 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(moves(&net, viewer), 1);
    let seen = tags(&net, viewer).len();
    for _ in 0..900 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(tags(&net, viewer).len() - seen, 900);
    assert_eq!(net.engine.len(), 2, "{:?}", net.events);
}

/// Times until a viewer is followed whose address changes at so many moments between two of its reports.
fn times_to_follow(neighbours: usize) -> Vec<Duration> {
    (0..10)
        .map(|change| {
            let mut net = Net::new();
            let (mut camera, viewer) = running(&mut net);
            let mut others = Vec::new();
            for port in 0..neighbours {
                let other = net.viewer();
                let was = net.address(viewer);
                net.clients[other].public = SocketAddr::new(was.ip(), 30_000 + port as u16);
                others.push(other);
            }
            for _ in 0..150 + change * 3 {
                camera.shoot(&mut net, false);
            }
            let since = net.now;
            net.clients[viewer].public = elsewhere(&net, viewer);
            while moves(&net, viewer) == 0 {
                camera.shoot(&mut net, false);
                assert!(net.now < since + Duration::from_secs(10), "never followed");
            }
            for other in others {
                assert_eq!(
                    moves(&net, other),
                    usize::from(neighbours > 0),
                    "its own move alone"
                );
            }
            net.now - since
        })
        .collect()
}

#[test]
fn a_viewer_behind_a_new_port_is_found_by_its_feedback() {
    for neighbours in [0, 3] {
        let mut took = times_to_follow(neighbours);
        took.sort_unstable();
        assert!(
            took[5] < Duration::from_millis(1_000) && took[9] < Duration::from_millis(1_400),
            "beside {neighbours}: {took:?}"
        );
    }
}

#[test]
fn feedback_from_a_foreign_port_moves_no_viewer() {
    let mut net = Net::new();
    let (mut camera, viewer) = running(&mut net);
    let foreign = SocketAddr::new(net.address(viewer).ip(), 666);
    // The head of a receiver report; the rest is noise to everybody but the viewer.
    let report = [&[0x81, 201, 0, 7, 0, 0, 0, 1][..], &[0x5a; 40]].concat();
    for _ in 0..300 {
        net.inject(foreign, &report);
        camera.shoot(&mut net, false);
    }
    assert_eq!(moves(&net, viewer), 0, "it answers no check");
    assert!(
        net.sent_to(foreign) < 100,
        "and is sent little more than checks: {}",
        net.sent_to(foreign)
    );
    assert_eq!(tags(&net, viewer).last(), Some(&camera.tag));
}

#[test]
fn a_client_may_change_its_address_again_and_again_and_go_back() {
    let mut net = Net::new();
    let (mut camera, viewer) = running(&mut net);
    let home = net.address(0);
    for change in 0..20_u16 {
        net.clients[0].public = match change % 4 {
            3 => home,
            _ => SocketAddr::new(home.ip(), 20_000 + change),
        };
        for _ in 0..150 {
            camera.shoot(&mut net, false);
        }
        assert_eq!(moves(&net, 0), usize::from(change) + 1);
    }
    net.run(Duration::from_millis(500));
    let seen = tags(&net, viewer).len();
    assert!(
        seen > 61 + 20 * 149,
        "{seen} pictures: at most one per change is lost for good"
    );
}

#[test]
fn media_from_a_foreign_address_moves_nobody() {
    let mut net = Net::new();
    let (mut camera, viewer) = running(&mut net);
    net.capture();
    camera.shoot(&mut net, false);
    let stolen = net.captured();
    net.clients[0].cut_off = true;
    net.run(Duration::from_secs(1));
    let foreign: SocketAddr = "192.0.2.66:666".parse().expect("address");
    for (_, bytes) in stolen.iter().cycle().take(200) {
        net.inject(foreign, bytes);
        net.run(Duration::from_millis(5));
    }
    assert_eq!(moves(&net, 0), 0, "it answers no check");
    assert!(
        net.sent_to(foreign) < 100,
        "and is sent little more than checks: {}",
        net.sent_to(foreign)
    );
    net.clients[0].cut_off = false;
    for _ in 0..30 {
        camera.shoot(&mut net, false);
    }
    assert_eq!(tags(&net, viewer).last(), Some(&camera.tag));
}
