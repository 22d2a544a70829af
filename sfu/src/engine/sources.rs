//! Which RTP streams a session's datagrams may name, before anybody looks at their signature.
//!
//! str0m maps a stream to its medium by the header alone, and never maps one back that was replaced: a single
//! forged datagram with another SSRC would end a publisher's picture for good.

use std::time::{Duration, Instant};

use str0m::rtp::RtpHeader;

/// A stream that is silent for this long may be replaced by another of the same payload type.
const SILENT: Duration = Duration::from_secs(1);

/// The streams of one session.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// One for each payload type.
    heard: Vec<Heard>,
    /// What the datagram under way says of itself.
    named: Option<Named>,
}

/// The stream that was heard last with a payload type, and when.
#[derive(Debug)]
struct Heard {
    named: Named,
    at: Instant,
    /// Simulcast: several streams share the payload type.
    layered: bool,
}

/// Payload type and SSRC of an RTP header (RFC 3550, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    payload_type: u8,
    ssrc: u32,
}

impl Named {
    /// `None` for anything but RTP: RTCP, DTLS and STUN are told apart by RFC 7983 and RFC 5761.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<12>()?;
        let payload_type = head[1] & 0x7f;
        let is_rtp = (128..192).contains(&head[0]) && !(64..96).contains(&payload_type);
        is_rtp.then_some(Self {
            payload_type,
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        })
    }
}

impl Sources {
    /// True if a datagram is not to be looked at: RTP from a viewer, who sends none, or a stream of a publisher
    /// that would take the place of one that is heard.
    pub(crate) fn refuses(&mut self, now: Instant, publishes: bool, bytes: &[u8]) -> bool {
        self.named = Named::of(bytes);
        let Some(named) = self.named else {
            return false;
        };
        let taken = self.heard.iter().any(|heard| {
            heard.named.payload_type == named.payload_type
                && heard.named.ssrc != named.ssrc
                && !heard.layered
                && now.saturating_duration_since(heard.at) < SILENT
        });
        !publishes || taken
    }

    /// The datagram under way was signed. A retransmission names another stream than its own and tells nothing.
    pub(crate) fn signed(&mut self, now: Instant, header: &RtpHeader, layered: bool) {
        let named = Named {
            payload_type: *header.payload_type,
            ssrc: *header.ssrc,
        };
        if self.named != Some(named) {
            return;
        }
        let place = self
            .heard
            .iter()
            .position(|heard| heard.named.payload_type == named.payload_type);
        let heard = Heard {
            named,
            at: now,
            layered,
        };
        match place {
            Some(place) => self.heard[place] = heard,
            None => self.heard.push(heard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(payload_type: u8, ssrc: u32) -> (Vec<u8>, RtpHeader) {
        let mut bytes = vec![0x80, payload_type, 0, 1, 0, 0, 0, 1];
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        let header = RtpHeader {
            payload_type: payload_type.into(),
            ssrc: ssrc.into(),
            ..RtpHeader::default()
        };
        (bytes, header)
    }

    #[test]
    fn a_stream_that_is_heard_keeps_its_place() {
        let start = Instant::now();
        let mut sources = Sources::default();
        let ((picture, header), (other, _), (sound, _)) = (rtp(96, 1), rtp(96, 2), rtp(111, 3));
        assert!(!sources.refuses(start, true, &other), "nobody is heard");
        assert!(!sources.refuses(start, true, &picture));
        sources.signed(start, &header, false);
        assert!(sources.refuses(start, true, &other));
        assert!(!sources.refuses(start, true, &picture));
        assert!(!sources.refuses(start, true, &sound));
        assert!(
            !sources.refuses(start + SILENT, true, &other),
            "it fell silent"
        );
    }

    #[test]
    fn layers_share_a_payload_type_and_rtcp_is_no_stream() {
        let start = Instant::now();
        let mut sources = Sources::default();
        let ((low, header), (high, _)) = (rtp(96, 1), rtp(96, 2));
        assert!(!sources.refuses(start, true, &low));
        sources.signed(start, &header, true);
        assert!(!sources.refuses(start, true, &high));
        let mut report = low.clone();
        report[1] = 200;
        assert!(!sources.refuses(start, false, &report));
        assert!(sources.refuses(start, false, &low), "a viewer sends no RTP");
    }

    #[test]
    fn a_retransmission_takes_nobodys_place() {
        let start = Instant::now();
        let mut sources = Sources::default();
        let ((repair, _), (picture, header)) = (rtp(97, 9), rtp(96, 1));
        assert!(!sources.refuses(start, true, &repair));
        // What was repaired is told under the payload type of the picture.
        sources.signed(start, &rtp(96, 9).1, false);
        assert!(!sources.refuses(start, true, &picture));
        sources.signed(start, &header, false);
    }
}
