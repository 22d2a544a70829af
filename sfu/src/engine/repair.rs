//! What is lost on the way and what is sent again, counted per session.

use str0m::format::CodecConfig;
use str0m::media::Pt;
use str0m::rtp::Ssrc;

/// Streams that are watched for holes.
const MAX_STREAMS: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Repair {
    /// Payload types of retransmissions (RFC 4588).
    resend: Vec<Pt>,
    newest: Vec<(Ssrc, u64)>,
    /// Retransmitted packets that came and that were sent.
    pub(crate) resent: [u64; 2],
    /// Packets that had not come when a later one of their stream did.
    pub(crate) missing: u64,
}

/// Which way a packet goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    In = 0,
    Out = 1,
}

impl Repair {
    pub(crate) fn new(codecs: &CodecConfig) -> Self {
        Self {
            resend: codecs.params().iter().filter_map(|p| p.resend()).collect(),
            newest: Vec::new(),
            resent: [0; 2],
            missing: 0,
        }
    }

    /// A datagram passed.
    pub(crate) fn pass(&mut self, way: Way, bytes: &[u8]) {
        let [head, kind, ..] = bytes else { return };
        if head >> 6 == 2 && self.resend.iter().any(|pt| **pt == kind & 0x7f) {
            self.resent[way as usize] += 1;
        }
    }

    /// A packet of a stream came, itself or its retransmission.
    pub(crate) fn take(&mut self, ssrc: Ssrc, seq: u64) {
        if let Some((_, newest)) = self.newest.iter_mut().find(|(known, _)| *known == ssrc) {
            self.missing += seq.saturating_sub(*newest + 1);
            *newest = seq.max(*newest);
        } else if self.newest.len() < MAX_STREAMS {
            self.newest.push((ssrc, seq));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_counts_once_however_it_is_filled() {
        let mut codecs = CodecConfig::empty();
        codecs.add_h264(108.into(), Some(109.into()), true, 0x42_e01f);
        let mut repair = Repair::new(&codecs);
        for seq in [10, 11, 15, 12, 13, 16] {
            repair.take(7.into(), seq);
        }
        repair.take(8.into(), 1_000);
        assert_eq!(repair.missing, 3);
        for payload_type in [108, 109, 0x80 | 109, 72] {
            repair.pass(Way::Out, &[0x80, payload_type, 0, 0]);
        }
        repair.pass(Way::In, &[22, 109]);
        assert_eq!(
            repair.resent,
            [0, 2],
            "with and without the marker; DTLS is none"
        );
    }
}
