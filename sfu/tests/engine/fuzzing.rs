//! A publisher with a valid session that sends anything, and strangers who send it anything: the fuzz target
//! `engine` (integration-tests/fuzz), whose corpus `corpus.rs` replays.
//!
//! The input is a list of deeds, each one byte that says which, and its arguments; see [`Deeds::next`].

use std::net::SocketAddr;
use std::time::Duration;

use reverie_sfu::engine::{Command, Event, Input, Urgency};

use crate::net::{Net, SERVER, STREAM, picture};

/// Deeds of one input; each lets time pass, and an input is meant to take milliseconds.
const MOST: usize = 256;
/// Larger payloads are refused by the client's own sender.
const LARGEST: usize = 1_900;

/// Good pictures after which the viewer has seen one: timestamps may be 10 s off before a publisher is taken to
/// have begun another time line.
const PATIENCE: usize = 400;

/// One thing that happens to the engine.
#[derive(Debug)]
enum Deed<'a> {
    /// A packet of the picture or the sound, with anything in it.
    Packet(Shape<'a>),
    /// A picture as a camera sends it.
    Picture { keyframe: bool },
    /// A datagram from somewhere.
    Datagram { from: u8, bytes: &'a [u8] },
    /// A connectivity check for one of the sessions with a wrong signature.
    Forged {
        from: u8,
        session: u8,
        bytes: &'a [u8],
    },
    /// A genuine datagram of the publisher with one byte changed, or repeated.
    Bent { from: u8, at: u8, by: u8 },
    /// Nothing.
    Pause(Duration),
    /// A trickled candidate.
    Candidate { session: u8, bytes: &'a [u8] },
    /// What the channel and the viewer may want.
    Wish(u8),
}

#[derive(Debug)]
struct Shape<'a> {
    audio: bool,
    step: i64,
    ticks: i32,
    marker: bool,
    payload: &'a [u8],
}

struct Deeds<'a>(&'a [u8]);

impl<'a> Deeds<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// One byte of length and as many bytes, or those that are left; bit 7 of `wide` makes them more.
    fn bytes(&mut self, wide: u8) -> Option<&'a [u8]> {
        let factor = if wide & 0x80 == 0 { 1 } else { 8 };
        let length = usize::from(self.byte()?) * factor;
        let (taken, rest) = self.0.split_at(length.min(self.0.len()).min(LARGEST));
        self.0 = rest;
        Some(taken)
    }

    fn next(&mut self) -> Option<Deed<'a>> {
        let what = self.byte()?;
        Some(match what & 0x07 {
            0 | 1 => {
                let (flags, step, ticks) = (self.byte()?, self.byte()?, self.byte()?);
                Deed::Packet(Shape {
                    audio: what & 0x07 == 1,
                    step: wide(step, flags & 1 != 0, 100),
                    ticks: i32::try_from(wide(ticks, flags & 2 != 0, 1 << 17)).unwrap_or(0) * 90,
                    marker: flags & 4 != 0,
                    payload: self.bytes(what)?,
                })
            }
            2 => Deed::Picture {
                keyframe: what & 0x80 != 0,
            },
            3 => Deed::Datagram {
                from: self.byte()?,
                bytes: self.bytes(what)?,
            },
            4 => Deed::Forged {
                from: self.byte()?,
                session: what >> 7,
                bytes: self.bytes(0)?,
            },
            5 => Deed::Bent {
                from: self.byte()?,
                at: self.byte()?,
                by: self.byte()?,
            },
            6 if what & 0x80 != 0 => Deed::Candidate {
                session: what >> 6,
                bytes: self.bytes(0)?,
            },
            6 => Deed::Pause(Duration::from_millis(u64::from(self.byte()?))),
            _ => Deed::Wish(what >> 3),
        })
    }
}

/// A small step around zero, or a large one.
fn wide(byte: u8, far: bool, factor: i64) -> i64 {
    let step = i64::from(byte) - 128;
    if far { step * factor } else { step }
}

/// A channel with one publisher and one viewer, both connected.
struct World {
    net: Net,
    publisher: usize,
    viewer: usize,
    video: (u64, u32),
    audio: (u64, u32),
    tag: u8,
}

impl World {
    fn new() -> Self {
        let mut net = Net::new();
        let (publisher, viewer) = (net.publisher(), net.viewer());
        let mut world = Self {
            net,
            publisher,
            viewer,
            video: (40_000, 5_000),
            audio: (900, 7_000),
            tag: 0,
        };
        world.shoot(true);
        world
    }

    /// A good picture.
    fn shoot(&mut self, keyframe: bool) {
        self.tag = self.tag % 120 + 1;
        let payloads = picture(keyframe, self.tag);
        let last = payloads.len() - 1;
        for (i, payload) in payloads.iter().enumerate() {
            let (seq, time) = self.video;
            self.net
                .write_video(self.publisher, seq, time, i == last, payload);
            self.video.0 += 1;
        }
        self.video.1 = self.video.1.wrapping_add(3_000);
        self.net.run(Duration::from_millis(33));
    }

    fn act(&mut self, deed: Deed<'_>) {
        match deed {
            Deed::Packet(shape) => self.packet(&shape),
            Deed::Picture { keyframe } => self.shoot(keyframe),
            Deed::Datagram { from, bytes } => self.datagram(from, bytes),
            Deed::Forged {
                from,
                session,
                bytes,
            } => self.datagram(from, &check(session, "abcd", bytes)),
            Deed::Bent { from, at, by } => self.bent(from, at, by),
            Deed::Pause(span) => self.net.run(span),
            Deed::Candidate { session, bytes } => {
                let id = self.net.clients[usize::from(session % 2)].id;
                let candidate = String::from_utf8_lossy(bytes).into_owned();
                self.net.command(Command::Candidates(id, vec![candidate]));
            }
            Deed::Wish(which) => self.wish(which),
        }
    }

    fn packet(&mut self, shape: &Shape<'_>) {
        let next = if shape.audio {
            &mut self.audio
        } else {
            &mut self.video
        };
        let seq = next.0.saturating_add_signed(shape.step);
        let time = next.1.wrapping_add_signed(shape.ticks);
        *next = (next.0.max(seq + 1), time);
        if shape.audio {
            self.net
                .write_audio(self.publisher, seq, time, shape.payload);
        } else {
            self.net
                .write_video(self.publisher, seq, time, shape.marker, shape.payload);
        }
        self.net.run(Duration::from_millis(1));
    }

    fn source(&self, from: u8) -> SocketAddr {
        match from % 4 {
            0 => self.net.address(self.publisher),
            1 => self.net.address(self.viewer),
            _ => SocketAddr::from(([192, 0, 2, from], 4_000)),
        }
    }

    fn datagram(&mut self, from: u8, bytes: &[u8]) {
        let input = Input::Datagram {
            source: self.source(from),
            destination: SERVER.parse().expect("a constant address"),
            bytes,
        };
        self.net.engine.handle(self.net.now, input);
        self.net.run(Duration::from_millis(1));
    }

    fn bent(&mut self, from: u8, at: u8, by: u8) {
        self.net.capture();
        self.shoot(false);
        for (_, mut bytes) in self.net.captured() {
            let at = usize::from(at) % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= by;
            }
            self.datagram(from, &bytes);
        }
    }

    fn wish(&mut self, which: u8) {
        match which % 5 {
            0 => self.net.clients[self.viewer].ask_for_keyframe(),
            1 => self.net.command(Command::Cut(STREAM)),
            2 => self.net.command(Command::Camera(STREAM, Urgency::Smooth)),
            3 => self.net.command(Command::Camera(STREAM, Urgency::Now)),
            _ => self.net.command(Command::WantKeyframe(STREAM)),
        }
        self.net.run(Duration::from_millis(1));
    }

    /// Both sessions are there, and a good camera is seen again.
    fn still_works(&mut self) {
        let closed: Vec<_> = self
            .net
            .events
            .iter()
            .filter(|event| matches!(event, Event::Closed(..)))
            .collect();
        assert!(closed.is_empty(), "somebody was closed: {closed:?}");
        assert_eq!(self.net.engine.counts.panics, 0, "a peer panicked");
        self.net.command(Command::Camera(STREAM, Urgency::Now));
        let before = self.net.video_of(self.viewer).len();
        for i in 0..PATIENCE {
            self.shoot(i % 10 == 0);
            if self.net.video_of(self.viewer).len() > before {
                return;
            }
        }
        let counts = self.net.engine.counts;
        panic!("the viewer never saw the camera again: {counts:?}");
    }
}

/// A binding request (RFC 8489) for a session from one whose user fragment is `theirs`, with everything right but
/// its signature; `bytes` stand before that, as far as they fill words.
pub(crate) fn check(session: u8, theirs: &str, bytes: &[u8]) -> Vec<u8> {
    let user = format!("server{session:06}:{theirs}");
    let mut body = vec![0, 6, 0, u8::try_from(user.len()).expect("a short name")];
    body.extend_from_slice(user.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    // Priority, which every check has.
    body.extend_from_slice(&[0, 0x24, 0, 4, 0x6e, 0, 0x1e, 0xff]);
    body.extend_from_slice(&bytes[..bytes.len() / 4 * 4]);
    body.extend_from_slice(&[0, 8, 0, 20]);
    body.extend_from_slice(&[0x5a; 20]);
    let length = u16::try_from(body.len()).expect("short");
    let mut message = vec![0, 1];
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message.extend_from_slice(b"transaction!");
    message.extend_from_slice(&body);
    message
}

/// Whatever a publisher and strangers send, nobody is closed, no peer panics, and good pictures are seen again.
pub(crate) fn anything(data: &[u8]) {
    let mut world = World::new();
    let mut deeds = Deeds(data);
    for deed in std::iter::from_fn(|| deeds.next()).take(MOST) {
        world.act(deed);
    }
    world.still_works();
}
