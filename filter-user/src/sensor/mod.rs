//! From sampled segments to transactions.
//!
//! [`Sensor`] takes records as the kernel writes them, or as `weir replay` makes them from a
//! capture, and hands out HTTP transactions and finished flows. It has no clock of its own (records
//! and [`Sensor::tick`] carry the time), does no I/O, and keeps no more than [`SensorConfig`]
//! allows; every bound that is reached is counted in [`Stats`]. Reading the ring is left to the
//! daemon; what transactions mean, to metrics, inventory and detectors.

mod config;
mod credentials;
pub mod encrypted;
mod fields;
mod flow;
mod http1;
mod http2;
mod proxy;
mod quic;
mod reader;
mod stats;
#[cfg(test)]
mod tests;
mod tls;
pub mod transaction;

use std::collections::VecDeque;
use std::net::IpAddr;

use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{self, Header};

pub use self::config::SensorConfig;
use self::credentials::Secrets;
use self::encrypted::{Handshake, Turn};
use self::flow::table::{Handle, Table};
pub use self::flow::{Application, Closed, FlowSummary, Opening, Tcp};
use self::flow::{Environment, Flow, Key, TRICKLE_AFTER};
pub use self::stats::Stats;
use self::tls::Negotiated;
use self::tls::turns::Exchanged;
use self::transaction::{Exchange, Transaction};

/// What the sensor hands out.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// A request with what became of it.
    Transaction(Transaction),
    /// The handshake of a TLS connection over TCP.
    Tls(Box<Handshake>),
    /// The handshake of a QUIC connection.
    Quic(Box<Handshake>),
    /// What a client sent inside TLS, and what the server sent until the client sent again.
    Turn(Turn),
    /// A flow that is over.
    Flow(FlowSummary),
    /// A flow that is not, whose client takes its time over a request: told every ten seconds as long
    /// as it does.
    Slow(FlowSummary),
}

/// What a flow knows about each of its transactions.
#[derive(Clone, Copy, Debug)]
struct Facts {
    flow: transaction::Flow,
    api: u32,
    inbound: bool,
    handshake: bool,
    weight: u32,
    announced: Option<IpAddr>,
}

/// Where a flow's transactions go.
struct Context<'a> {
    stats: &'a mut Stats,
    secrets: &'a Secrets,
    emit: &'a mut dyn FnMut(Output),
    facts: Facts,
    /// How many went.
    emitted: u64,
}

impl<'a> Context<'a> {
    fn new(env: &'a mut Environment<'_>, facts: Facts) -> Self {
        Self {
            stats: &mut *env.stats,
            secrets: env.secrets,
            emit: &mut *env.emit,
            facts,
            emitted: 0,
        }
    }

    fn exchange(&mut self, exchange: Exchange) {
        let Facts { flow, api, inbound, handshake, weight, announced } = self.facts;
        self.stats.transactions += 1;
        self.emitted += 1;
        (self.emit)(Output::Transaction(Transaction {
            time: exchange.time,
            flow,
            api,
            inbound,
            version: exchange.version,
            method: exchange.method,
            target: exchange.target,
            host: exchange.host,
            user_agent: exchange.user_agent,
            credentials: exchange.credentials,
            announced,
            forwarded: exchange.forwarded,
            request_type: exchange.request_type,
            response_type: exchange.response_type,
            grpc: exchange.grpc,
            status: exchange.status,
            request_body_bytes: exchange.request_body_bytes,
            response_body_bytes: exchange.response_body_bytes,
            latency: exchange.latency,
            handshake,
            weight,
            complete: exchange.complete,
            visibility: transaction::Visibility::Plaintext,
        }));
    }

    fn handshake(&mut self, negotiated: Negotiated) {
        let Facts { flow, api, inbound, handshake, weight, announced } = self.facts;
        let quic = negotiated.quic.is_some();
        *if quic { &mut self.stats.quic_handshakes } else { &mut self.stats.tls_handshakes } += 1;
        let told = Box::new(Handshake {
            time: negotiated.time,
            flow,
            api,
            inbound,
            announced,
            quic: negotiated.quic,
            version: negotiated.version,
            offered: negotiated.offered,
            sni: negotiated.sni,
            alpn: negotiated.alpn,
            alpn_selected: negotiated.alpn_selected,
            cipher: negotiated.cipher,
            ja4: negotiated.ja4,
            not_after: negotiated.not_after,
            duration: negotiated.duration,
            retried: negotiated.retried,
            complete: negotiated.complete,
            handshake,
            weight,
        });
        (self.emit)(if quic { Output::Quic(told) } else { Output::Tls(told) });
    }

    fn turn(&mut self, turn: Exchanged) {
        let Facts { flow, api, inbound, handshake, weight, .. } = self.facts;
        self.stats.tls_turns += 1;
        (self.emit)(Output::Turn(Turn {
            time: turn.time,
            flow,
            api,
            inbound,
            request_bytes: turn.request_bytes,
            response_bytes: turn.response_bytes,
            latency: turn.latency,
            handshake,
            weight,
            complete: turn.complete,
        }));
    }
}

/// A flow is in [`Sensor::waiting`].
const WAITING: u8 = 1;
/// A flow is in [`Sensor::closing`].
const CLOSING: u8 = 2;
/// How often idle flows are looked for, ns.
const SWEEP: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub struct Sensor {
    config: SensorConfig,
    stats: Stats,
    secrets: Secrets,
    table: Table,
    /// The latest time seen.
    now: u64,
    /// When idle flows were last looked for.
    swept: u64,
    /// Flows that keep segments back, and when to look at each.
    waiting: VecDeque<(u64, Handle)>,
    /// Flows that have ended, and when each may go.
    closing: VecDeque<(u64, Handle)>,
}

impl Sensor {
    /// A sensor within these bounds.
    pub fn new(config: SensorConfig) -> Self {
        Self {
            config,
            stats: Stats::default(),
            secrets: Secrets::new(),
            table: Table::new(config.max_flows, config.seed),
            now: 0,
            swept: 0,
            waiting: VecDeque::new(),
            closing: VecDeque::new(),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many flows there are now.
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Takes a record: its header, and the payload bytes behind it (`header.captured` of them).
    pub fn push(&mut self, header: &Header, payload: &[u8], out: &mut impl FnMut(Output)) {
        self.stats.records += 1;
        let tcp = header.protocol == protocol::TCP;
        if header.kind != record::SEGMENT || !(tcp || header.protocol == protocol::UDP) {
            self.stats.ignored += 1;
            return;
        }
        self.tick(header.time, out);
        let (key, side) = Key::of(header);
        let syn = tcp && header.tcp_flags & tcp_flags::SYN != 0;
        let opens = syn && header.tcp_flags & tcp_flags::ACK == 0;
        let mut found = self.table.find(&key);
        if opens
            && let Some(handle) = found
            && self.table.get_mut(handle).is_some_and(|flow| flow.is_reopened_by(side, header))
        {
            self.end(handle, Closed::Timeout, out);
            found = None;
        }
        let handle = match found {
            Some(handle) => handle,
            None if syn || header.payload_len != 0 => {
                self.make_room(out);
                self.stats.flows_started += 1;
                self.table.insert(Flow::new(key, side, header, self.stats.losses))
            }
            None => {
                self.stats.strays += 1;
                return;
            }
        };
        self.table.touch(handle, header.payload_len != 0);
        let payload = payload.get(..header.payload_len as usize).unwrap_or(payload);
        let (flow, mut env) = self.parts(handle, out);
        if let Some(flow) = flow {
            flow.push(side, header, payload, &mut env);
        }
        self.schedule(handle);
        if self.table.footprint() > self.config.total_bytes {
            // Who holds more than a fair share gives it up.
            let share = self.config.total_bytes / self.config.max_flows.max(1);
            let (flow, mut env) = self.parts(handle, out);
            if let Some(flow) = flow
                && flow.footprint() > share
            {
                flow.let_go(share, &mut env);
            }
            self.table.account(handle);
        }
    }

    /// Tells the time, ns, on the clock of the records: what has waited long enough is given up,
    /// flows that ended or are idle go. Records do the same; without them this is to be called
    /// several times a second.
    pub fn tick(&mut self, now: u64, out: &mut impl FnMut(Output)) {
        self.now = self.now.max(now);
        // Each once: at the end of time what is looked at again is due again.
        for _ in 0..self.waiting.len() {
            let Some(&(due, handle)) = self.waiting.front() else { break };
            if due > self.now {
                break;
            }
            self.waiting.pop_front();
            self.table.mark(handle, WAITING, false);
            let (flow, mut env) = self.parts(handle, out);
            if let Some(flow) = flow {
                flow.expire(&mut env);
                self.schedule(handle);
            }
        }
        while let Some(&(due, handle)) = self.closing.front()
            && due <= self.now
        {
            self.closing.pop_front();
            self.end(handle, Closed::Timeout, out);
        }
        if self.now - self.swept >= SWEEP {
            let passed = self.now - self.swept;
            self.swept = self.now;
            self.secrets.rotate(self.now);
            self.sweep(out);
            self.look_for_slow(passed, out);
        }
    }

    /// Records were lost on their way, some CPU's sequence has a gap: holes will not be filled.
    pub fn lost(&mut self) {
        self.stats.losses += 1;
    }

    /// Fewer flows are sampled: those whose hash has its upper 32 bits at or above `below` get no more
    /// records, and go without a word about what is unfinished in them.
    pub fn shed(&mut self, below: u64, out: &mut impl FnMut(Output)) {
        let seed = self.config.seed;
        for handle in self.table.without(|key| key.sample_hash(seed) >> 32 < below) {
            let Some(flow) = self.table.remove(handle) else { continue };
            self.stats.flows_unsampled += 1;
            let (_, mut env) = self.parts(handle, out);
            flow.discard(&mut env);
        }
    }

    /// The end of a capture, or of the daemon: every flow goes.
    pub fn flush(&mut self, out: &mut impl FnMut(Output)) {
        while let Some(handle) = self.table.oldest().into_iter().flatten().next() {
            self.end(handle, Closed::End, out);
        }
        self.waiting.clear();
        self.closing.clear();
    }

    /// The flow at a place, and what it needs.
    fn parts<'a>(
        &'a mut self,
        handle: Handle,
        out: &'a mut impl FnMut(Output),
    ) -> (Option<&'a mut Flow>, Environment<'a>) {
        let losses = self.stats.losses;
        let flow = self.table.get_mut(handle);
        let env = Environment {
            config: &self.config,
            stats: &mut self.stats,
            secrets: &self.secrets,
            emit: out,
            now: self.now,
            losses,
        };
        (flow, env)
    }

    /// Takes a flow out.
    fn end(&mut self, handle: Handle, closed: Closed, out: &mut impl FnMut(Output)) {
        let Some(flow) = self.table.remove(handle) else { return };
        let (_, mut env) = self.parts(handle, out);
        flow.finish(closed, &mut env);
    }

    fn make_room(&mut self, out: &mut impl FnMut(Output)) {
        while let Some(handle) = self.table.surplus() {
            self.stats.flows_evicted += 1;
            self.end(handle, Closed::Evicted, out);
        }
    }

    fn sweep(&mut self, out: &mut impl FnMut(Output)) {
        for list in [0, 1] {
            while let Some(handle) = self.table.oldest()[list] {
                let last = self.table.get_mut(handle).map_or(0, |flow| flow.last());
                if self.now.saturating_sub(last) < self.config.idle_ns {
                    break;
                }
                self.stats.flows_expired += 1;
                self.end(handle, Closed::Timeout, out);
            }
        }
    }

    /// Looks at a part of all flows, at each about every ten seconds: where the round is follows from
    /// the time.
    fn look_for_slow(&mut self, passed: u64, out: &mut impl FnMut(Output)) {
        let places = self.table.places();
        let round = |time: u64| u128::from(time) * places as u128 / u128::from(TRICKLE_AFTER);
        let from = round(self.now - passed.min(self.now));
        for step in 0..(round(self.now) - from).min(places as u128) {
            let place = ((from + step) % places.max(1) as u128) as usize;
            if let Some(handle) = self.table.at(place)
                && let (Some(flow), mut env) = self.parts(handle, out)
            {
                flow.report_trickle(&mut env);
            }
        }
    }

    /// Sees to it that a flow is looked at again when it has something to wait for.
    fn schedule(&mut self, handle: Handle) {
        self.table.account(handle);
        let Some(flow) = self.table.get_mut(handle) else { return };
        let (waits, closed) = (flow.is_waiting(), flow.is_closed());
        if waits && !self.table.mark(handle, WAITING, true) {
            self.waiting.push_back((self.now.saturating_add(self.config.reorder_ns), handle));
        }
        if closed && !self.table.mark(handle, CLOSING, true) {
            let linger = self.config.linger_ns.max(self.config.reorder_ns);
            self.closing.push_back((self.now.saturating_add(linger), handle));
        }
    }
}
