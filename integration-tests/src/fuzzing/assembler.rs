//! RTP packets of a picture stream into the assembler, in any order and shape.
//!
//! Each packet is `step, flags, ticks, length (2 bytes), payload`: `step` moves the sequence number on from the
//! next one (128 is no move), of the flags bit 0 is the marker, bit 1 repeats the timestamp, bit 2 makes a wide
//! jump of number and time, and `ticks` says how far the timestamp goes on, in milliseconds.

use std::time::Instant;

use reverie_transcoder::Pts;
use reverie_transcoder::assemble::{Assembled, Assembler, RtpPacketRef};
use reverie_transcoder::h264;

use super::offer::start;

/// Bytes in front of each packet's payload.
const HEADER: usize = 5;

/// One packet of the encoding above.
struct Step<'a> {
    step: i64,
    flags: u8,
    ticks: u64,
    payload: &'a [u8],
}

/// Every unit that comes out has a picture, a known kind, and not more bytes than went in; none comes out twice.
pub fn check(data: &[u8]) {
    let mut assembler = Assembler::new();
    let (mut out, mut taken) = (Vec::new(), 0);
    feed(data, start(), |packet| {
        // A start code per aggregated unit is longer than the two bytes of length it had.
        taken += 3 * packet.payload.len() + 4;
        assembler.push(packet, &mut out);
    });
    let mut given = 0;
    for unit in &out {
        let Assembled::Unit(unit) = unit else {
            continue;
        };
        given += unit.data.len();
        let mut kinds = h264::nal_units(&unit.data).map(|nal| h264::NalKind::of(nal[0]));
        assert!(
            kinds.any(h264::NalKind::is_slice),
            "a unit without a picture"
        );
        assert_eq!(unit.keyframe, h264::is_keyframe(&unit.data));
    }
    assert!(given <= taken, "{given} bytes of units from {taken} bytes");
}

/// Decodes the packets of an input in order.
fn feed(data: &[u8], arrived: Instant, mut take: impl FnMut(RtpPacketRef<'_>)) {
    let (mut seq, mut ticks, mut rest) = (1_i64 << 20, 1_u64 << 20, data);
    while let Some(step) = next(&mut rest) {
        seq = seq.saturating_add(step.step).max(0);
        if step.flags & 4 != 0 {
            seq = seq.saturating_add(step.step << 20).max(0);
            ticks = ticks.wrapping_add(step.ticks << 30);
        }
        if step.flags & 2 == 0 {
            ticks = ticks.wrapping_add(step.ticks * 90);
        }
        take(RtpPacketRef {
            seq: seq.unsigned_abs(),
            pts: Pts(ticks),
            marker: step.flags & 1 != 0,
            arrived,
            payload: step.payload,
        });
        seq = seq.saturating_add(1);
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Step<'a>> {
    let (head, tail) = rest.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_be_bytes([head[3], head[4]])).min(tail.len());
    let (payload, tail) = tail.split_at(length);
    *rest = tail;
    Some(Step {
        step: i64::from(head[0]) - 128,
        flags: head[1],
        ticks: u64::from(head[2]),
        payload,
    })
}
