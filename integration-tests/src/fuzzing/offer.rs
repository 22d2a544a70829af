//! SDP offers: the first byte says which side, the rest is the offer.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reverie_sfu::engine::ids::{PeerId, StreamId};
use reverie_sfu::engine::negotiate::{
    self, Candidates, Certificate, Identity, Rejected, Side, Terms,
};
use reverie_sfu::engine::packet::Track;
use reverie_sfu::engine::sdp::Summary;
use reverie_sfu::engine::{Command, Engine, Input, Limits, Output, Peer};

/// An offer is refused in words, or its answer has as many sections and the peer lives through a minute of silence.
pub fn check(data: &[u8]) {
    let Some((side, offer)) = data.split_first() else {
        return;
    };
    let offer = String::from_utf8_lossy(offer);
    let now = start();
    let side = if side % 2 == 0 {
        Side::Publish {
            generation: 1,
            epoch: now,
        }
    } else {
        Side::Watch(Track::Output)
    };
    match accept(side, &offer, now) {
        Ok((peer, answer)) => {
            let (offered, answered) = (Summary::read(&offer), Summary::read(&answer));
            assert_eq!(
                offered.sections.len(),
                answered.sections.len(),
                "one answered section for each\n{offer}\n{answer}"
            );
            outlive(alone(peer, now), now);
        }
        Err(refused) => assert!(!refused.to_string().is_empty(), "refused without words"),
    }
}

/// An engine with one peer.
pub(super) fn alone(peer: Peer, now: Instant) -> Engine {
    let limits = Limits {
        keyframe_interval: Duration::from_millis(500),
        styled_rate: 2_500_000,
    };
    let mut engine = Engine::new(limits, now);
    engine.handle(now, Input::Command(Command::Add(Box::new(peer))));
    engine
}

/// Lets a minute pass in which nobody answers; the session must be gone after it.
pub(super) fn outlive(mut engine: Engine, now: Instant) {
    let end = now + Duration::from_secs(60);
    let mut now = now;
    for _ in 0..20_000 {
        match engine.poll() {
            Output::Wait(at, _) if at > end => {
                assert!(engine.is_empty(), "a session outlived its set-up time");
                assert_eq!(engine.counts.panics, 0, "the peer panicked");
                return;
            }
            Output::Wait(at, _) => {
                now = now.max(at);
                engine.handle(now, Input::Timeout);
            }
            _ => {}
        }
    }
    panic!("a silent session was busy 20000 times in a minute");
}

/// Negotiates as a server on one private address does.
pub(super) fn accept(side: Side, offer: &str, now: Instant) -> Result<(Peer, String), Rejected> {
    let identity = Identity {
        peer: PeerId(1),
        stream: StreamId(1),
        ufrag: "serverufrag".to_owned(),
        pwd: "password-of-the-server-01".to_owned(),
        first_seq: 100,
        first_timestamp: 1_000,
    };
    negotiate::accept(terms(), identity, side, offer, now)
}

/// One instant for all inputs, so that nothing depends on when they run.
pub(super) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn terms() -> &'static Terms {
    static TERMS: OnceLock<Terms> = OnceLock::new();
    TERMS.get_or_init(|| {
        let address: SocketAddr = "10.0.0.1:7000".parse().expect("a constant address");
        Terms {
            candidates: Candidates::udp(&[address]),
            certificate: Certificate::generate().expect("a certificate"),
            setup_timeout: Duration::from_secs(15),
            publisher_silence: Duration::from_secs(5),
            viewer_silence: Duration::from_secs(15),
        }
    })
}
