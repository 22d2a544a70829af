//! Datagrams of every kind at a fixed rate, from a thread of its own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Dice;

/// Sockets, so that not all comes from one address.
const SOCKETS: usize = 16;
/// Datagrams are sent in bundles this often.
const BEAT: Duration = Duration::from_millis(2);

/// A running flood.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Poured>,
}

/// What a flood did.
#[derive(Debug, Clone, Copy)]
pub struct Poured {
    /// Datagrams given to the kernel.
    pub sent: u64,
    /// Datagrams that the kernel refused.
    pub refused: u64,
    /// Datagrams that came back: a server that answers strangers helps to attack others.
    pub answered: u64,
    /// How long it took.
    pub took: Duration,
}

impl Flood {
    /// Sends `rate` datagrams a second to `target` until stopped. `ufrags` are user fragments of real sessions;
    /// `samples` are sent as they are, in turn with the others.
    ///
    /// # Errors
    ///
    /// If there is no socket or no thread.
    pub fn start(
        target: SocketAddr,
        rate: u32,
        ufrags: Vec<String>,
        samples: Vec<Vec<u8>>,
    ) -> Result<Self> {
        let sockets: Vec<UdpSocket> = (0..SOCKETS)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .collect::<Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let pouring = Pouring {
            target,
            rate,
            ufrags,
            samples,
            sockets,
            dice: Dice::new(0x00da_7a67),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("flood".to_owned())
            .spawn(move || pouring.run())
            .context("no thread for a flood")?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    ///
    /// # Panics
    ///
    /// If its thread did.
    #[must_use]
    pub fn stop(self) -> Poured {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a flood does not panic")
    }
}

struct Pouring {
    target: SocketAddr,
    rate: u32,
    ufrags: Vec<String>,
    samples: Vec<Vec<u8>>,
    sockets: Vec<UdpSocket>,
    dice: Dice,
    stop: Arc<AtomicBool>,
}

impl Pouring {
    fn run(mut self) -> Poured {
        let begun = Instant::now();
        let (mut sent, mut refused) = (0_u64, 0_u64);
        while !self.stop.load(Ordering::Relaxed) {
            let elapsed = begun.elapsed();
            let due = elapsed.as_micros() * u128::from(self.rate) / 1_000_000;
            while u128::from(sent + refused) < due {
                let count = sent + refused;
                let bytes = self.datagram(count);
                let at = usize::try_from(count).unwrap_or(0) % self.sockets.len();
                match self.sockets[at].send_to(&bytes, self.target) {
                    Ok(_) => sent += 1,
                    Err(_) => refused += 1,
                }
            }
            std::thread::sleep(BEAT);
        }
        let took = begun.elapsed();
        Poured {
            sent,
            refused,
            answered: self.answers(),
            took,
        }
    }

    fn datagram(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        match count % 6 {
            0 => {
                let length = usize::try_from(self.dice.next() % 1_200).unwrap_or(0);
                self.dice.fill(&mut bytes, length);
            }
            1 => self.stun(&mut bytes, None),
            2 => self.client_hello(&mut bytes),
            3 => self.media(&mut bytes),
            4 => {
                let at = usize::try_from(self.dice.next()).unwrap_or(0) % self.ufrags.len().max(1);
                let ufrag = self.ufrags.get(at).cloned();
                self.stun(&mut bytes, ufrag);
            }
            _ => {
                let at = usize::try_from(count / 6).unwrap_or(0) % self.samples.len().max(1);
                bytes.extend(self.samples.get(at).into_iter().flatten().take(1_400));
            }
        }
        bytes
    }

    /// A binding request (RFC 8489) with a random signature, for a session if its user fragment is given.
    fn stun(&mut self, bytes: &mut Vec<u8>, ufrag: Option<String>) {
        // Request, success response, indication; a session is only named in a request.
        let kind = match (ufrag.is_some(), self.dice.next() % 3) {
            (true, _) | (false, 0) => [0, 1],
            (false, 1) => [1, 1],
            _ => [0, 0x11],
        };
        let user = format!("{}:abcd", ufrag.unwrap_or_else(|| "nobody".to_owned()));
        let padded = user.len().next_multiple_of(4);
        // User name, priority, tie-breaker, signature.
        let length = 4 + padded + 8 + 12 + 24;
        bytes.extend_from_slice(&kind);
        bytes.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        self.dice.fill(bytes, 12);
        bytes.extend_from_slice(&[0, 6]);
        bytes.extend_from_slice(&u16::try_from(user.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(user.as_bytes());
        bytes.resize(20 + 4 + padded, 0);
        bytes.extend_from_slice(&[0, 0x24, 0, 4, 0x6e, 0, 0x1e, 0xff]);
        bytes.extend_from_slice(&[0x80, 0x2a, 0, 8]);
        self.dice.fill(bytes, 8);
        bytes.extend_from_slice(&[0, 8, 0, 20]);
        self.dice.fill(bytes, 20);
    }

    /// A DTLS 1.2 record that begins like a ClientHello (RFC 6347).
    fn client_hello(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        bytes.extend_from_slice(&[1, 0, 0, 0x74, 0, 0, 0, 0, 0, 0, 0, 0x74, 0xfe, 0xfd]);
        self.dice.fill(bytes, 114);
    }

    /// RTP or RTCP of nobody's session.
    fn media(&mut self, bytes: &mut Vec<u8>) {
        let rtcp = self.dice.next().is_multiple_of(4);
        bytes.extend_from_slice(&[0x80, if rtcp { 200 } else { 108 }]);
        self.dice.fill(bytes, 300);
    }

    fn answers(&self) -> u64 {
        let mut buffer = [0; 2_048];
        let mut answered = 0;
        for socket in &self.sockets {
            while socket.recv(&mut buffer).is_ok() {
                answered += 1;
            }
        }
        answered
    }
}
