use proptest::prelude::*;

use super::*;
use crate::packetize::Packetizer;

struct Packet {
    seq: u64,
    pts: Pts,
    marker: bool,
    payload: Vec<u8>,
}

fn push(assembler: &mut Assembler, packet: &Packet, arrived: Instant) -> Vec<Assembled> {
    let mut out = Vec::new();
    let Packet {
        seq,
        pts,
        marker,
        ref payload,
    } = *packet;
    assembler.push(
        RtpPacketRef {
            seq,
            pts,
            marker,
            arrived,
            payload,
        },
        &mut out,
    );
    out
}

/// A unit of `size` bytes whose content depends on `index`; every tenth is a keyframe.
fn unit(index: u64, size: usize, arrived: Instant) -> AccessUnit {
    let keyframe = index.is_multiple_of(10);
    let mut data = Vec::new();
    if keyframe {
        data.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x95]);
        data.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    }
    data.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
    data.extend((0..size).map(|at| (index as usize * 31 + at * 7) as u8 | 1));
    AccessUnit {
        pts: Pts(index * 3000),
        arrived,
        keyframe,
        data: data.into(),
    }
}

fn packets(units: &[AccessUnit], first_seq: u64) -> Vec<Packet> {
    let packetizer = Packetizer::new(200);
    let payloads = units.iter().flat_map(|unit| {
        packetizer
            .packetize(unit)
            .into_iter()
            .map(|payload| (unit.pts, payload))
    });
    payloads
        .zip(first_seq..)
        .map(|((pts, payload), seq)| Packet {
            seq,
            pts,
            marker: payload.marker,
            payload: payload.data.to_vec(),
        })
        .collect()
}

fn stream(sizes: &[usize]) -> (Vec<AccessUnit>, Vec<Packet>) {
    let now = Instant::now();
    let units: Vec<_> = (0u64..)
        .zip(sizes)
        .map(|(index, &size)| unit(index, size, now))
        .collect();
    let packets = packets(&units, 65_530);
    (units, packets)
}

fn run<'a>(packets: impl IntoIterator<Item = &'a Packet>, arrived: Instant) -> Vec<Assembled> {
    let mut assembler = Assembler::new();
    packets
        .into_iter()
        .flat_map(|packet| push(&mut assembler, packet, arrived))
        .collect()
}

#[test]
fn a_clean_stream_comes_out_as_it_went_in() {
    let (units, packets) = stream(&[900, 10, 2000, 199, 200, 201]);
    let out = run(&packets, units[0].arrived);
    assert_eq!(
        out,
        units.into_iter().map(Assembled::Unit).collect::<Vec<_>>()
    );
}

#[test]
fn a_change_of_timestamp_ends_a_unit_without_a_marker() {
    let (units, mut packets) = stream(&[500, 500, 10]);
    for packet in &mut packets {
        packet.marker = false;
    }
    let out = run(&packets, units[0].arrived);
    assert_eq!(
        out,
        units[..2]
            .iter()
            .cloned()
            .map(Assembled::Unit)
            .collect::<Vec<_>>()
    );
}

#[test]
fn parameter_sets_with_a_marker_of_their_own_belong_to_the_picture() {
    let (units, mut packets) = stream(&[500]);
    assert_eq!(packets[0].payload[0] & 0x1f, 24);
    packets[0].marker = true;
    assert_eq!(
        run(&packets, units[0].arrived),
        [Assembled::Unit(units[0].clone())]
    );
}

#[test]
fn a_lost_packet_is_a_gap_once_and_the_stream_goes_on_behind_it() {
    let (units, packets) = stream(&[500; 30]);
    let lost = packets
        .iter()
        .position(|packet| packet.pts == units[12].pts)
        .unwrap()
        + 1;
    let kept = packets
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != lost)
        .map(|(_, packet)| packet);
    let out = run(kept, units[0].arrived);
    let expected: Vec<_> = units[..12]
        .iter()
        .cloned()
        .map(Assembled::Unit)
        .chain([Assembled::Gap])
        .chain(units[13..].iter().cloned().map(Assembled::Unit))
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn a_retransmission_within_the_patience_fills_the_hole() {
    let (units, mut packets) = stream(&[500; 6]);
    let late = packets.remove(4);
    let after_two_pictures = packets
        .iter()
        .position(|packet| packet.pts == units[3].pts)
        .unwrap();
    packets.insert(after_two_pictures, late);
    let out = run(&packets, units[0].arrived);
    assert_eq!(
        out,
        units.into_iter().map(Assembled::Unit).collect::<Vec<_>>()
    );
}

#[test]
fn a_sender_that_starts_over_is_followed() {
    let (units, packets) = stream(&[10; 2]);
    let mut assembler = Assembler::new();
    let far = Packet {
        seq: 1 << 40,
        pts: Pts(0),
        marker: true,
        payload: vec![0x67, 1, 2],
    };
    push(&mut assembler, &far, units[0].arrived);
    let old = std::iter::repeat_n(&packets[0], LATE_IN_A_ROW as usize);
    let out: Vec<_> = old
        .flat_map(|old| push(&mut assembler, old, units[0].arrived))
        .collect();
    assert_eq!(out, [Assembled::Gap]);
    let out: Vec<_> = packets
        .iter()
        .flat_map(|packet| push(&mut assembler, packet, units[0].arrived))
        .collect();
    assert_eq!(
        out,
        units.into_iter().map(Assembled::Unit).collect::<Vec<_>>()
    );
}

#[test]
fn a_picture_without_an_end_is_given_up() {
    let now = Instant::now();
    let mut assembler = Assembler::new();
    let mut out = Vec::new();
    for seq in 0..HELD as u64 + 10 {
        let payload = if seq == 0 {
            vec![0x67, 1, 2]
        } else {
            vec![0x41, 0x9a, 1]
        };
        let packet = Packet {
            seq,
            pts: Pts(0),
            marker: false,
            payload,
        };
        out.extend(push(&mut assembler, &packet, now));
        assert!(assembler.held.len() <= HELD);
    }
    assert_eq!(out, [Assembled::Gap]);
}

proptest! {
    /// Loss, duplication and reordering within a few packets: what comes out is a subsequence of
    /// what went in, and wherever something is missing inside it a gap says so.
    #[test]
    fn no_unit_is_ever_corrupt(
        sizes in prop::collection::vec(1usize..1500, 2..60),
        fates in prop::collection::vec((0u8..100, 0usize..12), 600),
    ) {
        let (units, packets) = stream(&sizes);
        let mut order: Vec<(usize, &Packet)> = Vec::new();
        for (at, packet) in packets.iter().enumerate() {
            let (fate, shift) = fates[at % fates.len()];
            match fate {
                0..5 => {}
                5..10 => order.extend([(at, packet), (at + shift, packet)]),
                10..20 => order.push((at + shift, packet)),
                _ => order.push((at, packet)),
            }
        }
        order.sort_by_key(|(at, _)| *at);
        let out = run(order.into_iter().map(|(_, packet)| packet), units[0].arrived);
        check(&units, &out)?;
    }

    #[test]
    fn nothing_lost_and_little_reordered_means_nothing_missing(
        sizes in prop::collection::vec(1usize..1500, 2..40),
        // Three pictures are within the patience, and a picture may be a single packet.
        shifts in prop::collection::vec(0usize..3, 400),
    ) {
        let (units, packets) = stream(&sizes);
        let mut order: Vec<_> = packets.iter().enumerate().collect();
        // The very first packet stays first: what precedes the first start cannot be known.
        order[1..].sort_by_key(|(at, _)| *at + shifts[*at % shifts.len()]);
        let out = run(order.into_iter().map(|(_, packet)| packet), units[0].arrived);
        prop_assert_eq!(out, units.into_iter().map(Assembled::Unit).collect::<Vec<_>>());
    }

    #[test]
    fn garbage_is_survived(
        packets in prop::collection::vec(
            (
                prop_oneof![0u64..40, any::<u64>()],
                0u64..5,
                any::<bool>(),
                prop::collection::vec(any::<u8>(), 0..20),
            ),
            0..300,
        ),
    ) {
        let now = Instant::now();
        let mut assembler = Assembler::new();
        for (seq, frame, marker, payload) in packets {
            let packet = Packet { seq, pts: Pts(frame * 3000), marker, payload };
            push(&mut assembler, &packet, now);
        }
    }
}

fn check(units: &[AccessUnit], out: &[Assembled]) -> Result<(), TestCaseError> {
    let mut expected: Option<usize> = None;
    let mut gap = false;
    for item in out {
        let Assembled::Unit(unit) = item else {
            gap = true;
            continue;
        };
        let index = (unit.pts.0 / 3000) as usize;
        prop_assert_eq!(unit, &units[index]);
        prop_assert!(
            expected.is_none_or(|expected| index >= expected),
            "out of order"
        );
        prop_assert!(
            gap || expected.is_none_or(|expected| index == expected),
            "silent gap"
        );
        expected = Some(index + 1);
        gap = false;
    }
    Ok(())
}
