//! The inventory as the control socket shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Inventory;
use crate::control::api::{
    Answer, ApiDetail, ApiEntry, ApiError, ApiQuery, Drift, EndpointEntry, FindingEntry,
    FindingQuery, RareQuery, RecentRequest, UndocumentedEndpoint, UnusedOperation,
};
use crate::daemon::core::{Core, lock};
use crate::inventory::catalog::Record;
use crate::inventory::declared::DeclaredApi;
use crate::inventory::usage::{Tally, Usage};
use crate::inventory::{drift, skeleton};
use crate::policy::Api;
use crate::sensor::encrypted::TlsVersion;
use crate::sensor::transaction::{Credential, Visibility};
use crate::store::{self, Exchange};

/// Requests that `show` tells.
const RECENT: usize = 20;

impl Inventory {
    fn find(&self, name: &str) -> Answer<(&Record, Option<&DeclaredApi>)> {
        let declared = self.declared.iter().find(|api| *api.profile.name == *name);
        let record = self.catalog.get(name);
        // What is known of an API that is gone stays for one that comes back, and is not shown.
        let shown = record.filter(|record| declared.is_some() || record.seen.port.is_some());
        let record = shown.ok_or_else(|| {
            ApiError::not_found(format!("there is no API `{name}`"))
                .hint("`weir apis` lists them; a port that nobody declared is called tcp/9000")
        })?;
        Ok((record, declared))
    }

    fn entry(&self, name: &str, record: &Record, api: Option<&Api>) -> ApiEntry {
        let seen = &record.seen;
        let mut entry = ApiEntry {
            name: name.to_owned(),
            declared: api.is_some(),
            first_seen: Some(seen.first).filter(|&time| time != 0),
            last_seen: Some(seen.last).filter(|&time| time != 0),
            connections: seen.connections >> 16,
            sources: seen.sources.count(),
            applications: seen.applications.iter().map(ToString::to_string).collect(),
            tls: seen
                .tls
                .iter()
                .map(|(&version, tally)| (TlsVersion(version).name(), tally.requests()))
                .collect(),
            findings: self.ledger.open_at(name),
            ..ApiEntry::default()
        };
        match (api, seen.port) {
            (Some(api), _) => describe(&mut entry, api),
            (None, Some(port)) => entry.listen = vec![port.to_string()],
            (None, None) => {}
        }
        let mut all = Usage::default();
        let mut routes: Vec<&Arc<str>> = Vec::new();
        for (route, _, usage) in record.endpoints() {
            all.merge(usage);
            routes.push(route);
            entry.endpoints += 1;
        }
        routes.sort_unstable();
        routes.dedup();
        entry.routes = routes.len() as u64;
        entry.requests = all.all.requests();
        entry.statuses = whole(&all.statuses);
        entry.credentials = credentials(&all);
        entry.visibility = visibility(&all);
        entry
    }
}

fn describe(entry: &mut ApiEntry, api: &Api) {
    let about = &api.about;
    entry.listen = api.listen.iter().map(|listen| listen.value.to_string()).collect();
    entry.owner.clone_from(&about.owner);
    entry.maintainer.clone_from(&about.maintainer);
    entry.responder.clone_from(&about.responder);
    entry.criticality = Some(crate::export::criticality(about.criticality).to_owned());
    entry.lifecycle = Some(crate::export::lifecycle(about.lifecycle).to_owned());
    entry.version.clone_from(&about.version);
    entry.environment.clone_from(&about.environment);
    entry.data.clone_from(&about.data);
    entry.openapi = about.openapi.as_ref().map(|file| file.value.clone());
}

/// Counts in 65536ths as whole requests, by what their keys are as text.
fn whole(counts: &BTreeMap<impl ToString, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(key, count)| (key.to_string(), count >> 16)).collect()
}

fn credentials(usage: &Usage) -> BTreeMap<String, u64> {
    let none = Some(("none", usage.anonymous)).filter(|(_, tally)| tally.count > 0);
    let kinds = usage.credential_kinds().map(|(kind, tally)| (kind.name(), tally));
    kinds.chain(none).map(|(name, tally): (_, Tally)| (name.to_owned(), tally.requests())).collect()
}

fn visibility(usage: &Usage) -> Vec<String> {
    let kinds =
        [(usage.plaintext, Visibility::Plaintext), (usage.encrypted, Visibility::TlsMetadata)];
    let seen = kinds.into_iter().filter(|(tally, _)| tally.count > 0);
    seen.map(|(_, kind)| kind.name().to_owned()).collect()
}

fn endpoint(
    api: &str,
    (route, method, usage): (&Arc<str>, &str, &Usage),
    declared: Option<&DeclaredApi>,
) -> EndpointEntry {
    EndpointEntry {
        api: api.to_owned(),
        route: route.to_string(),
        method: method.to_owned(),
        documented: declared
            .and_then(|api| api.spec.as_ref())
            .map(|spec| spec.route(route).is_some_and(|path| path.documents(method))),
        proven: usage.proven.count > 0,
        first_seen: usage.first,
        last_seen: usage.all.last,
        requests: usage.all.requests(),
        sources: usage.sources.count(),
        statuses: whole(&usage.statuses),
        credentials: credentials(usage),
        request_types: whole(&usage.request_types),
        response_types: whole(&usage.response_types),
        visibility: visibility(usage),
        grpc: usage.grpc.count > 0,
    }
}

fn recent(exchange: &Exchange) -> RecentRequest {
    let has = |flag: u16| exchange.facts & flag != 0;
    let kinds = Credential::ALL.into_iter().filter(|&kind| has(1 << kind as u16));
    RecentRequest {
        time_ms: exchange.time,
        source: exchange.source,
        method: exchange.method.to_owned(),
        route: exchange.route.to_string(),
        status: exchange.status,
        latency_seconds: exchange.latency.map(|micros| micros as f64 / 1e6),
        request_body_bytes: exchange.request_bytes,
        response_body_bytes: exchange.response_bytes,
        credentials: kinds.map(|kind| kind.name().to_owned()).collect(),
        handshake: has(store::HANDSHAKE),
        complete: has(store::COMPLETE),
        weight: exchange.weight as f64 / 65_536.0,
    }
}

impl Core {
    pub(in crate::daemon) fn list_apis(&self) -> Vec<ApiEntry> {
        let policy = Arc::clone(&self.gate().now.policy);
        let inventory = lock(&self.inventory);
        let unseen = Record::default();
        let declared = policy.apis.iter().map(|api| {
            let record = inventory.catalog.get(&api.name).unwrap_or(&unseen);
            inventory.entry(&api.name, record, Some(api))
        });
        let mut ports: Vec<_> = inventory
            .catalog
            .iter()
            .filter_map(|(name, record)| Some((record.seen.port?, name, record)))
            .collect();
        ports.sort_by_key(|(port, ..)| *port);
        let ports = ports.into_iter().map(|(_, name, record)| inventory.entry(name, record, None));
        declared.chain(ports).collect()
    }

    pub(in crate::daemon) fn show_api(&self, query: &ApiQuery) -> Answer<ApiDetail> {
        // What is in memory only is written, so that the latest requests are the latest.
        self.write_inventory();
        let policy = Arc::clone(&self.gate().now.policy);
        let (api, endpoints) = {
            let inventory = lock(&self.inventory);
            let (record, declared) = inventory.find(&query.name)?;
            let entry = inventory.entry(&query.name, record, policy.api(&query.name));
            let mut endpoints: Vec<_> =
                record.endpoints().map(|of| endpoint(&query.name, of, declared)).collect();
            endpoints.sort_by(|a, b| {
                let key = |e: &EndpointEntry| std::cmp::Reverse(e.requests);
                (key(a), &a.route, &a.method).cmp(&(key(b), &b.route, &b.method))
            });
            (entry, endpoints)
        };
        let exchanges = lock(&self.book).exchanges(&query.name, RECENT);
        Ok(ApiDetail { api, endpoints, recent: exchanges.iter().map(recent).collect() })
    }

    pub(in crate::daemon) fn skeleton(&self, query: &ApiQuery) -> Answer<serde_json::Value> {
        let policy = Arc::clone(&self.gate().now.policy);
        let version = policy.api(&query.name).and_then(|api| api.about.version.as_deref());
        let inventory = lock(&self.inventory);
        let (record, _) = inventory.find(&query.name)?;
        Ok(skeleton::openapi(&query.name, version, record))
    }

    pub(in crate::daemon) fn drift(&self, query: &ApiQuery) -> Answer<Drift> {
        let policy = Arc::clone(&self.gate().now.policy);
        let completeness = lock(&self.report).completeness;
        let inventory = lock(&self.inventory);
        let (record, declared) = inventory.find(&query.name)?;
        let file = policy.api(&query.name).and_then(|api| api.about.openapi.as_ref());
        let spec = declared.and_then(|api| api.spec.as_ref());
        let (Some(file), Some(spec)) = (file, spec) else {
            let name = &query.name;
            let message = format!("`{name}` has no OpenAPI document to compare with");
            let place = match declared {
                Some(_) => {
                    format!("name one in its [[api]] of the policy: openapi = \"{name}.json\"")
                }
                None => {
                    "declare it in the policy, an [[api]] that has this port in `listen` and a \
                         document: openapi = \"FILE\""
                        .to_owned()
                }
            };
            let hint = format!("{place}; `weir apis openapi {name}` begins one");
            return Err(ApiError::invalid(message).hint(hint));
        };
        let undocumented = drift::undocumented(record, spec).into_iter().map(|found| {
            let of = (found.route, found.method, found.usage);
            let what = if found.path_is_documented { "method" } else { "route" };
            UndocumentedEndpoint {
                what: what.to_owned(),
                endpoint: endpoint(&query.name, of, declared),
            }
        });
        let unused = drift::unused(record, spec).into_iter().map(|unused| UnusedOperation {
            route: unused.route.to_string(),
            method: unused.method,
            documented_since: unused.since,
            line: unused.line,
        });
        Ok(Drift {
            api: query.name.clone(),
            openapi: file.value.clone(),
            operations: spec.operations() as u64,
            since: Some(record.seen.first).filter(|&time| time != 0),
            completeness,
            undocumented: undocumented.collect(),
            unused: unused.collect(),
        })
    }

    pub(in crate::daemon) fn rare(&self, query: &RareQuery) -> Answer<Vec<EndpointEntry>> {
        let inventory = lock(&self.inventory);
        if let Some(name) = &query.api {
            inventory.find(name)?;
        }
        let mut all = Vec::new();
        for (name, record) in inventory.catalog.iter() {
            let Ok((_, declared)) = inventory.find(name) else { continue };
            if query.api.as_ref().is_some_and(|api| **api != **name) {
                continue;
            }
            let there = record.endpoints().filter(|(_, _, usage)| usage.proven.count > 0);
            all.extend(there.map(|of| (of, name, declared)));
        }
        all.sort_by_key(|((route, method, usage), name, _)| {
            (usage.all.count, usage.all.last, Arc::clone(name), Arc::clone(route), *method)
        });
        all.truncate(query.limit);
        Ok(all.into_iter().map(|(of, name, declared)| endpoint(name, of, declared)).collect())
    }

    pub(in crate::daemon) fn list_findings(&self, query: &FindingQuery) -> Vec<FindingEntry> {
        lock(&self.inventory).ledger.list(query)
    }
}
