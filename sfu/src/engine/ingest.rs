//! A publisher's packets on their way onto the channel's time line, and the keyframes asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::h264::{self, PayloadKind};
use str0m::rtp::{RtpPacket, Ssrc};

use super::clock::{NtpClock, TrackClock, duration, ticks};
use super::packet::{Kind, Packet};

/// Largest RTP payload that still fits every viewer's path with headers, extensions and SRTP tag.
const MAX_PAYLOAD: usize = 1_460;
/// A stream that is silent for this long gives its place to another of the same kind (a simulcast layer that
/// was switched off, a sender that started again with another SSRC).
const SILENT_STREAM: Duration = Duration::from_secs(1);

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
}

#[derive(Debug)]
struct Track {
    /// With simulcast every layer has its own; the first one seen is the one taken.
    ssrc: Ssrc,
    clock: TrackClock,
    newest: Option<u64>,
    heard: Instant,
    /// Counts the streams this track was taken from.
    stream: u32,
}

impl Track {
    fn new(kind: Kind, ssrc: Ssrc, stream: u32, now: Instant) -> Self {
        let clock = TrackClock::new(kind.clock_rate());
        Self {
            ssrc,
            clock,
            newest: None,
            heard: now,
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
        }
    }

    /// Puts a packet onto the time line; `None` if it is not one of ours to forward.
    pub(crate) fn take(&mut self, now: Instant, kind: Kind, rtp: RtpPacket) -> Option<Arc<Packet>> {
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
        let pts = track.clock.pts(rtp.time.numer(), since_epoch)?;
        track.newest = track.newest.max(Some(pts));
        Some(Arc::new(Packet {
            kind,
            // The publisher's number in the high part, the track's own streams in the low one.
            generation: (self.generation << 8) | (track.stream & 0xff),
            seq: *rtp.seq_no,
            pts,
            captured: track.clock.captured(rtp.header.timestamp, now),
            received: now,
            marker: rtp.header.marker,
            part,
            payload: rtp.payload,
        }))
    }

    /// A sender report of the publisher: its NTP time, the RTP time of the same instant, and when it arrived.
    pub(crate) fn report(
        &mut self,
        ssrc: Ssrc,
        ntp: std::time::SystemTime,
        rtp: u64,
        arrived: Instant,
    ) {
        let local = self.ntp.observe(ntp, arrived);
        // The wire carries 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let rtp = rtp as u32;
        for track in [&mut self.audio, &mut self.video]
            .into_iter()
            .flatten()
            .filter(|t| t.ssrc == ssrc)
        {
            track.clock.report(rtp, local);
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
