//! One channel's stream on one shard: what its viewers are shown, and what a joiner needs.
//!
//! Decides; never writes to a peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::assemble::{Assembled, Assembler, RtpPacketRef};
use reverie_transcoder::pipeline;
use reverie_transcoder::time::Pts;

use super::clock;
use super::ids::PeerId;
use super::ingest::KeyframeRequests;
use super::keyframes::{SourceCache, StyledCache};
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
    pub(crate) requests: KeyframeRequests,
    pub(crate) source: SourceCache,
    pub(crate) styled: StyledCache,
    /// Packets that were taken but not yet sent on.
    pub(crate) pending: Vec<Arc<Packet>>,
    /// When waiting viewers are given the cached group, however long.
    pub(crate) replay_at: Option<Instant>,
    /// When the engine promised to look at this stream again.
    pub(crate) scheduled: Option<Instant>,
    /// True while a publisher is on another shard.
    pub(crate) remote: bool,
    /// Generation of the camera's group that viewers were last started on.
    pub(crate) started: Option<u32>,
    /// Channel time of the newest packet of any kind.
    pub(crate) newest: Duration,
    /// True once the present publisher showed a complete keyframe.
    pub(crate) live: bool,
    show: Show,
    /// Generation of the camera when it was cut: the time of another says nothing about what was sent.
    pub(crate) cut_in: u32,
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
            requests: KeyframeRequests::new(request_interval),
            source: SourceCache::default(),
            styled: StyledCache::default(),
            pending: Vec::new(),
            replay_at: None,
            scheduled: None,
            remote: false,
            started: None,
            newest: Duration::ZERO,
            live: false,
            show: Show::Source,
            cut_in: 0,
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
        self.tap = sink.map(|sink| Tap {
            assembler: Assembler::new(),
            assembled: Vec::new(),
            sink,
        });
        if self.tap.is_none() {
            return;
        }
        if self.span().is_some_and(|span| span <= FED_AT_ONCE) {
            let group: Vec<_> = self.source.packets().cloned().collect();
            for packet in &group {
                self.feed(packet);
            }
        } else {
            self.requests.want();
        }
    }

    /// Gives a camera packet to the pipeline, if one runs.
    pub(crate) fn feed(&mut self, packet: &Packet) {
        let Some(tap) = &mut self.tap else { return };
        let packet = RtpPacketRef {
            seq: packet.seq,
            pts: Pts(packet.pts),
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
                    self.requests.want();
                }
            }
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
        let ready = self.source.push(packet);
        if ready {
            self.requests.satisfied();
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

    /// A keyframe of the camera is complete: true if viewers of the styled picture switch to it.
    pub(crate) fn returns(&mut self) -> bool {
        if self.show != Show::Returning {
            return false;
        }
        let at = self.source.packets().next().map(|p| p.pts);
        if self.last_styled.is_some() && at <= self.last_styled {
            self.requests.want();
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
            self.cut_in = self.source.generation();
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
                self.requests.want();
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
        self.source.clear();
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
        if self.source.span().is_none() {
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

    /// What a viewer of `track` that plays nothing needs now.
    pub(crate) fn join(&mut self, now: Instant, track: Track) -> Join {
        match self.shown(track) {
            Show::Cut(_) => Join::Wait,
            Show::Styled | Show::Returning => match self.styled.units().len() {
                0 => Join::WantStyled,
                n if n > SHORT_STYLED_GROUP => Join::WantStyled,
                _ => Join::Styled,
            },
            Show::Source if self.span().is_some_and(|span| span <= SHORT_GROUP) => Join::Source,
            Show::Source => {
                if self.source.span().is_some() {
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

    fn span(&self) -> Option<Duration> {
        self.source
            .span()
            .map(|ticks| clock::duration(ticks, Kind::Video.clock_rate()))
    }

    fn end_styled(&mut self) {
        self.styled.clear();
        self.next_unit = None;
        self.last_styled = None;
    }
}
