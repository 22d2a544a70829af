//! A publisher's packets on their way onto the channel's time line, and the keyframes asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_transcoder::h264::{self, PayloadKind};
use str0m::rtp::{RtpPacket, Ssrc};

use super::clock::{NtpClock, TrackClock, ticks};
use super::packet::{Kind, Packet};

/// The receiving half of a publisher.
#[derive(Debug)]
pub(crate) struct Ingest {
    generation: u32,
    epoch: Instant,
    ntp: NtpClock,
    audio: Option<Track>,
    video: Option<Track>,
    /// Packets refused because they cannot be H264.
    pub(crate) refused: u64,
}

#[derive(Debug)]
struct Track {
    /// With simulcast every layer has its own; the first one seen is the one taken.
    ssrc: Ssrc,
    clock: TrackClock,
    newest: Option<u64>,
}

impl Ingest {
    pub(crate) fn new(generation: u32, epoch: Instant) -> Self {
        Self {
            generation,
            epoch,
            ntp: NtpClock::default(),
            audio: None,
            video: None,
            refused: 0,
        }
    }

    /// Puts a packet onto the time line; `None` if it is not one of ours to forward.
    pub(crate) fn take(&mut self, now: Instant, kind: Kind, rtp: RtpPacket) -> Option<Arc<Packet>> {
        if rtp.payload.is_empty() {
            return None;
        }
        let part = match kind {
            Kind::Audio => PayloadKind::Other,
            Kind::Video if h264::is_h264_payload_plausible(&rtp.payload) => {
                h264::payload_kind(&rtp.payload)
            }
            Kind::Video => {
                self.refused += 1;
                return None;
            }
        };
        let slot = match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        };
        let track = slot.get_or_insert_with(|| Track {
            ssrc: rtp.header.ssrc,
            clock: TrackClock::new(kind.clock_rate()),
            newest: None,
        });
        if track.ssrc != rtp.header.ssrc {
            return None;
        }
        let pts = track
            .clock
            .pts(rtp.time.numer(), now.saturating_duration_since(self.epoch))?;
        track.newest = track.newest.max(Some(pts));
        Some(Arc::new(Packet {
            kind,
            generation: self.generation,
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
