//! Access units to RTP payloads (RFC 6184, packetization mode 1), once for all viewers.

use std::sync::Arc;

use rtp::codecs::h264::H264Payloader;
use rtp::packetizer::Payloader;

use crate::unit::AccessUnit;

/// Payload bytes that fit a datagram on every path: 1280 less IP, UDP, RTP, extensions and SRTP tag.
pub const DEFAULT_MTU: usize = 1200;
/// Below this, parameter sets would not fit a packet, and the payloader drops those that do not.
const SMALLEST_MTU: usize = 128;

/// Payload of one RTP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The bytes, shared by every viewer's packet.
    pub data: Arc<[u8]>,
    /// Whether it is the last of its unit.
    pub marker: bool,
}

/// Cuts units into payloads of at most `mtu` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Packetizer {
    mtu: usize,
}

impl Default for Packetizer {
    fn default() -> Self {
        Self::new(DEFAULT_MTU)
    }
}

impl Packetizer {
    /// A packetizer for payloads of at most `mtu` bytes, not less than 128.
    #[must_use]
    pub const fn new(mtu: usize) -> Self {
        Self {
            mtu: if mtu < SMALLEST_MTU {
                SMALLEST_MTU
            } else {
                mtu
            },
        }
    }

    /// Payloads of a unit, in order. A keyframe's parameter sets lead it in one STAP-A; delimiters
    /// and filler are left out. Empty when the unit holds no picture.
    ///
    /// The payloader holds parameter sets back until a slice follows: a new one for each unit keeps
    /// those of an incomplete unit from leaking into the next.
    #[must_use]
    pub fn packetize(&self, unit: &AccessUnit) -> Vec<Payload> {
        // It only reports errors of other codecs; there is nothing to send if that changes.
        let payloads = H264Payloader::default()
            .payload(self.mtu, &unit.data)
            .unwrap_or_default();
        let last = payloads.len().saturating_sub(1);
        payloads
            .into_iter()
            .enumerate()
            .map(|(index, bytes)| Payload {
                data: Arc::from(&bytes[..]),
                marker: index == last,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::h264::{PayloadKind, payload_kind};
    use crate::time::Pts;

    fn unit(data: Vec<u8>) -> AccessUnit {
        let data = Bytes::from(data);
        AccessUnit {
            pts: Pts(0),
            arrived: Instant::now(),
            keyframe: true,
            data,
        }
    }

    fn keyframe(slice: usize) -> AccessUnit {
        let mut data = vec![
            0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xce,
        ];
        data.extend_from_slice(&[0, 0, 0, 1, 0x65]);
        data.extend(std::iter::repeat_n(0x88, slice));
        unit(data)
    }

    #[test]
    fn the_first_payload_of_a_keyframe_carries_both_parameter_sets() {
        let payloads = Packetizer::default().packetize(&keyframe(5000));
        assert_eq!(
            &payloads[0].data[..],
            [0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce]
        );
        assert_eq!(payload_kind(&payloads[1].data), PayloadKind::IdrStart);
        assert!(
            payloads
                .iter()
                .all(|payload| payload.data.len() <= DEFAULT_MTU)
        );
        let markers: Vec<bool> = payloads.iter().map(|payload| payload.marker).collect();
        assert_eq!(markers, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_slice_that_just_fits_is_not_fragmented() {
        for (slice, packets) in [(DEFAULT_MTU - 1, 2), (DEFAULT_MTU, 3)] {
            assert_eq!(
                Packetizer::default().packetize(&keyframe(slice)).len(),
                packets
            );
        }
    }

    #[test]
    fn a_unit_without_a_picture_sends_nothing_and_leaves_nothing_behind() {
        let packetizer = Packetizer::default();
        assert!(
            packetizer
                .packetize(&unit(vec![0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1]))
                .is_empty()
        );
        assert!(packetizer.packetize(&unit(Vec::new())).is_empty());
        let next = packetizer.packetize(&unit(vec![0, 0, 1, 0x41, 0x9a]));
        assert_eq!(next.len(), 1);
        assert!(next[0].marker);
    }
}
