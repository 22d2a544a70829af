//! The layers of a channel's picture as one shard knows them: what each is, whether its pictures come, what joiners
//! need of it, and who is to be asked for its keyframes.
//!
//! A picture without simulcast is one layer without a name.

use std::time::{Duration, Instant};

use reverie_transcoder::h264::{self, PayloadKind};
use reverie_transcoder::size::Size;

use super::choice::Rung;
use super::clock::{duration, ticks};
use super::ids::LayerId;
use super::ingest::KeyframeRequests;
use super::keyframes::SourceCache;
use super::packet::{Kind, Packet};

/// A layer whose newest picture lies this much behind that of another one, beside two of its own intervals, has
/// stopped, if it also missed this many pictures: after a pause of all layers, one of them is the first again.
const BEHIND: Duration = Duration::from_millis(300);
const MISSED: u64 = 3;
/// Pictures that are closer together are one picture.
const ONE_PICTURE: Duration = Duration::from_millis(10);
/// A longer silence is a pause and no interval.
const PAUSE: Duration = Duration::from_secs(2);
/// A layer that stopped counts again once its pictures came for this long.
const BACK: Duration = Duration::from_millis(500);
/// A rate is taken over this long.
const WINDOW: Duration = Duration::from_millis(500);
/// Between two looks at who is given what.
const REVIEW: Duration = Duration::from_millis(100);

/// What is told of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerState {
    /// Its name.
    pub id: LayerId,
    /// Size of its pictures in luma samples, once a parameter set told.
    pub size: Option<(u32, u32)>,
    /// Bits per second of payload, over about a second; zero while unknown.
    pub rate: u64,
    /// Its pictures come.
    pub active: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Layers {
    interval: Duration,
    /// In the order in which they were seen.
    all: Vec<Layer>,
    /// A keyframe is wanted of whichever layer comes first.
    wanted: bool,
    reviewed: Option<Instant>,
    /// Time of the newest picture of any layer, and how many there were.
    newest: u64,
    pictures: u64,
    told: Vec<LayerState>,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) id: LayerId,
    pub(crate) cache: SourceCache,
    pub(crate) requests: KeyframeRequests,
    /// Generation of the group that viewers were last started on.
    pub(crate) started: Option<u32>,
    /// Generation of the layer when the camera was cut: the time of another says nothing about what was sent.
    pub(crate) cut_in: u32,
    size: Option<Size>,
    meter: Meter,
    newest: u64,
    /// The count of all pictures at that one.
    at: u64,
    /// Between two pictures, in ticks.
    interval: u64,
    active: bool,
    /// Since when pictures come of a layer that had stopped.
    back: Option<Instant>,
}

impl Layers {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            all: Vec::new(),
            wanted: false,
            reviewed: None,
            newest: 0,
            pictures: 0,
            told: Vec::new(),
        }
    }

    /// Notes a packet; returned is its layer, begun if it is new.
    pub(crate) fn note(&mut self, packet: &Packet) -> &mut Layer {
        if packet.pts > self.newest + video_ticks(ONE_PICTURE) {
            self.pictures += 1;
        }
        self.newest = self.newest.max(packet.pts);
        let pictures = self.pictures;
        let layer = self.of(packet);
        layer.note(packet, pictures);
        layer
    }

    fn of(&mut self, packet: &Packet) -> &mut Layer {
        let known = self.all.iter().position(|l| l.id == packet.layer);
        let index = known.unwrap_or_else(|| {
            let mut layer = Layer::new(packet.layer, self.interval);
            if std::mem::take(&mut self.wanted) {
                layer.requests.want();
            }
            self.all.push(layer);
            self.all.len() - 1
        });
        &mut self.all[index]
    }

    pub(crate) fn get(&self, id: LayerId) -> Option<&Layer> {
        self.all.iter().find(|l| l.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: LayerId) -> Option<&mut Layer> {
        self.all.iter_mut().find(|l| l.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Layer> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        self.all.iter_mut()
    }

    /// True if there is something to choose.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The best layer whose pictures come, or the only one.
    pub(crate) fn best(&self) -> Option<&Layer> {
        let best = self
            .all
            .iter()
            .filter(|l| l.active)
            .max_by_key(|l| l.rank());
        best.or_else(|| self.all.iter().max_by_key(|l| l.rank()))
    }

    /// Wants a keyframe of a layer; `None` means the best one, or whichever comes first.
    pub(crate) fn want(&mut self, id: Option<LayerId>) {
        let id = id.or_else(|| self.best().map(|l| l.id));
        match id.and_then(|id| self.get_mut(id)) {
            Some(layer) => layer.requests.want(),
            None => self.wanted = true,
        }
    }

    /// The publisher is gone, and its layers with it.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.interval);
    }

    /// True every tenth of a second while there is something to choose; notes which layers stopped or came back.
    pub(crate) fn review(&mut self, now: Instant) -> bool {
        if !self.are_several() || now < *self.reviewed.get_or_insert(now) + REVIEW {
            return false;
        }
        self.reviewed = Some(now);
        for layer in &mut self.all {
            layer.look(now, self.newest, self.pictures);
        }
        true
    }

    /// What viewers can choose from, in rising order.
    pub(crate) fn rungs(&self) -> Vec<Rung> {
        let mut layers: Vec<_> = self.all.iter().collect();
        layers.sort_by_key(|l| l.rank());
        let rung = |l: &&Layer| Rung {
            id: l.id,
            rate: l.meter.rate,
            active: l.active,
        };
        layers.iter().map(rung).collect()
    }

    /// The layers in rising order, if what is known of them changed enough to be told.
    pub(crate) fn news(&mut self) -> Option<Vec<LayerState>> {
        let mut layers: Vec<_> = self.all.iter().collect();
        layers.sort_by_key(|l| l.rank());
        let states: Vec<_> = layers.iter().map(|l| l.state()).collect();
        let same = states.len() == self.told.len()
            && states.iter().zip(&self.told).all(|(a, b)| a.resembles(b));
        if same {
            return None;
        }
        self.told.clone_from(&states);
        Some(states)
    }
}

impl Layer {
    fn new(id: LayerId, interval: Duration) -> Self {
        Self {
            id,
            cache: SourceCache::default(),
            requests: KeyframeRequests::new(interval),
            started: None,
            cut_in: 0,
            size: None,
            meter: Meter::default(),
            newest: 0,
            at: 0,
            interval: 0,
            active: true,
            back: None,
        }
    }

    /// Notes a packet of this layer.
    fn note(&mut self, packet: &Packet, pictures: u64) {
        self.meter.add(packet.received, packet.payload.len());
        if packet.pts > self.newest {
            let step = packet.pts - self.newest;
            if self.newest > 0 && step < video_ticks(PAUSE) {
                self.interval = (self.interval * 7 + step) / 8;
            }
            (self.newest, self.at) = (packet.pts, pictures);
        }
        if packet.part == PayloadKind::ParameterSets {
            self.size = size_of(&packet.payload).or(self.size);
        }
    }

    /// Media time that the cached group covers.
    pub(crate) fn span(&self) -> Option<Duration> {
        let ticks = self.cache.span()?;
        Some(duration(ticks, Kind::Video.clock_rate()))
    }

    fn state(&self) -> LayerState {
        LayerState {
            id: self.id,
            size: self.size.map(|s| (s.width(), s.height())),
            rate: self.meter.rate.unwrap_or(0),
            active: self.active,
        }
    }

    /// Larger pictures are better, and of those the more expensive ones.
    fn rank(&self) -> (usize, u64) {
        let pixels = self.size.map_or(0, Size::pixels);
        (pixels, self.meter.rate.unwrap_or(0))
    }

    fn look(&mut self, now: Instant, newest: u64, pictures: u64) {
        let patience = video_ticks(BEHIND) + 2 * self.interval;
        let late = newest.saturating_sub(self.newest) > patience;
        let comes = !late || pictures - self.at < MISSED;
        if !comes {
            (self.active, self.back) = (false, None);
        } else if !self.active && now >= *self.back.get_or_insert(now) + BACK {
            self.active = true;
        }
    }
}

impl LayerState {
    /// True if the difference is not worth telling.
    fn resembles(&self, other: &Self) -> bool {
        let near = self.rate.abs_diff(other.rate) * 4 <= other.rate;
        self.id == other.id && self.size == other.size && self.active == other.active && near
    }
}

fn video_ticks(span: Duration) -> u64 {
    ticks(span, Kind::Video.clock_rate())
}

/// The picture's size by the sequence parameter set in a payload.
fn size_of(payload: &[u8]) -> Option<Size> {
    let unit = h264::parameter_sets(payload).next()?;
    let sps = h264::sps_of(&[&[0, 0, 0, 1], unit].concat())?;
    Some(sps.size)
}

/// Bits per second over the last windows.
#[derive(Debug, Default)]
struct Meter {
    began: Option<Instant>,
    bytes: u64,
    rate: Option<u64>,
}

impl Meter {
    fn add(&mut self, at: Instant, bytes: usize) {
        let began = *self.began.get_or_insert(at);
        let span = at.saturating_duration_since(began);
        if span > WINDOW * 4 {
            // It had stopped.
            (self.began, self.bytes) = (Some(at), 0);
        } else if span >= WINDOW {
            let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
            let newest = self.bytes * 8_000 / ms;
            self.rate = Some(self.rate.map_or(newest, |rate| (rate * 2 + newest) / 3));
            (self.began, self.bytes) = (Some(at), 0);
        }
        self.bytes += bytes as u64;
    }
}
