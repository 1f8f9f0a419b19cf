//! The inventory in the daemon: the pipeline fills it, a thread of its own judges it and writes it to
//! the store, and the control socket reads it.

mod book;
mod ledger;
mod mutes;
mod requests;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_common::tables::UNCLAIMED;

use crate::control::api::FindingEntry;
use crate::detect::{Detector, Endpoint, Finding, Severity, State};
use crate::export::events::{ApiField, Event};
use crate::export::metrics::Metrics;
use crate::inventory::catalog::{Catalog, method};
use crate::inventory::declared::DeclaredApi;
use crate::inventory::findings::{Case, Open, Register, Subject, judge};
use crate::inventory::route::Routes;
use crate::inventory::samples::Samples;
use crate::policy::Port;
use crate::sensor::FlowSummary;
use crate::sensor::encrypted::Handshake;
use crate::sensor::transaction::{Transaction, Visibility};
use crate::store::{self, Batch, Exchange, Retention};

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
use super::profile::{Profile, UNCLAIMED as UNCLAIMED_NAME};
pub(super) use book::{Book, Told};
use ledger::Ledger;
pub(super) use mutes::{MOST as MOST_MUTES, Mutes};
use requests::Requests;

/// Between two looks at whether there is something to do.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two judgements.
const JUDGE: u64 = 2;
/// Between two writings.
const WRITE: u64 = 5;
/// Between two looks at the databases of where sources are.
const GEO: u64 = 10;
/// Between two looks for what is to be forgotten.
const FORGET: u64 = 3_600;
/// What was not seen for so long, and is not declared, is forgotten.
const MEMORY: u64 = 30 * 86_400;

/// What was seen, and what that means.
pub(super) struct Inventory {
    /// APIs and endpoints.
    pub(super) catalog: Catalog,
    /// Findings that the inventory has open.
    pub(super) register: Register,
    /// All findings, whoever found them.
    pub(super) ledger: Ledger,
    /// Findings that ended with the daemon before, to be told.
    pub(super) ended: Vec<FindingEntry>,
    samples: Samples,
    keep_samples: bool,
    /// Of which findings make examples.
    requests: Requests,
    declared: Vec<DeclaredApi>,
    fields: HashMap<Arc<str>, ApiField>,
    /// A policy, or its absence, is known.
    followed: bool,
}

impl Inventory {
    /// What a store kept, or nothing. `keep_samples`: transactions are kept at all.
    pub(super) fn new(kept: store::Inventory, keep_samples: bool) -> Self {
        let mut inventory = Self {
            catalog: Catalog::default(),
            register: Register::default(),
            ledger: Ledger::default(),
            ended: Vec::new(),
            samples: Samples::new(unix_ns()),
            keep_samples,
            requests: Requests::default(),
            declared: Vec::new(),
            fields: HashMap::new(),
            followed: false,
        };
        inventory.catalog.restore(kept.apis, kept.endpoints);
        for row in kept.findings {
            inventory.restore(&row.body);
        }
        inventory
    }

    /// Puts back a finding. One that is open is the inventory's to go on with; what other detectors
    /// had open ended with their daemon.
    fn restore(&mut self, body: &str) {
        let Ok(mut entry) = serde_json::from_str::<FindingEntry>(body) else { return };
        let detector = Detector::ALL.into_iter().find(|detector| detector.name() == entry.detector);
        let severity = Severity::ALL.into_iter().find(|known| known.name() == entry.severity);
        let mut changed = false;
        if let (Some(detector), Some(severity), "open") = (detector, severity, &*entry.state) {
            if detector.is_of_inventory() {
                let endpoint = entry.method.as_deref().zip(entry.route.as_deref());
                let subject = Subject {
                    detector,
                    api: entry.api.as_str().into(),
                    endpoint: endpoint.map(|(method, route)| Endpoint {
                        method: method.into(),
                        route: route.into(),
                    }),
                };
                let open = Open {
                    id: entry.id.as_str().into(),
                    severity,
                    opened: entry.opened.saturating_mul(1_000_000_000),
                    updated: entry.updated.saturating_mul(1_000_000_000),
                    observed: entry.observed,
                };
                self.register.restore(subject, open);
            } else {
                changed = true;
                "closed".clone_into(&mut entry.state);
                entry.closed = Some(unix_now());
                entry.why.push_str("; the daemon ended, and what goes on is found anew");
                self.ended.push(entry.clone());
            }
        }
        self.ledger.restore(entry, changed);
    }

    /// Another policy is in force.
    fn follow(&mut self, profile: &Profile, routes: &mut Routes) {
        self.declared = profile.for_inventory();
        let ids = self.declared.iter().map(|api| &api.profile);
        let ids = ids.map(|api| (api.id, Arc::clone(&api.name), api.sources));
        let wide =
            |listen: &&crate::policy::Sited<crate::policy::Listen>| listen.value.address.is_none();
        let ports: BTreeSet<Port> = profile
            .policy
            .apis
            .iter()
            .flat_map(|api| api.listen.iter().filter(wide).map(|listen| listen.value.port))
            .collect();
        self.catalog.follow(ids, &ports);
        self.fields = self
            .declared
            .iter()
            .map(|api| (Arc::clone(&api.profile.name), profile.field(api.profile.id)))
            .collect();
        let now = unix_now();
        for api in &self.declared {
            if !routes.has(api.profile.id) {
                self.give_back(api.profile.id, &api.profile.name, routes);
            }
            let paths = api.spec.iter().flat_map(|spec| spec.paths());
            let operations = paths.flat_map(|path| {
                path.methods.keys().map(|method| (Arc::clone(&path.route), method.clone()))
            });
            let operations: Vec<_> = operations.collect();
            self.catalog.document(&api.profile.name, operations, now);
        }
        if !routes.has(UNCLAIMED) {
            let ports: Vec<_> = self
                .catalog
                .iter()
                .filter(|(_, record)| record.seen.port.is_some())
                .map(|(name, _)| Arc::clone(name))
                .collect();
            for name in ports {
                self.give_back(UNCLAIMED, &name, routes);
            }
        }
        self.followed = true;
    }

    /// Gives an API the routes back that it had before a restart.
    fn give_back(&self, id: u32, name: &str, routes: &mut Routes) {
        let Some(record) = self.catalog.get(name) else { return };
        let known = record.endpoints().map(|(route, _, usage)| (&**route, usage.present));
        routes.restore(id, known, record.seen.merged.iter().cloned());
    }

    /// Routes of these APIs are called otherwise.
    fn rename(&mut self, changed: &[u32], routes: &Routes, metrics: &Metrics) {
        for &id in changed {
            let now = |route: &str| routes.renamed(id, route);
            metrics.rename(&self.label(id), now);
            let names: Vec<Arc<str>> = if id == UNCLAIMED {
                let ports = self.catalog.iter().filter(|(_, record)| record.seen.port.is_some());
                ports.map(|(name, _)| Arc::clone(name)).collect()
            } else {
                let of_id = self.declared.iter().filter(|api| api.profile.id == id);
                of_id.map(|api| Arc::clone(&api.profile.name)).collect()
            };
            for name in names {
                self.catalog.rename(&name, now, routes.merged(id).map(str::to_owned));
                self.samples.rename(&name, now);
            }
        }
    }

    /// Takes a transaction that came in of this client. `time` is ns since 1970.
    fn transaction(
        &mut self,
        transaction: &Transaction,
        client: IpAddr,
        route: &Arc<str>,
        time: u64,
    ) {
        let seconds = time / 1_000_000_000;
        let Some(api) = self.catalog.transaction(transaction, client, route, seconds) else {
            return;
        };
        if self.keep_samples {
            self.samples.add(&api, || exchange(transaction, client, &api, route, time));
        }
    }

    /// The name of an API in metrics.
    fn label(&self, id: u32) -> Arc<str> {
        let declared = self.declared.iter().find(|api| api.profile.id == id);
        declared.map_or_else(|| UNCLAIMED_NAME.into(), |api| Arc::clone(&api.profile.name))
    }

    /// The API as events show it.
    fn field(&self, name: &Arc<str>) -> ApiField {
        let known = self.fields.get(name).cloned();
        known.unwrap_or_else(|| ApiField { name: Arc::clone(name), ..ApiField::default() })
    }
}

/// What is kept of a transaction. Its target is not, nor any value of a field.
fn exchange(
    transaction: &Transaction,
    client: IpAddr,
    api: &Arc<str>,
    route: &Arc<str>,
    time: u64,
) -> Exchange {
    let flag = |is: bool, flag: u16| if is { flag } else { 0 };
    let kinds = transaction.credentials.kinds().fold(0, |kinds, kind| kinds | 1 << kind as u16);
    Exchange {
        time: time / 1_000_000,
        api: Arc::clone(api),
        route: Arc::clone(route),
        method: method(&transaction.method),
        source: client,
        status: transaction.status,
        latency: transaction.latency.map(|ns| ns / 1_000),
        request_bytes: transaction.request_body_bytes,
        response_bytes: transaction.response_body_bytes,
        facts: kinds
            | flag(transaction.handshake, store::HANDSHAKE)
            | flag(transaction.complete, store::COMPLETE)
            | flag(transaction.visibility != Visibility::Plaintext, store::ENCRYPTED),
        weight: u64::from(transaction.weight.max(1 << 16)),
    }
}

impl Core {
    /// Another policy is in force: routes are restored and declared, and what they are called now
    /// is what everything calls them.
    pub(super) fn follow_inventory(&self, profile: &Profile, routes: &mut Routes) {
        lock(&self.inventory).follow(profile, routes);
        for (id, declared) in profile.declared() {
            routes.declare(id, declared);
        }
        self.rename_routes(routes);
    }

    /// Calls routes by their names of now, wherever they were noted.
    pub(super) fn rename_routes(&self, routes: &mut Routes) {
        let mut changed = routes.take_changed();
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        changed.dedup();
        lock(&self.inventory).rename(&changed, routes, &self.metrics);
    }

    /// Notes a transaction that came in. `epoch` is what to add to its time for ns since 1970.
    pub(super) fn note_transaction(
        &self,
        transaction: &Transaction,
        client: IpAddr,
        route: &Arc<str>,
        epoch: i128,
    ) {
        lock(&self.sources).asked(transaction, client);
        let time = wall(transaction.time, epoch);
        lock(&self.inventory).transaction(transaction, client, route, time);
    }

    /// Notes a flow that is over.
    pub(super) fn note_flow(&self, flow: &FlowSummary, epoch: i128) {
        lock(&self.inventory).catalog.flow(flow, wall(flow.end, epoch) / 1_000_000_000);
    }

    /// Notes a handshake.
    pub(super) fn note_handshake(&self, handshake: &Handshake, epoch: i128) {
        let time = wall(handshake.time, epoch);
        let mut inventory = lock(&self.inventory);
        let api = inventory.catalog.handshake(handshake, time / 1_000_000_000);
        if let Some(api) = api {
            inventory.requests.handshake(&api, handshake, time);
        }
    }

    /// Notes a report of a finding. `epoch` is what to add to its times for ns since 1970.
    /// Returns it with what operators said of it.
    pub(super) fn note_finding(&self, finding: &Finding, epoch: i128) -> FindingEntry {
        let entry = lock(&self.inventory).ledger.note(finding, epoch);
        self.metrics.mute(&entry.id, entry.muted);
        entry
    }

    /// Says what is wrong with what exists now.
    fn judge_inventory(&self) {
        let completeness = lock(&self.report).completeness;
        let now = unix_ns();
        let mut inventory = lock(&self.inventory);
        if !inventory.followed {
            return;
        }
        let conditions = judge(&Case {
            catalog: &inventory.catalog,
            declared: &inventory.declared,
            now: now / 1_000_000_000,
            unused_after: self.config.inventory.unused_after.as_secs(),
            completeness,
        });
        let mut due = inventory.register.follow(conditions, now, completeness);
        let waiting: Vec<_> =
            due.iter().map(|found| inventory.requests.waiting(found, &inventory.samples)).collect();
        if due.iter().any(|found| found.state != State::Closed) {
            // The disk is not waited for with the inventory held.
            drop(inventory);
            for (found, waiting) in due.iter_mut().zip(waiting) {
                found.examples = self.requests_of(found, waiting);
            }
            inventory = lock(&self.inventory);
        }
        let due: Vec<_> = due
            .into_iter()
            .map(|found| {
                let entry = inventory.ledger.note(&found, 0);
                (inventory.field(&found.api_name), found, entry)
            })
            .collect();
        drop(inventory);
        for (field, finding, entry) in due {
            if finding.state == State::Open {
                tracing::warn!(id = %finding.id, api = %field.name, "{}", finding.measure.why);
            }
            self.metrics.finding(&finding);
            self.metrics.mute(&entry.id, entry.muted);
            self.tell(&Event::finding(&finding, field, 0).with_said(&entry));
            self.answer_finding(finding);
        }
    }

    /// Writes what changed to the store.
    pub(super) fn write_inventory(&self) {
        let retention = Retention {
            bytes: self.config.store.transactions,
            since: (unix_ns() / 1_000_000)
                .saturating_sub(self.config.store.retention.as_millis() as u64),
        };
        let quotas = self.changed_quotas();
        let mut book = lock(&self.book);
        let batch = book.take_unwritten().unwrap_or_else(|| {
            let mut inventory = lock(&self.inventory);
            Batch {
                changes: inventory.catalog.take_changes(),
                exchanges: inventory.samples.take(),
                findings: inventory.ledger.take_changes(),
                retention,
            }
        });
        book.keep_quotas(&quotas, unix_now());
        if let Some(problem) = book.write(batch) {
            let event = crate::export::events::Kind::StoreFailed;
            self.tell(&Event::new(event, unix_ns(), problem));
        } else if let Err((parts, problem)) =
            book.write_learned(self.learned.take(), unix_ns() / 1_000_000)
        {
            tracing::warn!("{problem}: what was learned is kept in memory");
            self.learned.give_back(parts);
        }
    }

    fn forget_inventory(&self) {
        let now = unix_now();
        let mut inventory = lock(&self.inventory);
        let Inventory { catalog, declared, .. } = &mut *inventory;
        catalog.forget(|name, record| {
            let is_declared = declared.iter().any(|api| *api.profile.name == *name);
            !is_declared && now.saturating_sub(record.seen.last) > MEMORY
        });
    }
}

fn wall(time: u64, epoch: i128) -> u64 {
    u64::try_from(i128::from(time) + epoch).unwrap_or_default()
}

/// Starts the thread that judges and writes.
pub(super) fn start(core: Arc<Core>) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("weir-inventory".to_owned())
        .spawn(move || {
            let mut last = [0; 4];
            loop {
                let now = core.started.elapsed().as_secs();
                let due = |at: usize, every: u64| now >= last[at] + every;
                let due = [due(0, JUDGE), due(1, WRITE), due(2, FORGET), due(3, GEO)];
                for (last, _) in last.iter_mut().zip(due).filter(|(_, due)| *due) {
                    *last = now;
                }
                if due[0] {
                    core.judge_inventory();
                }
                if due[3] && core.geo.refresh() {
                    tracing::info!("a database of where sources are was read again");
                }
                if due[2] {
                    core.forget_inventory();
                }
                if due[1] {
                    core.write_inventory();
                }
                if core.pause(PAUSE) {
                    break;
                }
            }
        })
        .context("cannot start the inventory")
}
