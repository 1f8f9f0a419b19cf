//! When a segment is handed on, kept back, or no longer waited for.

use super::carried::Protocol;
use super::stream::{Place, Segment, ahead};
use crate::sensor::quic;

use super::{Carries, Environment, Flow, Side};

/// Most segments of one direction that are kept back.
const MAX_HELD: usize = 512;

impl Flow {
    pub(super) fn accept(&mut self, side: Side, segment: &Segment<'_>, env: &mut Environment<'_>) {
        let stream = &self.directions[side].stream;
        match stream.place(*segment) {
            Place::Old => {
                self.repeats(side, env);
                return;
            }
            Place::Next(next) if self.is_due(side, segment.ack) => {
                if next.seq != segment.seq {
                    self.repeats(side, env);
                }
                self.hand_on(side, &next, env);
            }
            Place::Next(_) | Place::Ahead => {
                if matches!(self.carries, Carries::Opaque | Carries::Upgraded(_)) {
                    // Nobody reads on: only the numbers are followed.
                    self.directions[side].stream.skip_to(segment.seq);
                    self.directions[side].stream.pass(segment);
                    return;
                }
                if self.directions[side].stream.hold(segment, env.now) {
                    env.stats.held += 1;
                } else {
                    self.repeats(side, env);
                }
            }
        }
        if self.is_waiting() {
            self.catch_up(env);
        }
        let share = env.config.flow_bytes;
        if self.directions[side].stream.held() > MAX_HELD || self.footprint() > share {
            self.let_go(share, env);
        }
    }

    /// A segment, or its beginning, was there before.
    fn repeats(&mut self, side: Side, env: &mut Environment<'_>) {
        env.stats.retransmitted += 1;
        self.tcp.repeats(side);
    }

    /// Whether a segment that is next in its own direction has its turn.
    pub(super) fn is_due(&self, side: Side, ack: Option<u32>) -> bool {
        self.directions[side].stream.settled() && self.directions[1 - side].stream.reached(ack)
    }

    /// Hands on all that has its turn.
    pub(super) fn catch_up(&mut self, env: &mut Environment<'_>) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for side in [0, 1] {
                while let Some(front) = self.directions[side].stream.front() {
                    let segment = front.segment();
                    let ready = match self.directions[side].stream.place(segment) {
                        Place::Old => true,
                        Place::Next(_) => self.is_due(side, front.ack),
                        Place::Ahead => false,
                    };
                    if !ready {
                        break;
                    }
                    let Some(held) = self.directions[side].stream.take() else { break };
                    match self.directions[side].stream.place(held.segment()) {
                        Place::Next(next) => self.hand_on(side, &next, env),
                        _ => self.repeats(side, env),
                    }
                    moved = true;
                }
            }
        }
    }

    /// Gives up what is missing and has been waited for long enough.
    pub(crate) fn expire(&mut self, env: &mut Environment<'_>) {
        self.relent(false, env);
    }

    /// Gives up all that is missing.
    pub(super) fn relent(&mut self, all: bool, env: &mut Environment<'_>) {
        while let Some((side, seq)) = self.overdue(all, env) {
            self.skip(side, seq, env);
            self.catch_up(env);
        }
    }

    /// The stretch to give up next: in which direction, and up to where.
    pub(super) fn overdue(&self, all: bool, env: &Environment<'_>) -> Option<(Side, u32)> {
        let mut found: Option<(u64, Side, u32)> = None;
        for side in [0, 1] {
            let (own, peer) = (&self.directions[side].stream, &self.directions[1 - side].stream);
            let Some(front) = own.front() else { continue };
            let (missing_of, seq, wait) = match own.place(front.segment()) {
                _ if !own.settled() => (side, front.seq, env.config.reorder_ns),
                Place::Ahead => {
                    let hopeless = peer.acknowledges(front.seq) || env.losses != self.losses;
                    let config = env.config;
                    let wait = if hopeless { config.reorder_ns } else { config.hole_ns };
                    (side, front.seq, wait)
                }
                _ => {
                    // Up to what is kept back of the peer, or to what is acknowledged.
                    let ack = front.ack.unwrap_or_default();
                    let seq = match peer.front() {
                        Some(held)
                            if ahead(held.seq, ack) < 0
                                && matches!(peer.place(held.segment()), Place::Ahead) =>
                        {
                            held.seq
                        }
                        _ => ack,
                    };
                    (1 - side, seq, env.config.reorder_ns)
                }
            };
            let due = all || env.now.saturating_sub(front.arrived) >= wait;
            if due && found.is_none_or(|(time, ..)| front.time < time) {
                found = Some((front.time, missing_of, seq));
            }
        }
        found.map(|(_, side, seq)| (side, seq))
    }

    /// Gives up what is missing of a direction before `seq`.
    pub(super) fn skip(&mut self, side: Side, seq: u32, env: &mut Environment<'_>) {
        let stream = &mut self.directions[side].stream;
        if stream.next().is_none() {
            stream.set_absent();
            return;
        }
        if !stream.settled() {
            stream.settle();
            return;
        }
        let length = stream.skip_to(seq);
        env.stats.gaps += 1;
        env.stats.gap_bytes += u64::from(length);
        self.missing(side, length, env);
    }

    /// Keeps nothing back any longer, and of the messages at hand no more than `share` bytes.
    pub(crate) fn let_go(&mut self, share: usize, env: &mut Environment<'_>) {
        env.stats.buffer_limit += 1;
        self.relent(true, env);
        if self.footprint() > share {
            self.with_protocol(env, Protocol::abandon);
            self.with_quic(env, quic::Connection::finish);
        }
    }
}
