//! RTP packets to access units (RFC 6184); a unit comes out whole or not at all. No clock: how long
//! a missing packet is waited for is counted in media time.

mod join;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::h264::{self, PayloadKind};
use crate::time::Pts;
use crate::unit::AccessUnit;

/// Media time for which a retransmission of a missing packet is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Packets held behind a missing one before it is given up, whatever their timestamps say.
const HELD_BEHIND_HOLE: usize = 512;
/// Packets of one unit: 4 MiB at the usual packet size.
const HELD: usize = 4096;
/// Packets held while looking for the start of a unit.
const HELD_SEARCHING: usize = 64;
/// Old packets in a row after which the sender is taken to have started over.
const LATE_IN_A_ROW: u32 = 1024;
/// Bytes of parameter sets kept for the picture they belong to.
const PREFIX: usize = 16 * 1024;

/// One RTP packet of the stream; the payload is without padding.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacketRef<'a> {
    /// Extended sequence number.
    pub seq: u64,
    /// Extended timestamp.
    pub pts: Pts,
    /// Marker bit: last packet of a picture.
    pub marker: bool,
    /// When it came in.
    pub arrived: Instant,
    /// Payload; empty for a padding-only packet.
    pub payload: &'a [u8],
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    /// The next unit in order.
    Unit(AccessUnit),
    /// One or more units are missing here.
    Gap,
}

/// Puts packets in order and joins those of one picture.
#[derive(Debug, Default)]
pub struct Assembler {
    held: BTreeMap<u64, Held>,
    /// First packet of the unit to come out next; `None` while looking for one.
    next: Option<u64>,
    /// Every packet in `next..scanned` is held and belongs to that unit.
    scanned: u64,
    /// The packet that was let go last.
    last: Option<Passed>,
    late_in_a_row: u32,
    /// Parameter sets that came with a marker of their own.
    prefix: Vec<u8>,
}

#[derive(Debug)]
struct Held {
    pts: Pts,
    marker: bool,
    arrived: Instant,
    payload: Bytes,
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    seq: u64,
    /// Timestamp and marker, if it was ever seen.
    seen: Option<(Pts, bool)>,
}

impl Assembler {
    /// An assembler that starts with the first unit whose beginning it sees.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet and appends what it completes to `out`. Duplicates, late packets and garbage
    /// are harmless; at most a few megabytes are held.
    pub fn push(&mut self, packet: RtpPacketRef<'_>, out: &mut Vec<Assembled>) {
        if !self.is_new(packet.seq, out) {
            return;
        }
        self.held.entry(packet.seq).or_insert_with(|| Held {
            pts: packet.pts,
            marker: packet.marker,
            arrived: packet.arrived,
            payload: Bytes::copy_from_slice(packet.payload),
        });
        while self.advance(out) {}
    }

    /// One step: true if another one may follow.
    fn advance(&mut self, out: &mut Vec<Assembled>) -> bool {
        let Some(next) = self.next else {
            return self.find_start();
        };
        if let Some(end) = self.scan(next) {
            self.finish(end, out);
            return true;
        }
        if self.is_lost(next) {
            self.give_up(out);
            return true;
        }
        false
    }

    fn is_new(&mut self, seq: u64, out: &mut Vec<Assembled>) -> bool {
        let oldest = self
            .next
            .or_else(|| self.last.map(|last| last.seq.saturating_add(1)));
        if seq != u64::MAX && oldest.is_none_or(|oldest| seq >= oldest) {
            self.late_in_a_row = 0;
            return true;
        }
        self.late_in_a_row += 1;
        if self.late_in_a_row >= LATE_IN_A_ROW {
            *self = Self::default();
            out.push(Assembled::Gap);
        }
        false
    }

    /// Lets go of everything in front of the first packet that is known to start a unit.
    fn find_start(&mut self) -> bool {
        let start = self.held.keys().copied().find(|&seq| self.is_start(seq));
        if let Some(start) = start {
            self.held = self.held.split_off(&start);
            self.next = Some(start);
            self.scanned = start;
            return true;
        }
        while self.held.len() > HELD_SEARCHING {
            if let Some((seq, held)) = self.held.pop_first() {
                self.last = Some(Passed {
                    seq,
                    seen: Some((held.pts, held.marker)),
                });
            }
        }
        false
    }

    fn is_start(&self, seq: u64) -> bool {
        let Some(held) = self.held.get(&seq) else {
            return false;
        };
        let before = seq
            .checked_sub(1)
            .and_then(|before| match self.held.get(&before) {
                Some(held) => Some((held.pts, held.marker)),
                None => self.last.filter(|last| last.seq == before)?.seen,
            });
        before.is_some_and(|(pts, marker)| marker || pts != held.pts)
            || h264::payload_kind(&held.payload) == PayloadKind::ParameterSets
    }

    /// Follows the packets of the unit at `next`; the end (exclusive) once it is complete.
    fn scan(&mut self, next: u64) -> Option<u64> {
        let pts = self.held.get(&next)?.pts;
        while let Some(held) = self.held.get(&self.scanned) {
            if held.pts != pts {
                return Some(self.scanned);
            }
            self.scanned += 1;
            if held.marker {
                return Some(self.scanned);
            }
        }
        None
    }

    fn finish(&mut self, end: u64, out: &mut Vec<Assembled>) {
        let rest = self.held.split_off(&end);
        let packets = std::mem::replace(&mut self.held, rest);
        self.next = Some(end);
        self.scanned = end;
        let Some((first, (&seq, last))) = packets.values().next().zip(packets.last_key_value())
        else {
            return;
        };
        self.last = Some(Passed {
            seq,
            seen: Some((last.pts, last.marker)),
        });
        let payloads = packets.values().map(|held| &held.payload);
        match join::annex_b(payloads, std::mem::take(&mut self.prefix)) {
            Ok(join::Joined {
                data,
                has_slice: true,
            }) => out.push(Assembled::Unit(AccessUnit {
                pts: first.pts,
                arrived: first.arrived,
                keyframe: h264::is_keyframe(&data),
                data: data.into(),
            })),
            Ok(join::Joined { data, .. }) if data.len() <= PREFIX => self.prefix = data,
            Ok(_) | Err(join::Corrupt) => out.push(Assembled::Gap),
        }
    }

    /// Whether the packet at `scanned`, which is not there, is waited for no more.
    fn is_lost(&self, next: u64) -> bool {
        let in_order = usize::try_from(self.scanned - next).unwrap_or(usize::MAX);
        let behind = self.held.len().saturating_sub(in_order);
        let Some((first, last)) = self
            .held
            .values()
            .next()
            .zip(self.held.values().next_back())
        else {
            return false;
        };
        let waited = last.pts.since(first.pts);
        behind >= HELD_BEHIND_HOLE || self.held.len() >= HELD || behind > 0 && waited >= PATIENCE
    }

    fn give_up(&mut self, out: &mut Vec<Assembled>) {
        self.held = self.held.split_off(&self.scanned);
        // The missing packet is refused from now on: nobody waits for it any more.
        self.last = Some(Passed {
            seq: self.scanned,
            seen: None,
        });
        self.next = None;
        self.prefix.clear();
        out.push(Assembled::Gap);
    }
}

#[cfg(test)]
mod tests;
