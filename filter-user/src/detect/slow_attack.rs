//! Slow attacks: a source holds many connections open by trickling heads or bodies.
//!
//! **Formula.** The sensor tells every ten seconds of each connection whose client has been at the
//! same request's head for ten seconds, or at its body with less than 500 bytes a second
//! ([`crate::sensor::Output::Slow`]); heads of TLS are ClientHellos. For each (API, source), with
//! `C` such connections within the last or the present ten seconds, whichever are more, and `N` that
//! ended after a request within the last minute (halved from minute to minute):
//!
//! ```text
//! evidence = C ln(0.5 / 0.02) + N ln(0.5 / 0.98)
//! ```
//!
//! where 0.02 is the share of connections that stall on bad networks and 0.5 an attacker's. A finding
//! needs `min_connections` at once; it closes after `quiet` seconds with fewer than a third of
//! that.
//!
//! **Assumptions.** Stalls come to a network of many people in proportion to their connections. A
//! response that the server takes its time over (long polls, event streams) is no trickle, nor is a
//! connection that is kept alive. What it does not see: fewer than `min_connections` of a source;
//! bodies of HTTP/2 streams; requests inside TLS beyond the ClientHello; connections on which nothing
//! was ever sent, of which the kernel half has no record but the SYN; a reader that takes its time
//! over a response.
//!
//! **Sampling** by flow: with one in a hundred, a hundredth of the connections. **Forgery**: it takes
//! a handshake to trickle, and findings say so when none was seen.
//!
//! **Memory.** At most `sources` records; the least active of eight goes.

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::lifecycle::Subject;
use super::observation::{FlowSeen, stands_for};
use super::source::Source;
use super::who::table::{Keyed, Table};
use filter_common::hash;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowAttackConfig {
    /// Connections that trickle at once without which there is no finding.
    pub min_connections: u32,
    /// Shares of connections that stall, of somebody benign and of an attacker.
    pub shares: [f64; 2],
    /// Seconds with fewer than a third of `min_connections` after which a finding closes.
    pub quiet: u64,
    /// Most sources with a record.
    pub sources: usize,
}

impl Default for SlowAttackConfig {
    fn default() -> Self {
        Self { min_connections: 10, shares: [0.02, 0.5], quiet: 120, sources: 65_536 }
    }
}

/// The sensor's interval, ns.
const INTERVAL: u64 = 10 * SECOND;
/// Half-life of connections that were no trickle, ns.
const HALF: u64 = 60 * SECOND;

type Key = (u32, Source);

#[derive(Debug)]
struct Record {
    key: Key,
    hash: u64,
    /// When the present ten seconds began, the trickles in them, and in those before.
    since: u64,
    now: u32,
    before: u32,
    /// Others, and until when they have halved.
    others: f64,
    halved: u64,
    unproven: u32,
    weight: f64,
    bytes: u64,
    active: u64,
    open: bool,
    pending: bool,
}

impl Record {
    fn pass(&mut self, time: u64) {
        let passed = time.saturating_sub(self.since) / INTERVAL;
        if passed > 0 {
            self.before = if passed == 1 { self.now } else { 0 };
            (self.now, self.unproven, self.weight, self.bytes) = (0, 0, 0.0, 0);
            self.since += passed * INTERVAL;
        }
        let passed = time.saturating_sub(self.halved);
        if passed > SECOND {
            self.others *= (-(passed as f64) / HALF as f64).exp2();
            self.halved = time;
        }
    }

    fn connections(&self) -> u32 {
        self.now.max(self.before)
    }

    fn evidence(&self, config: &SlowAttackConfig) -> f64 {
        let [benign, attacker] = config.shares;
        f64::from(self.connections()) * (attacker / benign).ln()
            + self.others * ((1.0 - attacker) / (1.0 - benign)).ln()
    }

    fn measure(&self, api: &ApiProfile, config: &SlowAttackConfig) -> Measure {
        let connections = f64::from(self.connections());
        Measure {
            unit: "connections that trickle",
            observed: connections,
            baseline: (self.others * config.shares[0]).max(1.0),
            threshold: f64::from(config.min_connections),
            window_seconds: INTERVAL / SECOND,
            weight: (self.weight / f64::from(self.now.max(1))).max(1.0),
            why: format!(
                "{} holds {connections:.0} connections to {} open with requests that trickle, beside \
                 {:.0} others within the last minute",
                self.key.1, api.name, self.others,
            ),
            owasp: Some("API4:2023 Unrestricted Resource Consumption"),
            evidence_forgeable: self.unproven > 0,
        }
    }
}

impl Keyed for Record {
    type Key = Key;

    fn key(&self) -> Key {
        self.key
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn worth(&self, _: u32) -> u64 {
        if self.open {
            return u64::MAX;
        }
        u64::from(self.connections()) << 40 | (self.since / SECOND).min(1 << 40)
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct SlowAttack {
    config: SlowAttackConfig,
    seed: u64,
    records: Table<Record>,
    suspects: Vec<(Key, u64)>,
    open: Vec<(Key, u64)>,
}

impl SlowAttack {
    pub(crate) fn new(config: SlowAttackConfig, seed: u64) -> Self {
        let records = Table::new(config.sources);
        Self { config, seed, records, suspects: Vec::new(), open: Vec::new() }
    }

    fn record(&mut self, api: &ApiProfile, flow: &FlowSeen, make: bool) -> Option<&mut Record> {
        let key = (api.id, Source::of(flow.source, api.sources));
        let hash = hash::pair(key.1.hash(self.seed), u64::from(api.id), 5);
        let place = match self.records.find(&key, hash) {
            Some(place) => place,
            None if !make => return None,
            None => {
                let record = Record {
                    key,
                    hash,
                    since: flow.end,
                    now: 0,
                    before: 0,
                    others: 0.0,
                    halved: flow.end,
                    unproven: 0,
                    weight: 0.0,
                    bytes: 0,
                    active: 0,
                    open: false,
                    pending: false,
                };
                self.records.insert(record, 0, |_| {})?
            }
        };
        let time = flow.end;
        let record = self.records.at_mut(place)?;
        record.pass(time);
        Some(record)
    }
}

impl Detect for SlowAttack {
    fn slow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        let config = self.config;
        let Some(record) = self.record(api, flow, true) else { return };
        record.now += 1;
        record.unproven += u32::from(!flow.handshake);
        record.weight += stands_for(flow.weight);
        record.bytes += flow.bytes[0];
        if record.connections() * 3 >= config.min_connections {
            record.active = record.active.max(flow.end);
        }
        if record.now >= config.min_connections && !record.open && !record.pending {
            record.pending = true;
            let suspect = (record.key, record.hash);
            self.suspects.push(suspect);
        }
    }

    fn flow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        // Only of who was slow before, or whoever is asks for a record.
        if flow.transactions > 0 && !flow.head_unfinished {
            let make = self.records.len() < self.config.sources / 2;
            if let Some(record) = self.record(api, flow, make) {
                record.others += 1.0;
            }
        }
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        if !tick.judges() {
            return;
        }
        let (now, completeness) = (tick.now, tick.completeness);
        let subject = |key: Key| Subject::source(Detector::SlowAttack, key.0, key.1);
        for (key, hash) in std::mem::take(&mut self.suspects) {
            let Some(place) = self.records.find(&key, hash) else { continue };
            let Some(record) = self.records.at_mut(place) else { continue };
            let Some(api) = tick.apis.get(&key.0) else { continue };
            record.pending = false;
            if tick.budget.exceeds(Detector::SlowAttack, record.evidence(&self.config)) {
                let measure = record.measure(api, &self.config);
                record.open = tick.findings.open(&subject(key), api, measure, completeness, now);
                if record.open {
                    self.open.push((key, hash));
                }
            }
        }
        let (records, config) = (&mut self.records, &self.config);
        self.open.retain(|&(key, hash)| {
            let Some(place) = records.find(&key, hash) else { return false };
            let Some(record) = records.at_mut(place) else { return false };
            let Some(api) = tick.apis.get(&key.0) else { return false };
            let quiet = now.saturating_sub(record.active) / SECOND;
            if quiet >= config.quiet {
                record.open = false;
                let why = format!("{} has trickled no more for {quiet} seconds", key.1);
                tick.findings.close(&subject(key), why, now);
                return false;
            }
            if record.connections() >= config.min_connections {
                let (measure, forgeable) = (record.measure(api, config), record.unproven > 0);
                tick.findings.update(&subject(key), || measure, forgeable, completeness, now);
            }
            true
        });
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.records.retain(|record| keep(record.key.0));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        vec![StateCount {
            detector: Detector::SlowAttack,
            states: self.records.len() as u64,
            evicted: self.records.evicted(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::{client, orders};
    use crate::detect::{Config, Engine, State};
    use crate::sensor::{Application, Closed};

    fn flow(time: u64, source: u32, slow: bool) -> FlowSeen {
        FlowSeen {
            start: time.saturating_sub(12 * SECOND),
            end: time,
            api: 1,
            source: client(source),
            protocol: 6,
            port: 80,
            bytes: [400, 200],
            transactions: u64::from(!slow),
            head_unfinished: slow,
            closed: if slow { Closed::Open } else { Closed::Fin },
            application: Application::Http,
            handshake: true,
            weight: 1 << 16,
        }
    }

    #[test]
    fn rows() {
        for (what, slow, others, expected) in [
            ("twelve that trickle", 12, 0, true),
            ("five hundred", 500, 0, true),
            ("sixty among as many", 60, 60, true),
            ("nine", 9, 0, false),
            ("a large network with a few on bad lines", 12, 200, false),
            ("none", 0, 500, false),
        ] {
            let mut engine = Engine::new(Config::default(), 1);
            engine.set_apis([orders()]);
            let mut found = Vec::new();
            for step in 0..12 {
                let time = (step + 2) * INTERVAL;
                for number in 0..others {
                    engine.flow(&flow(time - INTERVAL + number * SECOND / 60, 1, false));
                }
                (0..slow).for_each(|_| engine.slow(&flow(time, 1, true)));
                found.extend(engine.tick(time + SECOND, 0, 1.0));
            }
            for step in 14..40 {
                found.extend(engine.tick(step * INTERVAL, 0, 1.0));
            }
            found.retain(|finding| finding.detector == Detector::SlowAttack);
            let states: Vec<_> = found.iter().map(|finding| finding.state).collect();
            assert_eq!(states.first() == Some(&State::Open), expected, "{what}: {found:?}");
            assert_eq!(states.last() == Some(&State::Closed), expected, "{what}: {found:?}");
        }
    }
}
