//! What is made of transactions and notices: metrics, the inventory, findings and answers.

use std::net::IpAddr;
use std::sync::Arc;

use filter_common::record::Header;

use crate::daemon::clients::Clients;
use crate::daemon::core::{Core, lock, unix_ns};
use crate::daemon::escalate::Networks;
use crate::daemon::guards::{self, Guards};
use crate::daemon::learned::{self, Round};
use crate::daemon::places::{self, Places};
use crate::daemon::profile::{Profile, UNCLAIMED};
use crate::detect::{Engine, Finding, FlowSeen, Observation, RefusedSeen, Source, State, TurnSeen};
use crate::export::events::{ApiField, Event, Refused, SourceEvents, refused_by};
use crate::inventory::route::{Request, RouteLimits, Routes};
use crate::kernel::clock;
use crate::recording::{Line, Recorder, Telemetry};
use crate::respond::{Responder, Served};
use crate::sensor::Output;
use crate::sensor::transaction::Transaction;

use super::hand::Hand;

/// Window of the events about sources, seconds.
const WINDOW: u64 = 60;

/// What is made of transactions and notices.
pub(super) struct Analysis {
    core: Arc<Core>,
    pub(super) profile: Option<Profile>,
    pub(super) routes: Routes,
    pub(super) engine: Engine,
    responder: Responder,
    served: Served,
    networks: Networks,
    refusals: SourceEvents,
    places: Places,
    pub(super) recorder: Option<Recorder>,
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

impl Analysis {
    /// Nothing was seen yet. `epoch` as of [`Engine::new`].
    pub(super) fn new(core: &Arc<Core>, epoch: u64) -> Self {
        let now = clock::monotonic_ns();
        let (served, responder) = guards::restore(core, now, self::epoch());
        Self {
            core: Arc::clone(core),
            profile: None,
            routes: Routes::new(RouteLimits::default()),
            engine: Engine::new(crate::detect::Config::default(), epoch),
            responder,
            served,
            networks: Networks::new(),
            refusals: SourceEvents::new(WINDOW),
            places: Places::default(),
            recorder: recorder(core),
            recorded: 1.0,
            epoch: self::epoch(),
            round: Round::default(),
        }
    }

    /// Another policy is in force.
    pub(super) fn follow(&mut self, profile: Profile) {
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
    pub(super) fn maintain(&mut self, now: u64) {
        let Some(profile) = &self.profile else { return };
        self.core.look_after_maintenance(&profile.policy);
        let maintained = lock(&self.core.maintained);
        let declared = profile.ids().map(|id| (id, profile.api(id).map(|api| api.name.as_str())));
        let all = declared.chain([(filter_common::tables::UNCLAIMED, Some(UNCLAIMED))]);
        let is = |(id, name): (u32, Option<&str>)| maintained.covers(name?).then_some(id);
        self.engine.set_maintained(all.filter_map(is), now);
    }

    /// Bans networks of which too many sources are banned.
    pub(super) fn escalate(&mut self, now: u64) {
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

    pub(super) fn output(&mut self, output: &Output) {
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
    pub(super) fn record(
        &mut self,
        api: u32,
        write: impl FnOnce(&mut Recorder, Option<&str>, i128),
    ) {
        let Some(recorder) = &mut self.recorder else { return };
        let name = self.profile.as_ref().and_then(|profile| profile.api(api));
        write(recorder, name.map(|api| api.name.as_str()), self.epoch);
    }

    /// Records how complete the telemetry is, when that changed, and hands on what was gathered.
    pub(super) fn record_telemetry(&mut self, now: u64, completeness: f64) {
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

    pub(super) fn notice(&mut self, header: &Header) {
        let Some(refused) = Refused::of(header) else { return };
        let seen = RefusedSeen {
            time: header.time,
            api: refused.api,
            source: refused.source,
            port: header.destination_port,
            by: refused_by(refused.reason),
        };
        self.engine.refusal(&seen);
        self.record(refused.api, |to, api, epoch| to.write(&Line::refusal(&seen, api, epoch)));
        if let Some(summary) = self.refusals.push(header.time, &refused) {
            let field = self.field(summary.api);
            self.core.tell(&Event::refused(&summary, field, unix_ns()));
        }
    }

    pub(super) fn tell_refusals(&mut self, now: u64) {
        for summary in self.refusals.tick(now) {
            let field = self.field(summary.api);
            self.core.tell(&Event::refused(&summary, field, unix_ns()));
        }
    }

    pub(super) fn detect(&mut self, now: u64, completeness: f64) {
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

    pub(super) fn keep_learned(&mut self) {
        if let Some(profile) = &self.profile {
            let Self { served, responder, epoch, .. } = self;
            let guards = Guards { served, responder, epoch: *epoch };
            self.round.go_on(&self.core, &self.engine, profile, &guards);
        }
    }

    pub(super) fn guards(&self) -> Guards<'_> {
        Guards { served: &self.served, responder: &self.responder, epoch: self.epoch }
    }

    /// Answers a report of a finding, as the policy says.
    pub(super) fn respond(&mut self, finding: &Finding) {
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
