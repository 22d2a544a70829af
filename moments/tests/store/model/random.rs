//! Commands at random, from a seed.

use reverie_moments::life::{Policy, Source};

use super::Command;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N)]
    }

    /// What a life begins with: nothing, or so much that something is live already.
    pub(crate) fn begin(&mut self) -> Vec<Command> {
        let mut begin = vec![
            Command::Policy(Policy::Auto),
            Command::Submit {
                viewer: 0,
                source: self.of([Source::Bits, Source::Free, Source::Streamer]),
                key: 0,
            },
            Command::Pay {
                moment: 0,
                transaction: 0,
            },
            Command::Claim { node: 0 },
            Command::Start { claim: 0 },
        ];
        begin.truncate(self.of([0, 0, 3, 4, 5, 5]));
        begin
    }

    /// One that can be done where so many moments and claims are known.
    pub(crate) fn command(&mut self, moments: usize, claims: usize) -> Command {
        loop {
            let command = self.any(moments.max(1), claims.max(1));
            let (needs_moment, needs_claim) = needs(command);
            if (moments > 0 || !needs_moment) && (claims > 0 || !needs_claim) {
                return command;
            }
        }
    }

    fn any(&mut self, moments: usize, claims: usize) -> Command {
        // The latest are the most interesting.
        let moment = moments - 1 - self.below(moments).min(self.below(moments));
        let claim = if self.below(5) > 0 {
            claims - 1
        } else {
            self.below(claims)
        };
        let transaction = self.below(7);
        let stale = self.below(10) == 0;
        match self.below(47) {
            0..=6 => Command::Submit {
                viewer: self.below(3),
                source: self.of([
                    Source::Bits,
                    Source::Bits,
                    Source::Bits,
                    Source::Credit,
                    Source::Free,
                    Source::Streamer,
                ]),
                key: self.below(5),
            },
            7..=10 => Command::Pay {
                moment,
                transaction,
            },
            11 => Command::Told {
                viewer: self.below(3),
                transaction,
            },
            12 => Command::Spend { moment },
            13..=16 => Command::Approve { moment, stale },
            17 => Command::Reject { moment, stale },
            18 => Command::Cancel { moment, stale },
            19 => Command::Stop { moment, stale },
            20 => Command::Hide { moment, stale },
            21 => Command::Move {
                moment,
                place: self.below(4),
            },
            22..=25 => Command::Claim {
                node: usize::from(self.below(8) == 0),
            },
            26 => Command::Beat { claim },
            27..=30 => Command::Start { claim },
            31..=34 => Command::Finish {
                claim,
                how: self.of([0, 0, 0, 0, 1, 2, 3, 4]),
            },
            35 | 36 => Command::Reap,
            37 => Command::Pause(self.below(3) == 0),
            38 => {
                Command::Policy(self.of([Policy::Auto, Policy::Auto, Policy::Manual, Policy::Off]))
            }
            39 => Command::Online,
            40 => Command::Ban {
                moment,
                stale,
                lasts: self.of([None, Some(400), Some(2000), Some(6000)]),
            },
            41 | 42 => Command::Lift { moment },
            _ => Command::Pass(self.of([
                50, 100, 100, 300, 499, 500, 700, 1000, 1600, 2000, 3000, 5001,
            ])),
        }
    }
}

fn needs(command: Command) -> (bool, bool) {
    match command {
        Command::Pay { .. }
        | Command::Spend { .. }
        | Command::Approve { .. }
        | Command::Reject { .. }
        | Command::Cancel { .. }
        | Command::Ban { .. }
        | Command::Lift { .. }
        | Command::Stop { .. }
        | Command::Hide { .. }
        | Command::Move { .. } => (true, false),
        Command::Beat { .. } | Command::Start { .. } | Command::Finish { .. } => (false, true),
        _ => (false, false),
    }
}
