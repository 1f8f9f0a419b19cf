//! Metrics in Prometheus' text format, from a registry of weir's own.
//!
//! Requests and findings are counted here as they come; what the kernel and the daemon know is read
//! when weir is scraped. A source address is never a label, and series are bounded. Serving the page
//! is `control`'s.

pub mod def;
mod family;
mod flows;
mod http;
mod sinks;
mod snapshot;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

pub use http::{DURATION_BUCKETS, SIZE_BUCKETS};
pub use snapshot::{
    ApiInfo, DetectorCount, EgressCount, FeedCount, KernelSnapshot, MapFill, PacketCount,
    PolicyEntries, PolicyInfo, Source,
};

use crate::control::api::{FindingEntry, RequestCount};
use crate::detect::{Finding, Severity, State};
use crate::geo::Country;
use crate::respond::Outcome;
use crate::sensor::FlowSummary;
use crate::sensor::encrypted::{Handshake, Turn};
use crate::sensor::transaction::Transaction;
use family::{facts, number, rows};
use flows::FlowMetrics;
use http::HttpMetrics;
use tls::TlsMetrics;

/// Label sets that the metrics of requests may have, but for those of the route `__other__`.
pub const SERIES: usize = 2000;

/// The content type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    live: Arc<Mutex<Live>>,
}

/// What is counted as it comes.
struct Live {
    http: HttpMetrics,
    tls: TlsMetrics,
    flows: FlowMetrics,
    findings: BTreeMap<(&'static str, &'static str, Arc<str>), u64>,
    /// By id: API and severity.
    open: HashMap<Arc<str>, (Arc<str>, &'static str, bool)>,
    actions: BTreeMap<(&'static str, &'static str), u64>,
    /// By API, in 65536ths of a request.
    countries: BTreeMap<(Arc<str>, Country), u64>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing counted yet; at most `series` label sets for requests ([`SERIES`] unless there is a
    /// reason), `source` is asked at each scrape.
    ///
    /// # Errors
    /// A name or label in [`def`] that Prometheus does not accept.
    pub fn new(series: usize, source: Arc<dyn Source>) -> prometheus::Result<Self> {
        let live = Arc::new(Mutex::new(Live {
            http: HttpMetrics::new(series),
            tls: TlsMetrics::default(),
            flows: FlowMetrics::default(),
            findings: BTreeMap::new(),
            open: HashMap::new(),
            actions: BTreeMap::new(),
            countries: BTreeMap::new(),
        }));
        let desc = |def: &def::Def| {
            let labels = def.labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(def.name.to_owned(), def.help.to_owned(), labels, HashMap::new())
        };
        let descs = def::ALL.iter().map(desc).collect::<prometheus::Result<Vec<_>>>()?;
        let registry = Registry::new();
        registry.register(Box::new(AtScrape { descs, live: Arc::clone(&live), source }))?;
        Ok(Self { registry, live })
    }

    /// Counts a transaction of an API (by name, or `__unclaimed__`) on a route
    /// ([`crate::inventory::route`]). Those that left this host are left out.
    pub fn observe(&self, api: &Arc<str>, route: &Arc<str>, transaction: &Transaction) {
        lock(&self.live).http.observe(api, route, transaction);
    }

    /// Counts a request of a source in this country; `weight` in 65536ths. There are some 250
    /// countries, so that the series are bounded by the policy's APIs.
    pub fn country(&self, api: &Arc<str>, country: Country, weight: u32) {
        let mut live = lock(&self.live);
        let requests = live.countries.entry((Arc::clone(api), country)).or_default();
        *requests = requests.saturating_add(u64::from(weight.max(1 << 16)));
    }

    /// Counts what was counted on routes of an API on those that they are called now.
    pub fn rename(&self, api: &str, name: impl Fn(&str) -> Option<Arc<str>>) {
        lock(&self.live).http.rename(api, name);
    }

    /// Counts a handshake of an API's. Those that left this host are left out.
    pub fn handshake(&self, api: &Arc<str>, handshake: &Handshake) {
        lock(&self.live).tls.handshake(api, handshake);
    }

    /// Counts a turn of an API's, likewise.
    pub fn turn(&self, api: &Arc<str>, turn: &Turn) {
        lock(&self.live).tls.turn(api, turn);
    }

    /// Counts a flow of an API's that is over, likewise.
    pub fn flow(&self, api: &Arc<str>, flow: &FlowSummary) {
        lock(&self.live).flows.flow(api, flow);
    }

    /// Counts a report of a finding.
    pub fn finding(&self, finding: &Finding) {
        let mut live = lock(&self.live);
        let severity = finding.severity.name();
        match finding.state {
            State::Open => {
                let api = Arc::clone(&finding.api_name);
                let labels = (finding.detector.name(), severity, Arc::clone(&api));
                *live.findings.entry(labels).or_default() += 1;
                live.open.insert(Arc::clone(&finding.id), (api, severity, false));
            }
            State::Update => {}
            State::Closed => drop(live.open.remove(&finding.id)),
        }
    }

    /// Notes a finding that was open before a restart: it is open, and did not open now.
    pub fn goes_on(&self, finding: &FindingEntry) {
        let severity = Severity::ALL.into_iter().find(|known| known.name() == finding.severity);
        if let Some(severity) = severity {
            let open = (Arc::from(finding.api.as_str()), severity.name(), finding.muted);
            lock(&self.live).open.insert(Arc::from(finding.id.as_str()), open);
        }
    }

    /// Notes whether receivers are told of an open finding.
    pub fn mute(&self, id: &str, muted: bool) {
        if let Some((_, _, is_muted)) = lock(&self.live).open.get_mut(id) {
            *is_muted = muted;
        }
    }

    /// Counts what became of an automatic answer.
    pub fn action(&self, outcome: &Outcome) {
        let labels = (outcome.action().map_or("ban", |action| action.name()), outcome.name());
        *lock(&self.live).actions.entry(labels).or_default() += 1;
    }

    /// Counts what an operator, or time, made of an action: `rejected`, `expired`, `undone`.
    pub fn decided(&self, action: &'static str, outcome: &'static str) {
        *lock(&self.live).actions.entry((action, outcome)).or_default() += 1;
    }

    /// Forgets the requests of APIs for which `keep` says no, as those of a policy that was replaced.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut live = lock(&self.live);
        live.countries.retain(|(api, _), _| keep(api));
        live.http.retain(&keep);
        live.tls.retain(&keep);
        live.flows.retain(keep);
    }

    /// Requests by API and status, and turns of encrypted connections by API.
    pub fn requests(&self) -> Vec<RequestCount> {
        let live = lock(&self.live);
        let mut counts = live.http.by_status();
        counts.extend(live.tls.turns());
        counts.sort_by(|a, b| (&a.api, &a.status).cmp(&(&b.api, &b.status)));
        counts
    }

    /// The page.
    ///
    /// # Errors
    /// A snapshot that cannot be written as text.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A panic elsewhere does not spoil counts.
fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

struct AtScrape {
    descs: Vec<Desc>,
    live: Arc<Mutex<Live>>,
    source: Arc<dyn Source>,
}

impl Collector for AtScrape {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.source.snapshot();
        let mut families = read(&snapshot);
        families.extend(lock(&self.live).families());
        families
    }
}

impl Live {
    fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.http.families();
        families.extend(self.tls.families());
        families.extend(self.flows.families());
        let (series, overflow) = self.http.occupancy();
        let findings = self.findings.iter();
        let actions = self.actions.iter();
        families.extend([
            rows(&def::HTTP_SERIES, [([], series as f64)]),
            rows(&def::HTTP_OVERFLOW, [([], overflow as f64)]),
            rows(
                &def::COUNTRIES,
                self.countries.iter().map(|((api, country), requests)| {
                    ([&**api, country.as_str()], (requests >> 16) as f64)
                }),
            ),
            rows(
                &def::FINDINGS,
                findings.map(|((detector, severity, api), count)| {
                    ([*detector, *severity, &**api], *count as f64)
                }),
            ),
            rows(
                &def::FINDINGS_OPEN,
                self.open
                    .values()
                    .filter(|(_, _, muted)| !muted)
                    .map(|(api, severity, _)| ([&**api, *severity], 1.0)),
            ),
            rows(
                &def::FINDINGS_MUTED,
                self.open
                    .values()
                    .filter(|(_, _, muted)| *muted)
                    .map(|(api, severity, _)| ([&**api, *severity], 1.0)),
            ),
            rows(
                &def::ACTIONS,
                actions.map(|((action, outcome), count)| ([*action, *outcome], *count as f64)),
            ),
        ]);
        families
    }
}

/// The families of a snapshot. Counts are exact up to 2^53.
fn read(snapshot: &KernelSnapshot) -> Vec<MetricFamily> {
    let s = snapshot;
    let generation = s.policy.as_ref().map_or(0, |policy| policy.generation).to_string();
    let entries = |entry: fn(&PolicyEntries) -> u64, state: &'static str| {
        s.policy_entries.iter().map(move |row| ([row.kind.as_str(), state], entry(row) as f64))
    };
    let mut families = vec![
        rows(
            &def::PACKETS,
            s.packets.iter().map(|row| ([&*row.api, row.verdict, row.reason], row.packets as f64)),
        ),
        rows(
            &def::BYTES,
            s.packets.iter().map(|row| ([&*row.api, row.verdict, row.reason], row.bytes as f64)),
        ),
        rows(&def::EGRESS_PACKETS, s.egress.iter().map(|row| ([&*row.api], row.packets as f64))),
        rows(&def::EGRESS_BYTES, s.egress.iter().map(|row| ([&*row.api], row.bytes as f64))),
        rows(&def::KERNEL_EVENTS, s.kernel.iter().map(|(name, count)| ([*name], *count as f64))),
        facts(
            &def::POLICY_INFO,
            s.policy.iter().map(|policy| [&*policy.name, &*policy.hash, &*generation]),
        ),
        facts(
            &def::API_INFO,
            s.apis.iter().map(|api| {
                [&*api.api, &*api.owner, &*api.responder, &*api.criticality, &*api.lifecycle]
            }),
        ),
        facts(&def::API_OVERRIDE, s.overrides.iter().map(|(api, kind)| [&**api, *kind])),
        rows(
            &def::POLICY_ENTRIES,
            entries(|row| row.desired, "desired").chain(entries(|row| row.enforced, "enforced")),
        ),
        rows(
            &def::INTERFACE_GATED,
            s.interfaces.iter().map(|(name, gated)| ([&**name], f64::from(u8::from(*gated)))),
        ),
        rows(&def::BANS, s.bans.iter().map(|(origin, count)| ([*origin], *count as f64))),
        rows(
            &def::MAP_ENTRIES,
            s.maps.iter().filter_map(|map| Some(([&*map.map], map.entries? as f64))),
        ),
        rows(&def::MAP_CAPACITY, s.maps.iter().map(|map| ([&*map.map], map.capacity as f64))),
        rows(&def::FEED_SUCCESS, s.feeds.iter().map(|row| ([&*row.feed], row.last_success))),
        rows(&def::FEED_STALE, s.feeds.iter().map(|row| ([&*row.feed], f64::from(row.stale)))),
        rows(&def::FEED_ENTRIES, s.feeds.iter().map(|row| ([&*row.feed], row.entries as f64))),
        rows(
            &def::MAP_INSERT_FAILURES,
            s.insert_failures.iter().map(|(map, count)| ([*map], *count as f64)),
        ),
        rows(&def::MAP_EVICTIONS, s.evictions.iter().map(|(map, count)| ([*map], *count as f64))),
        rows(&def::SAMPLES, s.samples.iter().map(|(outcome, count)| ([*outcome], *count as f64))),
        rows(&def::RING_PENDING, [([], s.ring_pending_bytes as f64)]),
        rows(&def::SAMPLE_SHARE, [([], s.sample_share)]),
        rows(&def::COMPLETENESS, [([], s.completeness)]),
        rows(&def::ROUTES, [([], s.routes as f64)]),
        rows(&def::ROUTES_OVERFLOW, [([], s.routes_overflow as f64)]),
        rows(
            &def::DETECTOR_STATES,
            s.detectors.iter().map(|row| ([row.detector], row.states as f64)),
        ),
        rows(
            &def::DETECTOR_EVICTED,
            s.detectors.iter().map(|row| ([row.detector], row.evicted as f64)),
        ),
        rows(
            &def::EVENTS,
            s.events.iter().map(|(event, severity, count)| ([*event, *severity], *count as f64)),
        ),
        rows(
            &def::EVENT_LINES,
            s.event_lines.iter().map(|(outcome, count)| ([*outcome], *count as f64)),
        ),
        rows(
            &def::RECORD_LINES,
            s.record_lines.iter().map(|(outcome, count)| ([*outcome], *count as f64)),
        ),
        rows(
            &def::STORE_FAILURES,
            s.store_failures.iter().map(|(file, count)| ([*file], *count as f64)),
        ),
        rows(
            &def::MAINTENANCE,
            s.maintenance.iter().map(|(api, is)| ([&**api], f64::from(u8::from(*is)))),
        ),
        rows(&def::ACTIONS_HELD, [([], s.actions_held as f64)]),
        rows(&def::ACTIONS_STOPPED, [([], f64::from(u8::from(s.actions_stopped)))]),
        rows(&def::ASSESS_LAST, [([], s.assessed as f64)]),
        facts(&def::BUILD_INFO, [[env!("CARGO_PKG_VERSION")]]),
    ];
    families.extend(sinks::families(&s.sinks));
    let kind = def::Kind::Counter;
    families.extend(s.sensor.iter().map(|(name, count)| {
        let help = format!("Counter {name} of the sensor, see docs/sensor.md.");
        let name = format!("{}{name}_total", def::SENSOR_PREFIX);
        family::family(name, &help, kind, vec![number(kind, *count as f64, Vec::new())])
    }));
    families
}
