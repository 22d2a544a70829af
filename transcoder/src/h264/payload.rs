//! What one RTP payload of an H.264 stream holds (RFC 6184), seen without its neighbours.

use super::nal::NalKind;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
const FORBIDDEN: u8 = 0x80;

/// What a payload is to somebody who looks for the place to start or switch a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// Holds a sequence parameter set: a keyframe begins here.
    ParameterSets,
    /// First slice of an IDR picture: a keyframe begins here unless its parameter sets came before.
    IdrStart,
    /// First slice of any other picture.
    SliceStart,
    /// A later part of a picture.
    Continuation,
    /// Nothing of a picture: delimiters, SEI, PPS alone, padding, or not H.264.
    Other,
}

/// How a payload carries NAL units (RFC 6184 section 5.4). The lengths inside are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Single,
    Aggregate,
    Fragment { kind: u8, start: bool, end: bool },
}

/// The form of a payload; `None` if it breaks RFC 6184 or uses what nobody negotiated (packetization
/// mode 1 has neither STAP-B, MTAP nor FU-B).
pub(crate) fn form(payload: &[u8]) -> Option<Form> {
    let header = *payload.first()?;
    if header & FORBIDDEN != 0 {
        return None;
    }
    match header & 0x1f {
        1..=23 => Some(Form::Single),
        STAP_A => aggregated(payload)
            .all(|unit| unit.is_some())
            .then_some(Form::Aggregate),
        FU_A => {
            let inner = *payload.get(1)?;
            let kind = inner & 0x1f;
            let (start, end) = (inner & FU_START != 0, inner & FU_END != 0);
            (matches!(kind, 1..=23) && payload.len() > 2).then_some(Form::Fragment {
                kind,
                start,
                end,
            })
        }
        _ => None,
    }
}

/// Whether a payload can be H.264 in packetization mode 1; used to refuse what is not.
#[must_use]
pub fn is_h264_payload_plausible(payload: &[u8]) -> bool {
    form(payload).is_some()
}

/// What a payload holds.
#[must_use]
pub fn payload_kind(payload: &[u8]) -> PayloadKind {
    match form(payload) {
        None => PayloadKind::Other,
        Some(Form::Single) => unit_kind(payload[0], payload.get(1)),
        Some(Form::Fragment { start: false, .. }) => PayloadKind::Continuation,
        Some(Form::Fragment {
            kind, start: true, ..
        }) => unit_kind(kind, payload.get(2)),
        Some(Form::Aggregate) => aggregate_kind(payload),
    }
}

/// Whether a keyframe begins with this payload, if none of its packets came before.
#[must_use]
pub fn payload_starts_keyframe(payload: &[u8]) -> bool {
    matches!(
        payload_kind(payload),
        PayloadKind::ParameterSets | PayloadKind::IdrStart
    )
}

fn aggregate_kind(payload: &[u8]) -> PayloadKind {
    let kinds = || {
        aggregated(payload)
            .flatten()
            .map(|unit| unit_kind(unit[0], unit.get(1)))
    };
    if kinds().any(|kind| kind == PayloadKind::ParameterSets) {
        return PayloadKind::ParameterSets;
    }
    kinds()
        .find(|&kind| kind != PayloadKind::Other)
        .unwrap_or(PayloadKind::Other)
}

/// `slice` is the first byte of the slice header, which starts with first_mb_in_slice as ue(v)
/// (ITU-T H.264 section 7.3.3): its top bit is set exactly when that is zero.
fn unit_kind(header: u8, slice: Option<&u8>) -> PayloadKind {
    let first_slice = slice.is_some_and(|byte| byte & 0x80 != 0);
    match NalKind::of(header) {
        NalKind::Sps => PayloadKind::ParameterSets,
        NalKind::Idr if first_slice => PayloadKind::IdrStart,
        NalKind::Slice if first_slice => PayloadKind::SliceStart,
        NalKind::Idr | NalKind::Slice => PayloadKind::Continuation,
        _ => PayloadKind::Other,
    }
}

/// NAL units of a STAP-A (RFC 6184 section 5.7.1); a `None` ends the iteration at a broken length.
fn aggregated(payload: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(&payload[1..]);
    let mut first = true;
    std::iter::from_fn(move || {
        let bytes = rest?;
        if bytes.is_empty() && !first {
            return None;
        }
        first = false;
        let unit = bytes.split_first_chunk::<2>().and_then(|(length, bytes)| {
            bytes.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        rest = unit.map(|(_, rest)| rest);
        Some(unit.map(|(unit, _)| unit).filter(|unit| is_single(unit)))
    })
}

fn is_single(unit: &[u8]) -> bool {
    unit.first()
        .is_some_and(|header| header & FORBIDDEN == 0 && matches!(header & 0x1f, 1..=23))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAP: &[u8] = &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce];

    #[test]
    fn the_kinds_are_told_apart() {
        for (payload, kind) in [
            (STAP, PayloadKind::ParameterSets),
            (&[0x67, 0x42, 0xe0], PayloadKind::ParameterSets),
            (&[0x68, 0xce], PayloadKind::Other),
            (&[0x65, 0x88], PayloadKind::IdrStart),
            (&[0x65, 0x08], PayloadKind::Continuation),
            (&[0x41, 0x9a], PayloadKind::SliceStart),
            (&[0x7c, 0x85, 0x88], PayloadKind::IdrStart),
            (&[0x7c, 0x05, 0x88], PayloadKind::Continuation),
            (&[0x5c, 0x81, 0x9a], PayloadKind::SliceStart),
            (
                &[0x78, 0, 2, 0x06, 1, 0, 2, 0x65, 0x88],
                PayloadKind::IdrStart,
            ),
            (&[0x09, 0x10], PayloadKind::Other),
            (&[], PayloadKind::Other),
        ] {
            assert_eq!(payload_kind(payload), kind, "{payload:02x?}");
        }
        assert!(payload_starts_keyframe(STAP) && payload_starts_keyframe(&[0x65, 0x88]));
        assert!(!payload_starts_keyframe(&[0x41, 0x9a]));
    }

    #[test]
    fn what_is_not_h264_is_refused() {
        let refused: [&[u8]; 10] = [
            &[],
            &[0xe5, 0x88],                // forbidden bit
            &[0x40, 1],                   // type 0
            &[0x79, 0, 0, 2, 0x65, 0x88], // STAP-B
            &[0x7d, 0x85, 0, 0, 0x88],    // FU-B
            &[0x78],                      // STAP-A without a unit
            &[0x78, 0, 2, 0x67, 0x42, 0], // half a length
            &[0x78, 0, 9, 0x67, 0x42],    // longer than the payload
            &[0x78, 0, 0],                // empty unit
            &[0x7c, 0x9c, 0x88],          // a fragment of a fragment
        ];
        for payload in refused {
            assert!(!is_h264_payload_plausible(payload), "{payload:02x?}");
        }
        assert!(is_h264_payload_plausible(STAP));
    }

    proptest! {
        #[test]
        fn any_payload_is_survived(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let plausible = is_h264_payload_plausible(&payload);
            prop_assert!(plausible || payload_kind(&payload) == PayloadKind::Other);
        }
    }
}
