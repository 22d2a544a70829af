//! Simulcast: all layers come in, and each viewer is given one of them, in one stream.

use std::time::{Duration, Instant};

use reverie_sfu::engine::ids::LayerId;
use reverie_sfu::engine::{Bus, CloseReason, Command, Event, LayerState};
use str0m_netem::{Bitrate, DataSize, NetemConfig};

use crate::net::{Layered, Net, STREAM};
use crate::switching::{Encoder, cut_of};
use crate::{Camera, assert_continuous};

/// A picture's interval.
const FRAME: Duration = Duration::from_millis(33);
/// Most bytes of payload in one packet.
const MTU: usize = 1_150;

/// One layer of a made-up encoder.
struct Layer {
    rid: &'static str,
    width: u32,
    height: u32,
    /// Bytes of a picture; a keyframe is three times as large.
    bytes: usize,
    seq: u64,
    /// Timestamp of the first picture: every layer has its own.
    offset: u32,
    on: bool,
    fresh: bool,
}

/// A publisher with three layers: about 150 kbit/s, 500 kbit/s and 2 Mbit/s.
struct Publisher {
    client: usize,
    layers: Vec<Layer>,
    frame: u32,
    began: Instant,
    answered: usize,
    /// Between two layers of one picture.
    apart: Duration,
}

impl Publisher {
    fn new(net: &mut Net) -> Self {
        let layer = |rid, width, height, bytes, offset| Layer {
            rid,
            width,
            height,
            bytes,
            seq: 700 + u64::from(offset % 1_000),
            offset,
            on: true,
            fresh: true,
        };
        Self {
            // The best first, as browsers' examples have it.
            client: net.layered_publisher(&["h", "m", "l"]),
            layers: vec![
                layer("l", 320, 180, 620, 11_111),
                layer("m", 640, 360, 2_050, u32::MAX - 20_000),
                layer("h", 1_280, 720, 8_300, 987_654_321),
            ],
            frame: 0,
            began: net.now,
            answered: 0,
            apart: Duration::from_millis(2),
        }
    }

    fn layer(&mut self, rid: &str) -> &mut Layer {
        let found = self.layers.iter_mut().find(|l| l.rid == rid);
        found.expect("a layer of that name")
    }

    /// One picture in all layers, the lowest first, with keyframes where they are asked for.
    fn shoot(&mut self, net: &mut Net) {
        let (began, captured) = (net.now, net.now);
        let asked: Vec<String> = net.clients[self.client].layers_asked[self.answered..].to_vec();
        self.answered += asked.len();
        for at in 0..self.layers.len() {
            let layer = &mut self.layers[at];
            if !layer.on {
                continue;
            }
            let keyframe = std::mem::take(&mut layer.fresh) || asked.iter().any(|a| a == layer.rid);
            let since = (captured - self.began).as_micros() * 9 / 100;
            let since = u32::try_from(since).expect("minutes");
            let timestamp = layer.offset.wrapping_add(since);
            let payloads = layer.picture(keyframe, self.frame);
            let last = payloads.len() - 1;
            for (i, payload) in payloads.iter().enumerate() {
                let packet = Layered {
                    seq: self.layers[at].seq,
                    timestamp,
                    captured,
                    marker: i == last,
                    payload,
                };
                net.write_layer(self.client, self.layers[at].rid, packet);
                self.layers[at].seq += 1;
            }
            net.run(self.apart);
        }
        self.frame += 1;
        net.run((began + FRAME).saturating_duration_since(net.now));
    }

    fn roll(&mut self, net: &mut Net, seconds: f64) {
        let end = net.now + Duration::from_secs_f64(seconds);
        while net.now < end {
            self.shoot(net);
        }
    }
}

impl Layer {
    fn picture(&self, keyframe: bool, frame: u32) -> Vec<Vec<u8>> {
        let mark = [frame as u8, self.rid.as_bytes()[0]];
        let (kind, bytes) = if keyframe {
            (5, self.bytes * 3)
        } else {
            (1, self.bytes)
        };
        let count = bytes.div_ceil(MTU).max(2);
        let mut all = Vec::new();
        if keyframe {
            let sps = sps(self.width, self.height);
            let mut sets = vec![24, 0, u8::try_from(sps.len()).expect("short")];
            sets.extend(sps);
            sets.extend([0, 3, 0x68, 0xce, 0x3c]);
            all.push(sets);
        }
        for i in 0..count {
            let (first, last) = (i == 0, i + 1 == count);
            let header = kind | u8::from(first) << 7 | u8::from(last) << 6;
            let mut payload = vec![0x7c, header];
            if first {
                payload.push(0x88);
            }
            payload.extend(mark);
            payload.resize(bytes / count, 3);
            all.push(payload);
        }
        all
    }
}

/// A sequence parameter set of the Baseline profile (ITU-T H.264, section 7.3.2.1.1).
fn sps(width: u32, height: u32) -> Vec<u8> {
    let mut bits = String::new();
    let mut ue = |value: u32| {
        let code = format!("{:b}", value + 1);
        bits.push_str(&"0".repeat(code.len() - 1));
        bits.push_str(&code);
    };
    ue(0);
    ue(0);
    ue(2);
    ue(1);
    let rows = height.div_ceil(16);
    let cropped = (rows * 16 - height) / 2;
    let mut head = std::mem::take(&mut bits);
    head.push('0');
    for value in [width / 16 - 1, rows - 1] {
        let code = format!("{:b}", value + 1);
        head.push_str(&"0".repeat(code.len() - 1));
        head.push_str(&code);
    }
    head.push_str("11");
    if cropped > 0 {
        head.push('1');
        for value in [0, 0, 0, cropped] {
            let code = format!("{:b}", value + 1);
            head.push_str(&"0".repeat(code.len() - 1));
            head.push_str(&code);
        }
    } else {
        head.push('0');
    }
    head.push_str("01");
    while !head.len().is_multiple_of(8) {
        head.push('0');
    }
    let mut all = vec![0x67, 0x42, 0xe0, 0x1f];
    for byte in head.as_bytes().chunks(8) {
        let text = std::str::from_utf8(byte).expect("ASCII");
        all.push(u8::from_str_radix(text, 2).expect("eight bits"));
    }
    all
}

/// The layer of each picture that a viewer got, in order.
fn seen(net: &Net, viewer: usize) -> String {
    let video = net.video_of(viewer);
    let ends = video.iter().filter(|p| p.header.marker);
    ends.map(|p| char::from(p.payload[3])).collect()
}

/// The layers that a viewer got without repetition.
fn order(net: &Net, viewer: usize) -> String {
    let mut all: Vec<char> = seen(net, viewer).chars().collect();
    all.dedup();
    all.into_iter().collect()
}

/// Sequence numbers without a hole, a new timestamp for each picture, and keyframes where the layer changes.
fn assert_one_stream(net: &Net, viewer: usize) {
    assert_continuous(net, viewer);
    let video = net.video_of(viewer);
    for pair in video.windows(2) {
        let [before, next] = pair else { unreachable!() };
        assert_eq!(
            before.header.marker,
            before.header.timestamp != next.header.timestamp,
            "a picture is what has one timestamp, and ends with the marker: {} then {}",
            before.header.timestamp,
            next.header.timestamp
        );
    }
    let mut layer = None;
    for picture in video.split_inclusive(|p| p.header.marker) {
        let last = picture.last().expect("a packet");
        if !last.header.marker {
            continue;
        }
        if layer != Some(last.payload[3]) {
            assert_eq!(picture[0].payload[0], 24, "a layer begins with a keyframe");
        }
        layer = Some(last.payload[3]);
    }
}

fn longest_freeze(net: &Net, viewer: usize) -> Duration {
    let video = net.video_of(viewer);
    let ends: Vec<_> = video.iter().filter(|p| p.header.marker).collect();
    let gaps = ends
        .windows(2)
        .map(|p| p[1].timestamp.saturating_duration_since(p[0].timestamp));
    gaps.max().unwrap_or_default()
}

fn scene() -> (Net, Publisher) {
    let mut net = Net::new();
    let publisher = Publisher::new(&mut net);
    (net, publisher)
}

fn told(net: &Net) -> Option<&Vec<LayerState>> {
    net.events.iter().rev().find_map(|e| match e {
        Event::Layers(layers) => Some(layers),
        _ => None,
    })
}

#[test]
fn viewers_without_feedback_are_given_the_best_layer_in_one_stream() {
    let (mut net, mut publisher) = scene();
    let early = net.silent_viewer();
    publisher.roll(&mut net, 3.0);
    let late = net.silent_viewer();
    publisher.roll(&mut net, 1.0);
    for viewer in [early, late] {
        assert_one_stream(&net, viewer);
    }
    assert!(
        seen(&net, early).ends_with(&"h".repeat(80)),
        "{}",
        seen(&net, early)
    );
    assert_eq!(order(&net, late), "h");
    let layers = told(&net).expect("layers were told");
    let sizes: Vec<_> = layers.iter().map(|l| (l.id.to_string(), l.size)).collect();
    let expected = [("l", 320, 180), ("m", 640, 360), ("h", 1_280, 720)];
    assert_eq!(
        sizes,
        expected.map(|(id, w, h)| (id.to_owned(), Some((w, h))))
    );
    for (layer, kbps) in layers.iter().zip([150, 500, 2_000]) {
        let rate = layer.rate / 1_000;
        assert!(layer.active && rate.abs_diff(kbps) < kbps / 2, "{layer:?}");
    }
}

#[test]
fn a_layer_that_nobody_wants_is_asked_for_nothing() {
    let (mut net, mut publisher) = scene();
    net.silent_viewer();
    publisher.roll(&mut net, 2.0);
    let viewer = net.silent_viewer();
    net.run(Duration::from_millis(600));
    net.clients[viewer].ask_for_keyframe();
    publisher.roll(&mut net, 1.0);
    let asked = &net.clients[publisher.client].layers_asked;
    let others: Vec<_> = asked.iter().filter(|rid| *rid != "h").collect();
    assert!(asked.iter().any(|rid| rid == "h"), "{asked:?}");
    // Before the publisher sent anything a keyframe was wanted of whichever layer comes first.
    assert!(others.len() <= 1, "{asked:?}");
}

#[test]
fn the_layers_of_one_picture_get_one_time() {
    let (mut net, mut publisher) = scene();
    publisher.apart = Duration::from_millis(9);
    publisher.layer("m").on = false;
    net.silent_viewer();
    publisher.roll(&mut net, 1.0);
    // Its first packet is late enough to be placed wrongly, until the reports are there and a keyframe comes.
    publisher.layer("m").on = true;
    publisher.layers.rotate_left(1);
    publisher.roll(&mut net, 3.0);
    publisher.layers.iter_mut().for_each(|l| l.fresh = true);
    net.bus.clear();
    publisher.roll(&mut net, 1.0);
    let mut times: Vec<(u8, u64)> = Vec::new();
    for message in &net.bus {
        let Bus::Packets(_, packets) = message else {
            continue;
        };
        for packet in packets.iter().filter(|p| p.marker) {
            let frame = packet.payload[2];
            match times.iter().find(|(known, _)| *known == frame) {
                Some((_, pts)) => assert_eq!(*pts, packet.pts, "layer {}", packet.layer),
                None => times.push((frame, packet.pts)),
            }
        }
    }
    assert!(times.len() > 25, "{times:?}");
}

#[test]
fn a_layer_that_falls_silent_is_left_without_a_freeze_and_taken_again_when_it_comes_back() {
    let (mut net, mut publisher) = scene();
    let viewer = net.silent_viewer();
    publisher.roll(&mut net, 3.0);
    publisher.layer("h").on = false;
    publisher.roll(&mut net, 3.0);
    let fallen = seen(&net, viewer);
    assert!(fallen.ends_with(&"m".repeat(60)), "{fallen}");
    let freeze = longest_freeze(&net, viewer);
    assert!(freeze < Duration::from_millis(600), "{freeze:?}");
    assert!(!told(&net).expect("told")[2].active);
    publisher.layer("h").on = true;
    publisher.layer("h").fresh = true;
    publisher.roll(&mut net, 3.0);
    let back = seen(&net, viewer);
    assert!(back.ends_with(&"h".repeat(40)), "{back}");
    assert!(told(&net).expect("told")[2].active);
    assert_one_stream(&net, viewer);
    assert_eq!(net.engine.counts.switches[1], 1, "down once");
}

#[test]
fn a_slow_publisher_has_layers_too() {
    let (mut net, mut publisher) = scene();
    let viewer = net.silent_viewer();
    for frame in 0..60 {
        publisher.shoot(&mut net);
        // Two pictures a second, and once none for a while; the layers come one after the other.
        let pause = if frame == 30 { 5_000 } else { 470 };
        net.run(Duration::from_millis(pause));
    }
    assert!(
        seen(&net, viewer).ends_with(&"h".repeat(50)),
        "{}",
        order(&net, viewer)
    );
    let stopped = net.events.iter().any(|e| match e {
        Event::Layers(layers) => layers.iter().any(|l| !l.active),
        _ => false,
    });
    assert!(!stopped, "none of them stopped");
}

#[test]
fn a_narrow_path_is_given_a_layer_it_carries_and_the_best_one_again_when_it_widens() {
    let (mut net, mut publisher) = scene();
    let (viewer, other) = (net.viewer(), net.viewer());
    let open = NetemConfig::new().latency(Duration::from_millis(20));
    for client in [viewer, other] {
        net.worsen(client, open, open);
    }
    publisher.roll(&mut net, 12.0);
    assert!(seen(&net, viewer).ends_with('h'), "{}", order(&net, viewer));
    let narrow = open.link(Bitrate::kbps(800), DataSize::kbytes(60));
    net.worsen(viewer, open, narrow);
    publisher.roll(&mut net, 15.0);
    let limited = order(&net, viewer);
    let last: String = seen(&net, viewer).chars().rev().take(100).collect();
    assert!(
        last.chars().all(|l| l == 'm' || l == 'l') && last.contains('m'),
        "{limited}: {last}"
    );
    net.worsen(viewer, open, open);
    publisher.roll(&mut net, 25.0);
    assert!(
        seen(&net, viewer).ends_with(&"h".repeat(30)),
        "{}",
        order(&net, viewer)
    );
    let order = order(&net, other);
    assert!(
        order.ends_with('h') && order.matches('h').count() == 1,
        "{order}"
    );
    let [up, down] = net.engine.counts.switches;
    assert!(up >= 2 && down >= 1, "{up} up, {down} down");
}

#[test]
fn another_shard_chooses_for_its_viewers_and_asks_for_their_layers() {
    let (mut near, mut publisher) = scene();
    let mut far = Net::new();
    far.now = near.now;
    let [best, asked] = [far.silent_viewer(), far.silent_viewer()];
    let id = far.clients[asked].id;
    far.command(Command::Layer(id, Some(LayerId::new("m"))));
    for frame in 0..120 {
        if frame == 60 {
            far.command(Command::Layer(id, Some(LayerId::new("l"))));
        }
        publisher.shoot(&mut near);
        for message in near.bus.drain(..) {
            far.command(Command::Bus(message));
        }
        far.run(near.now.saturating_duration_since(far.now));
        for message in far.bus.drain(..) {
            near.command(Command::Bus(message));
        }
    }
    assert!(
        seen(&far, best).ends_with(&"h".repeat(60)),
        "{}",
        order(&far, best)
    );
    let order = order(&far, asked);
    assert!(order.ends_with("ml"), "{order}");
    for viewer in [best, asked] {
        assert_one_stream(&far, viewer);
    }
}

#[test]
fn a_viewer_may_choose_its_layer_and_leave_the_choice_again() {
    let (mut net, mut publisher) = scene();
    let viewer = net.silent_viewer();
    publisher.roll(&mut net, 2.0);
    let id = net.clients[viewer].id;
    net.command(Command::Layer(id, Some(LayerId::new("l"))));
    publisher.roll(&mut net, 2.0);
    assert!(seen(&net, viewer).ends_with(&"l".repeat(50)));
    net.command(Command::Layer(id, None));
    publisher.roll(&mut net, 2.0);
    assert!(seen(&net, viewer).ends_with(&"h".repeat(50)));
    assert_one_stream(&net, viewer);
}

#[test]
fn the_next_publisher_may_have_no_layers_at_all() {
    let (mut net, mut publisher) = scene();
    let viewer = net.silent_viewer();
    publisher.roll(&mut net, 2.0);
    let mut camera = Camera::new(&mut net);
    camera.roll(&mut net, 30);
    assert_continuous(&net, viewer);
    assert_eq!(
        net.video_of(viewer).last().expect("pictures").payload[2],
        30
    );
    let mut again = Publisher::new(&mut net);
    again.roll(&mut net, 2.0);
    assert_continuous(&net, viewer);
    assert!(seen(&net, viewer).ends_with(&"h".repeat(30)));
}

#[test]
fn viewers_of_the_styled_picture_tell_what_their_ways_carry_once_a_second() {
    let mut net = Net::new();
    let mut camera = Camera::new(&mut net);
    let viewer = net.viewer();
    let path = NetemConfig::new().latency(Duration::from_millis(20));
    net.worsen(viewer, path, path);
    camera.roll(&mut net, 60);
    let told = |net: &Net| {
        let all = net.events.iter().filter_map(|e| match e {
            Event::Estimate(_, rate) => Some(*rate),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    assert!(told(&net).is_empty(), "nobody needs it of the camera");
    net.command(Command::Cut(STREAM));
    let at = cut_of(&net);
    let mut encoder = Encoder { index: 0 };
    for frame in 0..150_u64 {
        encoder.send(&mut net, at + frame * 2_970, frame % 60 == 0, 1);
        net.run(FRAME);
    }
    let told = told(&net);
    assert!((4..=6).contains(&told.len()), "{told:?}");
    assert!(told.iter().all(|rate| *rate > 300_000), "{told:?}");
}

#[test]
fn a_viewer_whose_publisher_left_is_sent_next_to_nothing() {
    let (mut net, mut publisher) = scene();
    let viewer = net.viewer();
    let path = NetemConfig::new().latency(Duration::from_millis(20));
    net.worsen(viewer, path, path);
    publisher.roll(&mut net, 5.0);
    net.command(Command::Close(
        net.clients[publisher.client].id,
        CloseReason::Deleted,
    ));
    net.run(Duration::from_secs(2));
    let before = net.clients[viewer].addressed;
    net.run(Duration::from_secs(10));
    let sent = net.clients[viewer].addressed - before;
    assert!(sent < 50, "{sent} datagrams in 10 s");
}
