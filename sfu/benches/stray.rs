//! Cost of a datagram that is nobody's, by kind, as a Markdown table: `cargo bench -p reverie-sfu --bench stray`.
//!
//! CPU time of this thread in the engine alone, with 200 connected viewers; what the kernel takes to deliver a
//! datagram comes on top and is the same for all.

#![allow(missing_docs, reason = "a benchmark")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run has nothing to say"
)]

use std::io::Write as _;
use std::net::SocketAddr;

use reverie_sfu::engine::{Input, Output};

#[path = "../tests/engine/fuzzing.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod fuzzing;
#[path = "../tests/engine/net.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod net;

use net::Net;

const VIEWERS: usize = 200;

fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    let (viewers, rounds) = if full { (VIEWERS, 200_000) } else { (2, 100) };
    let mut net = Net::new();
    net.publisher();
    for viewer in net.viewers(viewers) {
        net.freeze(viewer);
    }
    let server: SocketAddr = net::SERVER.parse().unwrap();
    let stranger: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let known = net.address(1);
    let mut nobodys = fuzzing::check(0, "abcd", &[]);
    nobodys[24..30].copy_from_slice(b"nobody");
    let theirs = net.clients[1]
        .rtc
        .direct_api()
        .local_ice_credentials()
        .ufrag;
    let mut rtp = vec![0x80, 108];
    rtp.resize(1_200, 7);
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
    hello.resize(141, 1);
    let cases = [
        ("RTP from a stranger", stranger, rtp.clone()),
        ("DTLS ClientHello from a stranger", stranger, hello),
        ("STUN for no session", stranger, nobodys),
        (
            "STUN for a session",
            stranger,
            fuzzing::check(1, "abcd", &[]),
        ),
        (
            "STUN for a session with both names right, wrongly signed",
            stranger,
            fuzzing::check(1, &theirs, &[]),
        ),
        ("RTP with a viewer's source address", known, rtp),
    ];
    say("| datagram | engine ns |");
    say("|---|---|");
    for (name, source, bytes) in cases {
        let start = cpu();
        for _ in 0..rounds {
            stray(&mut net, source, server, &bytes);
        }
        let each = (cpu() - start) / rounds;
        say(&format!("| {name} | {each} |"));
    }
}

fn stray(net: &mut Net, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
    let input = Input::Datagram {
        source,
        destination,
        bytes,
    };
    net.engine.handle(net.now, input);
    while !matches!(net.engine.poll(), Output::Wait(..)) {}
}

/// Nanoseconds of CPU time this thread has used.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
