//! One channel's stream on one shard: what its viewers are shown, and what a joiner needs.
//!
//! Decides; never writes to a peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::assemble::{Assembled, Assembler, RtpPacketRef};
use reverie_transcoder::pipeline;
use reverie_transcoder::time::Pts;

use super::clock;
use super::ids::{LayerId, PeerId};
use super::keyframes::StyledCache;
use super::layers::Layers;
use super::packet::{Kind, Packet, StyledUnit, Track};
use super::skew::Skew;

/// A cached group of at most this length is replayed to a joiner at once; a longer one only if no fresh keyframe comes.
const SHORT_GROUP: Duration = Duration::from_secs(1);
/// A cached group of at most this length is given to a pipeline at once: a longer one would overflow its queue.
const FED_AT_ONCE: Duration = Duration::from_millis(150);
/// How long a joiner waits for a fresh keyframe before a long cached group is replayed to it.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long the camera's keyframe may take after the styled picture failed, before the cached group is replayed.
const URGENT_PATIENCE: Duration = Duration::from_millis(500);
/// A styled group of more units than this is not replayed: a fresh keyframe is asked of the encoder instead.
const SHORT_STYLED_GROUP: usize = 60;

/// What the channel's viewers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// The camera.
    Source,
    /// The camera up to this time; then nothing until the styled keyframe that continues it.
    Cut(u64),
    /// The styled picture.
    Styled,
    /// The styled picture until the camera's next keyframe.
    Returning,
}

/// What a new styled unit means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Styled {
    /// Not shown.
    Ignored,
    /// The switch happens with this unit.
    Switch,
    /// Goes to those who play the styled picture.
    Continue,
}

/// What to do for a viewer that has nothing to play yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// Replay the cached camera group.
    Source,
    /// Replay the cached styled group.
    Styled,
    /// A keyframe of the camera is needed.
    WantSource,
    /// A keyframe of the encoder is needed.
    WantStyled,
    /// The next unit starts it.
    Wait,
}

/// Where the camera's access units go while a pipeline runs.
#[derive(Debug)]
struct Tap {
    /// Which layer is fed: the best one, as of its last keyframe.
    layer: Option<LayerId>,
    /// Time of the newest packet that was fed, and what the layer before it came to.
    newest: u64,
    floor: u64,
    assembler: Assembler,
    assembled: Vec<Assembled>,
    sink: pipeline::Input,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The connected publisher, if it is on this shard.
    pub(crate) publisher: Option<PeerId>,
    /// Connected viewers on this shard.
    pub(crate) viewers: Vec<PeerId>,
    pub(crate) layers: Layers,
    /// Viewers that wait for a keyframe of another layer than they play, or for the end of a picture, and since when.
    pub(crate) switching: Vec<(PeerId, Instant)>,
    pub(crate) styled: StyledCache,
    /// Packets that were taken but not yet sent on.
    pub(crate) pending: Vec<Arc<Packet>>,
    /// When waiting viewers are given the cached group, however long.
    pub(crate) replay_at: Option<Instant>,
    /// When the engine promised to look at this stream again.
    pub(crate) scheduled: Option<Instant>,
    /// True while a publisher is on another shard.
    pub(crate) remote: bool,
    /// Channel time of the newest packet of any kind.
    pub(crate) newest: Duration,
    /// True once the present publisher showed a complete keyframe.
    pub(crate) live: bool,
    show: Show,
    next_unit: Option<u64>,
    last_styled: Option<u64>,
    captured: Option<(u64, Instant)>,
    /// How the camera's pictures are to be turned, as it said last.
    pub(crate) rotation: Option<u8>,
    pub(crate) skew: Skew,
    tap: Option<Tap>,
}

impl Stream {
    pub(crate) fn new(request_interval: Duration) -> Self {
        Self {
            publisher: None,
            viewers: Vec::new(),
            layers: Layers::new(request_interval),
            switching: Vec::new(),
            styled: StyledCache::default(),
            pending: Vec::new(),
            replay_at: None,
            scheduled: None,
            remote: false,
            newest: Duration::ZERO,
            live: false,
            show: Show::Source,
            next_unit: None,
            last_styled: None,
            captured: None,
            rotation: None,
            skew: Skew::default(),
            tap: None,
        }
    }

    pub(crate) fn show(&self) -> Show {
        self.show
    }

    /// True if this shard need not know the stream any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.publisher.is_none()
            && !self.remote
            && self.viewers.is_empty()
            && self.pending.is_empty()
            && self.tap.is_none()
    }

    /// Sends access units to a pipeline from now on, beginning with the cached group if it is short, or stops.
    pub(crate) fn tap(&mut self, sink: Option<pipeline::Input>) {
        let best = self.layers.best();
        self.tap = sink.map(|sink| Tap {
            layer: best.map(|l| l.id),
            newest: 0,
            floor: 0,
            assembler: Assembler::new(),
            assembled: Vec::new(),
            sink,
        });
        if self.tap.is_none() {
            return;
        }
        match best.filter(|l| l.span().is_some_and(|span| span <= FED_AT_ONCE)) {
            Some(layer) => {
                let group: Vec<_> = layer.cache.packets().cloned().collect();
                for packet in &group {
                    self.feed(packet);
                }
            }
            None => self.layers.want(None),
        }
    }

    /// Gives a camera packet to the pipeline, if one runs and is fed with its layer.
    pub(crate) fn feed(&mut self, packet: &Packet) {
        let Some(tap) = &mut self.tap else { return };
        if *tap.layer.get_or_insert(packet.layer) != packet.layer {
            return;
        }
        tap.newest = tap.newest.max(packet.pts);
        let packet = RtpPacketRef {
            seq: packet.seq,
            pts: Pts(packet.pts.max(tap.floor)),
            marker: packet.marker,
            arrived: packet.received,
            payload: &packet.payload,
        };
        tap.assembler.push(packet, &mut tap.assembled);
        for assembled in tap.assembled.drain(..) {
            match assembled {
                Assembled::Unit(unit) => tap.sink.push(unit),
                Assembled::Gap => {
                    tap.sink.gap();
                    self.layers.want(tap.layer);
                }
            }
        }
    }

    /// A keyframe of a layer is complete: a pipeline that is fed with another layer than the best goes on with it.
    pub(crate) fn feed_best(&mut self, ready: LayerId) {
        let Some(best) = self.layers.best().filter(|l| l.id == ready) else {
            return;
        };
        let group: Vec<_> = best.cache.packets().cloned().collect();
        let Some(tap) = self.tap.as_mut().filter(|t| t.layer != Some(ready)) else {
            return;
        };
        // Its keyframe may be the picture that was fed last: units of a pipeline have times of their own.
        (tap.layer, tap.floor) = (Some(ready), tap.newest + 1);
        tap.assembler = Assembler::new();
        for packet in &group {
            self.feed(packet);
        }
    }

    /// Asks for a keyframe of the best layer if a pipeline is fed with another.
    pub(crate) fn want_best(&mut self) {
        let best = self.layers.best().map(|l| l.id);
        if self.tap.as_ref().is_some_and(|tap| tap.layer != best) {
            self.layers.want(best);
        }
    }

    /// Keeps a camera packet for joiners; true if it completed a keyframe.
    pub(crate) fn keep(&mut self, packet: &Arc<Packet>) -> bool {
        let at = clock::duration(packet.pts, packet.kind.clock_rate());
        self.newest = self.newest.max(at);
        self.skew
            .leaves(packet.kind, packet.received, packet.captured);
        self.rotation = packet.rotation.or(self.rotation);
        if packet.kind == Kind::Audio {
            return false;
        }
        if self.captured.is_none_or(|(pts, _)| packet.pts > pts) {
            self.captured = Some((packet.pts, packet.captured));
        }
        let layer = self.layers.note(packet);
        let ready = layer.cache.push(packet);
        if ready {
            layer.requests.satisfied();
        }
        ready
    }

    /// True if viewers of `track` that play the camera get this packet now.
    pub(crate) fn passes(&self, packet: &Packet, track: Track) -> bool {
        match (packet.kind, self.shown(track)) {
            (Kind::Video, Show::Cut(at)) => packet.pts < at,
            _ => true,
        }
    }

    /// What viewers of `track` are shown: those of the source never anything but the camera.
    pub(crate) fn shown(&self, track: Track) -> Show {
        match track {
            Track::Output => self.show,
            Track::Source => Show::Source,
        }
    }

    /// A keyframe of a layer is complete: true if viewers of the styled picture switch to the camera.
    pub(crate) fn returns(&mut self, ready: LayerId) -> bool {
        let best = self.layers.best().filter(|l| l.id == ready);
        let Some(layer) = best.filter(|_| self.show == Show::Returning) else {
            return false;
        };
        let at = layer.cache.packets().next().map(|p| p.pts);
        if self.last_styled.is_some() && at <= self.last_styled {
            self.layers.want(None);
            return false;
        }
        self.show = Show::Source;
        self.replay_at = None;
        self.end_styled();
        true
    }

    /// Stops showing the camera from `at` on.
    pub(crate) fn cut(&mut self, at: u64) {
        if self.show == Show::Source {
            self.show = Show::Cut(at);
            for layer in self.layers.iter_mut() {
                layer.cut_in = layer.cache.generation();
            }
            self.end_styled();
        }
    }

    /// Wants the camera back. Returns where it had been cut if nothing styled was shown yet: then it simply continues.
    pub(crate) fn back(&mut self, now: Instant, urgent: bool) -> Option<u64> {
        match self.show {
            Show::Source => None,
            Show::Cut(at) => {
                self.show = Show::Source;
                Some(at)
            }
            Show::Styled | Show::Returning => {
                self.show = Show::Returning;
                self.layers.want(None);
                if urgent {
                    self.replay_at = Some(now + URGENT_PATIENCE);
                }
                None
            }
        }
    }

    /// The publisher is gone: the next one's keyframe starts every viewer.
    pub(crate) fn orphan(&mut self) {
        self.publisher = None;
        self.remote = false;
        self.live = false;
        self.last_styled = None;
        self.tap = None;
        self.layers.clear();
        self.switching.clear();
        self.rotation = None;
        self.skew = Skew::default();
        self.replay_at = None;
        self.show = match self.show {
            Show::Source | Show::Cut(_) => Show::Source,
            Show::Styled | Show::Returning => Show::Returning,
        };
    }

    /// The cached group is given out because no fresh keyframe came in time: true if there is one.
    pub(crate) fn replay(&mut self) -> bool {
        self.replay_at = None;
        if self.layers.iter().all(|l| l.span().is_none()) {
            return false;
        }
        if self.show == Show::Returning {
            self.show = Show::Source;
            self.end_styled();
        }
        true
    }

    /// Takes a unit of the styled track.
    pub(crate) fn styled(&mut self, unit: &Arc<StyledUnit>) -> Styled {
        let continues = self.next_unit == Some(unit.index);
        if !continues && !unit.keyframe {
            return Styled::Ignored;
        }
        let meaning = match self.show {
            Show::Source => return Styled::Ignored,
            Show::Cut(at) if unit.keyframe && unit.pts.0 >= at => {
                self.show = Show::Styled;
                Styled::Switch
            }
            Show::Cut(_) => return Styled::Ignored,
            Show::Styled | Show::Returning => Styled::Continue,
        };
        self.next_unit = Some(unit.index + 1);
        self.last_styled = self.last_styled.max(Some(unit.pts.0));
        self.styled.push(unit);
        meaning
    }

    /// What a viewer of `track` that plays nothing and is given this layer needs now.
    pub(crate) fn join(&mut self, now: Instant, track: Track, layer: Option<LayerId>) -> Join {
        let span = layer.and_then(|id| self.layers.get(id)?.span());
        match self.shown(track) {
            Show::Cut(_) => Join::Wait,
            Show::Styled | Show::Returning => match self.styled.units().len() {
                0 => Join::WantStyled,
                n if n > SHORT_STYLED_GROUP => Join::WantStyled,
                _ => Join::Styled,
            },
            Show::Source if span.is_some_and(|span| span <= SHORT_GROUP) => Join::Source,
            Show::Source => {
                if span.is_some() {
                    self.replay_at.get_or_insert(now + PATIENCE);
                }
                Join::WantSource
            }
        }
    }

    /// When the frame at `pts` was captured, on this host's clock.
    pub(crate) fn captured_at(&self, pts: u64, now: Instant) -> Instant {
        let Some((known, at)) = self.captured else {
            return now;
        };
        let span = clock::duration(known.abs_diff(pts), Kind::Video.clock_rate());
        let captured = if pts >= known {
            at.checked_add(span)
        } else {
            at.checked_sub(span)
        };
        captured.map_or(now, |t| t.min(now))
    }

    fn end_styled(&mut self) {
        self.styled.clear();
        self.next_unit = None;
        self.last_styled = None;
    }
}
