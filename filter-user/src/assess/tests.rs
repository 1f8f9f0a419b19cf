//! Reports of made-up facts.

mod judged;
mod written;

use std::collections::BTreeMap;

use super::facts::DrillFact;
use super::*;
use crate::control::api::{
    ApiEntry, FeedState, FeedStatus, FindingEntry, PlaybookEntry, PolicyStatus, SampleStatus,
    Sources,
};

const NOW: u64 = 1_772_373_600;
const DAY: u64 = 86_400;

fn map<V: Clone>(pairs: &[(&str, V)]) -> BTreeMap<String, V> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// An API about which nothing is known but its name.
fn bare(name: &str) -> ApiFacts {
    let seen = ApiEntry {
        name: name.to_owned(),
        declared: true,
        listen: vec!["tcp/8080".to_owned()],
        criticality: Some("medium".to_owned()),
        lifecycle: Some("active".to_owned()),
        ..ApiEntry::default()
    };
    let (kind, mode, respond_mode) = ("auto".to_owned(), "enforce".to_owned(), "act".to_owned());
    ApiFacts { seen, kind, mode, respond_mode, any: true, ..ApiFacts::default() }
}

/// Requests in clear text, so many of them without a credential.
fn plain(mut api: ApiFacts, requests: u64, none: u64) -> ApiFacts {
    api.seen.requests = requests;
    api.seen.connections = requests;
    api.seen.visibility = vec!["plaintext".to_owned()];
    api.seen.credentials = map(&[("bearer", requests - none), ("none", none)]);
    api
}

/// TLS handshakes of a version.
fn encrypted(mut api: ApiFacts, version: &str) -> ApiFacts {
    api.seen.connections = 40;
    api.seen.tls = map(&[(version, 40)]);
    api
}

fn limit(of: &str, measure: &str) -> LimitFact {
    LimitFact { of: of.to_owned(), measure: measure.to_owned(), rate: "100/s".to_owned() }
}

/// An API with every layer there is.
fn guarded() -> ApiFacts {
    let mut api = plain(bare("orders"), 4_000, 0);
    api.seen.owner = Some("team-orders".to_owned());
    api.seen.responder = Some("oncall-orders".to_owned());
    api.seen.criticality = Some("critical".to_owned());
    api.seen.openapi = Some("orders.yaml".to_owned());
    api.any = false;
    api.allow = vec!["partners".to_owned()];
    api.sources = Sources { prefixes: 1, first: vec!["198.51.100.0/24".to_owned()] };
    api.limits = vec![limit("source", "packets"), limit("source", "requests")];
    api.login = vec!["POST /login".to_owned()];
    api.answers = map(&[("brute_force", "ban 10m".to_owned())]);
    api.settings = map(&[("allow", "partners".to_owned()), ("limit", "packets 100/s".to_owned())]);
    api
}

fn finding(id: &str, severity: &str, opened: u64) -> FindingEntry {
    FindingEntry {
        id: id.to_owned(),
        detector: "brute_force".to_owned(),
        severity: severity.to_owned(),
        state: "open".to_owned(),
        api: "orders".to_owned(),
        opened,
        why: "15 of 15 attempts failed".to_owned(),
        owasp: Some("API2:2023 Broken Authentication".to_owned()),
        ..FindingEntry::default()
    }
}

/// A host with one API that is guarded by all there is, and nothing open.
fn facts() -> Facts {
    Facts {
        time: NOW,
        host: "gate-1".to_owned(),
        weir: "0.1.0".to_owned(),
        policy: Some(PolicyStatus {
            name: "edge".to_owned(),
            hash: "ab".repeat(32),
            generation: 3,
            applied_at: NOW - DAY,
            ..PolicyStatus::default()
        }),
        settings: map(&[("unclaimed", "drop".to_owned())]),
        apis: vec![guarded()],
        playbooks: vec![PlaybookEntry {
            name: "leak".to_owned(),
            apis: vec!["orders".to_owned()],
            drilled: Some(NOW - 30 * DAY),
            drill_passed: Some(true),
            ..PlaybookEntry::default()
        }],
        samples: SampleStatus {
            share: 1.0,
            share_now: 1.0,
            completeness: 1.0,
            ..Default::default()
        },
        transactions_since: Some(NOW - 7 * DAY),
        receivers: 1,
        ..Facts::default()
    }
}
