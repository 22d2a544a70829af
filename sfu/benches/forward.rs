//! Cost of forwarding one packet to one viewer, as a Markdown table: `cargo bench -p reverie-sfu`.
//!
//! Real SRTP both ways: one publisher, N viewers that went through ICE and DTLS, frames of a fixed number of
//! packets. CPU time of this thread, first of the engine alone, then with the segmented send of the shard's own
//! socket on the loopback; the last column is a bare `send_to` of the same datagrams, the limit of this machine.

#![allow(missing_docs, reason = "a benchmark")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run has nothing to say"
)]

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reverie_sfu::engine::{Input, Output, Transmit};
use reverie_sfu::shard::Media;

#[path = "../tests/engine/net.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod net;

use net::Net;

/// Payload bytes of a full packet.
const PAYLOAD: usize = 1_180;
/// Sockets that stand for the viewers' hosts.
const SINKS: usize = 64;

struct Case {
    viewers: usize,
    packets: usize,
    rate: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        viewers: 100,
        packets: 2,
        rate: "500 kbit/s",
    },
    Case {
        viewers: 100,
        packets: 9,
        rate: "2500 kbit/s",
    },
    Case {
        viewers: 1000,
        packets: 2,
        rate: "500 kbit/s",
    },
    Case {
        viewers: 1000,
        packets: 9,
        rate: "2500 kbit/s",
    },
];

fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    say(&format!("{}\n", machine()));
    say(
        "| viewers | stream at 30 fps | engine us/packet | engine + send us/packet | packets per send call | bare send_to us/packet |",
    );
    say("|---|---|---|---|---|---|");
    for case in CASES.iter().filter(|c| full || c.viewers == 100) {
        run(case, if full { 25 } else { 2 });
    }
}

fn run(case: &Case, frames: usize) {
    let mut net = Net::new();
    let publisher = net.publisher();
    let _ = writeln!(std::io::stderr(), "{} viewers join", case.viewers);
    for viewer in net.viewers(case.viewers) {
        net.freeze(viewer);
    }
    let mut camera = Frames {
        publisher,
        seq: 1_000,
        timestamp: 0,
    };
    camera.shoot(&mut net, true, 3);
    let mut sinks = Sinks::new();
    let (mut engine, mut sending, mut bare, mut calls) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..frames {
        let datagrams = camera.capture(&mut net, case.packets);
        let start = cpu();
        let sent = forward(&mut net, &datagrams);
        engine.push(per_packet(start, sent.len()));
        assert_eq!(
            media_packets(&sent),
            case.viewers * case.packets,
            "every viewer gets every packet"
        );

        let datagrams = camera.capture(&mut net, case.packets);
        let before = sinks.media.send_calls();
        let start = cpu();
        let count = forward_and_send(&mut net, &datagrams, &mut sinks);
        sending.push(per_packet(start, count));
        // Counts are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        calls.push(count as f64 / (sinks.media.send_calls() - before) as f64);

        let start = cpu();
        for (i, t) in sent.iter().enumerate() {
            let _ = sinks.bare.send_to(&t.bytes, sinks.addresses[i % SINKS]);
        }
        bare.push(per_packet(start, sent.len()));
    }
    say(&format!(
        "| {} | {} | {:.2} | {:.2} | {:.1} | {:.2} |",
        case.viewers,
        case.rate,
        median(&mut engine),
        median(&mut sending),
        median(&mut calls),
        median(&mut bare)
    ));
}

/// Gives the publisher's datagrams to the engine and collects what it would send.
fn forward(net: &mut Net, datagrams: &[(SocketAddr, Vec<u8>)]) -> Vec<Transmit> {
    let mut sent = Vec::new();
    drive(net, datagrams, |t| sent.push(t));
    sent
}

fn forward_and_send(
    net: &mut Net,
    datagrams: &[(SocketAddr, Vec<u8>)],
    sinks: &mut Sinks,
) -> usize {
    let mut count = 0;
    drive(net, datagrams, |mut t| {
        // Each viewer has a socket of its own, as in life: runs do not span viewers.
        t.destination = sinks.addresses[usize::from(t.destination.port()) % SINKS];
        t.source = sinks.source;
        sinks.media.send(&t);
        count += 1;
    });
    sinks.media.flush();
    count
}

fn drive(net: &mut Net, datagrams: &[(SocketAddr, Vec<u8>)], mut take: impl FnMut(Transmit)) {
    let destination = net::SERVER.parse().unwrap();
    for (source, bytes) in datagrams {
        net.engine.handle(
            net.now,
            Input::Datagram {
                source: *source,
                destination,
                bytes,
            },
        );
    }
    loop {
        match net.engine.poll() {
            Output::Transmit(t) => take(t),
            Output::Wait(..) => return,
            Output::Event(..) | Output::Bus(_) => {}
        }
    }
}

/// RTP, not RTCP (RFC 5761).
fn media_packets(sent: &[Transmit]) -> usize {
    sent.iter()
        .filter(|t| t.bytes[0] >= 128 && !(64..96).contains(&(t.bytes[1] & 0x7f)))
        .count()
}

struct Frames {
    publisher: usize,
    seq: u64,
    timestamp: u32,
}

impl Frames {
    fn shoot(&mut self, net: &mut Net, keyframe: bool, packets: usize) {
        let payloads = if keyframe {
            net::picture(true, 1)
        } else {
            slices(packets)
        };
        let last = payloads.len() - 1;
        for (i, payload) in payloads.iter().enumerate() {
            net.write_video(self.publisher, self.seq, self.timestamp, i == last, payload);
            self.seq += 1;
        }
        self.timestamp += 3_000;
    }

    /// The datagrams of one picture, which the engine has not seen yet; a frame interval has passed.
    fn capture(&mut self, net: &mut Net, packets: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        net.run(Duration::from_millis(33));
        net.capture();
        self.shoot(net, false, packets);
        net.captured()
    }
}

/// One slice in fragments of equal size (FU-A, RFC 6184 section 5.8).
fn slices(packets: usize) -> Vec<Vec<u8>> {
    (0..packets)
        .map(|i| {
            let start = if i == 0 { 0x80 } else { 0 };
            let end = if i + 1 == packets { 0x40 } else { 0 };
            let mut payload = vec![0x55; PAYLOAD];
            payload[0] = 28 | 0x40;
            payload[1] = start | end | 1;
            payload
        })
        .collect()
}

/// Sockets that a second thread empties.
struct Sinks {
    media: Media,
    source: SocketAddr,
    bare: UdpSocket,
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
}

impl Sinks {
    fn new() -> Self {
        let media = Media::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let sockets: Vec<_> = (0..SINKS)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            for socket in &sockets {
                socket.set_nonblocking(true).unwrap();
            }
            while !stopped.load(Ordering::Relaxed) {
                for socket in &sockets {
                    while socket.recv(&mut buffer).is_ok() {}
                }
            }
        });
        let source = media.local().unwrap();
        Self {
            media,
            source,
            bare: UdpSocket::bind("127.0.0.1:0").unwrap(),
            addresses,
            stop,
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Time on the processor of this thread, in nanoseconds.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// Microseconds.
// Counts and times are far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn per_packet(start: u64, packets: usize) -> f64 {
    (cpu() - start) as f64 / 1000.0 / packets as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{model}, {cores} cores, load {}",
        load.split(' ').next().unwrap_or("?")
    )
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
