//! Candidates: none, late, and of kinds that nobody here can use.

use std::time::Duration;

use reverie_sfu::engine::Command;
use reverie_sfu::engine::negotiate::Side;
use reverie_sfu::engine::packet::Track;
use str0m::media::Direction;

use crate::net::Net;
use crate::{Camera, assert_continuous};

const WATCH: Side = Side::Watch(Track::Output);

fn without_candidates(offer: &str) -> String {
    let kept = offer.split_inclusive('\n');
    kept.filter(|l| !l.starts_with("a=candidate:")).collect()
}

#[test]
fn w6_an_offer_without_candidates_connects_by_its_own_checks() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.begin_with(WATCH, Direction::RecvOnly, without_candidates);
    net.connect(viewer);
    for i in 0..30 {
        camera.shoot(&mut net, i == 0);
    }
    assert_continuous(&net, viewer);
}

#[test]
fn w6_candidates_nobody_can_use_are_dropped_silently() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let strange = "a=candidate:1 1 udp 2122260223 f0e1d2c3-0000-4000-8000-000000000000.local 50000 typ host generation 0\r\n\
        a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0\r\n\
        a=candidate:3 2 udp 2122260222 192.0.2.7 50001 typ host generation 0\r\n\
        a=candidate:4 1 udp 1 0.0.0.0 50001 typ host\r\na=candidate:5 1 udp 1 224.0.0.1 50001 typ host\r\n\
        a=candidate:nonsense\r\na=end-of-candidates\r\n";
    let change = |offer: &str| {
        let offer = without_candidates(offer);
        let at = offer.find("a=mid:").expect("a section");
        format!("{}{strange}{}", &offer[..at], &offer[at..])
    };
    let viewer = net.begin_with(WATCH, Direction::RecvOnly, change);
    net.connect(viewer);
    let late = strange.lines().filter_map(|l| l.strip_prefix("a="));
    let id = net.clients[viewer].id;
    net.command(Command::Candidates(id, late.map(str::to_owned).collect()));
    for i in 0..30 {
        camera.shoot(&mut net, i == 0);
    }
    assert_continuous(&net, viewer);
}

#[test]
fn w10_a_candidate_that_comes_later_is_checked() {
    let mut net = Net::new();
    let viewer = net.begin_with(WATCH, Direction::RecvOnly, without_candidates);
    net.clients[viewer].cut_off = true;
    net.run(Duration::from_secs(1));
    assert_eq!(
        net.clients[viewer].addressed, 0,
        "nothing is known of it yet"
    );
    let address = net.clients[viewer].address;
    let candidate = format!(
        "candidate:1 1 udp 2130706431 {} {} typ host",
        address.ip(),
        address.port()
    );
    let id = net.clients[viewer].id;
    net.command(Command::Candidates(id, vec![candidate]));
    net.run(Duration::from_secs(1));
    assert!(net.clients[viewer].addressed > 0, "the server checks it");
    net.clients[viewer].cut_off = false;
    // The client's own checks have become rare by now.
    net.run(Duration::from_secs(5));
    net.connect(viewer);
}
