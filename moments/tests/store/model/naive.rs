//! The model: a list of moments and the rules of the specification, one `if` after another.

use std::collections::BTreeMap;

use reverie_moments::life::{Limits, Ms, Policy, Source, State};

use super::{Command, DURATION, PRICE};

pub(crate) struct Naive {
    now: Ms,
    limits: Limits,
    policy: Policy,
    paused: bool,
    ready_at: Ms,
    online_until: Ms,
    serial: usize,
    next_seq: i64,
    moments: Vec<M>,
    /// Moment and epoch of each claim.
    claims: Vec<(usize, i64)>,
    balances: [i64; 3],
    transactions: BTreeMap<usize, Option<usize>>,
    /// Of each viewer: the moment they are banned for, and until when.
    bans: [Option<(usize, Ms)>; 3],
}

#[derive(Clone)]
struct M {
    serial: usize,
    viewer: usize,
    source: Source,
    key: usize,
    state: State,
    unpaid: bool,
    seq: i64,
    version: i64,
    attempts: i64,
    epoch: i64,
    credited: bool,
    lease_until: Ms,
    not_before: Ms,
    deadline: Ms,
    created: Ms,
    updated: Ms,
    started: Option<Ms>,
    ended: Option<Ms>,
}

pub(crate) fn words(
    serial: usize,
    state: State,
    version: i64,
    attempts: i64,
    epoch: i64,
    credited: bool,
    times: (Option<Ms>, Option<Ms>),
) -> String {
    format!("{serial} {state} v{version} a{attempts} e{epoch} {credited} {times:?}")
}

impl Naive {
    pub(crate) fn new(now: Ms, limits: Limits) -> Self {
        Self {
            now,
            policy: Policy::Manual,
            paused: false,
            ready_at: 0,
            online_until: now + limits.lease,
            limits,
            serial: 0,
            next_seq: 1,
            moments: Vec::new(),
            claims: Vec::new(),
            balances: [0; 3],
            transactions: BTreeMap::new(),
            bans: [None; 3],
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        let moments = (0..self.moments.len()).map(|m| self.words(m));
        moments
            .chain(self.balances.iter().map(i64::to_string))
            .collect()
    }

    /// How many ended in each way.
    pub(crate) fn ended(&self) -> [usize; 5] {
        let ends = [
            State::Completed,
            State::Rejected,
            State::Expired,
            State::Failed,
            State::Cancelled,
        ];
        ends.map(|end| self.moments.iter().filter(|m| m.state == end).count())
    }

    pub(crate) fn run(&mut self, command: Command) -> String {
        let done = match command {
            Command::Submit {
                viewer,
                source,
                key,
            } => self.submit(viewer, source, key),
            Command::Pay {
                moment,
                transaction,
            } => self.pay(moment, transaction),
            Command::Told {
                viewer,
                transaction,
            } => Some(self.told(viewer, transaction)),
            Command::Spend { moment } => self.spend(moment),
            Command::Approve { moment, stale } => {
                self.on(moment, stale, State::PendingApproval, |s, m| {
                    s.join_queue(m);
                    s.moments[m].deadline = s.now + s.limits.max_wait;
                })
            }
            Command::Reject { moment, stale } => {
                self.on(moment, stale, State::PendingApproval, |s, m| {
                    s.end(m, State::Rejected, true)
                })
            }
            Command::Cancel { moment, stale } => self.on(moment, stale, State::Queued, |s, m| {
                s.end(m, State::Cancelled, true)
            }),
            Command::Ban {
                moment,
                stale,
                lasts,
            } => self.ban(moment, stale, lasts),
            Command::Lift { moment } => {
                let found = self
                    .bans
                    .iter_mut()
                    .find(|b| b.is_some_and(|b| b.0 == moment));
                Some(found.is_some_and(|ban| ban.take().is_some()).to_string())
            }
            Command::Stop { moment, stale } => self.live(moment, stale, Self::stop),
            Command::Hide { moment, stale } => self.live(moment, stale, |s, m| {
                let credit = s.moments[m].state == State::Warming || s.limits.credit_hidden;
                s.end(m, State::Cancelled, credit);
            }),
            Command::Move { moment, place } => self.shift(moment, place),
            Command::Claim { node } => Some(self.claim(node)),
            Command::Beat { claim } => {
                return self.held(claim).map_or("lost".into(), |m| {
                    self.moments[m].lease_until = self.now + self.limits.lease;
                    "beaten".into()
                });
            }
            Command::Start { claim } => {
                let Some(m) = self.held(claim) else {
                    return "lost".into();
                };
                (self.moments[m].state == State::Warming).then(|| self.start(m))
            }
            Command::Finish { claim, how } => {
                let Some(m) = self.held(claim) else {
                    return "lost".into();
                };
                self.finish(m, how)
            }
            Command::Reap => Some(self.reap()),
            Command::Pause(paused) => {
                self.paused = paused;
                Some(String::new())
            }
            Command::Policy(policy) => {
                self.policy = policy;
                Some(String::new())
            }
            Command::Online => {
                self.online_until = self.now + self.limits.lease;
                Some(String::new())
            }
            Command::Pass(span) => {
                self.now += span;
                Some(String::new())
            }
        };
        done.unwrap_or_else(|| "refused".into())
    }

    fn words(&self, m: usize) -> String {
        let m = &self.moments[m];
        words(
            m.serial,
            m.state,
            m.version,
            m.attempts,
            m.epoch,
            m.credited,
            (m.started, m.ended),
        )
    }

    fn submit(&mut self, viewer: usize, source: Source, key: usize) -> Option<String> {
        self.serial += 1;
        if let Some(old) = self
            .moments
            .iter()
            .position(|m| m.viewer == viewer && m.key == key)
        {
            return (self.moments[old].source == source).then(|| self.words(old));
        }
        let waits = |m: &&M| {
            matches!(
                m.state,
                State::Submitted | State::PendingApproval | State::Queued
            )
        };
        let closed = self.policy == Policy::Off || self.paused || self.banned(viewer);
        if closed && source != Source::Streamer
            || self.online_until + self.limits.max_offline <= self.now
            || self
                .moments
                .iter()
                .any(|m| m.viewer == viewer && m.state == State::Submitted)
            || self.moments.iter().filter(waits).count() >= self.limits.queue_max
        {
            return None;
        }
        self.moments.push(M {
            serial: self.serial,
            viewer,
            source,
            key,
            state: State::Submitted,
            unpaid: true,
            seq: 0,
            version: 0,
            attempts: 0,
            epoch: 0,
            credited: false,
            lease_until: 0,
            not_before: 0,
            deadline: self.now + self.limits.payment,
            created: self.now,
            updated: self.now,
            started: None,
            ended: None,
        });
        let m = self.moments.len() - 1;
        if matches!(source, Source::Free | Source::Streamer) {
            self.accept(m);
        }
        Some(self.words(m))
    }

    fn banned(&self, viewer: usize) -> bool {
        self.bans[viewer].is_some_and(|(_, until)| until > self.now)
    }

    fn ban(&mut self, m: usize, stale: bool, lasts: Option<Ms>) -> Option<String> {
        if stale || self.moments[m].source == Source::Streamer {
            return None;
        }
        let viewer = self.moments[m].viewer;
        self.bans[viewer] = Some((m, lasts.map_or(Ms::MAX, |lasts| self.now + lasts)));
        for other in 0..self.moments.len() {
            let of = &self.moments[other];
            if of.viewer != viewer || of.source == Source::Streamer {
                continue;
            }
            match of.state {
                State::PendingApproval => self.end(other, State::Rejected, true),
                State::Queued => self.end(other, State::Cancelled, true),
                _ => {}
            }
        }
        Some(self.words(m))
    }

    fn payable(&self, m: usize) -> bool {
        let m = &self.moments[m];
        let late = m
            .ended
            .is_some_and(|ended| self.now - ended <= self.limits.late_receipt);
        m.state == State::Submitted || m.state == State::Expired && m.unpaid && late
    }

    fn accept(&mut self, m: usize) {
        let own = self.moments[m].source == Source::Streamer;
        self.moments[m].unpaid = false;
        self.moments[m].ended = None;
        if own || self.policy == Policy::Auto && !self.banned(self.moments[m].viewer) {
            self.join_queue(m);
            self.moments[m].deadline = self.now + self.limits.max_wait;
        } else {
            self.change(m, State::PendingApproval);
            self.moments[m].deadline = self.now + self.limits.approval;
        }
    }

    fn pay(&mut self, m: usize, transaction: usize) -> Option<String> {
        if let Some(used) = self.transactions.get(&transaction) {
            return match used {
                Some(other) if *other == m => Some(format!("again {}", self.words(m))),
                Some(_) => None,
                None => Some("again credited".into()),
            };
        }
        if self.moments[m].source != Source::Bits {
            return None;
        }
        Some(self.take_payment(
            self.moments[m].viewer,
            self.payable(m).then_some(m),
            transaction,
        ))
    }

    fn told(&mut self, viewer: usize, transaction: usize) -> String {
        match self.transactions.get(&transaction) {
            Some(Some(m)) => return format!("again {}", self.words(*m)),
            Some(None) => return "again credited".into(),
            None => {}
        }
        let open = (0..self.moments.len()).filter(|m| {
            let moment = &self.moments[*m];
            moment.viewer == viewer && moment.source == Source::Bits && self.payable(*m)
        });
        let latest = open.min_by_key(|m| (-self.moments[*m].created, self.moments[*m].serial));
        self.take_payment(viewer, latest, transaction)
    }

    fn take_payment(&mut self, viewer: usize, m: Option<usize>, transaction: usize) -> String {
        self.transactions.insert(transaction, m);
        if let Some(m) = m {
            self.accept(m);
            self.words(m)
        } else {
            self.balances[viewer] += PRICE;
            "credited".into()
        }
    }

    fn spend(&mut self, m: usize) -> Option<String> {
        let moment = &self.moments[m];
        if moment.source != Source::Credit
            || !self.payable(m)
            || self.banned(moment.viewer)
            || self.balances[moment.viewer] < PRICE
        {
            return None;
        }
        self.balances[self.moments[m].viewer] -= PRICE;
        self.accept(m);
        Some(self.words(m))
    }

    fn on(
        &mut self,
        m: usize,
        stale: bool,
        state: State,
        act: fn(&mut Self, usize),
    ) -> Option<String> {
        (!stale && self.moments[m].state == state).then(|| {
            act(self, m);
            self.words(m)
        })
    }

    fn live(&mut self, m: usize, stale: bool, act: fn(&mut Self, usize)) -> Option<String> {
        let live = matches!(self.moments[m].state, State::Warming | State::Active);
        (!stale && live).then(|| {
            act(self, m);
            self.words(m)
        })
    }

    fn shift(&mut self, m: usize, place: usize) -> Option<String> {
        if self.moments[m].state != State::Queued {
            return None;
        }
        let mut order = self.queue();
        let places: Vec<_> = order.iter().map(|m| self.moments[*m].seq).collect();
        order.retain(|other| *other != m);
        order.insert(place.min(order.len()), m);
        for (m, seq) in order.into_iter().zip(places) {
            self.moments[m].seq = seq;
        }
        self.change(m, State::Queued);
        Some(self.words(m))
    }

    fn queue(&self) -> Vec<usize> {
        let mut queue: Vec<_> = (0..self.moments.len())
            .filter(|m| self.moments[*m].state == State::Queued)
            .collect();
        queue.sort_by_key(|m| self.moments[*m].seq);
        queue
    }

    fn claim(&mut self, node: usize) -> String {
        let live = self
            .moments
            .iter()
            .any(|m| matches!(m.state, State::Warming | State::Active));
        let first = self.queue().first().copied();
        let first = first.filter(|m| self.moments[*m].not_before <= self.now);
        let may =
            node == 0 && self.online_until > self.now && !self.paused && self.ready_at <= self.now;
        let Some(m) = first.filter(|_| may && !live) else {
            return "nothing".into();
        };
        self.change(m, State::Warming);
        let moment = &mut self.moments[m];
        moment.epoch += 1;
        moment.lease_until = self.now + self.limits.lease;
        moment.deadline = self.now + self.limits.warm;
        self.claims.push((m, moment.epoch));
        self.words(m)
    }

    fn held(&self, claim: usize) -> Option<usize> {
        let (m, epoch) = self.claims[claim];
        let moment = &self.moments[m];
        let live = matches!(moment.state, State::Warming | State::Active);
        (live && moment.epoch == epoch).then_some(m)
    }

    fn start(&mut self, m: usize) -> String {
        self.change(m, State::Active);
        let moment = &mut self.moments[m];
        moment.started = Some(self.now);
        moment.lease_until = self.now + self.limits.lease;
        moment.deadline = self.now + DURATION + self.limits.end_grace;
        self.words(m)
    }

    fn finish(&mut self, m: usize, how: usize) -> Option<String> {
        let active = self.moments[m].state == State::Active;
        match how {
            0 if active => self.complete(m),
            0 => return None,
            1 => self.stop(m),
            2 if active => self.end(m, State::Failed, true),
            2 => self.again(m),
            _ if active => self.end(m, State::Failed, true),
            n => self.attempt_failed(m, n == 3),
        }
        Some(self.words(m))
    }

    fn stop(&mut self, m: usize) {
        let moment = &self.moments[m];
        if moment.state == State::Warming {
            self.end(m, State::Cancelled, true);
        } else if (self.now - moment.started.unwrap()) * 10 >= DURATION * 8 {
            self.complete(m);
        } else {
            self.end(m, State::Failed, true);
        }
    }

    fn complete(&mut self, m: usize) {
        self.end(m, State::Completed, false);
        self.ready_at = self.ready_at.max(self.now + self.limits.cooldown);
    }

    fn attempt_failed(&mut self, m: usize, retry: bool) {
        self.moments[m].attempts += 1;
        if retry && self.moments[m].attempts < 3 {
            self.again(m);
        } else {
            self.end(m, State::Failed, true);
        }
    }

    fn again(&mut self, m: usize) {
        self.change(m, State::Queued);
        self.moments[m].not_before = self.now + self.limits.retry_delay;
        self.moments[m].deadline = self.now + self.limits.max_wait;
    }

    fn join_queue(&mut self, m: usize) {
        self.change(m, State::Queued);
        self.moments[m].seq = self.next_seq;
        self.next_seq += 1;
    }

    fn end(&mut self, m: usize, state: State, credit: bool) {
        self.change(m, state);
        self.moments[m].ended = Some(self.now);
        if credit && matches!(self.moments[m].source, Source::Bits | Source::Credit) {
            self.moments[m].credited = true;
            self.balances[self.moments[m].viewer] += PRICE;
        }
    }

    fn change(&mut self, m: usize, state: State) {
        self.moments[m].state = state;
        self.moments[m].version += 1;
        self.moments[m].updated = self.now;
    }

    fn reap(&mut self) -> String {
        let mut reaped = Vec::new();
        for m in 0..self.moments.len() {
            if self.reap_one(m) {
                reaped.push(self.words(m));
            }
        }
        reaped.sort();
        reaped.join("; ")
    }

    fn reap_one(&mut self, m: usize) -> bool {
        let moment = self.moments[m].clone();
        let late = moment.deadline <= self.now;
        let deaf = moment.lease_until <= self.now;
        let offline = self.online_until.max(moment.updated) + self.limits.max_offline <= self.now;
        match moment.state {
            State::Submitted if late => self.end(m, State::Expired, false),
            State::PendingApproval if late => self.end(m, State::Expired, true),
            State::Queued if late || offline => self.end(m, State::Expired, true),
            State::Warming if late || deaf => self.attempt_failed(m, true),
            State::Active if deaf => {
                let heard = moment.lease_until - self.limits.lease;
                if heard >= moment.started.unwrap() + DURATION {
                    self.complete(m);
                } else {
                    self.end(m, State::Failed, true);
                }
            }
            State::Active if late => self.complete(m),
            _ => return false,
        }
        true
    }
}
