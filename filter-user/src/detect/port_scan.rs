//! Port scan: a source tries ports of this host that no API has.
//!
//! **Formula.** Threshold random walk (Jung, Paxson, Berger, Balakrishnan, "Fast portscan detection
//! using sequential hypothesis testing", 2004) over the *first* contact of each source with each
//! port: with `F` different unclaimed ports that nothing was to be had from and `S` that answered,
//!
//! ```text
//! evidence = (F - S) ln(0.8 / 0.2)
//! ```
//!
//! as a benign first contact succeeds with 0.8 and a scanner's with 0.2. A finding needs `min_ports`;
//! it closes after `quiet` seconds with no further port. The windows are of ten minutes.
//!
//! **Where ports come from.** With `[unclaimed] action = "pass"` from flows that the sensor follows:
//! a SYN that nothing or a reset answered, told when the flow is over (at once for a reset, after two
//! minutes of silence otherwise), which `[sensor] sample` thins out. With `action = "drop"` from the kernel's
//! notices of refusal, of which there is one a second for each source and value of the port's last four
//! bits: of a fast scan of neighbouring ports sixteen a second are seen, of one of every sixteenth port one.
//!
//! **Assumptions.** What it does not see: fewer than `min_ports` in ten minutes; scans of hosts
//! rather than of ports; ports that an API has; UDP with `pass`. **Forgery**: a SYN proves nothing of
//! who sent it; such findings may alert, never ban.
//!
//! **Memory.** At most `sources` records of about 100 bytes; the least active of eight goes.

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::lifecycle::Subject;
use super::observation::{FlowSeen, RefusedBy, RefusedSeen, stands_for};
use super::source::Source;
use super::who::distinct::Distinct;
use super::who::table::{Keyed, Table};
use filter_common::hash;
use filter_common::packet::protocol;
use filter_common::tables::UNCLAIMED;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortScanConfig {
    /// Different ports within ten minutes without which there is no finding.
    pub min_ports: f64,
    /// Seconds without another port after which a finding closes.
    pub quiet: u64,
    /// Most sources with a record.
    pub sources: usize,
}

impl Default for PortScanConfig {
    fn default() -> Self {
        Self { min_ports: 11.0, quiet: 300, sources: 65_536 }
    }
}

/// Seconds of a window.
const WINDOW: u64 = 600;

#[derive(Debug)]
struct Record {
    source: Source,
    hash: u64,
    since: u64,
    last: u64,
    closed: Distinct,
    answered: Distinct,
    packets: u32,
    weight: f64,
    open: bool,
    pending: bool,
}

impl Record {
    fn evidence(&self) -> f64 {
        (self.closed.count() - self.answered.count()) * 4.0_f64.ln()
    }

    fn measure(&self, config: &PortScanConfig) -> Measure {
        let ports = self.closed.count();
        Measure {
            unit: "distinct ports",
            observed: ports,
            baseline: 1.0,
            threshold: config.min_ports,
            window_seconds: WINDOW,
            weight: (self.weight / f64::from(self.packets.max(1))).max(1.0),
            why: format!(
                "{} tried {ports:.0} different ports that no API has, and got nothing from them, \
                 within ten minutes",
                self.source,
            ),
            owasp: None,
            evidence_forgeable: true,
        }
    }
}

impl Keyed for Record {
    type Key = Source;

    fn key(&self) -> Source {
        self.source
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn worth(&self, _: u32) -> u64 {
        if self.open {
            u64::MAX
        } else {
            (self.last / SECOND).saturating_add(u64::from(self.packets))
        }
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct PortScan {
    config: PortScanConfig,
    seed: u64,
    records: Table<Record>,
    suspects: Vec<(Source, u64)>,
    open: Vec<(Source, u64)>,
}

impl PortScan {
    pub(crate) fn new(config: PortScanConfig, seed: u64) -> Self {
        let records = Table::new(config.sources);
        Self { config, seed, records, suspects: Vec::new(), open: Vec::new() }
    }

    fn note(&mut self, time: u64, source: Source, port: u16, answered: bool, weight: u32) {
        let hash = source.hash(self.seed);
        let place = self.records.find(&source, hash).or_else(|| {
            let record = Record {
                source,
                hash,
                since: time,
                last: time,
                closed: Distinct::default(),
                answered: Distinct::default(),
                packets: 0,
                weight: 0.0,
                open: false,
                pending: false,
            };
            self.records.insert(record, 0, |_| {})
        });
        let Some(record) = place.and_then(|place| self.records.at_mut(place)) else { return };
        if time.saturating_sub(record.since) >= WINDOW * SECOND {
            record.since = time;
            (record.closed, record.answered) = Default::default();
            (record.packets, record.weight) = (0, 0.0);
        }
        record.packets = record.packets.saturating_add(1);
        record.weight += stands_for(weight);
        let ports = if answered { &mut record.answered } else { &mut record.closed };
        let new = ports.add(hash::pair(self.seed, u64::from(port), 9));
        if new && !answered {
            record.last = record.last.max(time);
            if !record.open && !record.pending && record.closed.count() >= self.config.min_ports {
                record.pending = true;
                self.suspects.push((source, hash));
            }
        }
    }
}

impl Detect for PortScan {
    fn flow(&mut self, api: &ApiProfile, flow: &FlowSeen) {
        if flow.api == UNCLAIMED && flow.protocol == protocol::TCP {
            let source = Source::of(flow.source, api.sources);
            self.note(flow.end, source, flow.port, flow.handshake, flow.weight);
        }
    }

    fn refusal(&mut self, api: &ApiProfile, refused: &RefusedSeen) {
        if refused.by == RefusedBy::Unclaimed {
            let source = Source::of(refused.source, api.sources);
            self.note(refused.time, source, refused.port, false, 0);
        }
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        let Some(api) = tick.apis.get(&UNCLAIMED) else { return };
        if !tick.judges() {
            return;
        }
        let subject = |source| Subject::source(Detector::PortScan, UNCLAIMED, source);
        for (source, hash) in std::mem::take(&mut self.suspects) {
            let Some(place) = self.records.find(&source, hash) else { continue };
            let Some(record) = self.records.at_mut(place) else { continue };
            record.pending = false;
            if tick.budget.exceeds(Detector::PortScan, record.evidence()) {
                let measure = record.measure(&self.config);
                let (subject, completeness) = (subject(source), tick.completeness);
                record.open = tick.findings.open(&subject, api, measure, completeness, tick.now);
                if record.open {
                    self.open.push((source, hash));
                }
            }
        }
        let (records, config) = (&mut self.records, &self.config);
        self.open.retain(|&(source, hash)| {
            let Some(place) = records.find(&source, hash) else { return false };
            let Some(record) = records.at_mut(place) else { return false };
            let quiet = tick.now.saturating_sub(record.last) / SECOND;
            if quiet >= config.quiet {
                record.open = false;
                let why = format!("{source} has tried no further port for {quiet} seconds");
                tick.findings.close(&subject(source), why, tick.now);
                return false;
            }
            let (completeness, now) = (tick.completeness, tick.now);
            let measure = || record.measure(config);
            tick.findings.update(&subject(source), measure, true, completeness, now);
            true
        });
    }

    /// What no API claims is always there.
    fn retain(&mut self, _: &dyn Fn(u32) -> bool) {}

    fn state_counts(&self) -> Vec<StateCount> {
        vec![StateCount {
            detector: Detector::PortScan,
            states: self.records.len() as u64,
            evicted: self.records.evicted(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::client;
    use crate::detect::{Config, Engine, State};
    use crate::sensor::{Application, Closed};

    fn flow(time: u64, source: u32, port: u16, answered: bool) -> FlowSeen {
        FlowSeen {
            start: time,
            end: time,
            api: UNCLAIMED,
            source: client(source),
            protocol: protocol::TCP,
            port,
            bytes: [60, if answered { 4000 } else { 54 }],
            transactions: 0,
            head_unfinished: false,
            closed: if answered { Closed::Fin } else { Closed::Rst },
            application: Application::Unknown,
            handshake: answered,
            weight: 1 << 16,
        }
    }

    #[test]
    fn rows() {
        let ports =
            |range: std::ops::Range<u16>| range.map(|port| (port, false)).collect::<Vec<_>>();
        let rows = [
            ("twenty ports", ports(1..21), 1, true),
            ("a thousand ports at once", ports(1..1001), 0, true),
            ("nine ports", ports(1..10), 1, false),
            ("twenty ports in an hour", ports(1..21), 180, false),
            ("one port, again and again", vec![(7, false); 100], 1, false),
            (
                "as many that answer",
                (1..13).flat_map(|p| [(p, false), (p + 100, true)]).collect(),
                1,
                false,
            ),
        ];
        for (what, ports, step, expected) in rows {
            for notices in [false, true] {
                if notices && ports.iter().any(|(_, answered)| *answered) {
                    continue;
                }
                let mut engine = Engine::new(Config::default(), 1);
                let mut found = Vec::new();
                let mut time = SECOND;
                for &(port, answered) in &ports {
                    time += step * SECOND;
                    if notices {
                        let source = client(1);
                        let refused = RefusedSeen {
                            time,
                            api: UNCLAIMED,
                            source,
                            port,
                            by: RefusedBy::Unclaimed,
                        };
                        engine.refusal(&refused);
                    } else {
                        engine.flow(&flow(time, 1, port, answered));
                    }
                    found.extend(engine.tick(time, 0, 1.0));
                }
                found.extend(engine.tick(time + 301 * SECOND, 0, 1.0));
                found.retain(|finding| finding.detector == Detector::PortScan);
                let states: Vec<_> = found.iter().map(|finding| finding.state).collect();
                assert_eq!(states.first() == Some(&State::Open), expected, "{what}: {found:?}");
                assert_eq!(states.last() == Some(&State::Closed), expected, "{what}: {found:?}");
                assert!(found.iter().all(|finding| finding.measure.evidence_forgeable));
            }
        }
    }
}
