//! A publisher's packets on their way onto the channel's time line, and the keyframes asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::h264::{self, PayloadKind};
use str0m::rtp::{RtpPacket, Ssrc};

use super::bitstream::{Bitstream, Placed};
use super::clock::{NtpClock, TrackClock, duration, ticks};
use super::packet::{Kind, Packet};

/// Largest RTP payload that still fits every viewer's path with headers, extensions and SRTP tag.
const MAX_PAYLOAD: usize = 1_460;
/// A stream that is silent for this long gives its place to another of the same kind (a simulcast layer that
/// was switched off, a sender that started again with another SSRC).
const SILENT_STREAM: Duration = Duration::from_secs(1);
/// Clocks move together by at most this much because a packet seems to come from the future; a track that is
/// further ahead jumped in its own timestamps.
const AHEAD: Duration = Duration::from_secs(1);
/// A sender report that puts its track's newest packet further than this from its arrival is not believed
/// (some senders report a timestamp of zero before they have sent anything).
const BELIEVED: Duration = Duration::from_secs(10);

/// The receiving half of a publisher.
#[derive(Debug)]
pub(crate) struct Ingest {
    generation: u32,
    epoch: Instant,
    ntp: NtpClock,
    audio: Option<Track>,
    video: Option<Track>,
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

#[derive(Debug)]
struct Track {
    /// With simulcast every layer has its own; the first one seen is the one taken.
    ssrc: Ssrc,
    clock: TrackClock,
    bitstream: Bitstream,
    newest: Option<u64>,
    heard: Instant,
    /// Timestamp on the wire of the packet heard last.
    timestamp: u32,
    /// Counts the streams this track was taken from.
    stream: u32,
}

impl Track {
    fn new(kind: Kind, ssrc: Ssrc, stream: u32, now: Instant) -> Self {
        let clock = TrackClock::new(kind.clock_rate());
        Self {
            ssrc,
            clock,
            bitstream: Bitstream::default(),
            newest: None,
            heard: now,
            timestamp: 0,
            stream,
        }
    }

    /// Where the time line stands: what comes next must not go behind it.
    fn end(&self, kind: Kind) -> Duration {
        self.newest
            .map_or(Duration::ZERO, |pts| duration(pts, kind.clock_rate()))
    }
}

impl Ingest {
    pub(crate) fn new(generation: u32, epoch: Instant) -> Self {
        Self {
            generation,
            epoch,
            ntp: NtpClock::default(),
            audio: None,
            video: None,
            floor: Duration::ZERO,
            refused: 0,
            ignored: 0,
            restarts: 0,
            b_frames_told: false,
        }
    }

    /// Puts a packet onto the time line; `None` if it is not one of ours to forward.
    pub(crate) fn take(&mut self, now: Instant, kind: Kind, rtp: RtpPacket) -> Option<Taken> {
        if rtp.payload.is_empty() {
            return None;
        }
        let plausible = kind == Kind::Audio || h264::is_h264_payload_plausible(&rtp.payload);
        if rtp.payload.len() > MAX_PAYLOAD || !plausible {
            self.refused += 1;
            return None;
        }
        let part = match kind {
            Kind::Audio => PayloadKind::Other,
            Kind::Video => h264::payload_kind(&rtp.payload),
        };
        let slot = match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        };
        let elapsed = now.saturating_duration_since(self.epoch);
        let mut since_epoch = elapsed.max(self.floor);
        let track = slot.get_or_insert_with(|| Track::new(kind, rtp.header.ssrc, 0, now));
        let another = track.ssrc != rtp.header.ssrc;
        if another && now.saturating_duration_since(track.heard) < SILENT_STREAM {
            self.ignored += 1;
            return None;
        }
        if another || track.clock.has_jumped(rtp.time.numer(), elapsed) {
            since_epoch = since_epoch.max(track.end(kind));
            *track = Track::new(kind, rtp.header.ssrc, track.stream + 1, now);
            self.restarts += 1;
        }
        track.heard = now;
        track.timestamp = rtp.header.timestamp;
        let pts = track.clock.pts(rtp.time.numer(), since_epoch, elapsed)?;
        track.newest = track.newest.max(Some(pts));
        // The publisher's number in the high part, the track's own streams in the low one.
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
            track.clock.report(rtp.header.timestamp, now);
        } else if !ahead.is_zero() {
            self.earlier(ahead);
        }
        let packet = |seq, marker, part, rotation, payload| {
            Arc::new(Packet {
                kind,
                generation,
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
        let has = self
            .video
            .as_ref()
            .is_some_and(|t| t.bitstream.has_b_frames());
        has && !std::mem::replace(&mut self.b_frames_told, has)
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
        let (track, other) = match (&mut self.audio, &mut self.video) {
            (Some(audio), video) if audio.ssrc == ssrc => (audio, video.as_mut()),
            (audio, Some(video)) if video.ssrc == ssrc => (video, audio.as_mut()),
            _ => return,
        };
        let observed = self.ntp.observe(ntp, arrived, track.clock.known(rtp));
        if let Some(other) = other {
            other.clock.shift(observed.moved);
        }
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

    /// A packet arrived before it was captured: the publisher's clock is earlier than was thought, for both tracks.
    fn earlier(&mut self, by: Duration) {
        let by = -i64::try_from(by.as_nanos()).unwrap_or(0);
        self.ntp.shift(by);
        for track in [&mut self.audio, &mut self.video].into_iter().flatten() {
            track.clock.shift(by);
        }
    }

    /// The video stream that a keyframe can be asked of.
    pub(crate) fn video_ssrc(&self) -> Option<Ssrc> {
        self.video.as_ref().map(|t| t.ssrc)
    }

    /// Newest picture's time in ticks, or where the time line is now if there was none.
    pub(crate) fn newest_video(&self, now: Instant) -> u64 {
        let placed = self.video.as_ref().and_then(|t| t.newest);
        placed.unwrap_or_else(|| {
            ticks(
                now.saturating_duration_since(self.epoch),
                Kind::Video.clock_rate(),
            )
        })
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
        ingest.audio = Some(Track::new(Kind::Audio, 1.into(), 0, start));
        ingest.video = Some(Track::new(Kind::Video, 2.into(), 0, start));
        ingest
    }

    fn known(track: Option<&Track>, rtp: u32) -> Option<Instant> {
        track.and_then(|t| t.clock.known(rtp))
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
            known(ingest.video.as_ref(), 90_000),
            Some(start + second),
            "captured when the fast report says"
        );
        assert_eq!(
            known(ingest.audio.as_ref(), 4_800 + 48_000),
            Some(start + second),
            "and so was the sound of that second"
        );
        ingest.earlier(Duration::from_millis(30));
        assert_eq!(
            known(ingest.audio.as_ref(), 4_800),
            known(ingest.video.as_ref(), 0)
        );
    }

    #[test]
    fn a_report_of_nonsense_is_not_believed() {
        let (start, ntp) = (Instant::now(), std::time::SystemTime::UNIX_EPOCH);
        let mut ingest = publisher(start);
        ingest.report(1.into(), ntp, 48_000, start);
        let before = known(ingest.audio.as_ref(), 0);
        let later = Duration::from_secs(1);
        ingest.report(
            1.into(),
            ntp + later,
            u64::from(u32::MAX / 2),
            start + later,
        );
        assert_eq!(known(ingest.audio.as_ref(), 0), before);
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
