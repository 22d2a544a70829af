//! The payloads of one complete picture to an Annex B byte stream.

use bytes::Bytes;
use rtp::codecs::h264::H264Packet;
use rtp::packetizer::Depacketizer;

use crate::h264::{Form, NalKind, form, nal_units};

/// Payloads that are no picture although none is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

pub(super) struct Joined {
    pub(super) data: Vec<u8>,
    /// Whether there is a picture in it, not only parameter sets.
    pub(super) has_slice: bool,
}

/// Joins payloads in order behind `prefix`. The depacketizer sees one payload at a time, panics on
/// some broken lengths and glues any fragments together: form and order are checked before.
pub(super) fn annex_b<'a>(
    payloads: impl Iterator<Item = &'a Bytes>,
    prefix: Vec<u8>,
) -> Result<Joined, Corrupt> {
    let mut depacketizer = H264Packet::default();
    let mut fragments = Fragments::default();
    let mut data = prefix;
    for payload in payloads.filter(|payload| !payload.is_empty()) {
        fragments.follow(form(payload).ok_or(Corrupt)?)?;
        if is_marker_unit(payload) {
            continue;
        }
        let part = depacketizer.depacketize(payload).map_err(|_| Corrupt)?;
        data.extend_from_slice(&part);
    }
    if fragments.open.is_some() {
        return Err(Corrupt);
    }
    let has_slice = nal_units(&data).any(|unit| NalKind::of(unit[0]).is_slice());
    Ok(Joined { data, has_slice })
}

/// End of sequence or stream: a NAL unit of one byte, which the depacketizer takes for an error.
fn is_marker_unit(payload: &Bytes) -> bool {
    payload.len() <= 2 && matches!(payload[0] & 0x1f, 10 | 11)
}

/// Follows the fragmented NAL unit that is open, if one is (RFC 6184 section 5.8).
#[derive(Default)]
struct Fragments {
    open: Option<u8>,
}

impl Fragments {
    fn follow(&mut self, form: Form) -> Result<(), Corrupt> {
        self.open = match (form, self.open) {
            (Form::Single | Form::Aggregate, None) => None,
            (
                Form::Fragment {
                    kind,
                    start: true,
                    end,
                },
                None,
            ) => (!end).then_some(kind),
            (
                Form::Fragment {
                    kind,
                    start: false,
                    end,
                },
                Some(open),
            ) if kind == open => (!end).then_some(kind),
            _ => return Err(Corrupt),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(payloads: &[&'static [u8]]) -> Result<Vec<u8>, Corrupt> {
        let payloads: Vec<Bytes> = payloads
            .iter()
            .map(|bytes| Bytes::from_static(bytes))
            .collect();
        annex_b(payloads.iter(), Vec::new()).map(|joined| joined.data)
    }

    #[test]
    fn fragments_out_of_place_are_corrupt() {
        const START: &[u8] = &[0x7c, 0x85, 1];
        const MIDDLE: &[u8] = &[0x7c, 0x05, 2];
        const END: &[u8] = &[0x7c, 0x45, 3];
        const OTHER: &[u8] = &[0x5c, 0x01, 2];
        const SINGLE: &[u8] = &[0x41, 0x9a, 1];
        assert_eq!(
            join(&[START, MIDDLE, END]).unwrap(),
            [0, 0, 0, 1, 0x65, 1, 2, 3]
        );
        for bad in [
            &[MIDDLE, END][..],
            &[START, MIDDLE],
            &[START, START, END],
            &[START, SINGLE, END],
            &[START, OTHER, END],
            &[END],
            &[&[0x78, 0, 2, 0x67, 0x42, 0]],
        ] {
            assert_eq!(join(bad), Err(Corrupt), "{bad:02x?}");
        }
    }

    #[test]
    fn padding_and_the_end_of_a_sequence_add_nothing() {
        assert_eq!(
            join(&[&[], &[0x41, 0x9a, 1], &[0x0a]]).unwrap(),
            [0, 0, 0, 1, 0x41, 0x9a, 1]
        );
    }
}
