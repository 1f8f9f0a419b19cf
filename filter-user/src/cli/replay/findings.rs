//! Detectors over a capture or a recording, in its own time.

use std::collections::HashMap;
use std::sync::Arc;

use filter_common::packet::Packet;
use filter_common::reason::{Reason, Verdict};
use filter_common::tables::UNCLAIMED;
use filter_common::verdict::Decision;

use crate::daemon::clients::Clients;
use crate::daemon::profile::Profile;
use crate::detect::{
    ApiProfile, Config, Engine, Finding, FlowSeen, Observation, RefusedBy, RefusedSeen, State,
    Traffic, TurnSeen,
};
use crate::export::events::{ApiField, is_limit, refused_by};
use crate::image::Ids;
use crate::inventory::route::{Request, RouteLimits, Routes};
use crate::policy::Policy;
use crate::recording::{Cause, Line};
use crate::sensor::Output;
use crate::sensor::transaction::ip;

const SECOND: u64 = 1_000_000_000;
/// A step of the clock ahead by more than this, or back by more than the other, begins anew.
const AHEAD: u64 = 7 * 86_400 * SECOND;
const BACK: u64 = 3600 * SECOND;
/// Most ticks of a gap in which nothing happens.
const TICKS: u64 = 4000;
/// Names of APIs that a recording may have where no policy does.
const NAMES: usize = 4096;

/// See the module.
pub(super) struct Findings {
    engine: Engine,
    profile: Profile,
    /// Whether the policy says which APIs there are; otherwise the recording does.
    strict: bool,
    names: HashMap<Arc<str>, u32>,
    routes: Routes,
    clients: Clients,
    traffic: HashMap<u32, Traffic>,
    /// The engine's clock, ns since 1970; `None` before the first time.
    now: Option<u64>,
    /// The latest time of the capture or recording.
    latest: u64,
    completeness: f64,
    due: Vec<(Finding, ApiField)>,
    /// Findings that opened.
    pub(super) opened: u64,
    /// Times that the clock was set ahead or back so far that all began anew.
    pub(super) jumps: u64,
    /// Lines of APIs that the policy does not have.
    pub(super) unknown: u64,
}

impl Findings {
    /// Under a policy; `strict` when it is one that was given.
    pub(super) fn new(policy: Arc<Policy>, ids: &Ids, strict: bool) -> Self {
        let profile = Profile::new(policy, ids);
        let mut routes = Routes::new(RouteLimits::default());
        profile.declared().into_iter().for_each(|(id, declared)| routes.declare(id, declared));
        let names = profile.for_detectors().into_iter().map(|api| (api.name, api.id)).collect();
        let mut findings = Self {
            engine: Engine::new(Config::default(), 0),
            profile,
            strict,
            names,
            routes,
            clients: Clients::default(),
            traffic: HashMap::new(),
            now: None,
            latest: 0,
            completeness: 1.0,
            due: Vec::new(),
            opened: 0,
            jumps: 0,
            unknown: 0,
        };
        findings.begin(0);
        findings
    }

    /// A new engine: what was learned was of another time.
    fn begin(&mut self, now: u64) {
        self.engine = Engine::new(Config::default(), now / SECOND);
        self.set_apis();
        self.traffic.clear();
    }

    fn set_apis(&mut self) {
        if self.strict {
            self.engine.set_apis(self.profile.for_detectors());
            self.engine.set_alerts(&self.profile.policy.alerts);
        } else {
            let named = |(name, id): (&Arc<str>, &u32)| ApiProfile {
                id: *id,
                name: Arc::clone(name),
                ..ApiProfile::unclaimed()
            };
            self.engine.set_apis(self.names.iter().map(named));
        }
    }

    /// It is this late, ns since 1970.
    pub(super) fn advance(&mut self, time: u64) {
        self.latest = time;
        let Some(now) = self.now else {
            self.begin(time);
            self.now = Some(time);
            return;
        };
        if time > now.saturating_add(AHEAD) || time < now.saturating_sub(BACK) {
            self.jumps += 1;
            self.begin(time);
            self.now = Some(time);
            return;
        }
        let step = (time.saturating_sub(now) / TICKS).max(SECOND);
        let mut now = now;
        while time.saturating_sub(now) >= step {
            now += step;
            self.tick(now);
        }
        self.now = Some(now);
    }

    fn tick(&mut self, now: u64) {
        if self.strict {
            self.engine.set_maintained(self.profile.maintained(now / SECOND), now);
        }
        for traffic in self.traffic.values() {
            self.engine.traffic(traffic, now);
        }
        for finding in self.engine.tick(now, 0, self.completeness) {
            self.opened += u64::from(finding.state == State::Open);
            let field = if self.strict {
                self.profile.field(finding.api)
            } else {
                ApiField { name: Arc::clone(&finding.api_name), ..ApiField::default() }
            };
            self.due.push((finding, field));
        }
    }

    /// What is to be told.
    pub(super) fn take(&mut self) -> Vec<(Finding, ApiField)> {
        std::mem::take(&mut self.due)
    }

    /// The end: what came within its last second is judged, and no more. What follows is not known, and
    /// silence would be a finding, or the end of one, that nobody saw.
    pub(super) fn finish(&mut self) {
        if let Some(now) = self.now {
            self.tick(now.max(self.latest));
        }
    }

    /// Takes what the sensor hands out.
    pub(super) fn output(&mut self, output: &Output) {
        let connection = |profile: &Profile, api, peer, announced| {
            Clients::of_connection(peer, announced, profile.proxies(api))
        };
        match output {
            Output::Transaction(transaction) => {
                let proxies = self.profile.proxies(transaction.api);
                let client = self.clients.of(transaction, proxies);
                let route = self.routes.route(&Request {
                    api: transaction.api,
                    target: &transaction.target,
                    status: transaction.status,
                });
                if let Some(observation) = Observation::of(transaction, client, &route) {
                    self.engine.observe(&observation);
                }
            }
            Output::Flow(flow) | Output::Slow(flow) => {
                let client = connection(&self.profile, flow.api, flow.flow.client, flow.announced);
                let Some(seen) = client.and_then(|client| FlowSeen::of(flow, client)) else {
                    return;
                };
                match output {
                    Output::Slow(_) => self.engine.slow(&seen),
                    _ => self.engine.flow(&seen),
                }
            }
            Output::Turn(turn) => {
                let client = connection(&self.profile, turn.api, turn.flow.client, None);
                if let Some(seen) = client.and_then(|client| TurnSeen::of(turn, client)) {
                    self.engine.turn(&seen);
                }
            }
            Output::Tls(_) | Output::Quic(_) => {}
        }
    }

    /// Takes a verdict into account, as the kernel's counters and notices would tell of it.
    pub(super) fn verdict(&mut self, time: u64, packet: &Packet, decision: &Decision) {
        let (api, reason) = (decision.api, decision.reason);
        let traffic = self.traffic.entry(api).or_insert(Traffic { api, ..Traffic::default() });
        *match reason {
            Reason::Banned => &mut traffic.banned,
            reason if reason.verdict() == Verdict::Pass => &mut traffic.passed,
            reason if is_limit(reason) => &mut traffic.limited,
            _ => &mut traffic.refused,
        } += 1;
        let by = refused_by(reason);
        if by != RefusedBy::Other {
            self.engine.refusal(&RefusedSeen {
                time,
                api: if by == RefusedBy::Unclaimed { UNCLAIMED } else { api },
                source: ip(packet.source),
                port: packet.destination_port,
                by,
            });
        }
    }

    /// Takes a line of a recording.
    pub(super) fn line(&mut self, line: &Line<'_>) {
        self.advance(line.time());
        let api = self.id(line.api());
        match line {
            Line::Http(request) => self.engine.observe(&request.observation(api)),
            Line::Flow(flow) => self.engine.flow(&flow.seen(api)),
            Line::Slow(flow) => self.engine.slow(&flow.seen(api)),
            Line::Turn(turn) => self.engine.turn(&turn.seen(api)),
            Line::Refused { time, source, port, unclaimed, by, .. } => {
                let (time, source, port) = (*time, *source, *port);
                let by = Cause::seen(*by, *unclaimed);
                self.engine.refusal(&RefusedSeen { time, api, source, port, by });
            }
            Line::Traffic { passed, limited, banned, refused, .. } => {
                let (passed, limited, banned, refused) = (*passed, *limited, *banned, *refused);
                self.traffic.insert(api, Traffic { api, passed, limited, banned, refused });
            }
            Line::Telemetry(telemetry) => {
                self.completeness = telemetry.completeness.clamp(0.0, 1.0);
            }
        }
    }

    /// The id of an API by its name.
    fn id(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return UNCLAIMED };
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        if self.strict || self.names.len() >= NAMES {
            self.unknown += 1;
            return UNCLAIMED;
        }
        let id = self.names.len() as u32 + 1;
        self.names.insert(Arc::from(name), id);
        self.set_apis();
        id
    }
}
