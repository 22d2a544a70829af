use super::negotiate::{Candidates, Certificate, Identity, Rejected, Side, Terms};
use super::packet::Track;
use super::*;

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:0\r\na=setup:actpass\r\na=recvonly\r\n\
    a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

fn offer(number: u64, offer: &str, now: Instant) -> Result<(Peer, String), Rejected> {
    let terms = Terms {
        candidates: Candidates::udp(&["127.0.0.1:7000".parse().expect("address")]),
        certificate: Certificate::generate().expect("certificate"),
        setup_timeout: Duration::from_secs(15),
        publisher_silence: Duration::from_secs(5),
        viewer_silence: Duration::from_secs(15),
    };
    let identity = Identity {
        peer: PeerId(number),
        stream: StreamId(1),
        ufrag: format!("ufrag{number}"),
        pwd: "a-password-of-22-characters".into(),
        first_seq: 0,
        first_timestamp: 0,
    };
    negotiate::accept(&terms, identity, Side::Watch(Track::Output), offer, now)
}

#[test]
fn a_panic_inside_a_peer_ends_that_peer_and_no_other() {
    let now = Instant::now();
    let mut engine = Engine::new(
        Limits {
            keyframe_interval: Duration::from_millis(500),
            styled_rate: 2_500_000,
        },
        now,
    );
    for number in [1, 2] {
        let (peer, _) = offer(number, OFFER, now).expect("a good offer");
        engine.handle(now, Input::Command(Command::Add(Box::new(peer))));
    }
    engine.with_peer(PeerId(1), |peer, now, out| {
        peer.send(now, out, |_, _, _| panic!("the test says so"))
    });
    assert_eq!((engine.len(), engine.counts.panics), (1, 1));
    let mut closed = Vec::new();
    loop {
        match engine.poll() {
            Output::Event(_, Event::Closed(peer, reason)) => closed.push((peer, reason)),
            Output::Wait(..) => break,
            _ => {}
        }
    }
    assert_eq!(closed, [(PeerId(1), CloseReason::Panic)]);
    engine.handle(now + Duration::from_secs(1), Input::Timeout);
    assert_eq!(engine.len(), 1, "the other one goes on");
}

#[test]
fn a_session_that_never_connects_is_ended_and_the_operator_is_told() {
    let now = Instant::now();
    let mut engine = Engine::new(
        Limits {
            keyframe_interval: Duration::from_millis(500),
            styled_rate: 2_500_000,
        },
        now,
    );
    let (peer, answer) = offer(1, OFFER, now).expect("a good offer");
    assert!(
        answer.contains("a=candidate:") && answer.contains("127.0.0.1 7000 typ host"),
        "{answer}"
    );
    engine.handle(now, Input::Command(Command::Add(Box::new(peer))));
    let mut told = Vec::new();
    for tenths in 0..160 {
        engine.handle(now + Duration::from_millis(100 * tenths), Input::Timeout);
        loop {
            match engine.poll() {
                Output::Event(_, Event::Stats(..)) => {}
                Output::Event(_, event) => told.push((tenths, event)),
                Output::Wait(..) => break,
                _ => {}
            }
        }
    }
    let expected = [
        (50, Event::NothingHeard(PeerId(1))),
        (150, Event::Closed(PeerId(1), CloseReason::SetupTimeout)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn contradictory_offers_are_refused_without_a_panic() {
    let now = Instant::now();
    for (from, to) in [
        ("a=group:BUNDLE 0", "a=group:BUNDLE 7"),
        ("a=mid:0", "a=mid:a-name-that-is-much-too-long-for-a-mid"),
        ("a=ice-ufrag:abcd\r\n", ""),
        ("sha-256 00:11", "sha-256 zz:11"),
        ("102 H264/90000", "102 H264/0"),
        ("102 H264/90000", "300 H264/90000"),
        ("a=setup:actpass", "a=setup:holdconn"),
    ] {
        let broken = OFFER.replace(from, to);
        assert_ne!(broken, OFFER);
        // Some are tolerated; none may panic or be anything but a clear answer.
        if let Err(rejected) = offer(1, &broken, now) {
            assert!(!rejected.to_string().is_empty());
        }
    }
    assert!(offer(1, "v=0\r\n", now).is_err());
}
