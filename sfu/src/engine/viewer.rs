//! One viewer's outgoing tracks: one continuous RTP stream each, whatever is shown.
//!
//! Sequence numbers and timestamps never jump: a switch between camera and styled picture, another
//! publisher, or a replayed keyframe only change where the numbers come from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::{Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc, VideoOrientation};

use super::choice::{Choice, Wish};
use super::clock::duration;
use super::ids::LayerId;
use super::layers::Layer;
use super::packet::{Kind, Packet, StyledUnit, Track};

/// Distance of replayed frames in ticks (1 ms): a joiner decodes the past in a burst and shows only its end.
const REPLAY_STEP: u64 = 90;

/// Between two estimates that a channel is told of one viewer.
const TOLD: Duration = Duration::from_secs(1);

/// One outgoing RTP stream.
#[derive(Debug)]
pub(crate) struct Sender {
    kind: Kind,
    mid: Mid,
    pt: Pt,
    ssrc: Ssrc,
    rtx: Option<Ssrc>,
    next_seq: u64,
    timestamp_offset: u32,
    segment: Option<Segment>,
    /// True once something was sent.
    open: bool,
}

/// A run of source packets whose numbers are only shifted, so that a late one still finds its place.
#[derive(Debug, Clone, Copy)]
struct Segment {
    generation: u32,
    /// First sequence number of the publisher in this segment, and what it became.
    first: u64,
    base: u64,
    /// The last packet that was replayed: others up to it got other timestamps, except those of its own picture.
    replayed: Option<u64>,
    live: u64,
    /// Ticks by which its pictures are later than they say: a layer may begin with the picture that another one
    /// showed last, and two pictures with one timestamp would be taken for one.
    later: u64,
}

/// What is written for one packet.
struct Write<'a> {
    seq: u64,
    pts: u64,
    captured: Instant,
    marker: bool,
    rotation: Option<u8>,
    payload: &'a Arc<[u8]>,
}

impl Sender {
    pub(crate) fn new(
        kind: Kind,
        mid: Mid,
        pt: Pt,
        (ssrc, rtx): (Ssrc, Option<Ssrc>),
        first_seq: u16,
        timestamp_offset: u32,
    ) -> Self {
        // The upper half is left free: a first number near the wrap makes the roll-over counter ambiguous (RFC 3711).
        let next_seq = u64::from(first_seq & 0x7fff);
        Self {
            kind,
            mid,
            pt,
            ssrc,
            rtx,
            next_seq,
            timestamp_offset,
            segment: None,
            open: false,
        }
    }

    /// Takes the stream away from str0m until there is something to send: its sender reports would name RTP
    /// time zero until then, and a receiver needs several good ones to forget them (Chromium: three, then two
    /// more, so 20 s without lip-sync at one every 5 s).
    pub(crate) fn close(&self, rtc: &mut Rtc) {
        rtc.direct_api().remove_stream_tx(self.ssrc);
    }

    fn open(&mut self, rtc: &mut Rtc) {
        let mut api = rtc.direct_api();
        // An answer given in the meantime (ICE restart) named another one.
        if let Some(stream) = api.stream_tx_by_mid(self.mid, None) {
            (self.ssrc, self.rtx) = (stream.ssrc(), stream.rtx());
            api.remove_stream_tx(self.ssrc);
        }
        let stream = api.declare_stream_tx(self.ssrc, self.rtx, self.mid, None);
        // Pictures are forwarded as they come: their publisher's pacer has already spread them.
        stream.set_unpaced(true);
        self.open = true;
    }

    fn begin(&mut self, first: &Packet, live: u64, replayed: Option<u64>, later: u64) {
        self.segment = Some(Segment {
            later,
            generation: first.generation,
            first: first.seq,
            base: self.next_seq,
            replayed,
            live,
        });
    }

    /// The outgoing number and time of a source packet, if it belongs to the running segment.
    fn place(&self, packet: &Packet) -> Option<(u64, u64)> {
        let segment = self.segment.filter(|s| s.generation == packet.generation)?;
        let distance = packet.seq.checked_sub(segment.first)?;
        let news = segment.replayed.is_none_or(|last| packet.seq > last);
        let place = (segment.base + distance, packet.pts + segment.later);
        (news || packet.pts == segment.live).then_some(place)
    }

    fn write(&mut self, rtc: &mut Rtc, write: &Write<'_>) -> bool {
        if !self.open {
            self.open(rtc);
        }
        self.next_seq = self.next_seq.max(write.seq + 1);
        // Truncation is the RTP time stamp's own wrap.
        #[allow(clippy::cast_possible_truncation)]
        let timestamp = (write.pts as u32).wrapping_add(self.timestamp_offset);
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx(&self.ssrc) else {
            return false;
        };
        let packet = RtpWrite::new(
            self.pt,
            write.seq.into(),
            timestamp,
            write.captured,
            write.payload.clone(),
        )
        .marker(write.marker)
        .ext_vals(ExtensionValues {
            video_orientation: write.rotation.map(VideoOrientation::from),
            ..ExtensionValues::default()
        })
        .nackable(self.kind == Kind::Video);
        stream.write_rtp(packet);
        true
    }
}

/// What a viewer is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Playing {
    /// Nothing yet: a keyframe must come first.
    Nothing,
    /// The camera.
    Source,
    /// The styled picture.
    Styled,
}

/// The sending half of a viewer.
#[derive(Debug)]
pub(crate) struct Viewer {
    track: Track,
    video: Option<Sender>,
    audio: Option<Sender>,
    playing: Playing,
    /// Which layer of the camera is played, or was last.
    layer: LayerId,
    /// Which one should be.
    pub(crate) choice: Choice,
    /// What was last asked of the estimator.
    pub(crate) wish: Wish,
    /// What the way to the viewer carries in bits per second, if it tells by its feedback.
    estimate: Option<u64>,
    /// When that was last told to the channel.
    told: Option<Instant>,
    /// Nothing is sent, and the estimator knows.
    pub(crate) parked: bool,
    last_pts: Option<u64>,
    /// The last packet of the picture at `last_pts` was sent.
    whole: bool,
    first_picture: FirstPicture,
    /// How styled pictures are to be turned, like the camera's they were made from.
    pub(crate) rotation: Option<u8>,
}

/// When the first picture was sent, told once.
#[derive(Debug, Clone, Copy)]
enum FirstPicture {
    None,
    At(Instant),
    Told,
}

/// Calls back after each packet is written, so that the peer can be drained between mutations.
pub(crate) trait Drain {
    /// Drains the peer's engine.
    fn drain(&mut self, rtc: &mut Rtc);
}

impl Viewer {
    pub(crate) fn new(track: Track, video: Option<Sender>, audio: Option<Sender>) -> Self {
        Self {
            track,
            video,
            audio,
            playing: Playing::Nothing,
            layer: LayerId::default(),
            choice: Choice::default(),
            wish: Wish::default(),
            estimate: None,
            parked: false,
            told: None,
            last_pts: None,
            whole: true,
            first_picture: FirstPicture::None,
            rotation: None,
        }
    }

    pub(crate) fn playing(&self) -> Playing {
        self.playing
    }

    /// Which layer of the camera it plays, or played last.
    pub(crate) fn layer(&self) -> LayerId {
        self.layer
    }

    /// True if it plays the camera by this layer, as the layer is now.
    pub(crate) fn is_playing(&self, layer: Option<&Layer>) -> bool {
        let segment = self.video.as_ref().and_then(|v| v.segment);
        let (Some(layer), Some(segment)) = (layer, segment) else {
            return false;
        };
        self.playing == Playing::Source && segment.generation == layer.cache.generation()
    }

    /// True if it plays the camera as it was before this generation, whose first keyframe it was not given.
    pub(crate) fn is_before(&self, generation: u32) -> bool {
        let segment = self.video.as_ref().and_then(|v| v.segment);
        self.playing == Playing::Source && segment.is_some_and(|s| s.generation != generation)
    }

    /// What the way to it carries in bits per second; `None` if it gives no feedback (transport-wide congestion
    /// control).
    pub(crate) fn estimate(&self) -> Option<u64> {
        self.estimate
    }

    /// The estimate of a viewer of the styled picture, once in a while.
    pub(crate) fn news(&mut self, now: Instant) -> Option<u64> {
        let due = self.told.is_none_or(|at| now >= at + TOLD);
        let estimate = self.estimate.filter(|_| due)?;
        self.told = Some(now);
        Some(estimate)
    }

    /// There is a new estimate, or none any more.
    pub(crate) fn estimated(&mut self, estimate: Option<u64>) {
        if self.parked {
            return;
        }
        self.estimate = estimate;
    }

    /// True while nothing is missing of the picture sent last.
    pub(crate) fn is_between_pictures(&self) -> bool {
        self.whole
    }

    /// Which picture it asked for.
    pub(crate) fn track(&self) -> Track {
        self.track
    }

    /// When the first picture was sent; answered once.
    pub(crate) fn take_first_picture(&mut self) -> Option<Instant> {
        let FirstPicture::At(at) = self.first_picture else {
            return None;
        };
        self.first_picture = FirstPicture::Told;
        Some(at)
    }

    /// True if `mid` is the picture.
    pub(crate) fn is_video(&self, mid: Mid) -> bool {
        self.video.as_ref().is_some_and(|v| v.mid == mid)
    }

    /// Forgets what is played; the next keyframe of the shown track starts again.
    pub(crate) fn stop(&mut self) {
        self.playing = Playing::Nothing;
    }

    /// Forwards a sound packet; true if it was sent.
    pub(crate) fn sound(&mut self, rtc: &mut Rtc, packet: &Packet, drain: &mut impl Drain) -> bool {
        let Some(sender) = &mut self.audio else {
            return false;
        };
        if sender
            .segment
            .is_none_or(|s| s.generation != packet.generation)
        {
            sender.begin(packet, packet.pts, None, 0);
        }
        let Some((seq, pts)) = sender.place(packet) else {
            return false;
        };
        let written = sender.write(rtc, &source(seq, pts, packet));
        if written {
            drain.drain(rtc);
        }
        written
    }

    /// Forwards a picture packet of the camera, if that is what is played; true if it was sent.
    pub(crate) fn picture(
        &mut self,
        rtc: &mut Rtc,
        packet: &Packet,
        drain: &mut impl Drain,
    ) -> bool {
        let (Some(sender), Playing::Source) = (&mut self.video, self.playing) else {
            return false;
        };
        let Some((seq, pts)) = sender.place(packet) else {
            return false;
        };
        let written = sender.write(rtc, &source(seq, pts, packet));
        if written {
            self.sent(pts, packet.marker);
            drain.drain(rtc);
        }
        written
    }

    /// Starts (or starts again) on the camera with a keyframe and all that followed it, in order.
    pub(crate) fn start_source<'a, I>(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        group: I,
        drain: &mut impl Drain,
    ) where
        I: DoubleEndedIterator<Item = &'a Arc<Packet>> + Clone,
    {
        let (Some(sender), Some(first), Some(last)) = (
            &mut self.video,
            group.clone().next(),
            group.clone().next_back(),
        ) else {
            return;
        };
        let past = frames_before(group.clone().map(|p| p.pts), last.pts);
        let later = self
            .last_pts
            .map_or(0, |sent| (sent + 1 + past).saturating_sub(last.pts));
        let live = last.pts + later;
        sender.begin(first, last.pts, Some(last.seq), later);
        let base = sender.next_seq;
        let mut replay = Replay::new(past, live, self.last_pts);
        for packet in group {
            let pts = replay.place(packet.pts);
            let write = Write {
                seq: base + (packet.seq - first.seq),
                pts,
                captured: before(last.captured, live - pts),
                marker: packet.marker,
                rotation: packet.rotation,
                payload: &packet.payload,
            };
            if sender.write(rtc, &write) {
                drain.drain(rtc);
            }
        }
        self.playing = Playing::Source;
        self.layer = first.layer;
        (self.last_pts, self.whole) = (Some(live), last.marker);
        self.pictured(now);
    }

    fn sent(&mut self, pts: u64, marker: bool) {
        if self.last_pts < Some(pts) {
            (self.last_pts, self.whole) = (Some(pts), marker);
        } else if self.last_pts == Some(pts) {
            self.whole |= marker;
        }
    }

    /// Starts on the styled picture with a keyframe and all that followed it.
    pub(crate) fn start_styled<'a, I>(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        units: I,
        capture: &impl Fn(u64) -> Instant,
        drain: &mut impl Drain,
    ) where
        I: DoubleEndedIterator<Item = &'a Arc<StyledUnit>> + Clone,
    {
        let Some(live) = units.clone().next_back().map(|u| u.pts.0) else {
            return;
        };
        if self.video.is_none() {
            return;
        }
        let past = frames_before(units.clone().map(|u| u.pts.0), live);
        let mut replay = Replay::new(past, live, self.last_pts);
        let captured = capture(live);
        self.playing = Playing::Styled;
        for unit in units {
            let pts = replay.place(unit.pts.0);
            self.unit(rtc, unit, pts, before(captured, live - pts), drain);
        }
        self.pictured(now);
    }

    /// Sends a styled unit, if that is what is played.
    pub(crate) fn styled(
        &mut self,
        rtc: &mut Rtc,
        unit: &StyledUnit,
        captured: Instant,
        drain: &mut impl Drain,
    ) {
        if self.playing == Playing::Styled {
            self.unit(rtc, unit, unit.pts.0, captured, drain);
        }
    }

    fn pictured(&mut self, now: Instant) {
        if matches!(self.first_picture, FirstPicture::None) {
            self.first_picture = FirstPicture::At(now);
        }
    }

    fn unit(
        &mut self,
        rtc: &mut Rtc,
        unit: &StyledUnit,
        pts: u64,
        captured: Instant,
        drain: &mut impl Drain,
    ) {
        let Some(sender) = &mut self.video else {
            return;
        };
        sender.segment = None;
        let count = unit.payloads.len();
        for (i, payload) in unit.payloads.iter().enumerate() {
            let write = Write {
                seq: sender.next_seq,
                pts,
                captured,
                marker: i + 1 == count,
                rotation: self.rotation.filter(|_| i + 1 == count),
                payload,
            };
            if sender.write(rtc, &write) {
                drain.drain(rtc);
            }
        }
        self.last_pts = self.last_pts.max(Some(unit.pts.0));
    }
}

fn source(seq: u64, pts: u64, packet: &Packet) -> Write<'_> {
    Write {
        seq,
        pts,
        captured: packet.captured,
        marker: packet.marker,
        rotation: packet.rotation,
        payload: &packet.payload,
    }
}

/// Capture time of a replayed picture: as far before the last one as its timestamp, so that a sender report made
/// in the middle of a replay says the same as any other.
fn before(last: Instant, ticks: u64) -> Instant {
    let span = duration(ticks, Kind::Video.clock_rate());
    last.checked_sub(span).unwrap_or(last)
}

fn frames_before(all: impl Iterator<Item = u64>, live: u64) -> u64 {
    let mut frames = 0;
    let mut last = None;
    for pts in all.filter(|pts| *pts != live) {
        if last != Some(pts) {
            frames += 1;
            last = Some(pts);
        }
    }
    frames
}

/// Timestamps of a replayed group: its last frame keeps its own, those before it lie 1 ms apart in front of it,
/// so that the receiver's clock does not take the group's length for network delay.
struct Replay {
    remaining: u64,
    live: u64,
    step: u64,
    current: Option<u64>,
}

impl Replay {
    /// `past` frames come before `live`; none may be placed at or before `sent`.
    fn new(past: u64, live: u64, sent: Option<u64>) -> Self {
        let room = sent.map_or(live, |sent| live.saturating_sub(sent));
        let step = REPLAY_STEP.min(room / (past + 1)).max(1);
        Self {
            remaining: past + 1,
            live,
            step,
            current: None,
        }
    }

    fn place(&mut self, pts: u64) -> u64 {
        if self.current != Some(pts) {
            self.current = Some(pts);
            self.remaining = self.remaining.saturating_sub(1);
        }
        self.live.saturating_sub(self.remaining * self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_group_ends_at_its_own_time_and_is_a_burst_before_it() {
        let pts = [0, 0, 3_000, 6_000, 6_000, 9_000];
        let past = frames_before(pts.iter().copied(), 9_000);
        let mut replay = Replay::new(past, 9_000, None);
        let placed: Vec<_> = pts.iter().map(|p| replay.place(*p)).collect();
        assert_eq!(placed, [8_730, 8_730, 8_820, 8_910, 8_910, 9_000]);

        let mut tight = Replay::new(past, 9_000, Some(8_960));
        let placed: Vec<_> = pts.iter().map(|p| tight.place(*p)).collect();
        assert_eq!(
            placed,
            [8_970, 8_970, 8_980, 8_990, 8_990, 9_000],
            "never before what was sent"
        );
    }
}
