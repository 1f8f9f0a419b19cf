//! The APIs and endpoints that exist, as far as traffic shows: those of the policy, and ports that
//! answer and that nobody declared.
//!
//! Everything is bounded. What changed since it was asked last is told, so that a store can follow;
//! keeping and restoring is the daemon's.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use filter_common::packet::protocol;
use hashbrown::HashMap;

use crate::detect::Source;
use crate::policy::{Port, Protocol, SourceLengths};
use crate::sensor::encrypted::Handshake;
use crate::sensor::transaction::Transaction;
use crate::sensor::{Application, FlowSummary};

use super::sources::Sources;
use super::usage::{Tally, Usage};

/// Endpoints of all APIs together.
const MAX_ENDPOINTS: usize = 20_000;
/// Ports that nobody declared.
const MAX_PORTS: usize = 256;
/// Kinds of application traffic of one API.
const MAX_APPLICATIONS: usize = 8;
/// Versions of TLS of one API.
const MAX_VERSIONS: usize = 16;
/// UDP ports from here on are taken for those of clients: of a flow whose beginning was not seen
/// nobody knows who asked.
const EPHEMERAL: u16 = 32_768;

/// Methods that are told apart (RFC 9110, section 9; RFC 5789; QUERY); others are `_OTHER`.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// A method as endpoints have it.
pub fn method(text: &str) -> &'static str {
    METHODS.into_iter().find(|method| *method == text).unwrap_or("_OTHER")
}

/// What was seen of an API beside its endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The port, where nobody declared it.
    pub port: Option<Port>,
    /// When it was seen first, seconds since 1970; 0: never.
    pub first: u64,
    /// When it was seen last.
    pub last: u64,
    /// Connections seen to their end, in 65536ths.
    pub connections: u64,
    /// What they carried, by [`Application::name`].
    pub applications: BTreeSet<Box<str>>,
    /// From where.
    pub sources: Sources,
    /// TLS handshakes by the version that was chosen, as it goes over the wire.
    pub tls: BTreeMap<u16, Tally>,
    /// Parents of routes whose literals are values.
    pub merged: Vec<String>,
    /// When each documented operation was first known, by route and method.
    pub documented: BTreeMap<(Arc<str>, String), u64>,
}

/// An API: one of the policy, or a port that nobody declared.
#[derive(Debug, Default)]
pub struct Record {
    /// What was seen of it as a whole.
    pub seen: Seen,
    endpoints: HashMap<Arc<str>, BTreeMap<&'static str, Endpoint>>,
    changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Endpoint {
    usage: Usage,
    changed: bool,
}

impl Record {
    /// Every endpoint: route, method and what was seen of it, in no particular order.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Arc<str>, &'static str, &Usage)> {
        self.endpoints.iter().flat_map(|(route, methods)| {
            methods.iter().map(move |(method, endpoint)| (route, *method, &endpoint.usage))
        })
    }

    /// One endpoint.
    pub fn endpoint(&self, route: &str, method: &str) -> Option<&Usage> {
        Some(&self.endpoints.get(route)?.get(method)?.usage)
    }

    /// What it speaks of that which APIs speak: HTTP, or TLS, inside which they do.
    pub fn speaks(&self) -> Option<&'static str> {
        let has = |name: &str| self.seen.applications.contains(name);
        if !self.endpoints.is_empty() {
            return Some("HTTP");
        }
        let quic = self.seen.port.is_some_and(|port| port.protocol == Protocol::Udp);
        let encrypted = !self.seen.tls.is_empty() || has("tls") || has("quic");
        encrypted.then_some(if quic { "QUIC" } else { "TLS" })
    }

    fn note(&mut self, now: u64, source: IpAddr) {
        let seen = &mut self.seen;
        if seen.first == 0 {
            seen.first = now;
        }
        if now > seen.last {
            seen.last = now;
            self.changed = true;
        }
        self.changed |= seen.sources.add(source);
    }
}

/// An endpoint that changed, for the store.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// The API's name, or its port as `tcp/9000`.
    pub api: Arc<str>,
    /// Its route.
    pub route: Arc<str>,
    /// Its method.
    pub method: &'static str,
    /// All that was seen.
    pub usage: Usage,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// APIs that did, without their endpoints.
    pub apis: Vec<(Arc<str>, Seen)>,
    /// Endpoints that did.
    pub endpoints: Vec<EndpointRow>,
    /// Routes that are called otherwise: API, before, now.
    pub renamed: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    /// APIs that are forgotten.
    pub forgotten: Vec<Arc<str>>,
}

impl Changes {
    /// Whether nothing did.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Catalog {
    apis: BTreeMap<Arc<str>, Record>,
    ids: HashMap<u32, (Arc<str>, SourceLengths)>,
    /// Names of the ports that nobody declared.
    ports: HashMap<Port, Arc<str>>,
    endpoints: usize,
    refused: u64,
    renamed: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    forgotten: Vec<Arc<str>>,
}

impl Catalog {
    /// The APIs of the policy now, by stable id, with the ports that they have on every address.
    /// Ports that are declared now are forgotten; what is known of APIs that are gone stays, for one
    /// that comes back.
    pub fn follow(
        &mut self,
        apis: impl IntoIterator<Item = (u32, Arc<str>, SourceLengths)>,
        declared: &BTreeSet<Port>,
    ) {
        self.ids = apis.into_iter().map(|(id, name, lengths)| (id, (name, lengths))).collect();
        for (name, _) in self.ids.values() {
            self.apis.entry(Arc::clone(name)).or_default();
        }
        let now_declared =
            |record: &Record| record.seen.port.is_some_and(|p| declared.contains(&p));
        self.forget(|_, record| now_declared(record));
    }

    /// Forgets APIs.
    pub fn forget(&mut self, which: impl Fn(&str, &Record) -> bool) {
        let gone = self.apis.extract_if(.., |name, record| which(name, record));
        for (name, record) in gone {
            self.endpoints -= record.endpoints.values().map(BTreeMap::len).sum::<usize>();
            if let Some(port) = record.seen.port {
                self.ports.remove(&port);
            }
            self.forgotten.push(name);
        }
    }

    /// Takes a transaction of this client that came in into account. `now` is its time in seconds
    /// since 1970. Returns the name of its API here.
    pub fn transaction(
        &mut self,
        transaction: &Transaction,
        client: IpAddr,
        route: &Arc<str>,
        now: u64,
    ) -> Option<Arc<str>> {
        let port = Port { protocol: Protocol::Tcp, port: transaction.flow.server_port };
        let (name, lengths) = self.name(transaction.api, port)?;
        let source = Source::of(client, lengths);
        let full = self.endpoints >= MAX_ENDPOINTS;
        let record = self.apis.get_mut(&name)?;
        record.note(now, source.address);
        let method = method(&transaction.method);
        let known = record.endpoints.get_mut(route).and_then(|methods| methods.get_mut(method));
        if let Some(endpoint) = known {
            endpoint.usage.add(transaction, source, now);
            endpoint.changed = true;
            return Some(name);
        }
        if full {
            self.refused += 1;
            return Some(name);
        }
        self.endpoints += 1;
        let methods = record.endpoints.entry(Arc::clone(route)).or_default();
        let endpoint = methods.entry(method).or_default();
        endpoint.usage.add(transaction, source, now);
        endpoint.changed = true;
        Some(name)
    }

    /// Takes a finished flow that came in into account: of one that no API claims only when this
    /// host answered. `now` is its time in seconds since 1970.
    pub fn flow(&mut self, flow: &FlowSummary, now: u64) {
        let answered = match flow.protocol {
            protocol::TCP => flow.handshake,
            _ => flow.packets.iter().all(|&packets| packets > 0),
        };
        if !flow.inbound || !answered {
            return;
        }
        let of_client = flow.protocol != protocol::TCP && flow.flow.server_port >= EPHEMERAL;
        if flow.api == filter_common::tables::UNCLAIMED && of_client {
            return;
        }
        let transport = if flow.protocol == protocol::TCP { Protocol::Tcp } else { Protocol::Udp };
        let port = Port { protocol: transport, port: flow.flow.server_port };
        let Some((name, lengths)) = self.name(flow.api, port) else { return };
        let Some(record) = self.apis.get_mut(&name) else { return };
        record.note(now, Source::of(flow.flow.client, lengths).address);
        record.changed = true;
        let seen = &mut record.seen;
        seen.connections = seen.connections.saturating_add(u64::from(flow.weight.max(1 << 16)));
        let application = flow.application.name();
        if flow.application != Application::Unknown
            && seen.applications.len() < MAX_APPLICATIONS
            && !seen.applications.contains(application)
        {
            seen.applications.insert(application.into());
        }
    }

    /// Takes a TLS or QUIC handshake that came in and that the server answered into account. `now` is
    /// its time in seconds since 1970. Returns the name of its API, if it was counted.
    pub fn handshake(&mut self, handshake: &Handshake, now: u64) -> Option<Arc<str>> {
        let version = handshake.version.filter(|_| handshake.inbound)?;
        let protocol = if handshake.quic.is_some() { Protocol::Udp } else { Protocol::Tcp };
        let port = Port { protocol, port: handshake.flow.server_port };
        let (name, lengths) = self.name(handshake.api, port)?;
        let record = self.apis.get_mut(&name)?;
        record.note(now, Source::of(handshake.flow.client, lengths).address);
        let tls = &mut record.seen.tls;
        if tls.len() < MAX_VERSIONS || tls.contains_key(&version.0) {
            tls.entry(version.0).or_default().add(u64::from(handshake.weight.max(1 << 16)), now);
            record.changed = true;
        }
        Some(name)
    }

    /// Calls the routes of an API by their names of now, and notes which parents are merged.
    pub fn rename(
        &mut self,
        api: &str,
        name: impl Fn(&str) -> Option<Arc<str>>,
        merged: impl IntoIterator<Item = String>,
    ) {
        let Some((key, record)) = self.apis.get_key_value(api).map(|(k, r)| (Arc::clone(k), r))
        else {
            return;
        };
        let moved: Vec<(Arc<str>, Arc<str>)> = record
            .endpoints
            .keys()
            .filter_map(|before| Some((Arc::clone(before), name(before)?)))
            .filter(|(before, now)| before != now)
            .collect();
        let Some(record) = self.apis.get_mut(api) else { return };
        let mut merged: Vec<String> = merged.into_iter().collect();
        merged.sort_unstable();
        if merged != record.seen.merged {
            record.seen.merged = merged;
            record.changed = true;
        }
        for (before, now) in moved {
            let methods = record.endpoints.remove(&before).unwrap_or_default();
            for (method, endpoint) in methods {
                let into = record.endpoints.entry(Arc::clone(&now)).or_default();
                match into.get_mut(method) {
                    Some(known) => {
                        known.usage.merge(&endpoint.usage);
                        known.changed = true;
                        self.endpoints -= 1;
                    }
                    None => drop(into.insert(method, Endpoint { changed: true, ..endpoint })),
                }
            }
            self.renamed.push((Arc::clone(&key), before, now));
        }
    }

    /// Notes since when operations are documented; those that are no longer are forgotten. `now` is
    /// seconds since 1970.
    pub fn document(
        &mut self,
        api: &str,
        operations: impl IntoIterator<Item = (Arc<str>, String)>,
        now: u64,
    ) {
        let Some(record) = self.apis.get_mut(api) else { return };
        let known = |operation: (Arc<str>, String)| {
            let since = record.seen.documented.get(&operation).copied().unwrap_or(now);
            (operation, since)
        };
        let documented: BTreeMap<_, _> = operations.into_iter().map(known).collect();
        if documented != record.seen.documented {
            record.seen.documented = documented;
            record.changed = true;
        }
    }

    /// What changed since this was asked last.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes {
            renamed: std::mem::take(&mut self.renamed),
            forgotten: std::mem::take(&mut self.forgotten),
            ..Changes::default()
        };
        for (api, record) in &mut self.apis {
            for (route, methods) in &mut record.endpoints {
                for (method, endpoint) in methods.iter_mut().filter(|(_, e)| e.changed) {
                    endpoint.changed = false;
                    changes.endpoints.push(EndpointRow {
                        api: Arc::clone(api),
                        route: Arc::clone(route),
                        method,
                        usage: endpoint.usage.clone(),
                    });
                }
            }
            if std::mem::take(&mut record.changed) {
                changes.apis.push((Arc::clone(api), record.seen.clone()));
            }
        }
        changes
    }

    /// Puts back what a store kept. What is already there stays.
    pub fn restore(
        &mut self,
        apis: impl IntoIterator<Item = (Arc<str>, Seen)>,
        endpoints: impl IntoIterator<Item = EndpointRow>,
    ) {
        for (name, seen) in apis {
            if let Some(port) = seen.port {
                self.ports.insert(port, Arc::clone(&name));
            }
            let new = || Record { seen, ..Record::default() };
            self.apis.entry(name).or_insert_with(new);
        }
        for EndpointRow { api, route, method, usage } in endpoints {
            if self.endpoints >= MAX_ENDPOINTS {
                self.refused += 1;
                continue;
            }
            let Some(record) = self.apis.get_mut(&api) else { continue };
            let methods = record.endpoints.entry(route).or_default();
            if methods.insert(method, Endpoint { usage, changed: false }).is_none() {
                self.endpoints += 1;
            }
        }
    }

    /// Every API by its name, or its port as `tcp/9000`.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        self.apis.iter()
    }

    /// One API.
    pub fn get(&self, name: &str) -> Option<&Record> {
        self.apis.get(name)
    }

    /// Endpoints known, and transactions and ports that found no room, ever.
    pub fn occupancy(&self) -> (usize, u64) {
        (self.endpoints, self.refused)
    }

    /// The name of a stable id's API, or of the port where none claims it.
    fn name(&mut self, api: u32, port: Port) -> Option<(Arc<str>, SourceLengths)> {
        if let Some((name, lengths)) = self.ids.get(&api) {
            return Some((Arc::clone(name), *lengths));
        }
        // An API of a policy that was replaced: its last flows.
        if api != filter_common::tables::UNCLAIMED {
            return None;
        }
        if let Some(name) = self.ports.get(&port) {
            return Some((Arc::clone(name), SourceLengths::default()));
        }
        if self.ports.len() >= MAX_PORTS {
            self.refused += 1;
            return None;
        }
        let name: Arc<str> = port.to_string().into();
        self.ports.insert(port, Arc::clone(&name));
        self.apis.entry(Arc::clone(&name)).or_default().seen.port = Some(port);
        Some((name, SourceLengths::default()))
    }
}
