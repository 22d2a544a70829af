//! ICE restarts: new credentials, the same media; and restarts that fail.

use std::sync::mpsc;
use std::time::Duration;

use reverie_sfu::engine::ids::PeerId;
use reverie_sfu::engine::restart::{NoRestart, Reply, Restart};
use reverie_sfu::engine::sdp::Credentials;
use reverie_sfu::engine::{CloseReason, Command, Event, Input};
use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpPendingOffer};

use crate::net::{self, Net};
use crate::{Camera, assert_continuous, tags};

/// A restart that the client has begun and the server has answered.
struct Answered {
    pending: SdpPendingOffer,
    answer: String,
}

/// Asks the engine for a restart with these credentials.
fn ask(net: &mut Net, peer: PeerId, remote: Credentials, round: usize) -> Result<(), NoRestart> {
    let (tell, told) = mpsc::channel();
    let restart = Restart {
        local: local(round),
        remote,
        candidates: Vec::new(),
    };
    let reply = Reply::new(move |outcome| tell.send(outcome).expect("the test listens"));
    net.command(Command::Restart(peer, Box::new(restart), reply));
    told.try_recv().expect("an answer at once")
}

/// What the server uses in the n-th restart.
fn local(round: usize) -> Credentials {
    Credentials {
        ufrag: format!("again{round:07}"),
        pwd: format!("password-after-restart-{round:07}"),
    }
}

/// A client asks for a restart, at the address it has now.
fn begin(net: &mut Net, client: usize, round: usize, moved: bool) -> Answered {
    let rtc = &mut net.clients[client].rtc;
    let mut api = rtc.sdp_api();
    api.ice_restart(!moved);
    let (offer, pending) = api.apply().expect("an offer");
    let remote = Credentials::of(&offer.to_sdp_string()).expect("credentials");
    let id = net.clients[client].id;
    let before = Credentials::of(&net.clients[client].answer).expect("credentials");
    ask(net, id, remote, round).expect("taken");
    let after = local(round);
    let answer = net.clients[client].answer.clone();
    let answer = answer
        .replace(&before.ufrag, &after.ufrag)
        .replace(&before.pwd, &after.pwd);
    Answered { pending, answer }
}

/// The client takes the answer, and its checks begin.
fn finish(net: &mut Net, client: usize, answered: Answered) {
    let Answered { pending, answer } = answered;
    net.clients[client].answer.clone_from(&answer);
    let answer = SdpAnswer::from_sdp_string(&answer).expect("readable");
    let rtc = &mut net.clients[client].rtc;
    rtc.sdp_api()
        .accept_answer(pending, answer)
        .expect("fitting");
    let here = Candidate::host(net.clients[client].address, "udp").expect("candidate");
    // One that is known already is ignored.
    net.clients[client].rtc.add_local_candidate(here);
    net.wake(client);
}

/// True if the client's checks of the next seconds name the server by that user fragment.
fn checks_name(net: &mut Net, camera: &mut Camera, client: usize, ufrag: &str) -> bool {
    let address = net.clients[client].address;
    for _ in 0..300 {
        net.capture();
        net.run(Duration::from_millis(33));
        let captured = net.captured();
        camera.shoot(net, false);
        let check = captured
            .iter()
            .find(|(source, bytes)| *source == address && bytes[..2] == [0, 1]);
        if let Some((_, bytes)) = check {
            return bytes.windows(ufrag.len()).any(|w| w == ufrag.as_bytes());
        }
    }
    false
}

fn is_closed(net: &Net) -> bool {
    net.events.iter().any(|e| matches!(e, Event::Closed(..)))
}

#[test]
fn w11_after_an_ice_restart_a_viewers_numbers_go_on() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    for i in 0..10 {
        camera.shoot(&mut net, i == 0);
    }
    let ssrc = net.video_of(viewer)[0].header.ssrc;
    for round in 0..3 {
        let answered = begin(&mut net, viewer, round, false);
        for _ in 0..3 {
            camera.shoot(&mut net, false);
        }
        finish(&mut net, viewer, answered);
        for _ in 0..60 {
            camera.shoot(&mut net, false);
        }
        assert!(
            net.clients[viewer].state.is_connected(),
            "round {round}: {:?}",
            net.clients[viewer].state
        );
        assert!(checks_name(
            &mut net,
            &mut camera,
            viewer,
            &local(round).ufrag
        ));
    }
    for _ in 0..900 {
        camera.shoot(&mut net, false);
    }
    assert!(!is_closed(&net), "{:?}", net.events);
    assert_continuous(&net, viewer);
    let seen = tags(&net, viewer);
    assert_eq!(*seen.last().expect("pictures"), camera.tag);
    assert!(net.video_of(viewer).iter().all(|p| p.header.ssrc == ssrc));
    assert_eq!(usize::from(camera.tag), seen.len() % 256, "none is missing");
}

#[test]
fn w11_after_an_ice_restart_a_publisher_goes_on() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    let answered = begin(&mut net, 0, 7, false);
    camera.shoot(&mut net, false);
    finish(&mut net, 0, answered);
    for _ in 0..600 {
        camera.shoot(&mut net, false);
    }
    assert!(net.clients[0].state.is_connected());
    assert!(checks_name(&mut net, &mut camera, 0, &local(7).ufrag));
    assert!(!is_closed(&net), "{:?}", net.events);
    assert_continuous(&net, viewer);
    assert_eq!(*tags(&net, viewer).last().expect("pictures"), camera.tag);
}

#[test]
fn w11_a_restart_finds_a_client_at_its_new_address() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    for i in 0..10 {
        camera.shoot(&mut net, i == 0);
    }
    // Another network: nothing reaches the old address any more.
    let elsewhere = "10.0.9.9:6000".parse().expect("address");
    (net.clients[viewer].address, net.clients[viewer].public) = (elsewhere, elsewhere);
    net.clients[viewer].cut_off = true;
    for _ in 0..60 {
        camera.shoot(&mut net, false);
    }
    net.clients[viewer].cut_off = false;
    let answered = begin(&mut net, viewer, 1, true);
    finish(&mut net, viewer, answered);
    for i in 0..60 {
        camera.shoot(&mut net, i == 30);
    }
    assert!(!is_closed(&net), "{:?}", net.events);
    assert_eq!(*tags(&net, viewer).last().expect("pictures"), camera.tag);
    assert!(net.clients[viewer].state.is_connected());
}

#[test]
fn w11_a_restart_that_the_client_does_not_use_leaves_the_session_as_it_was() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    for (round, client) in [(1, viewer), (2, viewer), (3, 0)] {
        let remote = Credentials {
            ufrag: format!("gone{round}"),
            pwd: "a-password-nobody-uses-at-all".to_owned(),
        };
        let id = net.clients[client].id;
        ask(&mut net, id, remote, round).expect("taken");
    }
    for i in 0..1_800 {
        camera.shoot(&mut net, i % 300 == 0);
    }
    assert!(!is_closed(&net), "{:?}", net.events);
    assert_continuous(&net, viewer);
    assert_eq!(tags(&net, viewer).len(), 1_801);
    assert!(checks_name(&mut net, &mut camera, viewer, "server000001"));
}

#[test]
fn w11_a_restart_is_refused_for_a_session_that_has_ended_and_for_credentials_that_are_no_line() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    let id = net.clients[viewer].id;
    let remote = |ufrag: &str| Credentials {
        ufrag: ufrag.to_owned(),
        pwd: "a-password-nobody-uses-at-all".to_owned(),
    };
    assert_eq!(
        ask(&mut net, PeerId(77), remote("abcd"), 1),
        Err(NoRestart::Gone)
    );
    assert_eq!(
        ask(&mut net, id, remote("ab\r\nm=nonsense\r\nv=0"), 1),
        Err(NoRestart::Unusable)
    );
    // As in an offer: no check could carry both user fragments.
    assert_eq!(
        ask(&mut net, id, remote(&"u".repeat(200)), 1),
        Err(NoRestart::Unusable)
    );
    for i in 0..60 {
        camera.shoot(&mut net, i == 0);
    }
    assert_continuous(&net, viewer);
    net.command(Command::Close(id, CloseReason::Deleted));
    assert_eq!(ask(&mut net, id, remote("abcd"), 2), Err(NoRestart::Gone));
}

#[test]
fn w11_a_forged_check_does_not_begin_a_restart() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    let answered = begin(&mut net, viewer, 1, false);
    net.capture();
    finish(&mut net, viewer, answered);
    net.run(Duration::from_millis(200));
    let own = net.clients[viewer].address;
    let captured = net.captured();
    let (_, check) = captured
        .into_iter()
        .find(|(source, bytes)| *source == own && bytes[..2] == [0, 1])
        .expect("a check");
    let mut forged = check;
    let at = forged.len() - 12;
    forged[at] ^= 0xff;
    let before = net.clients[viewer].addressed;
    let elsewhere = "10.0.66.6:666".parse().expect("address");
    for source in [own, elsewhere] {
        let destination = net::SERVER.parse().expect("address");
        let input = Input::Datagram {
            source,
            destination,
            bytes: &forged,
        };
        net.engine.handle(net.now, input);
        camera.send(&mut net, false);
    }
    // Media still goes where it went, on the agent that was not restarted, and then the client's own check is heard.
    assert!(net.clients[viewer].addressed > before);
    for _ in 0..60 {
        camera.shoot(&mut net, false);
    }
    assert!(net.clients[viewer].state.is_connected());
    assert_continuous(&net, viewer);
}

#[test]
fn w11_a_client_that_is_lost_in_its_restart_is_given_up() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    camera.shoot(&mut net, true);
    let answered = begin(&mut net, viewer, 1, false);
    finish(&mut net, viewer, answered);
    net.run(Duration::from_millis(60));
    net.clients[viewer].cut_off = true;
    for _ in 0..600 {
        camera.shoot(&mut net, false);
    }
    let id = net.clients[viewer].id;
    let gone = net
        .events
        .iter()
        .any(|e| matches!(e, Event::Closed(peer, _) if *peer == id));
    assert!(gone, "20 s later: {:?}", net.events);
    assert_eq!(net.engine.len(), 1);
}
