//! Stored transactions, summed up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::control::api::{EndpointSum, Reached, SourceSum, Sum};
use crate::sensor::transaction::Credential;
use crate::store::{COMPLETE, Exchange, HANDSHAKE};

/// Sources that are told.
const SOURCES: usize = 100;
/// Endpoints with statuses that are told apart, and sources that are: beyond, only the total counts.
const MOST: usize = 20_000;

#[derive(Debug, Default)]
struct Tally {
    sum: Sum,
    /// In 65536ths.
    estimated: u64,
    bytes: f64,
    variance: f64,
}

impl Tally {
    fn add(&mut self, exchange: &Exchange) {
        let sum = &mut self.sum;
        if sum.kept == 0 {
            sum.first_ms = exchange.time;
        }
        sum.kept += 1;
        sum.first_ms = sum.first_ms.min(exchange.time);
        sum.last_ms = sum.last_ms.max(exchange.time);
        sum.request_bytes += exchange.request_bytes.unwrap_or(0);
        sum.response_bytes += exchange.response_bytes.unwrap_or(0);
        sum.sizes_unknown += u64::from(exchange.response_bytes.is_none());
        self.estimated = self.estimated.saturating_add(exchange.weight);
        let weight = exchange.weight as f64 / 65_536.0;
        self.bytes += weight * exchange.response_bytes.unwrap_or(0) as f64;
        // Of each that was kept with a chance of 1 in weight (Horvitz and Thompson, 1952).
        self.variance += weight * (weight - 1.0).max(0.0);
    }

    fn told(&self) -> Sum {
        Sum {
            estimated: (self.estimated + (1 << 15)) >> 16,
            standard_error: self.variance.sqrt().round() as u64,
            response_bytes_estimated: self.bytes.round() as u64,
            ..self.sum.clone()
        }
    }
}

type Key = (Arc<str>, Arc<str>, &'static str, Option<u16>);

/// Sums up.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    total: Tally,
    endpoints: HashMap<Key, Tally>,
    sources: HashMap<IpAddr, Tally>,
    different: HashSet<IpAddr>,
    credentials: BTreeMap<&'static str, u64>,
    handshakes: u64,
    complete: u64,
    /// The most that one stands for.
    pub(super) most_weight: u64,
}

impl Tallies {
    pub(super) fn add(&mut self, exchange: &Exchange) {
        self.total.add(exchange);
        let Exchange { api, route, method, status, source, .. } = exchange;
        let key = (Arc::clone(api), Arc::clone(route), *method, *status);
        if self.endpoints.len() < MOST || self.endpoints.contains_key(&key) {
            self.endpoints.entry(key).or_default().add(exchange);
        }
        if self.sources.len() < MOST || self.sources.contains_key(source) {
            self.sources.entry(*source).or_default().add(exchange);
        }
        self.different.insert(*source);
        let has = |kind: &Credential| exchange.facts & 1 << *kind as u16 != 0;
        let mut any = false;
        for kind in Credential::ALL.iter().filter(|kind| has(kind)) {
            *self.credentials.entry(kind.name()).or_default() += 1;
            any = true;
        }
        if !any {
            *self.credentials.entry("none").or_default() += 1;
        }
        self.handshakes += u64::from(exchange.facts & HANDSHAKE != 0);
        self.complete += u64::from(exchange.facts & COMPLETE != 0);
        self.most_weight = self.most_weight.max(exchange.weight.div_ceil(1 << 16));
    }

    pub(super) fn told(&self) -> Reached {
        let endpoint = |((api, route, method, status), tally): (&Key, &Tally)| EndpointSum {
            api: api.to_string(),
            method: (*method).to_owned(),
            route: route.to_string(),
            status: *status,
            sum: tally.told(),
        };
        let mut endpoints: Vec<EndpointSum> = self.endpoints.iter().map(endpoint).collect();
        endpoints.sort_by(|a, b| {
            let key = |e: &EndpointSum| std::cmp::Reverse(e.sum.estimated);
            (key(a), &a.api, &a.route, &a.method, a.status).cmp(&(
                key(b),
                &b.api,
                &b.route,
                &b.method,
                b.status,
            ))
        });
        let source = |(source, tally): (&IpAddr, &Tally)| SourceSum {
            source: source.to_string(),
            sum: tally.told(),
        };
        let mut sources: Vec<SourceSum> = self.sources.iter().map(source).collect();
        sources.sort_by(|a, b| {
            let key = |s: &SourceSum| std::cmp::Reverse(s.sum.estimated);
            (key(a), &a.source).cmp(&(key(b), &b.source))
        });
        sources.truncate(SOURCES);
        Reached {
            total: self.total.told(),
            endpoints,
            sources,
            different_sources: self.different.len() as u64,
            credentials: self
                .credentials
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            handshakes: self.handshakes,
            complete: self.complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_estimates() {
        let exchange =
            |time, source: u8, status, weight: u64, bytes: Option<u64>, facts| Exchange {
                time,
                api: "orders".into(),
                route: "/a".into(),
                method: "GET",
                source: [192, 0, 2, source].into(),
                status: Some(status),
                latency: None,
                request_bytes: Some(10),
                response_bytes: bytes,
                facts,
                weight: weight << 16,
            };
        let bearer = 1 << Credential::Bearer as u16;
        let mut tallies = Tallies::default();
        for one in [
            exchange(5, 1, 200, 1, Some(100), HANDSHAKE | COMPLETE),
            exchange(3, 1, 200, 4, Some(100), HANDSHAKE | bearer),
            exchange(9, 2, 404, 1, None, bearer),
        ] {
            tallies.add(&one);
        }
        let told = tallies.told();
        let total = Sum {
            kept: 3,
            estimated: 6,
            // √(4 · 3)
            standard_error: 3,
            first_ms: 3,
            last_ms: 9,
            request_bytes: 30,
            response_bytes: 200,
            response_bytes_estimated: 500,
            sizes_unknown: 1,
        };
        assert_eq!(told.total, total);
        let statuses: Vec<_> =
            told.endpoints.iter().map(|one| (one.status, one.sum.estimated)).collect();
        assert_eq!(statuses, [(Some(200), 5), (Some(404), 1)]);
        assert_eq!((told.different_sources, told.sources[0].source.as_str()), (2, "192.0.2.1"));
        assert_eq!(told.credentials, BTreeMap::from([("bearer".into(), 2), ("none".into(), 1)]));
        assert_eq!((told.handshakes, told.complete, tallies.most_weight), (2, 1, 4));
    }
}
