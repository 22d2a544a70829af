//! Lip-sync: what a viewer's sender reports say about when sound and picture were captured.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reverie_sfu::engine::packet::StyledUnit;
use reverie_sfu::engine::{Command, Event, Urgency};
use reverie_transcoder::time::Pts;
use str0m::media::MediaKind;
use str0m::rtp::{RtpPacket, RtpWrite};

use crate::net::{Net, STREAM};

/// One Opus packet.
const SOUND: Duration = Duration::from_millis(20);
/// One picture, at 25 a second.
const PICTURE: Duration = Duration::from_millis(40);
/// From capture to sending.
const SOUND_DELAY: Duration = Duration::from_millis(20);
/// Likewise; pictures take up to 20 ms longer.
const PICTURE_DELAY: Duration = Duration::from_millis(60);
/// How long a pipeline takes for a picture.
const STAGE: Duration = Duration::from_millis(120);

/// When everything was captured, by the number in its payload.
#[derive(Default)]
struct Captured(Vec<Instant>);

impl Captured {
    fn number(&mut self, at: Instant) -> [u8; 4] {
        self.0.push(at);
        u32::try_from(self.0.len() - 1).expect("few").to_be_bytes()
    }

    fn of(&self, packet: &RtpPacket) -> Instant {
        let number = packet.payload[packet.payload.len() - 4..].try_into();
        self.0[u32::from_be_bytes(number.expect("four bytes")) as usize]
    }
}

/// A publisher whose RTP clocks are not quite what they should be.
struct Studio {
    client: usize,
    began: Instant,
    sounds: u32,
    pictures: u32,
    video_seq: u64,
    /// Rates of its RTP clocks in Hz.
    rates: [f64; 2],
    /// Numbers and timestamps of pictures sent.
    sent: Vec<(u32, [u8; 4])>,
}

impl Studio {
    fn new(net: &mut Net, parts_per_million: [f64; 2]) -> Self {
        let [audio, video] = parts_per_million;
        Self {
            client: net.publisher(),
            began: net.now,
            sounds: 0,
            pictures: 0,
            video_seq: 40_000,
            rates: [
                48_000.0 * (1.0 + audio / 1e6),
                90_000.0 * (1.0 + video / 1e6),
            ],
            sent: Vec::new(),
        }
    }

    /// Sends what is due now.
    fn step(&mut self, net: &mut Net, captured: &mut Captured, keyframe: bool) {
        while self.began + SOUND * self.sounds + SOUND_DELAY <= net.now {
            self.sound(net, captured);
        }
        loop {
            let jitter = Duration::from_millis(u64::from(self.pictures % 3) * 10);
            let due = self.began + PICTURE * self.pictures + PICTURE_DELAY + jitter;
            if due > net.now {
                return;
            }
            self.picture(net, captured, keyframe || self.pictures == 0);
        }
    }

    fn sound(&mut self, net: &mut Net, captured: &mut Captured) {
        let at = self.began + SOUND * self.sounds;
        let timestamp = self.timestamp(0, at);
        let mut payload = vec![0x78, 1];
        payload.extend(captured.number(at));
        let seq = u64::from(self.sounds) + 20_000;
        net.write_packet(self.client, MediaKind::Audio, |pt| {
            RtpWrite::new(pt, seq.into(), timestamp, at, payload)
        });
        self.sounds += 1;
    }

    fn picture(&mut self, net: &mut Net, captured: &mut Captured, keyframe: bool) {
        let at = self.began + PICTURE * self.pictures;
        let timestamp = self.timestamp(1, at);
        let number = captured.number(at);
        let payloads = payloads(keyframe, number);
        let last = payloads.len() - 1;
        for (i, payload) in payloads.into_iter().enumerate() {
            let seq = self.video_seq;
            net.write_packet(self.client, MediaKind::Video, |pt| {
                RtpWrite::new(pt, seq.into(), timestamp, at, payload).marker(i == last)
            });
            self.video_seq += 1;
        }
        self.sent.push((timestamp, number));
        self.pictures += 1;
    }

    /// RTP time of an instant; near the wrap at first.
    fn timestamp(&self, kind: usize, at: Instant) -> u32 {
        let ticks = at.duration_since(self.began).as_secs_f64() * self.rates[kind];
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (u32::MAX - 9_000_000).wrapping_add(ticks.round() as u32)
    }
}

fn payloads(keyframe: bool, number: [u8; 4]) -> Vec<Vec<u8>> {
    let slice = |header: u8| {
        let mut slice = vec![header, 0x9a];
        slice.extend(number);
        slice
    };
    if keyframe {
        let sets = vec![24, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce];
        vec![sets, slice(0x65)]
    } else {
        vec![slice(0x41)]
    }
}

/// A pipeline that gives every picture back, [`STAGE`] later.
struct Pipeline {
    /// Channel time and RTP timestamp of one picture.
    origin: (u64, u32),
    index: u64,
    next: usize,
}

impl Pipeline {
    /// Begins where the engine cut the camera after its newest picture.
    fn cut(net: &mut Net, studio: &Studio, judge: &Judge, index: u64) -> Self {
        net.command(Command::Cut(STREAM));
        let cut = net.events.iter().rev().find_map(|e| match e {
            Event::Cut(at) => Some(at.0),
            _ => None,
        });
        let newest = studio.sent.iter().position(|p| p.1 == judge.newest);
        let newest = newest.expect("the viewer has what the engine has");
        Self {
            origin: (cut.expect("a cut") - 1, studio.sent[newest].0),
            index,
            next: newest + 1,
        }
    }

    fn step(&mut self, net: &mut Net, studio: &Studio, first: u64) {
        while let Some((timestamp, number)) = studio.sent.get(self.next) {
            let age = PICTURE * u32::try_from(studio.sent.len() - 1 - self.next).expect("few");
            if age < STAGE {
                return;
            }
            let since = timestamp.wrapping_sub(self.origin.1);
            let keyframe = self.index == first;
            let unit = StyledUnit {
                index: self.index,
                pts: Pts(self.origin.0 + u64::from(since)),
                keyframe,
                payloads: payloads(keyframe, *number)
                    .into_iter()
                    .map(Arc::from)
                    .collect(),
            };
            net.command(Command::Styled(STREAM, Arc::new(unit)));
            self.index += 1;
            self.next += 1;
        }
    }
}

/// Compares, packet by packet, what a viewer's newest sender reports make of it with when it was captured.
struct Judge {
    viewer: usize,
    /// Report time minus capture time of the newest packet, for sound and picture.
    offsets: [Option<f64>; 2],
    /// The largest difference between them, in seconds.
    worst: f64,
    pairs: usize,
    /// Number of the newest picture.
    newest: [u8; 4],
}

impl Judge {
    fn new(viewer: usize) -> Self {
        Self {
            viewer,
            offsets: [None; 2],
            worst: 0.0,
            pairs: 0,
            newest: [0; 4],
        }
    }

    fn look(&mut self, net: &mut Net, captured: &Captured, since: Instant) {
        let client = &mut net.clients[self.viewer];
        for packet in std::mem::take(&mut client.received) {
            let audio = packet.payload[0] == 0x78;
            if !audio && !packet.header.marker {
                continue;
            }
            if !audio {
                let number = packet.payload[packet.payload.len() - 4..].try_into();
                self.newest = self.newest.max(number.expect("four bytes"));
            }
            let report = client
                .reports
                .iter()
                .rev()
                .find(|r| r.0 == packet.header.ssrc);
            let Some((_, ntp, rtp)) = report else {
                continue;
            };
            let rate = if audio { 48_000.0 } else { 90_000.0 };
            let ahead = f64::from(packet.header.timestamp.wrapping_sub(*rtp).cast_signed());
            let said = ntp
                .duration_since(SystemTime::UNIX_EPOCH)
                .expect("this century");
            let was = captured.of(&packet).duration_since(since).as_secs_f64();
            self.offsets[usize::from(!audio)] = Some(said.as_secs_f64() + ahead / rate - was);
            if let [Some(sound), Some(picture)] = self.offsets {
                self.pairs += 1;
                self.worst = self.worst.max((sound - picture).abs());
            }
        }
    }
}

/// A network and when its client's pictures and sounds were captured.
struct Scene {
    net: Net,
    captured: Captured,
}

impl Scene {
    fn new() -> Self {
        Self {
            net: Net::new(),
            captured: Captured::default(),
        }
    }

    /// Runs for a while, with or without a moment.
    fn run(
        &mut self,
        studio: &mut Studio,
        judge: &mut Judge,
        span: Duration,
        mut pipeline: Option<&mut Pipeline>,
    ) {
        let Self { net, captured } = self;
        let end = net.now + span;
        let first = pipeline.as_ref().map_or(0, |p| p.index);
        while net.now < end {
            net.run(Duration::from_millis(10));
            let seconds = net.now.duration_since(studio.began).as_millis() % 2_000;
            // Reports are late or early by chance: those of sound and picture come in different moods of the network.
            let slow = net.now.duration_since(studio.began).as_millis() / 700 % 3;
            net.clients[studio.client].uplink =
                [150, 90, 5].map(Duration::from_millis)[slow as usize];
            studio.step(net, captured, seconds < 40);
            if let Some(pipeline) = &mut pipeline {
                pipeline.step(net, studio, first);
            }
            judge.look(net, captured, net.epoch);
        }
    }
}

#[test]
fn sound_and_picture_do_not_drift_apart_in_ten_minutes_with_moments() {
    let mut scene = Scene::new();
    let mut studio = Studio::new(&mut scene.net, [100.0, -50.0]);
    let viewer = scene.net.viewer();
    // Until the publisher itself has reported on both tracks nobody can know better.
    let mut settling = Judge::new(viewer);
    scene.run(&mut studio, &mut settling, Duration::from_secs(7), None);

    let mut judge = Judge::new(viewer);
    let minute = Duration::from_secs(60);
    let mut index = 0;
    for _ in 0..5 {
        scene.run(&mut studio, &mut judge, minute, None);
        let mut pipeline = Pipeline::cut(&mut scene.net, &studio, &judge, index);
        scene.run(&mut studio, &mut judge, minute, Some(&mut pipeline));
        index = pipeline.index;
        scene.net.command(Command::Camera(STREAM, Urgency::Smooth));
    }
    let shown = |event: &Event| scene.net.events.iter().filter(|e| *e == event).count();
    assert_eq!(shown(&Event::ShowsStyled), 5);
    assert!(judge.pairs > 40_000, "{} packets compared", judge.pairs);
    assert!(judge.worst < 0.005, "{:.2} ms apart", judge.worst * 1_000.0);
}

#[test]
fn sound_and_picture_of_the_next_publisher_are_together_too() {
    let mut scene = Scene::new();
    let mut studio = Studio::new(&mut scene.net, [0.0, 0.0]);
    let viewer = scene.net.viewer();
    let mut ignored = Judge::new(viewer);
    scene.run(&mut studio, &mut ignored, Duration::from_secs(10), None);

    let mut next = Studio::new(&mut scene.net, [-80.0, 60.0]);
    scene.run(&mut next, &mut ignored, Duration::from_secs(7), None);
    let mut judge = Judge::new(viewer);
    scene.run(&mut next, &mut judge, Duration::from_secs(30), None);
    let mut pipeline = Pipeline::cut(&mut scene.net, &next, &judge, 0);
    scene.run(
        &mut next,
        &mut judge,
        Duration::from_secs(10),
        Some(&mut pipeline),
    );
    assert!(judge.pairs > 2_000, "{} packets compared", judge.pairs);
    assert!(judge.worst < 0.005, "{:.2} ms apart", judge.worst * 1_000.0);
}

#[test]
fn a_report_is_sent_with_the_first_packets_and_never_before_them() {
    let mut scene = Scene::new();
    let viewer = scene.net.viewer();
    scene.net.run(Duration::from_secs(12));
    assert_eq!(
        scene.net.clients[viewer].reports,
        [],
        "there is nothing to report on"
    );

    let mut studio = Studio::new(&mut scene.net, [0.0, 0.0]);
    let mut judge = Judge::new(viewer);
    scene.run(&mut studio, &mut judge, Duration::from_millis(300), None);
    assert!(
        judge.pairs > 5,
        "both are reported on after 300 ms: {:?}",
        scene.net.clients[viewer].reports
    );
    // Two of each are what a receiver needs to synchronise them.
    scene.run(&mut studio, &mut judge, Duration::from_millis(1_200), None);
    let reports = &scene.net.clients[viewer].reports;
    for (ssrc, ..) in reports {
        assert!(
            reports.iter().filter(|r| r.0 == *ssrc).count() >= 2,
            "{reports:?}"
        );
    }
}
