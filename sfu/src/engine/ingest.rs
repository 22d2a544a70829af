//! A publisher's packets on their way onto the channel's time line, and the keyframes asked of it.

mod holes;
mod track;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::h264::{self, PayloadKind};
use str0m::rtp::{RtpPacket, Ssrc};

use super::bitstream::Placed;
use super::clock::{NtpClock, ticks};
use super::ids::LayerId;
use super::packet::{Kind, Packet};
use track::Track;

/// Largest RTP payload that still fits every viewer's path with headers, extensions and SRTP tag.
const MAX_PAYLOAD: usize = 1_460;
/// A stream that is silent for this long gives its place to another of the same kind and layer (a sender that
/// started again with another SSRC).
const SILENT_STREAM: Duration = Duration::from_secs(1);
/// Clocks move together by at most this much because a packet seems to come from the future; a track that is
/// further ahead jumped in its own timestamps.
const AHEAD: Duration = Duration::from_secs(1);
/// A sender report that puts its track's newest packet further than this from its arrival is not believed
/// (some senders report a timestamp of zero before they have sent anything).
const BELIEVED: Duration = Duration::from_secs(10);

/// Layers of one picture that are taken; the media engine knows no more of them either.
pub(crate) const MAX_LAYERS: usize = 4;

/// The receiving half of a publisher.
#[derive(Debug)]
pub(crate) struct Ingest {
    generation: u32,
    epoch: Instant,
    ntp: NtpClock,
    /// The sound, and the picture or each of its layers.
    tracks: Vec<Track>,
    /// Streams that media of each kind were taken from so far.
    streams: [u32; 2],
    /// The channel's time before which no packet may be placed.
    pub(crate) floor: Duration,
    /// Packets refused because they cannot be H264 or would not fit a viewer's path.
    pub(crate) refused: u64,
    /// Packets of streams that are not the one taken.
    pub(crate) ignored: u64,
    /// How often a track went on with another stream.
    pub(crate) restarts: u64,
    b_frames_told: bool,
}

/// A packet on the time line.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) packet: Arc<Packet>,
    /// Parameter sets that the publisher sent once, for the keyframe that begins with `packet`: come before it.
    pub(crate) sets: Option<Arc<Packet>>,
}

impl Ingest {
    pub(crate) fn new(generation: u32, epoch: Instant) -> Self {
        Self {
            generation,
            epoch,
            ntp: NtpClock::default(),
            tracks: Vec::new(),
            streams: [0; 2],
            floor: Duration::ZERO,
            refused: 0,
            ignored: 0,
            restarts: 0,
            b_frames_told: false,
        }
    }

    /// Puts a packet onto the time line; `None` if it is not one of ours to forward.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        kind: Kind,
        layer: LayerId,
        rtp: RtpPacket,
    ) -> Option<Taken> {
        if rtp.payload.is_empty() {
            self.skip(kind, layer, &rtp, now);
            return None;
        }
        let plausible = kind == Kind::Audio || h264::is_h264_payload_plausible(&rtp.payload);
        if rtp.payload.len() > MAX_PAYLOAD || !plausible {
            self.refused += 1;
            self.skip(kind, layer, &rtp, now);
            return None;
        }
        let part = match kind {
            Kind::Audio => PayloadKind::Other,
            Kind::Video => h264::payload_kind(&rtp.payload),
        };
        let elapsed = now.saturating_duration_since(self.epoch);
        let mut since_epoch = elapsed.max(self.floor);
        let index = self.track(now, kind, layer, rtp.header.ssrc)?;
        let track = &mut self.tracks[index];
        let another = track.ssrc != rtp.header.ssrc;
        if another && now.saturating_duration_since(track.heard) < SILENT_STREAM {
            self.ignored += 1;
            return None;
        }
        if another || track.clock.has_jumped(rtp.time.numer(), elapsed) {
            since_epoch = since_epoch.max(track.end());
            self.restarts += 1;
            self.begin(index, rtp.header.ssrc, now);
        } else if part == PayloadKind::ParameterSets {
            self.align(index, &rtp, now, elapsed);
        }
        if !self.tracks[index].clock.is_placed()
            && let Some(pts) = self.beside(index, now)
        {
            let clock = &mut self.tracks[index].clock;
            clock.place(rtp.time.numer(), pts, elapsed);
        }
        let track = &mut self.tracks[index];
        let pts = track.clock.pts(rtp.time.numer(), since_epoch, elapsed)?;
        track.hear(rtp.header.timestamp, pts, now);
        if kind == Kind::Video {
            track.holes.pass(*rtp.seq_no, now);
            if matches!(part, PayloadKind::ParameterSets | PayloadKind::IdrStart) {
                track.holes.restart(*rtp.seq_no);
            }
        }
        // The publisher's number in the high part, the streams of this kind in the low one.
        let generation = (self.generation << 8) | (track.stream & 0xff);
        let placed = match kind {
            Kind::Audio => Placed {
                seq: *rtp.seq_no,
                sets: None,
            },
            Kind::Video => track
                .bitstream
                .place(*rtp.seq_no, pts, part, &rtp.payload)?,
        };
        let (captured, ahead) = track.clock.captured(rtp.header.timestamp, now);
        if ahead > AHEAD {
            track.clock.guess(rtp.header.timestamp, now);
        } else if !ahead.is_zero() {
            self.earlier(ahead);
        }
        let packet = |seq, marker, part, rotation, payload| {
            Arc::new(Packet {
                kind,
                generation,
                layer,
                seq,
                pts,
                captured,
                received: now,
                marker,
                part,
                rotation,
                payload,
            })
        };
        // The values of the enum are those of the wire.
        let rotation = rtp.header.ext_vals.video_orientation.map(|o| o as u8);
        let sets = placed.sets.map(|sets| {
            packet(
                placed.seq - 1,
                false,
                PayloadKind::ParameterSets,
                None,
                sets,
            )
        });
        Some(Taken {
            packet: packet(placed.seq, rtp.header.marker, part, rotation, rtp.payload),
            sets,
        })
    }

    /// True once, as soon as the picture is known to have B-frames.
    pub(crate) fn take_b_frames(&mut self) -> bool {
        let has = self.tracks.iter().any(|t| t.bitstream.has_b_frames());
        has && !std::mem::replace(&mut self.b_frames_told, has)
    }

    /// True once after packets of a layer went missing for good: its viewers need a keyframe and may take long to ask.
    pub(crate) fn take_lost(&mut self, now: Instant, layer: LayerId) -> bool {
        let of = |t: &&mut Track| t.kind == Kind::Video && t.layer == layer;
        let track = self.tracks.iter_mut().find(of);
        track.is_some_and(|t| t.holes.are_final(now))
    }

    /// A packet came that nobody is given, such as one of padding alone.
    fn skip(&mut self, kind: Kind, layer: LayerId, rtp: &RtpPacket, now: Instant) {
        let of = |t: &&mut Track| t.kind == kind && t.layer == layer && t.ssrc == rtp.header.ssrc;
        if let Some(track) = self.tracks.iter_mut().find(of) {
            track.holes.pass(*rtp.seq_no, now);
        }
    }

    /// A sender report of the publisher: its NTP time, the RTP time of the same instant, and when it arrived.
    pub(crate) fn report(
        &mut self,
        ssrc: Ssrc,
        ntp: std::time::SystemTime,
        rtp: u64,
        arrived: Instant,
    ) {
        // The wire carries 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let rtp = rtp as u32;
        let Some(index) = self.tracks.iter().position(|t| t.ssrc == ssrc) else {
            return;
        };
        let known = self.tracks[index].clock.known(rtp);
        let observed = self.ntp.observe(ntp, arrived, known);
        for (i, other) in self.tracks.iter_mut().enumerate() {
            if i != index {
                other.clock.shift(observed.moved);
            }
        }
        let track = &mut self.tracks[index];
        let before = track.clock.clone();
        track.clock.report(rtp, observed.local);
        let newest = track.clock.known(track.timestamp);
        let off = newest.map_or(Duration::MAX, |at| {
            at.max(track.heard) - at.min(track.heard)
        });
        if off > BELIEVED {
            track.clock = before;
            track.clock.shift(observed.moved);
        }
    }

    /// A packet arrived before it was captured: the publisher's clock is earlier than was thought, for all tracks.
    fn earlier(&mut self, by: Duration) {
        let by = -i64::try_from(by.as_nanos()).unwrap_or(0);
        self.ntp.shift(by);
        for track in &mut self.tracks {
            track.clock.shift(by);
        }
    }

    /// The video stream that a keyframe of this layer can be asked of.
    pub(crate) fn video_ssrc(&self, layer: LayerId) -> Option<Ssrc> {
        self.pictures().find(|t| t.layer == layer).map(|t| t.ssrc)
    }

    /// Newest picture's time in ticks, or where the time line is now if there was none.
    pub(crate) fn newest_video(&self, now: Instant) -> u64 {
        let placed = self.pictures().filter_map(|t| t.newest).max();
        placed.unwrap_or_else(|| {
            ticks(
                now.saturating_duration_since(self.epoch),
                Kind::Video.clock_rate(),
            )
        })
    }

    fn pictures(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|t| t.kind == Kind::Video)
    }

    /// The track that a packet is of; `None` if there is no room for another layer.
    fn track(&mut self, now: Instant, kind: Kind, layer: LayerId, ssrc: Ssrc) -> Option<usize> {
        let known = |t: &Track| t.kind == kind && t.layer == layer;
        if let Some(index) = self.tracks.iter().position(known) {
            return Some(index);
        }
        if kind == Kind::Video && self.pictures().count() == MAX_LAYERS {
            self.ignored += 1;
            return None;
        }
        let stream = self.next_stream(kind);
        self.tracks.push(Track::new(kind, layer, ssrc, stream, now));
        Some(self.tracks.len() - 1)
    }

    fn next_stream(&mut self, kind: Kind) -> u32 {
        let next = &mut self.streams[kind as usize];
        *next += 1;
        *next - 1
    }

    /// A track goes on with another stream, or with another time line.
    fn begin(&mut self, index: usize, ssrc: Ssrc, now: Instant) {
        let (kind, layer) = (self.tracks[index].kind, self.tracks[index].layer);
        let stream = self.next_stream(kind);
        self.tracks[index] = Track::new(kind, layer, ssrc, stream, now);
    }

    /// Another layer that is heard.
    fn other(&self, index: usize, now: Instant) -> impl Iterator<Item = &Track> {
        let of = move |t: &&Track| t.newest.is_some() && now - t.heard.min(now) < SILENT_STREAM;
        let layers = self.tracks.iter().enumerate();
        layers
            .filter(move |(i, t)| *i != index && t.kind == Kind::Video)
            .map(|(_, t)| t)
            .filter(of)
    }

    /// Where the first packet of a layer goes if another layer is there already.
    fn beside(&self, index: usize, now: Instant) -> Option<u64> {
        if self.tracks[index].kind == Kind::Audio {
            return None;
        }
        self.other(index, now).find_map(|other| other.beside(now))
    }

    /// Layers come with timestamps of their own: once sender reports tell which pictures are of one instant, a layer's
    /// keyframe begins anew where they put it.
    fn align(&mut self, index: usize, rtp: &RtpPacket, now: Instant, elapsed: Duration) {
        let track = &mut self.tracks[index];
        let Some(captured) = track.clock.reported(rtp.header.timestamp) else {
            return;
        };
        let Some(pts) = track.clock.pts(rtp.time.numer(), elapsed, elapsed) else {
            return;
        };
        let place = self
            .other(index, now)
            .find_map(|other| other.place_of(captured, pts));
        let Some(place) = place.filter(|place| *place != pts) else {
            return;
        };
        let clock = self.tracks[index].clock.clone();
        self.begin(index, rtp.header.ssrc, now);
        self.tracks[index].clock = clock;
        let clock = &mut self.tracks[index].clock;
        clock.place(rtp.time.numer(), place, elapsed);
    }
}

/// Merges and throttles requests for a keyframe: at once, then again every interval until one arrives.
#[derive(Debug)]
pub(crate) struct KeyframeRequests {
    interval: Duration,
    wanted: bool,
    sent: Option<Instant>,
}

impl KeyframeRequests {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            wanted: false,
            sent: None,
        }
    }

    /// Somebody needs a keyframe.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A complete keyframe arrived.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }

    /// True if a request is to be sent now; remembers that it was.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let due =
            self.deadline().is_some_and(|at| at <= now) || (self.wanted && self.sent.is_none());
        if due {
            self.sent = Some(now);
        }
        due
    }

    /// When [`Self::due`] may say yes without a new request.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wanted.then_some(())?;
        self.sent.map(|sent| sent + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(start: Instant) -> Ingest {
        let mut ingest = Ingest::new(1, start);
        for (kind, ssrc) in [(Kind::Audio, 1), (Kind::Video, 2)] {
            ingest.track(start, kind, LayerId::default(), ssrc.into());
        }
        ingest
    }

    fn known(ingest: &Ingest, kind: Kind, rtp: u32) -> Option<Instant> {
        let track = ingest.tracks.iter().find(|t| t.kind == kind)?;
        track.clock.known(rtp)
    }

    #[test]
    fn what_one_report_corrects_moves_both_tracks() {
        let (start, ntp) = (Instant::now(), std::time::SystemTime::UNIX_EPOCH);
        let second = Duration::from_secs(1);
        let mut ingest = publisher(start);
        // The first report takes 100 ms, the second, of the other track, no time at all.
        ingest.report(
            1.into(),
            ntp + second * 100,
            4_800,
            start + Duration::from_millis(100),
        );
        ingest.report(2.into(), ntp + second * 101, 90_000, start + second);
        assert_eq!(
            known(&ingest, Kind::Video, 90_000),
            Some(start + second),
            "captured when the fast report says"
        );
        assert_eq!(
            known(&ingest, Kind::Audio, 4_800 + 48_000),
            Some(start + second),
            "and so was the sound of that second"
        );
        ingest.earlier(Duration::from_millis(30));
        assert_eq!(
            known(&ingest, Kind::Audio, 4_800),
            known(&ingest, Kind::Video, 0)
        );
    }

    #[test]
    fn a_report_of_nonsense_is_not_believed() {
        let (start, ntp) = (Instant::now(), std::time::SystemTime::UNIX_EPOCH);
        let mut ingest = publisher(start);
        ingest.report(1.into(), ntp, 48_000, start);
        let before = known(&ingest, Kind::Audio, 0);
        let later = Duration::from_secs(1);
        ingest.report(
            1.into(),
            ntp + later,
            u64::from(u32::MAX / 2),
            start + later,
        );
        assert_eq!(known(&ingest, Kind::Audio, 0), before);
    }

    #[test]
    fn keyframe_requests_are_merged_and_repeated_until_one_arrives() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::new(Duration::from_millis(500));
        assert!(!requests.due(start));
        requests.want();
        requests.want();
        assert!(requests.due(start), "the first goes out at once");
        assert!(!requests.due(start + Duration::from_millis(499)));
        assert!(
            requests.due(start + Duration::from_millis(500)),
            "repeated while none arrives"
        );
        requests.satisfied();
        assert_eq!(requests.deadline(), None);
        requests.want();
        assert!(
            !requests.due(start + Duration::from_millis(600)),
            "throttled"
        );
        assert!(requests.due(start + Duration::from_millis(1_000)));
    }
}
