//! The pipeline: ring to records to transactions to metrics and findings, on a thread of its own.
//!
//! The kernel wakes nobody for a record; this thread looks every few milliseconds, and as long as
//! there is something it does not sleep at all. Everything here runs on CLOCK_MONOTONIC, as the
//! records do; only events carry wall time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use filter_common::reason::{Reason, Verdict};
use filter_common::record::{self, Header};

use crate::detect::{
    Engine, Finding, FlowSeen, Observation, RefusedSeen, Source, State, Traffic, TurnSeen,
};
use crate::export::events::{ApiField, Event, Kind, LossField, Refused, SourceEvents, is_limit};
use crate::export::metrics::DetectorCount;
use crate::inventory::route::{Request, RouteLimits, Routes};
use crate::kernel::clock;
use crate::kernel::counters::Counters;
use crate::kernel::orders::Order;
use crate::kernel::ring::Reader;
use crate::kernel::state::sample_below;
use crate::policy::Policy;
use crate::recording::{Line, Recorder, Telemetry};
use crate::respond::{Action, Executor, Responder, Served, escalation_reason};
use crate::sensor::transaction::Transaction;
use crate::sensor::{Output, Sensor, SensorConfig};

use super::breach::Note;
use super::clients::Clients;
use super::core::{Core, Message, lock, unix_ns};
use super::enforcement::Enforcement;
use super::escalate::Networks;
use super::gate::Source as Ring;
use super::guards::{self, Guards};
use super::learned::{self, Round};
use super::losses::{Losses, wanted_and_lost};
use super::orders;
use super::places::{self, Places};
use super::profile::{Profile, UNCLAIMED, packet_rate};
use super::sampling::{Sampling, Step};

/// Pause when the ring was empty.
const PAUSE: Duration = Duration::from_millis(5);
/// Niceness of the thread.
const NICE: i32 = -10;
/// Records taken before anything else gets its turn.
const BATCH: usize = 8192;
/// How often detectors are asked.
const DETECT: u64 = 50_000_000;
/// How often losses, bans and reports are looked after.
const LOOK_AFTER: u64 = 1_000_000_000;
/// APIs whose counters are read in a second.
const APIS_A_SECOND: usize = 100;
/// Window of the events about sources, seconds.
const WINDOW: u64 = 60;

/// What the pipeline says of itself, once a second.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// Share of the telemetry of the last minute that was not lost.
    pub(super) completeness: f64,
    /// Share of flows that are sampled.
    pub(super) share: f64,
    /// Counters of the sensor.
    pub(super) sensor: Vec<(&'static str, u64)>,
    /// Distinct routes.
    pub(super) routes: u64,
    /// Requests without room for their route.
    pub(super) routes_overflow: u64,
    /// States of the detectors.
    pub(super) detectors: Vec<DetectorCount>,
    /// Lines of the recording by outcome.
    pub(super) recorded: Vec<(&'static str, u64)>,
    /// Open findings by severity.
    pub(super) open: BTreeMap<&'static str, u64>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            completeness: 1.0,
            share: 1.0,
            sensor: Vec::new(),
            routes: 0,
            routes_overflow: 0,
            detectors: Vec::new(),
            recorded: Vec::new(),
            open: BTreeMap::new(),
        }
    }
}

/// Starts the thread.
pub(super) fn start(core: Arc<Core>, source: Ring) -> Result<JoinHandle<()>> {
    let messages = core.take_messages().ok_or_else(|| anyhow!("the pipeline runs already"))?;
    std::thread::Builder::new()
        .name("weir-pipeline".to_owned())
        .spawn(move || Pipeline::new(core, source, messages).run())
        .context("cannot start the pipeline")
}

/// Asks for this thread to be run before others: what it does not read in time is lost, and the more
/// there is to read the busier the host. Without the right to ask (CAP_SYS_NICE) it does without.
fn prefer() {
    // SAFETY: 0 is this thread; the call takes numbers only.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0;
    if refused {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "the pipeline runs without priority");
    }
}

struct Pipeline {
    core: Arc<Core>,
    reader: Reader,
    messages: Receiver<Message>,
    sensor: Sensor,
    analysis: Analysis,
    losses: Losses,
    enforcement: Enforcement,
    sampling: Sampling,
    /// The API whose counters were read last.
    counted: u32,
}

/// What is made of transactions and notices.
struct Analysis {
    core: Arc<Core>,
    profile: Option<Profile>,
    routes: Routes,
    engine: Engine,
    responder: Responder,
    served: Served,
    networks: Networks,
    refusals: SourceEvents,
    places: Places,
    recorder: Option<Recorder>,
    /// Completeness as it was recorded last.
    recorded: f64,
    /// What to add to a record's time for ns since 1970.
    epoch: i128,
    /// Whose turn it is to be written down.
    round: Round,
}

/// Starts recording, where the settings say so.
fn recorder(core: &Core) -> Option<Recorder> {
    let settings = core.config.record.as_ref()?;
    let started = Recorder::start(settings);
    started.inspect_err(|error| tracing::error!(%error, "nothing is recorded")).ok()
}

/// What to add to CLOCK_MONOTONIC for the time since 1970, ns.
fn epoch() -> i128 {
    i128::from(unix_ns()) - i128::from(clock::monotonic_ns())
}

impl Pipeline {
    fn new(core: Arc<Core>, source: Ring, messages: Receiver<Message>) -> Self {
        let config = SensorConfig {
            max_flows: core.config.sensor.flows as usize,
            seed: source.seed,
            ..SensorConfig::default()
        };
        let epoch = unix_ns() / 1_000_000_000;
        let (served, responder) = guards::restore(&core, clock::monotonic_ns(), self::epoch());
        let analysis = Analysis {
            core: Arc::clone(&core),
            profile: None,
            routes: Routes::new(RouteLimits::default()),
            engine: Engine::new(crate::detect::Config::default(), epoch),
            responder,
            served,
            networks: Networks::new(),
            refusals: SourceEvents::new(WINDOW),
            places: Places::default(),
            recorder: recorder(&core),
            recorded: 1.0,
            epoch: self::epoch(),
            round: Round::default(),
        };
        Self {
            core,
            reader: source.reader,
            messages,
            sensor: Sensor::new(config),
            analysis,
            losses: source.losses,
            enforcement: Enforcement::new(epoch),
            sampling: source.sampling,
            counted: 0,
        }
    }

    fn run(mut self) {
        prefer();
        let mut detected = 0;
        let mut looked_after = 0;
        while !self.core.stopping() {
            self.obey();
            self.core.look_after_confirmation();
            let level = self.sampling.level();
            let taken = self.drain();
            let now = clock::monotonic_ns();
            self.tune(now, level);
            if taken == 0 {
                let analysis = &mut self.analysis;
                self.sensor.tick(now, &mut |output| analysis.output(&output));
            }
            if now.saturating_sub(detected) >= DETECT {
                detected = now;
                self.analysis.detect(now, self.losses.completeness());
            }
            if now.saturating_sub(looked_after) >= LOOK_AFTER {
                looked_after = now;
                self.look_after(now);
            }
            if taken == 0 {
                std::thread::sleep(PAUSE);
            }
        }
        self.drain();
        let analysis = &mut self.analysis;
        self.sensor.flush(&mut |output| analysis.output(&output));
        self.look_after(clock::monotonic_ns());
        if let Some(profile) = &self.analysis.profile {
            let guards = self.analysis.guards();
            learned::keep_all(&self.core, &self.analysis.engine, profile, &guards);
        }
    }

    fn obey(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Policy(profile) => self.analysis.follow(*profile),
                Message::Finding(finding) => self.analysis.respond(&finding),
            }
        }
    }

    fn drain(&mut self) -> usize {
        let (sensor, analysis) = (&mut self.sensor, &mut self.analysis);
        self.reader.drain(BATCH, |header, payload, lost| {
            if lost > 0 {
                sensor.lost();
            }
            if header.kind == record::NOTICE {
                analysis.notice(header);
            } else {
                sensor.push(header, payload, &mut |output| analysis.output(&output));
            }
        })
    }

    /// Samples fewer flows while the ring fills, and more when it does not.
    fn tune(&mut self, now: u64, level: f64) {
        let Some(step) = self.sampling.look(now, level) else { return };
        let analysis = &mut self.analysis;
        let below = sample_below(step.share());
        self.sensor.shed(below, &mut |output| analysis.output(&output));
        // Flows that come back have missed something.
        self.sensor.lost();
        let percent = step.share() * 100.0;
        let (kind, message) = match step {
            Step::Changed(_) => return,
            Step::Reduced(_) => (
                Kind::SamplingReduced,
                format!("{percent} % of flows are sampled: the ring fills faster than it is read"),
            ),
            Step::Restored(_) => {
                (Kind::SamplingRestored, format!("{percent} % of flows are sampled again"))
            }
        };
        self.core.tell(&Event::new(kind, unix_ns(), message));
    }

    /// What is due every second.
    fn look_after(&mut self, now: u64) {
        self.core.sweep_bans();
        self.core.look_after_actions();
        self.core.look_after_mutes();
        self.analysis.maintain(now);
        self.analysis.escalate(now);
        self.core.look_after_enforcement(&mut self.enforcement);
        self.read_losses();
        self.read_traffic(now);
        self.analysis.record_telemetry(now, self.losses.completeness());
        self.analysis.tell_refusals(now);
        self.core.tell_of_sinks();
        self.analysis.keep_learned();
        self.report();
    }

    fn read_losses(&mut self) {
        let Some(mut gate) = self.core.try_gate() else { return };
        if let Some(logger) = &mut gate.logger {
            logger.flush();
        }
        let read = wanted_and_lost(&gate.state.counters);
        drop(gate);
        match read {
            Ok(counted) => {
                let newly = self.losses.note(counted);
                if newly > 0 {
                    self.core.tell(&Event {
                        loss: Some(LossField {
                            records: newly,
                            completeness: self.losses.completeness(),
                        }),
                        ..Event::new(
                            Kind::TelemetryGap,
                            unix_ns(),
                            format!("{newly} samples were lost: the ring was full"),
                        )
                    });
                }
            }
            Err(error) => tracing::error!(%error, "losses are not known"),
        }
    }

    /// Tells detectors what limits and bans do.
    fn read_traffic(&mut self, now: u64) {
        let Some(profile) = &self.analysis.profile else { return };
        // One gate for all: who asks for it waits no longer than for a look at the counters.
        let Some(gate) = self.core.try_gate() else { return };
        let of = |api: u32| traffic(&gate.state.counters, api);
        let mut ids: Vec<u32> = profile.ids().collect();
        ids.sort_unstable();
        let first = ids.partition_point(|id| *id <= self.counted);
        // Reading one takes some fifty calls: of many APIs, some every second.
        let next = ids[first..].iter().chain(&ids[..first]).copied().take(APIS_A_SECOND);
        let read: Result<Vec<Traffic>, _> = next.map(of).collect();
        drop(gate);
        match read {
            Ok(all) => {
                self.counted = all.last().map_or(0, |traffic| traffic.api);
                for traffic in &all {
                    self.analysis.engine.traffic(traffic, now);
                    self.analysis.record(traffic.api, |to, api, epoch| {
                        to.write(&Line::traffic(traffic, api, now, epoch));
                    });
                }
            }
            Err(error) => tracing::error!(%error, "what limits and bans do is not known"),
        }
    }

    fn report(&self) {
        let mut open = BTreeMap::new();
        for finding in self.analysis.engine.open() {
            *open.entry(finding.severity.name()).or_default() += 1;
        }
        for severity in lock(&self.core.inventory).register.severities() {
            *open.entry(severity.name()).or_default() += 1;
        }
        if let Some(severity) = self.enforcement.open() {
            *open.entry(severity.name()).or_default() += 1;
        }
        let report = Report {
            completeness: self.losses.completeness(),
            share: self.sampling.share(),
            sensor: self.sensor.stats().each().collect(),
            routes: self.analysis.routes.len() as u64,
            routes_overflow: self.analysis.routes.overflowed(),
            detectors: self
                .analysis
                .engine
                .state_counts()
                .into_iter()
                .map(|count| DetectorCount {
                    detector: count.detector.name(),
                    states: count.states,
                    evicted: count.evicted,
                })
                .collect(),
            recorded: self
                .analysis
                .recorder
                .as_ref()
                .map(|one| one.counts().to_vec())
                .unwrap_or_default(),
            open,
        };
        *lock(&self.core.report) = report;
    }
}

/// What the kernel counted of an API.
fn traffic(counters: &Counters, api: u32) -> crate::kernel::error::Result<Traffic> {
    let mut traffic = Traffic { api, ..Traffic::default() };
    for row in counters.of(api)? {
        *match row.reason {
            Reason::Banned => &mut traffic.banned,
            reason if reason.verdict() == Verdict::Pass => &mut traffic.passed,
            reason if is_limit(reason) => &mut traffic.limited,
            _ => &mut traffic.refused,
        } += row.packets;
    }
    Ok(traffic)
}

impl Analysis {
    /// Another policy is in force.
    fn follow(&mut self, profile: Profile) {
        self.engine.set_apis(profile.for_detectors());
        self.engine.set_alerts(&profile.policy.alerts);
        let known = |id| id == filter_common::tables::UNCLAIMED || profile.api(id).is_some();
        self.routes.retain(known);
        self.served.reach.retain(known);
        lock(&self.core.quotas).retain(unix_ns() / 1_000_000_000, |api| profile.quotas.has(api));
        self.core.follow_inventory(&profile, &mut self.routes);
        let now = clock::monotonic_ns();
        learned::take_up(&self.core, &mut self.engine, &profile, now, self.epoch);
        guards::take_up(&self.core, &mut self.served, &profile, now, self.epoch);
        let engine = &self.engine;
        let goes_on = |id: &str| engine.open().any(|finding| &*finding.id == id);
        self.core.tell_ended(&profile.policy, goes_on);
        self.networks.follow();
        self.profile = Some(profile);
        self.maintain(now);
    }

    /// Tells detectors what is being maintained now.
    fn maintain(&mut self, now: u64) {
        let Some(profile) = &self.profile else { return };
        self.core.look_after_maintenance(&profile.policy);
        let maintained = lock(&self.core.maintained);
        let declared = profile.ids().map(|id| (id, profile.api(id).map(|api| api.name.as_str())));
        let all = declared.chain([(filter_common::tables::UNCLAIMED, Some(UNCLAIMED))]);
        let is = |(id, name): (u32, Option<&str>)| maintained.covers(name?).then_some(id);
        self.engine.set_maintained(all.filter_map(is), now);
    }

    /// Bans networks of which too many sources are banned.
    fn escalate(&mut self, now: u64) {
        if let Some(profile) = &self.profile {
            self.networks.look(&self.core, profile, (&self.served, now));
        }
    }

    /// Notes whom an answer could hurt: who was served.
    fn note_served(&mut self, transaction: &Transaction) {
        if transaction.status.is_some_and(|status| status >= 400) {
            return;
        }
        let lengths = self.profile.as_ref().and_then(|profile| profile.api(transaction.api));
        let lengths = lengths.map(|api| api.source).unwrap_or_default();
        // An answer meets packets: what matters is whose they are.
        let source = Source::of(transaction.flow.client, lengths);
        let Transaction { time, api, weight, .. } = *transaction;
        self.served.reach.note(time, api, source, weight);
        let credential = transaction.credentials.identity();
        let agent = transaction.user_agent.as_deref();
        self.served.crowds.note(time, api, source, credential, agent);
    }

    fn output(&mut self, output: &Output) {
        match output {
            Output::Transaction(transaction) => self.transaction(transaction),
            Output::Flow(flow) => {
                let name = self.field(flow.api).name;
                self.core.metrics.flow(&name, flow);
                self.core.note_flow(flow, self.epoch);
                let client = self.connection(flow.api, flow.flow.client, flow.announced);
                if let Some(seen) = client.and_then(|client| FlowSeen::of(flow, client)) {
                    self.engine.flow(&seen);
                    self.record(flow.api, |to, api, epoch| {
                        to.write(&Line::connection(&seen, api, epoch));
                    });
                }
            }
            Output::Tls(handshake) | Output::Quic(handshake) => {
                let name = self.field(handshake.api).name;
                self.core.metrics.handshake(&name, handshake);
                self.core.note_handshake(handshake, self.epoch);
            }
            Output::Slow(flow) => {
                let client = self.connection(flow.api, flow.flow.client, flow.announced);
                if let Some(seen) = client.and_then(|client| FlowSeen::of(flow, client)) {
                    self.engine.slow(&seen);
                    self.record(flow.api, |to, api, epoch| {
                        to.write(&Line::connection(&seen, api, epoch));
                    });
                }
            }
            Output::Turn(turn) => {
                let name = self.field(turn.api).name;
                self.core.metrics.turn(&name, turn);
                let client = self.connection(turn.api, turn.flow.client, None);
                if let Some(seen) = client.and_then(|client| TurnSeen::of(turn, client)) {
                    self.engine.turn(&seen);
                    self.record(turn.api, |to, api, epoch| {
                        to.write(&Line::turn(&seen, api, epoch));
                    });
                }
            }
        }
    }

    /// Records what a detector was told about an API, where that is wanted.
    fn record(&mut self, api: u32, write: impl FnOnce(&mut Recorder, Option<&str>, i128)) {
        let Some(recorder) = &mut self.recorder else { return };
        let name = self.profile.as_ref().and_then(|profile| profile.api(api));
        write(recorder, name.map(|api| api.name.as_str()), self.epoch);
    }

    /// Records how complete the telemetry is, when that changed, and hands on what was gathered.
    fn record_telemetry(&mut self, now: u64, completeness: f64) {
        let Some(recorder) = &mut self.recorder else { return };
        if (completeness - self.recorded).abs() > 1e-3 {
            self.recorded = completeness;
            let time = u64::try_from(i128::from(now) + self.epoch).unwrap_or_default();
            recorder.write(&Line::Telemetry(Telemetry { time, completeness }));
        }
        recorder.flush();
    }

    /// Who opened a connection to an API, as far as that can be told.
    fn connection(&self, api: u32, peer: IpAddr, announced: Option<IpAddr>) -> Option<IpAddr> {
        let proxies = self.profile.as_ref().and_then(|profile| profile.proxies(api));
        Clients::of_connection(peer, announced, proxies)
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let proxies = self.profile.as_ref().and_then(|profile| profile.proxies(transaction.api));
        let client = lock(&self.core.clients).of(transaction, proxies);
        if transaction.inbound {
            self.note_served(transaction);
            let route = self.routes.route(&Request {
                api: transaction.api,
                target: &transaction.target,
                status: transaction.status,
            });
            let place = self.places.of(&self.core.geo, client);
            if let Some(mut observation) = Observation::of(transaction, client, &route) {
                observation.origin = places::origin(place);
                self.engine.observe(&observation);
                self.record(transaction.api, |to, api, epoch| {
                    let line = Line::request(&observation, api, epoch, to.veil());
                    to.write(&line);
                });
            }
            let name = self.field(transaction.api).name;
            self.core.metrics.observe(&name, &route, transaction);
            if let (Some(country), _) = place {
                self.core.metrics.country(&name, country, transaction.weight);
            }
            if let Some(profile) = &self.profile {
                let proxies = profile.proxies(transaction.api);
                let field = || profile.field(transaction.api);
                self.core.count_quota(&profile.quotas, transaction, client, proxies, field);
            }
            self.core.note_transaction(transaction, client, &route, self.epoch);
            self.core.rename_routes(&mut self.routes);
        }
    }

    fn field(&self, api: u32) -> ApiField {
        self.profile.as_ref().map_or_else(ApiField::unclaimed, |profile| profile.field(api))
    }

    fn notice(&mut self, header: &Header) {
        let Some(refused) = Refused::of(header) else { return };
        let seen = RefusedSeen {
            time: header.time,
            api: refused.api,
            source: refused.source,
            port: header.destination_port,
            unclaimed: refused.reason == Reason::UnclaimedRefused,
        };
        self.engine.refusal(&seen);
        self.record(refused.api, |to, api, epoch| to.write(&Line::refusal(&seen, api, epoch)));
        if let Some(summary) = self.refusals.push(header.time, &refused) {
            let field = self.field(summary.api);
            self.core.tell(&Event::refused(&summary, field, unix_ns()));
        }
    }

    fn tell_refusals(&mut self, now: u64) {
        for summary in self.refusals.tick(now) {
            let field = self.field(summary.api);
            self.core.tell(&Event::refused(&summary, field, unix_ns()));
        }
    }

    fn detect(&mut self, now: u64, completeness: f64) {
        self.epoch = epoch();
        for finding in self.engine.tick(now, self.epoch, completeness) {
            let field = self.field(finding.api);
            if finding.state != State::Update {
                learned::keep(&self.core, &self.engine, finding.api, &finding.api_name);
            }
            // Findings are on the records' clock.
            self.core.metrics.finding(&finding);
            let entry = self.core.note_finding(&finding, self.epoch);
            let event = Event::finding(&finding, field.clone(), self.epoch);
            self.core.tell(&event.with_said(&entry));
            if finding.state == State::Open {
                tracing::warn!(id = %finding.id, api = %field.name, "{}", finding.measure.why);
            }
            self.respond(&finding);
        }
    }

    fn keep_learned(&mut self) {
        if let Some(profile) = &self.profile {
            let Self { served, responder, epoch, .. } = self;
            let guards = Guards { served, responder, epoch: *epoch };
            self.round.go_on(&self.core, &self.engine, profile, &guards);
        }
    }

    fn guards(&self) -> Guards<'_> {
        Guards { served: &self.served, responder: &self.responder, epoch: self.epoch }
    }

    /// Answers a report of a finding, as the policy says.
    fn respond(&mut self, finding: &Finding) {
        // The end of one is the responder's to know, whoever is told.
        if finding.state != State::Closed && self.core.is_muted(finding) {
            return;
        }
        let Some(profile) = self.profile.as_ref() else { return };
        let stopped = lock(&self.core.actions).is_stopped();
        let wanted = profile.wanted(finding.api, finding.detector, stopped);
        let mut executor = Hand { core: &self.core, policy: &profile.policy };
        let now = clock::monotonic_ns();
        let behind_proxy = |source: &Source| lock(&self.core.clients).hidden(source, now).is_some();
        let guard = profile.guard(behind_proxy, Some((&self.served, now)));
        let outcome = self.responder.answer(now, finding, &wanted, &guard, &mut executor);
        if let Some(outcome) = outcome {
            let event = Event::answer(&outcome, finding, self.field(finding.api), unix_ns());
            self.core.note_action(profile, &outcome, Some(finding), event);
            self.guards().keep(&self.core);
        }
    }
}

/// Carries out what the responder decides.
pub(super) struct Hand<'a> {
    /// With the kernel half.
    pub(super) core: &'a Core,
    /// Which was asked for the answer.
    pub(super) policy: &'a Policy,
}

impl Executor for Hand<'_> {
    fn execute(&mut self, action: &Action) -> Result<(), String> {
        let until = orders::end(Some(action.ttl()));
        let mut gate = self.core.gate();
        match action {
            Action::Ban { source, reason, .. } => {
                let (network, prefix) = (source.address, source.length);
                let entry = gate
                    .state
                    .bans
                    .add(network, prefix, None, until, true)
                    .map_err(|error| error.to_string())?;
                gate.reasons.insert((network, prefix, None), reason.clone());
                drop(gate);
                self.core.tell_ban(Kind::BanAdded, &entry, None, reason, "detector");
                Ok(())
            }
            Action::Escalate { network, api, sources, .. } => {
                let entry = gate
                    .state
                    .bans
                    .escalate(network.address, network.length, *api, until, *sources)
                    .map_err(|error| error.to_string())?;
                let field = gate.ban_api(&entry);
                drop(gate);
                let reason = escalation_reason(*sources);
                self.core.tell_ban(Kind::BanAdded, &entry, field, &reason, "detector");
                Ok(())
            }
            Action::Limit { api, rate, reason, .. } => {
                let rate = packet_rate(*rate).ok_or("the rate cannot be kept exactly")?;
                let order = Order::Limit { rate, automatic: true };
                gate.state.orders.set_automatic(*api, order, until)?;
                gate.order_notes.insert((*api, order.kind()), Note::automatic(reason));
                Ok(())
            }
            Action::Lockdown { api, group, reason, .. } => {
                let name = self.policy.group(*group).map(|group| group.name.as_str());
                let group = name
                    .and_then(|name| gate.state.ids_ref().find_group(name))
                    .ok_or("the group of the lockdown is not in force")?;
                let order = Order::Lockdown { group, automatic: true };
                gate.state.orders.set_automatic(*api, order, until)?;
                gate.order_notes.insert((*api, order.kind()), Note::automatic(reason));
                Ok(())
            }
        }
    }
}
